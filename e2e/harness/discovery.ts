/**
 * Tells Prometheus which pods there are, by HTTP: Debian builds it without Kubernetes discovery. Targets and `__meta_…`
 * labels are those of `kubernetes_sd_configs` with role `pod`, so that the relabelling after it is what a cluster has.
 * It only watches pods; while the API server is away it answers what it saw last, as Prometheus itself would.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { createWorldApi } from '../../simulator/world/api.ts';
import type { Kubelet } from '../../simulator/world/kubelet.ts';
import { watchObjects } from '../../simulator/world/watch.ts';
import type { ControlPlane } from './controlplane.ts';

export interface TargetGroup {
  targets: string[];
  labels: Record<string, string>;
}

export interface Discovery {
  /** What `http_sd_configs` wants. */
  url: string;
  close(): Promise<void>;
}

/** From the API server, as the user `player`. */
export async function discoverPods(plane: ControlPlane): Promise<Discovery> {
  const api = createWorldApi({
    baseUrl: plane.server,
    ca: plane.ca,
    bearerToken: plane.tokens['player'] ?? '',
  });
  const watch = watchObjects({ api, path: async () => '/api/v1/pods', onChange: () => {} });
  await watch.synced;
  return await serve(
    () => [...watch.objects.values()].flatMap(targetsOf),
    async () => {
      await watch.close();
      await api.close();
    },
  );
}

/** From a kubelet that plays in this process. */
export async function discoverPlayedPods(kubelet: Kubelet): Promise<Discovery> {
  return await serve(
    () => kubelet.pods().flatMap(pod => (pod.isGone ? [] : targetsOf(objectOf(pod)))),
    async () => {},
  );
}

async function serve(groups: () => TargetGroup[], stop: () => Promise<void>): Promise<Discovery> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(groups()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async close() {
      server.close();
      server.closeAllConnections();
      await stop();
    },
  };
}

/** One target for each declared container port of a pod that has an address. */
function targetsOf(pod: KubernetesObject): TargetGroup[] {
  const address: string | undefined = pod.status?.podIP;
  if (address === undefined) return [];
  const containers: { name: string; ports?: { name?: string; containerPort: number }[] }[] =
    pod.spec?.containers ?? [];
  return containers.flatMap(container =>
    (container.ports ?? []).map(port => ({
      targets: [`${address}:${port.containerPort}`],
      labels: {
        ...podLabels(pod),
        __meta_kubernetes_pod_container_name: container.name,
        __meta_kubernetes_pod_container_port_name: port.name ?? '',
        __meta_kubernetes_pod_container_port_number: String(port.containerPort),
      },
    })),
  );
}

function podLabels(pod: KubernetesObject): Record<string, string> {
  const { metadata, status } = pod;
  const owner = metadata.ownerReferences?.find(reference => reference.controller);
  const ready = status?.conditions?.find((condition: { type: string }) => condition.type === 'Ready');
  const labels: Record<string, string> = {
    __meta_kubernetes_namespace: metadata.namespace ?? '',
    __meta_kubernetes_pod_name: metadata.name,
    __meta_kubernetes_pod_uid: metadata.uid ?? '',
    __meta_kubernetes_pod_ip: status?.podIP ?? '',
    __meta_kubernetes_pod_phase: status?.phase ?? '',
    __meta_kubernetes_pod_ready: String(ready?.status ?? 'unknown').toLowerCase(),
    __meta_kubernetes_pod_node_name: pod.spec?.nodeName ?? '',
    __meta_kubernetes_pod_controller_kind: owner?.kind ?? '',
    __meta_kubernetes_pod_controller_name: owner?.name ?? '',
  };
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    labels[`__meta_kubernetes_pod_label_${key.replace(/[^a-zA-Z0-9_]/g, '_')}`] = value;
  }
  return labels;
}

/** What of a played pod its targets are made from; its owner is in its name. */
function objectOf(pod: ReturnType<Kubelet['pods']>[number]): KubernetesObject {
  const { namespace, name, labels, address, adminPort } = pod;
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: name.replace(/-[^-]+$/, ''), uid: '' };
  const ports = adminPort === undefined ? [] : [{ name: 'linkerd-admin', containerPort: adminPort }];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels, ownerReferences: [{ ...owner, controller: true }] },
    spec: { containers: [{ name: 'app', ports }] },
    status: address === undefined ? {} : { podIP: address },
  };
}
