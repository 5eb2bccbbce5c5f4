/** The way of notifications: order, retries, bounds, independence of receivers, the cursor, and that nothing leaks. */
import { expect, test } from 'vitest';
import { createVirtualClock } from '../../simulator/clock.ts';
import { sampleNotification } from './contract.ts';
import { type Addressee, createDelivery, type Delivery, type DeliveryOutcome } from './delivery.ts';
import type { Severity } from './notifier.ts';
import { ADDRESS_REFUSED } from '../egress.ts';
import type { PostAnswer, PostRequest } from './post.ts';

const OK: PostAnswer = { status: 200, body: 'ok' };

function setUp(answer: (request: PostRequest, index: number) => PostAnswer | Error | 'hang') {
  const clock = createVirtualClock(1_000_000);
  const posted: { host: string; id: string; atMs: number }[] = [];
  const outcomes: [string, DeliveryOutcome][] = [];
  const logged: string[] = [];
  const record = (fields: object, message: string) => void logged.push(JSON.stringify([message, fields]));
  const delivery = createDelivery({
    clock,
    random: () => 1,
    log: { info: record, warn: record, error: record },
    onOutcome: (outcome, key) => outcomes.push([key, outcome]),
    async post(request) {
      posted.push({ host: new URL(request.url).host, id: JSON.parse(request.body).id, atMs: clock.now() });
      const given = answer(request, posted.length - 1);
      if (given === 'hang') return await new Promise<never>(() => {});
      if (given instanceof Error) throw given;
      return given;
    },
  });
  return { clock, posted, outcomes, logged, delivery };
}

function to(host: string, severity?: Severity): Addressee {
  const receiver = { type: 'webhook', address: `https://${host}/hook?key=SECRET`, token: 'SECRET' };
  return { key: host, ...(severity ? { severity } : {}), receiver: () => receiver };
}

const overOf = (delivery: Delivery, numbers: number[]) =>
  numbers.filter(number => delivery.isOver(`u/${number}`));

const note = (number: number, severity: Severity = 'info', uid = 'u') =>
  sampleNotification({ id: `${uid}/${number}`, severity });

test('what is told arrives in order, and is over then', async () => {
  const { clock, posted, delivery } = setUp(() => OK);
  for (const number of [1, 2, 3]) delivery.told(note(number), [to('a')]);
  expect(overOf(delivery, [1, 2, 3])).toEqual([]);
  await clock.advance(0);
  expect(posted.map(one => one.id)).toEqual(['u/1', 'u/2', 'u/3']);
  expect(overOf(delivery, [1, 2, 3, 4])).toEqual([1, 2, 3]);
  expect(delivery.isOver('other/1')).toBe(false);
});

test('what was told long ago is forgotten, but not while it is on its way', async () => {
  const { clock, delivery } = setUp(request => (request.url.includes('dead') ? 'hang' : OK));
  delivery.told(note(1), [to('dead')]);
  for (let number = 2; number <= 100; number++) delivery.told(note(number), [to('a')]);
  await clock.advance(0);
  delivery.told(note(101), [to('a')]);
  await clock.advance(0);
  expect(delivery.isOver('u/101')).toBe(true);
  delivery.told(note(1), [to('a')]);
  await clock.advance(0);
  expect(delivery.isOver('u/1')).toBe(false);
  await delivery.close();
});

test('a flush waits for what is on its way, and no longer than its deadline', async () => {
  const { clock, delivery } = setUp(request => (request.url.includes('dead') ? 'hang' : OK));
  const flushed = async (ms: number) => {
    let isFlushed = false;
    void delivery.flush(ms).then(() => (isFlushed = true));
    return async (afterMs: number) => {
      await clock.advance(afterMs);
      return isFlushed;
    };
  };
  delivery.told(note(1), [to('a')]);
  expect(await (await flushed(5_000))(0)).toBe(true);
  delivery.told(note(2), [to('dead')]);
  const after = await flushed(5_000);
  expect(await after(4_999)).toBe(false);
  expect(await after(1)).toBe(true);
  expect(delivery.isOver('u/2')).toBe(false);
  await delivery.close();
});

test('a dead receiver delays nobody else, stays on its way, and is given up after five tries', async () => {
  const { clock, posted, outcomes, delivery } = setUp(({ url }) => (url.includes('dead') ? 'hang' : OK));
  for (const number of [1, 2]) delivery.told(note(number), [to('dead'), to('alive')]);
  await clock.advance(0);
  expect(posted.filter(one => one.host === 'alive').map(one => one.id)).toEqual(['u/1', 'u/2']);
  expect(overOf(delivery, [1, 2])).toEqual([]);
  await clock.advance(5 * 10_000 + 5_000 + 10_000 + 20_000 + 40_000);
  expect(outcomes).toContainEqual(['dead', 'givenUp']);
  expect(posted.filter(one => one.id === 'u/1' && one.host === 'dead')).toHaveLength(5);
  expect(overOf(delivery, [1, 2])).toEqual([1]);
});

test('tries wait 5, 10, 20, 40 seconds at most, and as long as the receiver asks, up to a minute', async () => {
  const { clock, posted, delivery } = setUp(() => ({ status: 500, body: '' }));
  delivery.told(note(1), [to('a')]);
  await clock.advance(600_000);
  expect(posted.map(one => (one.atMs - 1_000_000) / 1_000)).toEqual([0, 5, 15, 35, 75]);

  const asked = setUp(() => ({ status: 429, body: '', retryAfterMs: 3_600_000 }));
  asked.delivery.told(note(1), [to('a')]);
  await asked.clock.advance(600_000);
  expect(asked.posted.map(one => (one.atMs - 1_000_000) / 1_000)).toEqual([0, 60, 120, 180, 240]);
});

test('order is kept across a retry', async () => {
  const { clock, posted, delivery } = setUp((_, index) => (index === 0 ? new Error('reset') : OK));
  delivery.told(note(1), [to('a')]);
  delivery.told(note(2), [to('a')]);
  await clock.advance(60_000);
  expect(posted.map(one => one.id)).toEqual(['u/1', 'u/1', 'u/2']);
});

test('a refusal is final', async () => {
  const refused = Object.assign(new Error('x'), { code: ADDRESS_REFUSED });
  for (const answer of [{ status: 302, body: '' }, { status: 404, body: '' }, refused]) {
    const { clock, posted, outcomes, delivery } = setUp(() => answer);
    delivery.told(note(1), [to('a')]);
    await clock.advance(600_000);
    expect(posted).toHaveLength(1);
    expect(outcomes).toEqual([['a', 'refused']]);
    expect(delivery.isOver('u/1')).toBe(true);
  }
});

test('a receiver whose Secret cannot be read is tried again, and its type is checked', async () => {
  const { clock, outcomes, posted, delivery } = setUp(() => OK);
  let reads = 0;
  const late: Addressee = {
    key: 'late',
    receiver: () => (++reads < 3 ? Promise.reject(new Error('SECRET')) : to('late').receiver()),
  };
  const pigeon: Addressee = { key: 'pigeon', receiver: () => ({ type: 'pigeon', address: 'https://x' }) };
  delivery.told(note(1), [late, pigeon]);
  await clock.advance(60_000);
  expect(outcomes).toEqual([
    ['pigeon', 'refused'],
    ['late', 'delivered'],
  ]);
  expect(posted).toHaveLength(1);
});

test('only wanted severities are sent; what nobody wants is done at once', async () => {
  const { clock, posted, delivery } = setUp(() => OK);
  delivery.told(note(1, 'info'), [to('warnings', 'warn')]);
  expect(delivery.isOver('u/1')).toBe(true);
  delivery.told(note(2, 'warn'), [to('warnings', 'warn'), to('errors', 'error'), to('all')]);
  await clock.advance(0);
  expect(posted.map(one => one.host).sort()).toEqual(['all', 'warnings']);
});

test('a number that was told before is ignored', async () => {
  const { clock, posted, delivery } = setUp(() => OK);
  delivery.told(note(1), [to('a')]);
  delivery.told(note(1), [to('a')]);
  await clock.advance(0);
  delivery.told(note(1), [to('a')]);
  await clock.advance(0);
  expect(posted).toHaveLength(1);
});

test('a full queue drops its oldest info first, and errors last', async () => {
  const { clock, outcomes, delivery } = setUp(() => 'hang');
  // The first is on its way and not in the queue.
  delivery.told(note(1, 'error'), [to('a')]);
  delivery.told(note(2, 'error'), [to('a')]);
  delivery.told(note(3, 'info', 'v'), [to('a')]);
  for (let number = 3; number <= 1_000; number++) delivery.told(note(number, 'error'), [to('a')]);
  expect(outcomes).toEqual([]);
  delivery.told(note(1_001, 'error'), [to('a')]);
  expect(outcomes).toEqual([['a', 'dropped']]);
  expect(delivery.isOver('v/3')).toBe(true);
  await clock.advance(0);
  await delivery.close();
});

test('closing stops what is on its way, and it is not over', async () => {
  const { clock, posted, delivery } = setUp(() => 'hang');
  delivery.told(note(7), [to('a')]);
  delivery.told(note(8), [to('a')]);
  await clock.advance(1_000);
  await delivery.close();
  expect(overOf(delivery, [6, 7, 8])).toEqual([]);
  delivery.told(note(9), [to('a')]);
  await clock.advance(600_000);
  expect(posted).toHaveLength(1);
  expect(clock.pending()).toBe(0);
});

test('nothing that is logged holds a secret', async () => {
  const failure = Object.assign(new Error('connect to https://dead/hook?key=SECRET'), {
    code: 'ECONNREFUSED',
  });
  const answers = [failure, { status: 401, body: 'SECRET is wrong' }] as const;
  for (const answer of answers) {
    const { clock, logged, delivery } = setUp(() => answer);
    delivery.told(note(1), [to('dead')]);
    await clock.advance(600_000);
    expect(logged).toHaveLength(1);
    expect(logged[0]).toMatch(/ECONNREFUSED|status 401/);
    expect(logged.join()).not.toContain('SECRET');
  }
});
