/** An autoscaler that was made after the adoption: noticed by what it does, read only then, and in nobody's way but a raise's. */
import { describe, expect, test } from 'vitest';
import { createApiClient } from '../kubernetes/client.ts';
import * as resources from '../kubernetes/resources.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';
import { autoscalerProblems } from '../workloads/inspect.ts';
import { startTelling } from './scriptedTelling.ts';

type World = Awaited<ReturnType<typeof startTelling>>;

const options = { inspectAutoscalers: autoscalerProblems, resyncMs: 5_000 };
const HPA = { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler' };
const SECOND_MS = 1_000;

function autoscaler(target: string): KubernetesObject {
  const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: target };
  return { ...HPA, metadata: { name: 'late', namespace: 'shop' }, spec: { scaleTargetRef, maxReplicas: 5 } };
}

/** As the controller of HPAs writes it. */
async function scale(world: World, name: string, replicas: number): Promise<void> {
  const manager = 'kube-controller-manager';
  const client = createApiClient(world.api.transport(manager), { clock: world.clock, fieldManager: manager });
  await client.mergePatch(
    resources.deployments,
    'shop',
    name,
    { spec: { replicas } },
    { subresource: 'scale' },
  );
}

const removeAutoscaler = (world: World) => world.api.store.delete(world.api.store.get(HPA, 'shop', 'late')!);

async function adopted(world: World, interval = '4s'): Promise<void> {
  world.declare({ interval, stepWeights: [20, 40, 60] });
  await world.until(() => world.status().phase === 'Initialized');
  await world.advance(3 * SECOND_MS);
}

/** How often autoscalers were read since then. */
const reads = (world: World, since: number) =>
  world.api.audit
    .slice(since)
    .filter(one => one.verb === 'list' && one.resource === 'horizontalpodautoscalers').length;
const accepted = (world: World) => world.status().conditions?.find(one => one.type === 'Accepted');
const told = (world: World) =>
  world.events('Canary').filter(event => event['reason'] === 'TargetHasAutoscaler').length;

/** A run whose canary an autoscaler has begun to scale. */
async function heldRun(): Promise<World> {
  const world = await startTelling();
  await world.start('one', options);
  await adopted(world);
  world.create(autoscaler('web'));
  world.release('v2');
  await world.until(() => world.status().canaryWeight === 20);
  await scale(world, 'web', 2);
  await world.until(() => accepted(world)?.reason === 'TargetHasAutoscaler');
  return world;
}

/** An idle canary whose primary an autoscaler has begun to scale. */
async function heldIdle(): Promise<World> {
  const world = await startTelling();
  await world.start('one', options);
  await adopted(world);
  world.create(autoscaler('web-primary'));
  await scale(world, 'web-primary', 2);
  await world.until(() => accepted(world)?.reason === 'TargetHasAutoscaler');
  return world;
}

test('nobody scales: a whole rollout and the time after it read nothing', async () => {
  const world = await startTelling();
  await world.start('one', options);
  await adopted(world);
  const since = world.api.audit.length;
  world.release('v2');
  await world.until(() => world.status().phase === 'Succeeded');
  await world.advance(60 * SECOND_MS);
  const asked = world.api.audit.slice(since).filter(one => one.user === 'engine');
  expect(asked.filter(one => one.verb === 'get' || one.verb === 'list')).toEqual([]);
});

test('one that scales the canary of a run holds it where it is, and lets it go on when it is removed', async () => {
  const world = await heldRun();
  expect(accepted(world)).toMatchObject({
    status: 'False',
    message:
      'spec.targetRef: HorizontalPodAutoscaler late scales Deployment web, which is not supported yet: remove it, and set replicas on Deployment web.',
  });
  await world.advance(60 * SECOND_MS);
  expect(world.status()).toMatchObject({ phase: 'Progressing', canaryWeight: 20 });
  expect(told(world)).toBe(1);
  removeAutoscaler(world);
  await world.until(() => world.status().phase === 'Succeeded');
  expect(accepted(world)).toMatchObject({ status: 'True' });
});

test('one in the way of a raise is in no way of a rollback', async () => {
  const world = await heldRun();
  world.script.value = 50;
  await world.until(() => world.status().phase === 'Failed', 20 * SECOND_MS);
  expect(world.status().canaryWeight).toBe(0);
});

describe('one that scales the primary of an idle canary', () => {
  test('is said in the condition and by an event, lets no run start, and is forgotten when it is removed', async () => {
    const world = await heldIdle();
    expect(accepted(world)?.message).toContain('scales Deployment web-primary');
    expect(told(world)).toBe(1);
    world.release('v2');
    await world.advance(30 * SECOND_MS);
    expect(world.status().run).toBeUndefined();
    removeAutoscaler(world);
    await world.until(() => world.status().phase === 'Succeeded');
    expect(accepted(world)).toMatchObject({ status: 'True' });
    const since = world.api.audit.length;
    await world.advance(60 * SECOND_MS);
    expect(reads(world, since)).toBe(0);
  });

  test('keeps nobody from putting back what was deleted', async () => {
    const world = await heldIdle();
    const service = { apiVersion: 'v1', kind: 'Service' };
    world.api.store.delete(world.api.store.get(service, 'shop', 'web-canary')!);
    await world.until(() => world.api.store.get(service, 'shop', 'web-canary') !== undefined);
  });

  test('is found by each of two replicas, which do not answer each other', async () => {
    const world = await startTelling();
    await world.start('one', options);
    await world.start('two', options);
    await adopted(world);
    world.create(autoscaler('web-primary'));
    await scale(world, 'web-primary', 2);
    await world.until(() => accepted(world)?.reason === 'TargetHasAutoscaler');
    await world.advance(15 * SECOND_MS);
    const said = structuredClone(world.status());
    await world.advance(120 * SECOND_MS);
    expect(world.status()).toEqual(said);
    expect(told(world)).toBe(1);
  });

  test('is still known after a restart, and does not look mended meanwhile', async () => {
    const world = await startTelling();
    const first = await world.start('one', options);
    await adopted(world);
    world.create(autoscaler('web-primary'));
    await scale(world, 'web-primary', 2);
    await world.until(() => accepted(world)?.reason === 'TargetHasAutoscaler');
    first.kill();
    const said = structuredClone(world.status());
    await world.start('two', options);
    await world.advance(60 * SECOND_MS);
    expect(world.status()).toEqual(said);
  });
});

test('a person who scales is looked at once', async () => {
  const world = await startTelling();
  await world.start('one', options);
  await adopted(world);
  const since = world.api.audit.length;
  await scale(world, 'web-primary', 2);
  await world.advance(60 * SECOND_MS);
  world.release('v2');
  await world.until(() => world.status().phase === 'Succeeded');
  expect(reads(world, since)).toBe(1);
  // The same manager once more, and now there is an autoscaler.
  world.create(autoscaler('web-primary'));
  await scale(world, 'web-primary', 3);
  await world.until(() => accepted(world)?.reason === 'TargetHasAutoscaler');
});

test('a read that fails holds nothing up, and is made again', async () => {
  const world = await startTelling();
  let tries = 0;
  const inspectAutoscalers: typeof autoscalerProblems = async (...args) => {
    tries += 1;
    if (tries < 3) throw new Error('no answer');
    return await autoscalerProblems(...args);
  };
  await world.start('one', { ...options, inspectAutoscalers });
  await adopted(world, '1m');
  world.create(autoscaler('web'));
  world.release('v2');
  await world.until(() => world.status().canaryWeight === 20);
  await scale(world, 'web', 2);
  await world.until(() => accepted(world)?.reason === 'TargetHasAutoscaler', 60 * SECOND_MS);
  expect(tries).toBe(3);
});
