/** Contract: what the controllers beside the API server do to Deployments, Services and owned objects. */
import { describe, expect, test, vi } from 'vitest';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import type { Used } from './contract.ts';
import { freshName, ok, refused } from './contractCalls.ts';
import type { Calls } from './contractCalls.ts';
import { configMap, deployment, service } from './contractWidgets.ts';

const PATIENCE = { timeout: 30_000, interval: 50 };

export function describeControllers(use: () => Used): void {
  describe('controllers', () => {
    deploymentTests(use);
    rolloutTests(use);
    sliceTests(use);
    garbageTests(use);
  });
}

async function listed(
  calls: Calls,
  apiVersion: string,
  plural: string,
  app: string,
): Promise<KubernetesObject[]> {
  const answer = await calls.get(`${calls.path(apiVersion, plural)}?labelSelector=app%3D${app}`);
  return answer.body.items;
}

const NODE = 'contract-controllers-node';
let addresses = 0;

/** Plays the kubelet once: binds the app's new pods, gives them an address, makes them ready; ends those that leave. */
async function makeReady(calls: Calls, app: string): Promise<void> {
  await calls.post('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: NODE } });
  for (const pod of await listed(calls, 'v1', 'pods', app)) {
    const { name } = pod.metadata;
    const path = calls.path('v1', 'pods', name);
    if (pod.metadata.deletionTimestamp !== undefined) {
      await calls.delete(path, { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0 });
      continue;
    }
    if (pod.status?.phase === 'Running') continue;
    const target = { apiVersion: 'v1', kind: 'Node', name: NODE };
    await calls.post(`${path}/binding`, { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target });
    addresses += 1;
    const podIP = `10.244.200.${addresses}`;
    const lastTransitionTime = new Date().toISOString().replace(/\.\d+Z/, 'Z');
    await calls.merge(`${path}/status`, {
      status: {
        phase: 'Running',
        podIP,
        podIPs: [{ ip: podIP }],
        conditions: [{ type: 'Ready', status: 'True', lastTransitionTime }],
      },
    });
  }
}

async function until(
  calls: Calls,
  name: string,
  check: (object: KubernetesObject) => void,
): Promise<KubernetesObject> {
  return vi.waitFor(async () => {
    await makeReady(calls, name);
    const object = ok(await calls.get(calls.path('apps/v1', 'deployments', name)));
    check(object);
    return object;
  }, PATIENCE);
}

const isComplete = (replicas: number) => (object: KubernetesObject) => {
  expect(object.status.observedGeneration).toBe(object.metadata.generation);
  expect(object.status).toMatchObject({
    replicas,
    updatedReplicas: replicas,
    readyReplicas: replicas,
    availableReplicas: replicas,
  });
};

function deploymentTests(use: () => Used): void {
  test('a Deployment gets a ReplicaSet and pods, and its status and conditions', async () => {
    const { calls } = use();
    const name = freshName('rollout');
    ok(await calls.post(calls.path('apps/v1', 'deployments'), deployment(name, { replicas: 2 })), 201);
    const done = await until(calls, name, isComplete(2));
    const conditions = Object.fromEntries(
      done.status.conditions.map((entry: { type: string; status: string; reason: string }) => [
        entry.type,
        `${entry.status}/${entry.reason}`,
      ]),
    );
    expect(conditions).toEqual({
      Available: 'True/MinimumReplicasAvailable',
      Progressing: 'True/NewReplicaSetAvailable',
    });
    expect(done.metadata.annotations?.['deployment.kubernetes.io/revision']).toBe('1');
    const [set] = await listed(calls, 'apps/v1', 'replicasets', name);
    const hash = set?.metadata.labels?.['pod-template-hash'];
    expect(set?.metadata.name).toBe(`${name}-${hash}`);
    expect(set?.spec.selector.matchLabels).toEqual({ app: name, 'pod-template-hash': hash });
    expect(set?.metadata.ownerReferences).toEqual([
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        name,
        uid: done.metadata.uid,
        controller: true,
        blockOwnerDeletion: true,
      },
    ]);
    expect(set?.metadata.annotations).toMatchObject({
      'deployment.kubernetes.io/desired-replicas': '2',
      'deployment.kubernetes.io/max-replicas': '3',
      'deployment.kubernetes.io/revision': '1',
    });
    const pods = await listed(calls, 'v1', 'pods', name);
    expect(pods).toHaveLength(2);
    expect(pods[0]?.metadata.labels).toEqual({ app: name, 'pod-template-hash': hash });
    expect(pods[0]?.metadata.ownerReferences?.[0]).toMatchObject({
      kind: 'ReplicaSet',
      name: set?.metadata.name,
    });
    ok(await calls.delete(calls.path('apps/v1', 'deployments', name)));
    await vi.waitFor(async () => {
      await makeReady(calls, name);
      expect(await listed(calls, 'apps/v1', 'replicasets', name)).toEqual([]);
      expect(await listed(calls, 'v1', 'pods', name)).toEqual([]);
    }, PATIENCE);
  });
}

function rolloutTests(use: () => Used): void {
  const image = (tag: string) => ({
    spec: { template: { spec: { containers: [{ name: 'app', image: `example.com/app:${tag}` }] } } },
  });

  test('a new template is rolled out; going back uses the old ReplicaSet again', async () => {
    const { calls } = use();
    const name = freshName('rollout');
    const path = calls.path('apps/v1', 'deployments', name);
    ok(await calls.post(calls.path('apps/v1', 'deployments'), deployment(name, { replicas: 2 })), 201);
    await until(calls, name, isComplete(2));
    ok(await calls.merge(path, image('2')));
    const second = await until(calls, name, isComplete(2));
    expect(second.metadata.annotations?.['deployment.kubernetes.io/revision']).toBe('2');
    const sets = await listed(calls, 'apps/v1', 'replicasets', name);
    expect(sets.map(set => set.spec.replicas).sort((a, b) => a - b)).toEqual([0, 2]);
    ok(await calls.merge(path, image('1')));
    const third = await until(calls, name, isComplete(2));
    expect(third.metadata.annotations?.['deployment.kubernetes.io/revision']).toBe('3');
    expect(await listed(calls, 'apps/v1', 'replicasets', name)).toHaveLength(2);
    await calls.delete(path);
  });

  test('paused: an edit makes no ReplicaSet, scaling works on the old one', async () => {
    const { calls } = use();
    const name = freshName('paused');
    const path = calls.path('apps/v1', 'deployments', name);
    ok(await calls.post(calls.path('apps/v1', 'deployments'), deployment(name, { replicas: 1 })), 201);
    await until(calls, name, isComplete(1));
    ok(await calls.merge(path, { spec: { paused: true } }));
    const paused = await until(calls, name, object =>
      expect(object.status.observedGeneration).toBe(object.metadata.generation),
    );
    expect(paused.status.updatedReplicas).toBe(1);
    ok(await calls.merge(path, image('2')));
    const edited = await until(calls, name, object =>
      expect(object.status.observedGeneration).toBe(object.metadata.generation),
    );
    expect(edited.status.updatedReplicas ?? 0).toBe(0);
    expect(edited.status).toMatchObject({ replicas: 1, readyReplicas: 1 });
    expect(await listed(calls, 'apps/v1', 'replicasets', name)).toHaveLength(1);
    ok(await calls.merge(`${path}/scale`, { spec: { replicas: 3 } }));
    const scaled = await until(calls, name, object => expect(object.status.readyReplicas).toBe(3));
    expect(scaled.status.updatedReplicas ?? 0).toBe(0);
    const progressing = scaled.status.conditions.find(
      (entry: { type: string }) => entry.type === 'Progressing',
    );
    expect(progressing).toMatchObject({ status: 'Unknown', reason: 'DeploymentPaused' });
    ok(await calls.merge(path, { spec: { paused: null } }));
    await until(calls, name, isComplete(3));
    expect(await listed(calls, 'apps/v1', 'replicasets', name)).toHaveLength(2);
    await calls.delete(path);
  });

  test('a Deployment that is created paused runs nothing until it is resumed', async () => {
    const { calls } = use();
    const name = freshName('asleep');
    const path = calls.path('apps/v1', 'deployments', name);
    const body = deployment(name, { replicas: 1, paused: true });
    ok(await calls.post(calls.path('apps/v1', 'deployments'), body), 201);
    await until(calls, name, object =>
      expect(object.status.observedGeneration).toBe(object.metadata.generation),
    );
    expect(await listed(calls, 'apps/v1', 'replicasets', name)).toEqual([]);
    ok(await calls.merge(path, { spec: { paused: false } }));
    await until(calls, name, isComplete(1));
    ok(await calls.merge(path, { spec: { replicas: 0 } }));
    await until(calls, name, object => {
      expect(object.status.observedGeneration).toBe(object.metadata.generation);
      expect(object.status.replicas).toBeUndefined();
      expect(object.status.readyReplicas).toBeUndefined();
    });
    await calls.delete(path);
  });
}

function sliceTests(use: () => Used): void {
  test('a Service gets an EndpointSlice with its labels and the state of its pods', async () => {
    const { calls } = use();
    const name = freshName('slices');
    const labels = { team: 'a' };
    const ports = [{ name: 'http', port: 80, targetPort: 8080 }];
    const created = ok(
      await calls.post(calls.path('v1', 'services'), service(name, { ports }, { labels })),
      201,
    );
    ok(await calls.post(calls.path('apps/v1', 'deployments'), deployment(name, { replicas: 2 })), 201);
    const slices = `${calls.path('discovery.k8s.io/v1', 'endpointslices')}?labelSelector=kubernetes.io%2Fservice-name%3D${name}`;
    // Before any pod has an address the slice is a placeholder, with nulls for its lists.
    const placeholder = await vi.waitFor(async () => {
      const found = (await calls.get(slices)).body.items[0];
      expect(found).toMatchObject({ addressType: 'IPv4', endpoints: null, ports: null });
      return found as KubernetesObject;
    }, PATIENCE);
    await until(calls, name, isComplete(2));
    const slice = await vi.waitFor(async () => {
      const found: KubernetesObject = (await calls.get(slices)).body.items[0];
      expect(found.endpoints).toHaveLength(2);
      for (const endpoint of found.endpoints)
        expect(endpoint.conditions).toEqual({ ready: true, serving: true, terminating: false });
      return found;
    }, PATIENCE);
    expect(slice.metadata.uid).toBe(placeholder.metadata.uid);
    expect(slice.metadata.labels).toEqual({
      team: 'a',
      'kubernetes.io/service-name': name,
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    });
    expect(slice.metadata.ownerReferences).toEqual([
      {
        apiVersion: 'v1',
        kind: 'Service',
        name,
        uid: created.metadata.uid,
        controller: true,
        blockOwnerDeletion: true,
      },
    ]);
    expect(slice.addressType).toBe('IPv4');
    expect(slice.ports).toEqual([{ name: 'http', port: 8080, protocol: 'TCP' }]);
    const [pod] = await listed(calls, 'v1', 'pods', name);
    const endpoint = slice.endpoints.find((entry: { addresses: string[] }) =>
      entry.addresses.includes(pod?.status.podIP),
    );
    expect(endpoint.targetRef).toMatchObject({
      kind: 'Pod',
      name: pod?.metadata.name,
      uid: pod?.metadata.uid,
    });
    const unready = [{ type: 'Ready', status: 'False', lastTransitionTime: '2026-01-01T00:00:00Z' }];
    ok(
      await calls.merge(calls.path('v1', 'pods', pod?.metadata.name, 'status'), {
        status: { ...pod?.status, conditions: unready },
      }),
    );
    await vi.waitFor(async () => {
      const found: KubernetesObject = (await calls.get(slices)).body.items[0];
      const states = found.endpoints.map(
        (entry: { conditions: { ready: boolean } }) => entry.conditions.ready,
      );
      expect(states.filter(Boolean)).toHaveLength(1);
    }, PATIENCE);
    ok(await calls.delete(calls.path('v1', 'services', name)));
    await vi.waitFor(async () => expect((await calls.get(slices)).body.items).toEqual([]), PATIENCE);
    await calls.delete(calls.path('apps/v1', 'deployments', name));
  });
}

function garbageTests(use: () => Used): void {
  test('dependents go when their last owner is gone, and those of an unknown owner too', async () => {
    const { calls } = use();
    const path = calls.path('v1', 'configmaps');
    const owner = ok(await calls.post(path, configMap(freshName('owner'))), 201);
    const second = ok(await calls.post(path, configMap(freshName('owner'))), 201);
    const reference = (object: KubernetesObject) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      name: object.metadata.name,
      uid: object.metadata.uid,
    });
    const one = freshName('dependent');
    const two = freshName('dependent');
    const both = [reference(owner), reference(second)];
    ok(await calls.post(path, configMap(one, {}, { ownerReferences: [reference(owner)] })), 201);
    ok(await calls.post(path, configMap(two, {}, { ownerReferences: both })), 201);
    ok(await calls.delete(`${path}/${owner.metadata.name}`));
    await vi.waitFor(async () => refused(await calls.get(`${path}/${one}`), 404, 'NotFound'), PATIENCE);
    ok(await calls.get(`${path}/${two}`));
    ok(await calls.delete(`${path}/${second.metadata.name}`));
    await vi.waitFor(async () => refused(await calls.get(`${path}/${two}`), 404, 'NotFound'), PATIENCE);
    const orphan = freshName('dependent');
    ok(await calls.post(path, configMap(orphan, {}, { ownerReferences: [reference(owner)] })), 201);
    await vi.waitFor(async () => refused(await calls.get(`${path}/${orphan}`), 404, 'NotFound'), PATIENCE);
  });

  test('a deleted Namespace takes everything in it, and waits for finalizers', async () => {
    const { calls } = use();
    const name = `${calls.namespace}-gone`;
    const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
    const created = ok(await calls.post('/api/v1/namespaces', body), 201);
    expect(created.status.phase).toBe('Active');
    expect(created.metadata.labels).toEqual({ 'kubernetes.io/metadata.name': name });
    const maps = `/api/v1/namespaces/${name}/configmaps`;
    ok(await calls.post(maps, configMap('held', {}, { finalizers: ['contract.serin.dev/a'] })), 201);
    ok(await calls.post(maps, configMap('free')), 201);
    const deleted = ok(await calls.delete(`/api/v1/namespaces/${name}`));
    expect(deleted.metadata.deletionTimestamp).toBeDefined();
    await vi.waitFor(async () => {
      refused(await calls.get(`${maps}/free`), 404, 'NotFound');
      const held = ok(await calls.get(`${maps}/held`));
      expect(held.metadata.deletionTimestamp).toBeDefined();
    }, PATIENCE);
    const late = await calls.post(maps, configMap('late'));
    refused(late, 403, 'Forbidden');
    expect(late.body.message).toBe(
      `configmaps "late" is forbidden: unable to create new content in namespace ${name} because it is being terminated`,
    );
    ok(await calls.merge(`${maps}/held`, { metadata: { finalizers: null } }));
    await vi.waitFor(
      async () => refused(await calls.get(`/api/v1/namespaces/${name}`), 404, 'NotFound'),
      PATIENCE,
    );
  });
}
