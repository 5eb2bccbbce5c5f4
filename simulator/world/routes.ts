/**
 * The splitter's view of the cluster: Services, EndpointSlices and TrafficSplits as the API server last told, and the
 * answer to "where does a request for this Service go now". It opens no connection to a pod and sends nothing.
 */
import { objectKey } from '../../engine/kubernetes/types.ts';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import type { WorldApi } from './api.ts';
import { backendsOf, pickWeighted, readyEndpoints, servicePort } from './routing.ts';
import type { WeightedBackend } from './routing.ts';
import { watchObjects } from './watch.ts';

const SPLIT_GROUP = 'split.smi-spec.io';
const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

export type Route =
  | { kind: 'endpoints'; backend: string; endpoints: readonly string[] }
  | { kind: 'noService' }
  | { kind: 'noEndpoint' };

export interface Routes {
  /** Resolves when Services, slices and splits (or their absence) are known. */
  readonly synced: Promise<void>;
  /** Never an empty list of endpoints. `random` is uniform in [0, 1). */
  route(namespace: string, service: string, port: number, random: number): Route;
  /** Weights of the split that roots on this Service; undefined when there is none. */
  weights(namespace: string, root: string): WeightedBackend[] | undefined;
  close(): Promise<void>;
}

/** `onEndpointsGone` is told of endpoints (`address:port`) that no Service has any more. */
export function watchRoutes(api: WorldApi, onEndpointsGone: (gone: string[]) => void): Routes {
  const slices = new Map<string, Map<string, KubernetesObject>>();
  const endpoints = new Map<string, string[]>();
  /** By root Service. Of two splits on one root the one that came later is obeyed. */
  const splits = new Map<string, KubernetesObject>();

  const services = watchObjects({ api, path: () => Promise.resolve('/api/v1/services'), onChange: () => {} });
  const sliceWatch = watchObjects({
    api,
    path: () => Promise.resolve('/apis/discovery.k8s.io/v1/endpointslices'),
    onChange: (slice, deleted) => {
      const service = slice.metadata.labels?.[SERVICE_NAME_LABEL];
      if (service === undefined) return;
      const key = objectKey(slice.metadata.namespace, service);
      const before = addressesOf(slices.get(key));
      const known = slices.get(key) ?? new Map<string, KubernetesObject>();
      if (deleted) known.delete(slice.metadata.name);
      else known.set(slice.metadata.name, slice);
      slices.set(key, known);
      for (const cached of endpoints.keys()) if (cached.startsWith(`${key}:`)) endpoints.delete(cached);
      const lost = [...before].filter(address => !addressesOf(known).has(address));
      if (lost.length === 0) return;
      // The apex and a backend usually share pods: an endpoint is gone only when nobody has it.
      const kept = new Set([...slices.values()].flatMap(ofService => [...addressesOf(ofService)]));
      onEndpointsGone(lost.filter(address => !kept.has(address)));
    },
  });
  const splitWatch = watchObjects({
    api,
    path: () => splitPath(api),
    onChange: () => {
      splits.clear();
      for (const split of splitWatch.objects.values()) {
        splits.set(objectKey(split.metadata.namespace, String(split.spec?.service)), split);
      }
    },
  });

  const endpointsOf = (namespace: string, service: string, portName: string): string[] => {
    const key = objectKey(namespace, service);
    const cacheKey = `${key}:${portName}`;
    let found = endpoints.get(cacheKey);
    if (found === undefined) {
      found = readyEndpoints(slices.get(key)?.values() ?? [], portName);
      endpoints.set(cacheKey, found);
    }
    return found;
  };

  return {
    synced: Promise.all([services.synced, sliceWatch.synced, splitWatch.synced]).then(() => {}),
    route(namespace, service, wantedPort, random) {
      const apex = services.objects.get(objectKey(namespace, service));
      const port = servicePort(apex, wantedPort, true);
      if (apex === undefined || port === undefined) return { kind: 'noService' };
      const split = splits.get(objectKey(namespace, service));
      const usable: (WeightedBackend & { endpoints: string[] })[] = [];
      for (const backend of split === undefined ? [] : backendsOf(split)) {
        if (backend.weight <= 0) continue;
        // SMI: a backend that lacks the root's port gets nothing.
        const backendPort = servicePort(
          services.objects.get(objectKey(namespace, backend.service)),
          port.port,
          false,
        );
        if (backendPort === undefined) continue;
        const ready = endpointsOf(namespace, backend.service, backendPort.name);
        if (ready.length > 0) usable.push({ ...backend, endpoints: ready });
      }
      const picked = pickWeighted(usable, random);
      if (picked !== undefined) {
        return { kind: 'endpoints', backend: picked.service, endpoints: picked.endpoints };
      }
      const own = endpointsOf(namespace, service, port.name);
      if (own.length === 0) return { kind: 'noEndpoint' };
      return { kind: 'endpoints', backend: service, endpoints: own };
    },
    weights(namespace, root) {
      const split = splits.get(objectKey(namespace, root));
      return split === undefined ? undefined : backendsOf(split);
    },
    async close() {
      await Promise.all([services.close(), sliceWatch.close(), splitWatch.close()]);
    },
  };
}

/** All `address:port` of a Service's slices, ready or not. */
function addressesOf(slices: ReadonlyMap<string, KubernetesObject> | undefined): Set<string> {
  const found = new Set<string>();
  for (const slice of slices?.values() ?? []) {
    for (const port of slice['ports'] ?? []) {
      for (const endpoint of slice['endpoints'] ?? []) {
        for (const address of endpoint.addresses ?? []) found.add(`${address}:${port.port}`);
      }
    }
  }
  return found;
}

/** TrafficSplits are watched in the version that the server prefers; undefined while it serves none. */
async function splitPath(api: WorldApi): Promise<string | undefined> {
  const groups = await api.request('GET', '/apis');
  const group = groups.body?.groups?.find((known: { name: string }) => known.name === SPLIT_GROUP);
  const version: string | undefined = group?.preferredVersion?.version ?? group?.versions?.[0]?.version;
  return version === undefined ? undefined : `/apis/${SPLIT_GROUP}/${version}/trafficsplits`;
}
