/**
 * A control plane as an engine finds it: the CRDs are served, the engines' users have the rights that the chart gives, and
 * there is a Node. Nobody plays pods yet: whoever starts it does.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { createWorldApi, type WorldApi } from '../../simulator/world/api.ts';
import { trafficSplitCrd } from '../../simulator/world/manifests.ts';
import { REPLICA_USERS } from './audit.ts';
import { type ControlPlane, type ControlPlaneOptions, startControlPlane, waitFor } from './controlplane.ts';

export interface Cluster {
  plane: ControlPlane;
  /** As user `player`, who may do everything. */
  api: WorldApi;
}

/** The Node that there is. Controllers publish no pod that is not bound to one. */
export const NODE = 'played-node';

const root = join(import.meta.dirname, '../..');

export async function startCluster(options: ControlPlaneOptions = {}): Promise<Cluster> {
  const plane = await startControlPlane(options);
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
  await created(api, '/api/v1/nodes', { metadata: { name: NODE } });
  return { plane, api };
}

/** Creates an object; throws when it is refused. */
export async function created(api: WorldApi, path: string, body: object): Promise<void> {
  const answer = await api.request('POST', path, body);
  if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
}

/** The users of engines get exactly the rights that the chart gives the engine's ServiceAccount. */
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
    subjects: ['engine', ...REPLICA_USERS].map(name => ({
      kind: 'User',
      name,
      apiGroup: 'rbac.authorization.k8s.io',
    })),
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'serin' },
  });
}
