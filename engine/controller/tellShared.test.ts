/** What replicas that share the work tell for one that was killed: once, by one of them, and nothing in a quiet life. */
import { expect, test } from 'vitest';
import { startTelling, webhookTo } from './scriptedTelling.ts';
import type { SharedTold } from './tell.ts';

type World = Awaited<ReturnType<typeof startTelling>>;

/** As Redis plays it: one set for all, which may be silent. */
function createSet() {
  const ids = new Set<string>();
  const state = { isSilent: false, asked: 0 };
  const shared: SharedTold = {
    add: id => void (state.isSilent || ids.add(id)),
    async known(wanted) {
      state.asked++;
      return state.isSilent ? undefined : new Set(wanted.filter(id => ids.has(id)));
    },
  };
  return { shared, state, ids };
}

/**
 * Three replicas; the second holds the Lease. The first does the work until somebody else is made active.
 */
async function startThree(world: World, isHanging: (number: number) => boolean) {
  const { shared, state, ids } = createSet();
  world.script.answer = ({ url, body }) => {
    const number = Number(JSON.parse(body).id.split('/')[1]);
    return url.includes('one') && isHanging(number) ? 'hang' : { status: 200, body: '' };
  };
  const active = { name: 'one' };
  const start = (name: string) =>
    world.start(name, {
      eventWebhook: webhookTo(name),
      shared,
      isActive: () => name === active.name,
      isLeader: () => name === 'two',
    });
  const [one] = [await start('one'), await start('two'), await start('three')];
  return { one, state, ids, shared, active };
}

const toldBy = (world: World, name: string) =>
  world.posted.filter(one => one.by === name).map(one => Number(one.body.id.split('/')[1]));

async function adopted(world: World): Promise<void> {
  world.declare();
  await world.until(() => world.status().phase === 'Initialized');
  await world.advance(2_000);
}

/** @param onStart called when the run has begun */
async function rolledBack(world: World, onStart: () => void = () => {}): Promise<number[]> {
  world.script.value = 80;
  world.release('v2');
  await world.until(() => world.status().transitions?.at(-1)?.reason === 'Started');
  onStart();
  await world.until(() => world.status().phase === 'Failed');
  await world.advance(2_000);
  return world.status().transitions!.map(({ number }) => number);
}

test('a killed replica left all of it untold: the holder of the Lease tells it, once and in order', async () => {
  const world = await startTelling();
  const { one } = await startThree(world, () => true);
  await adopted(world);
  const numbers = await rolledBack(world);
  one.kill();
  await world.advance(2 * 60_000);
  expect(toldBy(world, 'two')).toEqual([]);
  await world.advance(2 * 60_000);
  expect(toldBy(world, 'two')).toEqual(numbers);
  await world.advance(10 * 60_000);
  expect(toldBy(world, 'two')).toEqual(numbers);
  expect(toldBy(world, 'three')).toEqual([]);
});

test('only what the killed one had on its way is told again', async () => {
  const world = await startTelling();
  const { one } = await startThree(world, number => number > 4);
  await adopted(world);
  const numbers = await rolledBack(world);
  expect(world.status().notified).toBe(4);
  one.kill();
  await world.advance(10 * 60_000);
  expect(toldBy(world, 'two')).toEqual(numbers.filter(number => number > 4));
});

test('while all live nobody tells twice, asks twice or writes for it; a replica that starts tells nothing', async () => {
  const world = await startTelling();
  const { state, shared, active } = await startThree(world, () => false);
  await adopted(world);
  // Ticks of one canary come now to one and now to the other: neither knows what the other has delivered.
  const numbers = await rolledBack(world, () => (active.name = 'three'));
  expect(world.status().notified).toBeLessThan(4);
  const version = world.canary().metadata.resourceVersion;
  await world.start('four', { eventWebhook: webhookTo('four'), shared, isActive: () => true });
  await world.advance(4 * 60_000);
  const { asked } = state;
  expect(asked).toBeGreaterThan(0);
  await world.advance(20 * 60_000);
  expect(state.asked).toBe(asked);
  expect([...toldBy(world, 'one'), ...toldBy(world, 'three')]).toEqual(numbers);
  expect(world.posted).toHaveLength(numbers.length);
  expect(world.canary().metadata.resourceVersion).toBe(version);
});

test('a loss of what Redis knows costs one telling more', async () => {
  const world = await startTelling();
  const { ids, active } = await startThree(world, () => false);
  await adopted(world);
  const numbers = await rolledBack(world, () => (active.name = 'three'));
  const { notified = 0 } = world.status();
  ids.clear();
  await world.advance(20 * 60_000);
  expect(toldBy(world, 'two')).toEqual(numbers.filter(number => number > notified));
});

test('while Redis is silent nothing is told twice; what is left is told when it answers', async () => {
  const world = await startTelling();
  const { one, state } = await startThree(world, () => true);
  await adopted(world);
  const numbers = await rolledBack(world);
  one.kill();
  state.isSilent = true;
  await world.advance(10 * 60_000);
  expect(toldBy(world, 'two')).toEqual([]);
  state.isSilent = false;
  await world.advance(60_000);
  expect(toldBy(world, 'two')).toEqual(numbers);
});
