/**
 * A few lines of API server for the played world's own tests: list, watch, binding, merge patch of status, delete,
 * discovery of one CRD group. It keeps no rules of Kubernetes; whatever a test puts in is served as it is.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { createWorldApi } from './api.ts';
import type { WorldApi } from './api.ts';

const COLLECTIONS: Record<string, string> = {
  Pod: '/api/v1/pods',
  Service: '/api/v1/services',
  EndpointSlice: '/apis/discovery.k8s.io/v1/endpointslices',
  TrafficSplit: '/apis/split.smi-spec.io/v1alpha2/trafficsplits',
};

export interface TestServer {
  api: WorldApi;
  /** Every write that came over HTTP: `PATCH /path`. */
  writes: string[];
  /** Creates or replaces, gives uid and resourceVersion, and tells the watches. */
  put(object: KubernetesObject): void;
  remove(kind: string, namespace: string, name: string): void;
  get(kind: string, namespace: string, name: string): KubernetesObject | undefined;
  /** Whether TrafficSplits are served. */
  setSplitsServed(isServed: boolean): void;
  /** Ends every watch stream; `asGone` says first that the version is too old. */
  breakWatches(asGone: boolean): void;
  close(): Promise<void>;
}

interface State {
  objects: Map<string, KubernetesObject>;
  watches: Set<{ collection: string; response: ServerResponse }>;
  writes: string[];
  version: number;
  isSplitServed: boolean;
}

const keyOf = (kind: string, namespace: string, name: string): string =>
  `${COLLECTIONS[kind]}|${namespace}/${name}`;

export async function startTestServer(): Promise<TestServer> {
  const state: State = {
    objects: new Map(),
    watches: new Set(),
    writes: [],
    version: 1,
    isSplitServed: true,
  };
  const server = createServer((request, response) => void respond(state, request, response));
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const api = createWorldApi({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  return {
    api,
    writes: state.writes,
    put(object) {
      const { namespace = '', name } = object.metadata;
      store(state, keyOf(object.kind, namespace, name), object);
    },
    remove: (kind, namespace, name) => drop(state, keyOf(kind, namespace, name)),
    get: (kind, namespace, name) => state.objects.get(keyOf(kind, namespace, name)),
    setSplitsServed(isServed) {
      state.isSplitServed = isServed;
    },
    breakWatches(asGone) {
      for (const { response } of state.watches) {
        if (asGone)
          response.write(
            `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, metadata: {} } })}\n`,
          );
        response.end();
      }
      state.watches.clear();
    },
    async close() {
      await api.close();
      server.closeAllConnections();
      await new Promise<void>(resolve => server.close(() => resolve()));
    },
  };
}

function store(state: State, key: string, object: KubernetesObject): void {
  const known = state.objects.get(key);
  const metadata = {
    ...object.metadata,
    uid: object.metadata.uid ?? known?.metadata.uid ?? `uid-${state.version}`,
    resourceVersion: String(++state.version),
  };
  const stored = { ...object, metadata };
  state.objects.set(key, stored);
  tell(state, key, known === undefined ? 'ADDED' : 'MODIFIED', stored);
}

function drop(state: State, key: string): void {
  const known = state.objects.get(key);
  if (known === undefined) return;
  state.objects.delete(key);
  tell(state, key, 'DELETED', {
    ...known,
    metadata: { ...known.metadata, resourceVersion: String(++state.version) },
  });
}

function tell(state: State, key: string, type: string, object: KubernetesObject): void {
  for (const watch of state.watches) {
    if (key.startsWith(`${watch.collection}|`)) watch.response.write(`${JSON.stringify({ type, object })}\n`);
  }
}

async function respond(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://stub');
  const answer = (status: number, body: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  if (request.method !== 'GET') return write(state, request, url.pathname, answer);
  if (url.pathname === '/apis') {
    const versions = [{ version: 'v1alpha2' }, { version: 'v1alpha1' }];
    const group = { name: 'split.smi-spec.io', versions, preferredVersion: versions[0] };
    return answer(200, { groups: state.isSplitServed ? [group] : [] });
  }
  if (url.pathname.includes('trafficsplits') && !state.isSplitServed) return answer(404, {});
  if (url.searchParams.get('watch') === '1') {
    const from = Number(url.searchParams.get('resourceVersion'));
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const watch = { collection: url.pathname, response };
    state.watches.add(watch);
    response.on('close', () => state.watches.delete(watch));
    for (const [key, object] of state.objects) {
      const isNewer = Number(object.metadata.resourceVersion) > from;
      if (key.startsWith(`${url.pathname}|`) && isNewer)
        response.write(`${JSON.stringify({ type: 'MODIFIED', object })}\n`);
    }
    return;
  }
  const items = [...state.objects]
    .filter(([key]) => key.startsWith(`${url.pathname}|`))
    .map(([, object]) => object);
  answer(200, { metadata: { resourceVersion: String(state.version) }, items });
}

async function write(
  state: State,
  request: IncomingMessage,
  path: string,
  answer: (status: number, body: unknown) => void,
): Promise<void> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  state.writes.push(`${request.method} ${path}`);
  if (path === '/api/v1/nodes') return answer(201, {});
  const match = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)(\/status|\/binding)?$/.exec(path);
  const key = keyOf('Pod', match?.[1] ?? '', match?.[2] ?? '');
  const known = state.objects.get(key);
  if (known === undefined) return answer(404, {});
  if (request.method === 'DELETE') {
    drop(state, key);
    return answer(200, known);
  }
  if (match?.[3] === '/binding') {
    const nodeName: string = JSON.parse(text).target.name;
    store(state, key, { ...known, spec: { ...known.spec, nodeName } });
    return answer(201, {});
  }
  const patch = JSON.parse(text) as KubernetesObject;
  if (patch.metadata.uid !== known.metadata.uid) return answer(409, {});
  store(state, key, { ...known, status: { ...known.status, ...patch.status } });
  answer(200, state.objects.get(key));
}

/** Waits for a condition, never for a time: looks every 5 ms until `limitMs`, then fails saying what was waited for. */
export async function waitUntil(what: string, isTrue: () => boolean, limitMs = 10_000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error(`waited ${limitMs} ms for ${what}`);
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}

/** A pod object as a Deployment from `manifests.ts` would have it. */
export function podOf(deployment: KubernetesObject, name: string): KubernetesObject {
  const { metadata, spec } = deployment.spec.template;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metadata,
      name,
      ...(deployment.metadata.namespace && { namespace: deployment.metadata.namespace }),
    },
    spec,
  };
}

/** One EndpointSlice of a Service. `endpoints`: address -> ready. */
export function sliceOf(service: string, port: number, endpoints: Record<string, boolean>): KubernetesObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'shop', name: `${service}-1`, labels: { 'kubernetes.io/service-name': service } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port, protocol: 'TCP' }],
    endpoints: Object.entries(endpoints).map(([address, ready]) => ({
      addresses: [address],
      conditions: { ready },
    })),
  };
}
