/**
 * What an end-to-end test stands on: one real control plane with the CRDs, a played kubelet, a data plane that obeys
 * TrafficSplits, and helpers to release, to send traffic and to run an engine beside it.
 */
import type { WorldApi } from '../../simulator/world/api.ts';
import { type Kubelet, startKubelet } from '../../simulator/world/kubelet.ts';
import { deployment, type DeploymentOptions } from '../../simulator/world/manifests.ts';
import { type Splitter, startSplitter } from '../../simulator/world/splitter.ts';
import { startTraffic, type Traffic } from '../../simulator/world/traffic.ts';
import { created, startCluster } from './cluster.ts';
import { type ControlPlane, type ControlPlaneOptions, waitFor } from './controlplane.ts';

export interface Rig {
  plane: ControlPlane;
  api: WorldApi;
  kubelet: Kubelet;
  splitter: Splitter;
  /** Creates a namespace with a Deployment and a Service, and waits until it serves. */
  shop(namespace: string, options?: Partial<DeploymentOptions>): Promise<void>;
  /** A new version of the Deployment, as `kubectl apply` would do it (the replicas stay as they are). */
  release(namespace: string, version: string, options?: Partial<DeploymentOptions>): Promise<void>;
  declare(namespace: string, spec: object): Promise<void>;
  canary(namespace: string): Promise<any>;
  traffic(namespace: string, requestsPerSecond?: number): Traffic;
  until<T>(what: string, isThere: () => Promise<T | undefined | false>, deadlineMs?: number): Promise<T>;
  phase(namespace: string, phase: string, deadlineMs?: number): Promise<any>;
  stop(): Promise<void>;
}

export interface RigOptions extends ControlPlaneOptions {
  /** How long a pod that has left goes on serving: what a grace period and a preStop hook give it. Default: 1.5 s. */
  lingerMs?: number;
}

export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const { lingerMs } = options;
  const { plane, api } = await startCluster(options);
  const kubelet = startKubelet({
    api,
    addresses: { base: '10.244.0.0' },
    ...(lingerMs === undefined ? {} : { lingerMs }),
  });
  const splitter = await startSplitter({ api });
  await Promise.all([kubelet.synced, splitter.synced]);

  const canary = async (namespace: string) =>
    (await api.request('GET', `/apis/serin.dev/v1beta1/namespaces/${namespace}/canaries/web`)).body;
  const until: Rig['until'] = (what, isThere, deadlineMs = 60_000) => waitFor(what, isThere, deadlineMs);

  return {
    plane,
    api,
    kubelet,
    splitter,
    async shop(namespace, options = {}) {
      await created(api, '/api/v1/namespaces', { metadata: { name: namespace } });
      const body = deployment({ namespace, name: 'web', version: 'v1', replicas: 2, ...options });
      await created(api, `/apis/apps/v1/namespaces/${namespace}/deployments`, body);
      await until('the shop serves', async () => {
        const { body: now } = await api.request(
          'GET',
          `/apis/apps/v1/namespaces/${namespace}/deployments/web`,
        );
        return now.status?.availableReplicas === body.spec.replicas;
      });
    },
    async release(namespace, version, options = {}) {
      const body = deployment({ namespace, name: 'web', version, ...options });
      const patch = { spec: { template: body.spec.template } };
      const answer = await api.request(
        'PATCH',
        `/apis/apps/v1/namespaces/${namespace}/deployments/web`,
        patch,
      );
      if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
    },
    async declare(namespace, spec) {
      await created(api, `/apis/serin.dev/v1beta1/namespaces/${namespace}/canaries`, {
        apiVersion: 'serin.dev/v1beta1',
        kind: 'Canary',
        metadata: { name: 'web', namespace },
        spec: {
          targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
          service: { port: 80, targetPort: 8080 },
          ...spec,
        },
      });
    },
    canary,
    traffic: (namespace, requestsPerSecond = 40) =>
      startTraffic({
        target: { host: splitter.host, port: splitter.port },
        service: 'web',
        namespace,
        requestsPerSecond,
        // A machine that stands still for seconds must not make the users miss anything.
        concurrency: 1_000,
      }),
    until,
    async phase(namespace, phase, deadlineMs = 60_000) {
      try {
        return await until(
          `${namespace} is ${phase}`,
          async () => {
            const now = await canary(namespace);
            return now.status?.phase === phase ? now : undefined;
          },
          deadlineMs,
        );
      } catch (error) {
        throw new Error(
          `${String(error)}\n${JSON.stringify((await canary(namespace)).status, undefined, 1)}`,
        );
      }
    },
    async stop() {
      await splitter.close();
      await kubelet.close();
      await api.close();
      await plane.stop();
    },
  };
}
