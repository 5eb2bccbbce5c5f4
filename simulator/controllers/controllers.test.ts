/** The played controllers on a virtual clock: what the contract with the real ones leaves out because it takes minutes. */
import { expect, test } from 'vitest';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { deployment as manifest } from '../api/contractWidgets.ts';
import { draft } from '../api/inprocess.ts';
import type { Json } from '../api/json.ts';
import { createMemoryApi } from '../api/memory.ts';
import { createVirtualClock } from '../clock.ts';
import { conditionOf } from './deploymentStatus.ts';
import { DEPLOYMENT, isActive, POD, REPLICA_SET } from './objects.ts';
import { startControllers } from './start.ts';

function start() {
  const clock = createVirtualClock(Date.parse('2026-01-01T00:00:00Z'));
  const api = createMemoryApi({ clock });
  const controllers = startControllers({ store: api.store, clock });
  const { store } = api;
  store.create({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node' } }, 'test');
  const get = (): KubernetesObject => {
    const found = store.get(DEPLOYMENT, 'default', 'web');
    if (!found) throw new Error('no Deployment');
    return found;
  };
  return {
    clock,
    store,
    controllers,
    get,
    pods: () => store.list(POD, 'default'),
    sets: () =>
      store
        .list(REPLICA_SET, 'default')
        .map(set => set.spec.replicas)
        .sort((a, b) => a - b),
    create(spec: object) {
      const object = manifest('web', spec);
      object.metadata.namespace = 'default';
      store.create(object, 'user');
    },
    edit(change: (spec: Json) => void) {
      const next = draft(get());
      change(next.spec);
      store.update(next, 'user');
    },
    image(tag: string) {
      this.edit(spec => {
        spec.template.spec.containers[0].image = `example.com/app:${tag}`;
      });
    },
    /** Makes every pod ready that `which` names. */
    ready(which: (pod: KubernetesObject) => boolean = () => true) {
      for (const pod of store.list(POD, 'default').filter(which)) {
        const lastTransitionTime = new Date(clock.now()).toISOString().replace('.000Z', 'Z');
        const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime }];
        if (pod.status.phase === 'Running') continue;
        store.update(
          { ...draft(pod), status: { phase: 'Running', podIP: '10.244.1.1', conditions } },
          'kubelet',
          'status',
        );
      }
    },
    /** Lets the controllers and a kubelet that is quick play on until nothing changes. */
    async settle() {
      for (let round = 0; round < 40; round += 1) {
        await clock.advance(50);
        this.ready();
      }
      await clock.advance(50);
    },
  };
}

const hasImage = (tag: string) => (pod: KubernetesObject) => pod.spec.containers[0].image.endsWith(`:${tag}`);

test('a rolling update keeps to maxSurge and maxUnavailable at every moment', async () => {
  const world = start();
  world.create({ replicas: 4, strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } } });
  await world.settle();
  world.image('2');
  for (let round = 0; round < 60; round += 1) {
    await world.clock.advance(5);
    const active = world.pods().filter(isActive);
    expect(active.length).toBeLessThanOrEqual(5);
    expect(active.filter(pod => pod.status.phase === 'Running').length).toBeGreaterThanOrEqual(3);
    if (round % 4 === 3) world.ready();
  }
  await world.settle();
  expect(world.pods().every(hasImage('2'))).toBe(true);
  expect(world.get().status).toMatchObject({ replicas: 4, updatedReplicas: 4, availableReplicas: 4 });
  world.controllers.stop();
});

test('with maxUnavailable 0 no old pod goes before a new one is ready', async () => {
  const world = start();
  world.create({ replicas: 2, strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } });
  await world.settle();
  world.image('2');
  await world.clock.advance(60_000);
  expect(world.pods().filter(hasImage('1'))).toHaveLength(2);
  expect(world.pods().filter(hasImage('2'))).toHaveLength(1);
  world.ready();
  await world.clock.advance(100);
  expect(world.pods().filter(hasImage('1')).length).toBeLessThan(2);
});

test('Recreate waits until the last old pod is gone', async () => {
  const world = start();
  world.create({ replicas: 2, strategy: { type: 'Recreate' } });
  await world.settle();
  const bound = world.pods().map(pod => {
    const next = draft(pod);
    next.spec.nodeName = 'node';
    return world.store.update(next, 'scheduler');
  });
  world.image('2');
  await world.clock.advance(1000);
  expect(world.pods().filter(hasImage('2'))).toEqual([]);
  for (const pod of bound) world.store.delete(pod, { gracePeriodSeconds: 0 });
  await world.clock.advance(1000);
  expect(world.pods().filter(hasImage('2'))).toHaveLength(2);
});

test('minReadySeconds delays availability', async () => {
  const world = start();
  world.create({ replicas: 1, minReadySeconds: 30 });
  await world.clock.advance(100);
  world.ready();
  await world.clock.advance(29_000);
  expect(world.get().status).toMatchObject({ readyReplicas: 1 });
  expect(world.get().status.availableReplicas).toBeUndefined();
  await world.clock.advance(2_000);
  expect(world.get().status.availableReplicas).toBe(1);
});

test('a rollout that does not come up exceeds its progress deadline, and a pause stops that clock', async () => {
  const world = start();
  world.create({ replicas: 1, progressDeadlineSeconds: 60 });
  await world.clock.advance(59_000);
  expect(conditionOf(world.get().status, 'Progressing')).toMatchObject({ status: 'True' });
  await world.clock.advance(5_000);
  expect(conditionOf(world.get().status, 'Progressing')).toMatchObject({
    status: 'False',
    reason: 'ProgressDeadlineExceeded',
  });
  world.ready();
  await world.settle();
  expect(conditionOf(world.get().status, 'Progressing')).toMatchObject({
    status: 'True',
    reason: 'NewReplicaSetAvailable',
  });
  world.edit(spec => {
    spec.paused = true;
  });
  await world.clock.advance(300_000);
  expect(conditionOf(world.get().status, 'Progressing')).toMatchObject({ reason: 'DeploymentPaused' });
});

test('scaling in the middle of a rollout is shared between the sets', async () => {
  const world = start();
  world.create({ replicas: 10, strategy: { rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } } });
  await world.settle();
  world.image('2');
  await world.clock.advance(200);
  expect(world.sets()).toEqual([5, 8]);
  world.edit(spec => {
    spec.replicas = 15;
  });
  await world.clock.advance(12);
  // The example of the Kubernetes documentation: 5 more pods, 3 for the larger set and 2 for the smaller.
  expect(world.sets()).toEqual([7, 11]);
});

test('history is kept to its limit, the oldest goes first', async () => {
  const world = start();
  world.create({ replicas: 1, revisionHistoryLimit: 1 });
  await world.settle();
  for (const tag of ['2', '3', '4']) {
    world.image(tag);
    await world.settle();
  }
  expect(world.sets()).toEqual([0, 1]);
  const old = world.store.list(REPLICA_SET, 'default').find(set => set.spec.replicas === 0);
  expect(old?.metadata.annotations?.['deployment.kubernetes.io/revision']).toBe('3');
});

test('foreground deletion waits for the dependents, orphan deletion lets them be', async () => {
  const world = start();
  world.create({ replicas: 1 });
  await world.settle();
  world.store.delete(world.get(), { propagation: 'Foreground' });
  expect(world.store.get(DEPLOYMENT, 'default', 'web')).toBeDefined();
  await world.settle();
  expect(world.store.get(DEPLOYMENT, 'default', 'web')).toBeUndefined();
  expect(world.pods()).toEqual([]);
  world.create({ replicas: 1 });
  await world.settle();
  world.store.delete(world.get(), { propagation: 'Orphan' });
  await world.settle();
  expect(world.store.get(DEPLOYMENT, 'default', 'web')).toBeUndefined();
  const [set] = world.store.list(REPLICA_SET, 'default');
  expect(set?.metadata.ownerReferences ?? []).toEqual([]);
  expect(world.pods()).toHaveLength(1);
});

test('pods that cannot be created show as ReplicaFailure, and it heals', async () => {
  const world = start();
  // The in-memory server checks annotations of objects, not of templates: the Deployment passes, its pods do not.
  const template = draft(manifest('web')).spec.template;
  world.create({
    replicas: 1,
    template: { ...template, metadata: { labels: { app: 'web' }, annotations: { 'not valid!': '' } } },
  });
  await world.clock.advance(1_000);
  expect(world.pods()).toEqual([]);
  const failure = conditionOf(world.get().status, 'ReplicaFailure');
  expect(failure).toMatchObject({ status: 'True', reason: 'FailedCreate' });
  expect(failure.message).toContain('metadata.annotations: Invalid value: "not valid!"');
  world.edit(spec => {
    spec.template.metadata.annotations = {};
  });
  await world.settle();
  expect(conditionOf(world.get().status, 'ReplicaFailure')).toBeUndefined();
  expect(world.get().status.availableReplicas).toBe(1);
  world.controllers.stop();
  expect(world.clock.pending()).toBe(0);
});

test('when nothing changes nothing is written', async () => {
  const world = start();
  world.create({ replicas: 2 });
  await world.settle();
  const before = world.store.list(DEPLOYMENT).concat(world.store.list(REPLICA_SET), world.pods());
  await world.clock.advance(3_600_000);
  expect(world.store.list(DEPLOYMENT).concat(world.store.list(REPLICA_SET), world.pods())).toEqual(before);
  expect(world.clock.pending()).toBe(0);
});
