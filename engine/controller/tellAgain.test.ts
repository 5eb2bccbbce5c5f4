/** What is told at least once: across kills, lost replies and replicas, by the cursor in the status. */
import { describe, expect, test } from 'vitest';
import { ApiError } from '../kubernetes/types.ts';
import { type RunningEngine, startTelling, webhookTo } from './scriptedTelling.ts';

type World = Awaited<ReturnType<typeof startTelling>>;

async function adopted(world: World): Promise<void> {
  await world.until(() => world.status().phase === 'Initialized');
  await world.advance(2_000);
}

async function rolledBack(world: World): Promise<void> {
  world.script.value = 80;
  world.release('v2');
  await world.until(() => world.status().phase === 'Failed');
  await world.advance(2_000);
}

const ids = (world: World) => world.posted.map(one => Number(one.body.id.split('/')[1]));

describe('at least once', () => {
  /** Everybody who should know of a transition knows of it. */
  const expectAllTold = (world: World) =>
    expect(new Set(ids(world))).toEqual(new Set(world.status().transitions?.map(one => one.number)));

  test('killed with everything on its way: the next one tells all of it, in order', async () => {
    const world = await startTelling();
    world.script.answer = () => 'hang';
    const first = await world.start('one', { eventWebhook: webhookTo('hook') });
    world.declare();
    await adopted(world);
    await rolledBack(world);
    expect(new Set(ids(world))).toEqual(new Set([1]));
    first.kill();
    world.posted.length = 0;
    world.script.answer = () => ({ status: 200, body: '' });
    await world.start('two', { eventWebhook: webhookTo('hook') });
    await world.advance(1_000);
    expect(ids(world)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expectAllTold(world);
  });

  test('killed between the status write and the telling: told by the next one', async () => {
    const world = await startTelling();
    const engines: RunningEngine[] = [];
    let isArmed = false;
    world.script.transport = inner => async request => {
      const answer = await inner(request);
      if (isArmed && request.method === 'PUT' && request.path.includes('/status')) engines[0]?.kill();
      return answer;
    };
    engines.push(await world.start('one', { eventWebhook: webhookTo('hook') }));
    world.declare();
    await adopted(world);
    isArmed = true;
    world.script.value = 80;
    world.release('v2');
    await world.until(() => world.status().transitions?.at(-1)?.reason === 'Started');
    await world.advance(2_000);
    expect(world.toldTo('hook')).not.toContain('Started');
    isArmed = false;
    await world.start('two', { eventWebhook: webhookTo('hook') });
    await world.until(() => world.status().phase === 'Failed');
    await world.advance(1_000);
    expectAllTold(world);
  });

  test('what has been delivered is told again only while no status write has carried that', async () => {
    const world = await startTelling();
    const hook = { eventWebhook: webhookTo('hook') };
    const first = await world.start('one', hook);
    world.declare();
    await adopted(world);
    world.script.value = 80;
    world.release('v2');
    await world.until(() => world.toldTo('hook').includes('RolledBack'));
    first.kill();
    expect(world.status().notified).toBe(6);
    world.posted.length = 0;
    const second = await world.start('two', hook);
    expect(ids(world)).toEqual([7]);
    // The canary is cleaned up, which is written down.
    await world.until(() => world.status().notified === 7);
    second.kill();
    world.posted.length = 0;
    await world.start('three', hook);
    await world.advance(1_000);
    expect(world.posted).toEqual([]);
  });

  test('after an hour nothing is told again', async () => {
    const world = await startTelling();
    world.script.answer = () => 'hang';
    const hook = { eventWebhook: webhookTo('hook') };
    const first = await world.start('one', hook);
    world.declare();
    await adopted(world);
    first.kill();
    world.posted.length = 0;
    await world.advance(60 * 60_000);
    await world.start('two', hook);
    await world.advance(1_000);
    expect(world.posted).toEqual([]);
  });

  test('a lost reply to the status write: the transition is found in the status, told and logged', async () => {
    const world = await startTelling();
    let isLost = false;
    world.script.transport = inner => async request => {
      const answer = await inner(request);
      const isStart = request.body?.includes('"Started"') && request.path.includes('/status');
      if (!isStart || isLost) return answer;
      isLost = true;
      throw new ApiError('timeout', 'no reply');
    };
    await world.start('one', { eventWebhook: webhookTo('hook') });
    world.declare();
    await adopted(world);
    await rolledBack(world);
    expect(isLost).toBe(true);
    expectAllTold(world);
    expect(new Set(ids(world)).size).toBe(ids(world).length);
    expect(world.logged.filter(line => line.includes('"reason":"Started"'))).toHaveLength(1);
    expect(world.events('Canary').filter(event => event['reason'] === 'Started')).toHaveLength(1);
  });

  test('a replica that stands by tells nothing; of an urgent decision tells the one that made it', async () => {
    const world = await startTelling();
    let active = 'one';
    const one = await world.start('one', {
      eventWebhook: webhookTo('hook'),
      isActive: () => active === 'one',
    });
    const two = await world.start('two', {
      eventWebhook: webhookTo('hook'),
      isActive: () => active === 'two',
    });
    world.declare();
    await adopted(world);
    world.release('v2');
    await world.until(() => world.status().canaryWeight === 20);
    await world.advance(1_000);
    expect(new Set(world.posted.map(posted => posted.by))).toEqual(new Set(['one']));
    world.release('v1');
    await world.until(() => world.status().phase === 'Failed');
    await world.advance(1_000);
    expect(world.toldTo('hook').filter(reason => reason === 'Reverted')).toHaveLength(1);
    expectAllTold(world);
    // Taking over, it tells what the first one may have left, and nothing that it has told itself.
    const own = world.posted.filter(posted => posted.by === 'two').map(posted => posted.body.id);
    one.kill();
    active = 'two';
    world.posted.length = 0;
    two.engine.tellAgain();
    await world.advance(1_000);
    const { notified = 0, transitions = [] } = world.status();
    const left = transitions.map(({ number }) => number).filter(number => number > notified);
    expect(ids(world)).toEqual(
      left.filter(number => !own.includes(`${world.canary().metadata.uid}/${number}`)),
    );
  });

  test('of two active replicas neither lets the cursor pass what the other has on its way', async () => {
    const world = await startTelling();
    let active = 'first';
    world.script.answer = ({ url }) => (url.includes('first') ? 'hang' : { status: 200, body: '' });
    const running = [];
    for (const name of ['first', 'second'])
      running.push(
        await world.start(name, { eventWebhook: webhookTo(name), isActive: () => active === name }),
      );
    world.declare();
    await adopted(world);
    active = 'second';
    await rolledBack(world);
    expect(ids(world)).toEqual([1, 4, 5, 6, 7]);
    expect(world.status().notified).toBeUndefined();
    for (const one of running) one.kill();
    world.posted.length = 0;
    await world.start('third', { eventWebhook: webhookTo('third') });
    await world.advance(1_000);
    expect(ids(world)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test('what another replica has on its way holds the cursor for an hour, and no longer', async () => {
    const world = await startTelling();
    let active = 'first';
    world.script.answer = ({ url }) => (url.includes('first') ? 'hang' : { status: 200, body: '' });
    for (const name of ['first', 'second'])
      await world.start(name, { eventWebhook: webhookTo(name), isActive: () => active === name });
    world.declare();
    await adopted(world);
    active = 'second';
    await rolledBack(world);
    expect(world.status().notified).toBeUndefined();
    await world.advance(60 * 60_000);
    world.release('v3');
    await world.until(() => world.status().phase === 'Progressing');
    expect(world.status().notified).toBe(7);
  });
});
