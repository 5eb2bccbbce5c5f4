/**
 * What an end-to-end test stands on: one real control plane with the CRDs, a played kubelet, a data plane that obeys
 * TrafficSplits, and helpers to release, to send traffic and to run an engine beside it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { createWorldApi, type WorldApi } from '../../simulator/world/api.ts';
import { type Kubelet, startKubelet } from '../../simulator/world/kubelet.ts';
import { deployment, type DeploymentOptions, trafficSplitCrd } from '../../simulator/world/manifests.ts';
import { type Splitter, startSplitter } from '../../simulator/world/splitter.ts';
import { startTraffic, type Traffic } from '../../simulator/world/traffic.ts';
import { type ControlPlane, startControlPlane, waitFor } from './controlplane.ts';

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

const root = join(import.meta.dirname, '../..');

export async function startRig(): Promise<Rig> {
  const plane = await startControlPlane();
  const api = createWorldApi({
    baseUrl: plane.server,
    ca: plane.ca,
    bearerToken: plane.tokens['player'] ?? '',
  });
  const folder = join(root, 'charts/serin/crds');
  const crds = [
    ...readdirSync(folder).map(file => parse(readFileSync(join(folder, file), 'utf8'))),
    trafficSplitCrd(),
  ];
  for (const crd of crds) await created(api, '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', crd);
  await waitFor('CRDs are served', async () => {
    const paths = ['/apis/serin.dev/v1beta1/canaries', '/apis/split.smi-spec.io/v1alpha2/trafficsplits'];
    const answers = await Promise.all(paths.map(path => api.request('GET', path)));
    return answers.every(answer => answer.status === 200);
  });
  await grantEngine(api);
  // Before any pod is bound to it: the slice controller passes over pods of a node that it does not know yet.
  await created(api, '/api/v1/nodes', { metadata: { name: 'played-node' } });
  const kubelet = startKubelet({ api, addresses: { base: '10.244.0.0' } });
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

async function created(api: WorldApi, path: string, body: object): Promise<void> {
  const answer = await api.request('POST', path, body);
  if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
}

/** The user `engine` gets exactly the rights that the chart gives the engine's ServiceAccount. */
async function grantEngine(api: WorldApi): Promise<void> {
  const role = parse(readFileSync(join(root, 'charts/serin/files/clusterrole.yaml'), 'utf8'));
  const base = '/apis/rbac.authorization.k8s.io/v1';
  await created(api, `${base}/clusterroles`, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'serin' },
    rules: role.rules,
  });
  await created(api, `${base}/clusterrolebindings`, {
    metadata: { name: 'serin' },
    subjects: [{ kind: 'User', name: 'engine', apiGroup: 'rbac.authorization.k8s.io' }],
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'serin' },
  });
}
