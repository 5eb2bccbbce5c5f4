import { expect, test } from 'vitest';
import { createVirtualClock } from '../../simulator/clock.ts';
import { createApiClient } from './client.ts';
import { deployments } from './resources.ts';
import {
  connectionReset,
  createScriptedTransport,
  createStream,
  deployment,
  failure,
  listOf,
  type ScriptedAnswer,
  type ScriptedStream,
} from './scriptedTransport.ts';
import { createStore } from './store.ts';
import type { WatchState } from './watch.ts';

/** A server whose watches are opened one after the other by `onWatch`; lists come from `onList`. */
function setUp(script: {
  onList?: (index: number) => ScriptedAnswer;
  onWatch?: (index: number) => ScriptedAnswer;
}) {
  const clock = createVirtualClock(1_000_000);
  const streams: ScriptedStream[] = [];
  const asked: { what: 'list' | 'watch'; version: string | undefined; atMs: number }[] = [];
  let lists = 0;
  let watches = 0;
  const scripted = createScriptedTransport(request => {
    const query = new URL(request.path, 'http://api').searchParams;
    const what = request.stream ? 'watch' : 'list';
    asked.push({ what, version: query.get('resourceVersion') ?? undefined, atMs: clock.now() });
    if (what === 'list') return script.onList?.(lists++) ?? listOf(100, [deployment('web', 50)]);
    const answer = script.onWatch?.(watches++);
    if (answer) return answer;
    const stream = createStream();
    streams.push(stream);
    return stream.response;
  });
  const states: WatchState[] = [];
  const errors: unknown[] = [];
  const changes: string[] = [];
  const store = createStore(createApiClient(scripted.transport, { clock }), deployments, {
    clock,
    random: () => 0.5,
    onState: state => states.push(state),
    onError: error => errors.push(error),
  });
  store.onChange((object, deleted) =>
    changes.push(`${deleted ? '-' : '+'}${object.metadata.name}@${object.metadata.resourceVersion}`),
  );
  const kinds = () => asked.map(({ what, version }) => (version ? `${what}@${version}` : what));
  const last = () => streams.at(-1)!;
  return {
    clock,
    store,
    streams,
    last,
    asked,
    kinds,
    states,
    errors,
    changes,
    openStreams: scripted.openStreams,
  };
}

const bookmark = (version: number) => ({
  kind: 'Deployment',
  metadata: { resourceVersion: String(version) },
});

test('after a graceful close the watch resumes from the last event or bookmark, without a list', async () => {
  const { clock, store, last, kinds, changes } = setUp({});
  store.start();
  await clock.advance(5_000);
  last().send('MODIFIED', deployment('web', 110));
  last().send('BOOKMARK', bookmark(120));
  last().end();
  await clock.advance(0);
  expect(kinds()).toEqual(['list', 'watch@100', 'watch@120']);
  last().send('MODIFIED', deployment('web', 130));
  last().end();
  await clock.advance(0);
  expect(kinds().at(-1)).toBe('watch@130');
  expect(changes).toEqual(['+web@50', '+web@110', '+web@130']);
  await store.stop();
});

test.each<[string, () => ScriptedAnswer]>([
  ['ECONNRESET', () => connectionReset()],
  ['HTTP 500', () => failure(500, 'InternalError')],
  ['HTTP 503', () => failure(503, 'ServiceUnavailable')],
  ['HTTP 429', () => failure(429, 'TooManyRequests')],
])('%s on opening a watch is backed off from and resumed, without a list', async (_, answer) => {
  const { clock, store, kinds, last, states, changes } = setUp({
    onWatch: index => (index < 3 ? answer() : (undefined as unknown as ScriptedAnswer)),
  });
  store.start();
  await clock.advance(0);
  expect(store.state()).toMatchObject({ phase: 'backingOff', retryAfterMs: 250 });
  await clock.advance(10_000);
  expect(kinds()).toEqual(['list', 'watch@100', 'watch@100', 'watch@100', 'watch@100']);
  expect(states.flatMap(state => ('retryAfterMs' in state ? [state.retryAfterMs] : []))).toEqual([
    250, 500, 1_000,
  ]);
  last().send('ADDED', deployment('api', 140));
  await clock.advance(0);
  expect(changes).toEqual(['+web@50', '+api@140']);
  await store.stop();
});

test('a connection that is cut in the middle of a watch is resumed from what was seen', async () => {
  const { clock, store, last, kinds } = setUp({});
  store.start();
  await clock.advance(0);
  last().send('MODIFIED', deployment('web', 110));
  last().fail(new TypeError('terminated'));
  await clock.advance(30_000);
  expect(kinds()).toEqual(['list', 'watch@100', 'watch@110']);
  await store.stop();
});

test('a watch that delivered something is resumed soon, however often it was cut before', async () => {
  const { clock, store, states } = setUp({
    onWatch: index => {
      const stream = createStream();
      stream.send('MODIFIED', deployment('web', 110 + index));
      stream.fail(new TypeError('terminated'));
      return stream.response;
    },
  });
  store.start();
  await clock.advance(2_000);
  const waits = states.flatMap(state => ('retryAfterMs' in state ? [state.retryAfterMs] : []));
  expect(new Set(waits)).toEqual(new Set([250]));
  await store.stop();
});

test('a quiet watch that was whole for a while is resumed soon, however often the server went away before', async () => {
  const { clock, store, states, last } = setUp({});
  store.start();
  for (let outage = 0; outage < 8; outage++) {
    await clock.advance(6_000);
    last().fail(new TypeError('terminated'));
  }
  await clock.advance(1_000);
  const waits = states.flatMap(state => ('retryAfterMs' in state ? [state.retryAfterMs] : []));
  expect(waits).toEqual(Array(8).fill(250));
  await store.stop();
});

test('the wait that a 429 asks for is kept, up to the bound', async () => {
  const { clock, store, asked } = setUp({
    onWatch: index =>
      index === 0
        ? failure(429, 'TooManyRequests', 'busy', { 'retry-after': '7' })
        : index === 1
          ? failure(429, 'TooManyRequests', 'busy', { 'retry-after': '900' })
          : (undefined as unknown as ScriptedAnswer),
  });
  store.start();
  await clock.advance(60_000);
  expect(asked.map(({ atMs }) => atMs - 1_000_000)).toEqual([0, 0, 7_000, 37_000]);
  await store.stop();
});

test('backoff grows to 30 s and no further', async () => {
  const { clock, store, states } = setUp({ onList: () => failure(500, 'InternalError') });
  store.start();
  await clock.advance(20 * 60_000);
  const waits = states.flatMap(state => ('retryAfterMs' in state ? [state.retryAfterMs] : []));
  expect(Math.max(...waits)).toBe(15_000); // Half of 30 s: the random number is 0.5.
  expect(waits.slice(0, 4)).toEqual([250, 500, 1_000, 2_000]);
  expect(store.synced()).toBe(false);
  await store.stop();
});

test.each<[string, (stream: ScriptedStream) => ScriptedAnswer]>([
  ['HTTP 410', () => failure(410, 'Expired')],
  [
    '410 in the stream',
    stream => {
      stream.send('ERROR', { kind: 'Status', code: 410, reason: 'Expired' });
      return stream.response;
    },
  ],
])('%s lists again at once, and deletes that happened meanwhile are delivered', async (_, answer) => {
  const { clock, store, kinds, changes } = setUp({
    onList: index =>
      index === 0
        ? listOf(100, [deployment('gone', 40), deployment('stays', 50), deployment('moves', 60)])
        : listOf(200, [deployment('stays', 50), deployment('moves', 150), deployment('new', 160)]),
    onWatch: index => (index === 0 ? answer(createStream()) : (undefined as unknown as ScriptedAnswer)),
  });
  store.start();
  await clock.advance(0);
  expect(kinds()).toEqual(['list', 'watch@100', 'list', 'watch@200']);
  expect(changes.slice(3)).toEqual(['+moves@150', '+new@160', '-gone@40']);
  expect(store.get('shop', 'gone')).toBeUndefined();
  await store.stop();
});

test('a server that says 410 for ever is not asked in a loop', async () => {
  const { clock, store, asked } = setUp({ onWatch: () => failure(410, 'Expired') });
  store.start();
  await clock.advance(60_000);
  expect(asked.length).toBeLessThan(30);
  await store.stop();
});

test('a server that closes every watch at once is not asked in a loop', async () => {
  const { clock, store, asked } = setUp({
    onWatch: () => {
      const stream = createStream();
      stream.end();
      return stream.response;
    },
  });
  store.start();
  await clock.advance(60_000);
  expect(asked.length).toBeLessThan(20);
  expect(store.state()).toMatchObject({ phase: 'backingOff' });
  await store.stop();
});

test.each([
  [401, 'Unauthorized', 'unauthorized', [0, 10_000, 20_000, 30_000]],
  // An API server that has just started refuses everybody for a moment.
  [403, 'Forbidden', 'forbidden', [0, 250, 750, 1_750, 11_750, 21_750, 31_750]],
  [404, 'NotFound', 'missing', [0, 10_000, 20_000, 30_000]],
])(
  '%i is a state of its own, tried again every 10 s until somebody mends it',
  async (code, reason, phase, times) => {
    let isMended = false;
    const { clock, store, asked, changes } = setUp({
      onList: () => (isMended ? listOf(9, [deployment('web', 8)]) : failure(code, reason, 'the sentence')),
    });
    store.start();
    await clock.advance(35_000);
    expect(store.state()).toMatchObject({ phase, error: { message: 'the sentence', code } });
    expect(asked.map(({ atMs }) => atMs - 1_000_000)).toEqual(times);
    isMended = true;
    await clock.advance(10_000);
    expect(store.state()).toEqual({ phase: 'watching' });
    expect(changes).toEqual(['+web@8']);
    await store.stop();
  },
);

test('silence beyond the rhythm of bookmarks is a dead connection: resumed first, then listed', async () => {
  const { clock, store, kinds, asked, openStreams } = setUp({});
  store.start();
  await clock.advance(79_000);
  expect(kinds()).toEqual(['list', 'watch@100']);
  await clock.advance(2_000);
  expect(kinds()).toEqual(['list', 'watch@100', 'watch@100']);
  await clock.advance(80_000);
  expect(kinds()).toEqual(['list', 'watch@100', 'watch@100', 'list', 'watch@100']);
  expect(store.liveAt()).toBe(asked[3]!.atMs);
  expect(openStreams()).toBe(1);
  await store.stop();
});

test('a quiet type with bookmarks keeps one watch and stays live', async () => {
  const { clock, store, last, asked } = setUp({});
  store.start();
  await clock.advance(0);
  for (let minute = 1; minute <= 4; minute++) {
    await clock.advance(60_000);
    last().send('BOOKMARK', bookmark(100 + minute));
    await clock.advance(0);
    expect(store.liveAt()).toBe(clock.now());
  }
  expect(asked).toHaveLength(2);
  await store.stop();
});

test('stop closes the watch and leaves no timer; nothing is delivered after it', async () => {
  const { clock, store, last, changes, openStreams } = setUp({});
  store.start();
  await clock.advance(0);
  expect(openStreams()).toBe(1);
  last().send('MODIFIED', deployment('web', 110));
  await store.stop();
  await clock.advance(600_000);
  expect(openStreams()).toBe(0);
  expect(clock.pending()).toBe(0);
  expect(changes).toEqual(['+web@50']);
  expect(store.state()).toEqual({ phase: 'stopped' });
  expect(store.get('shop', 'web')).toBeDefined();
});

test('stop while the list is in flight ends it and opens no watch', async () => {
  const { clock, store, kinds } = setUp({ onList: () => 'hang' });
  store.start();
  await clock.advance(0);
  await store.stop();
  await clock.advance(600_000);
  expect(kinds()).toEqual(['list']);
  expect(clock.pending()).toBe(0);
});

test('stop while backing off ends the wait; a start afterwards lists anew', async () => {
  let isDown = true;
  const { clock, store, kinds } = setUp({
    onList: () => (isDown ? connectionReset() : listOf(7, [])),
  });
  store.start();
  await clock.advance(0);
  await store.stop();
  expect(clock.pending()).toBe(0);
  isDown = false;
  store.start();
  store.start();
  await clock.advance(0);
  expect(kinds()).toEqual(['list', 'list', 'watch@7']);
  await store.stop();
});

test('a handler that throws is reported and harms neither the watch nor the other handlers', async () => {
  const { clock, store, last, errors, changes } = setUp({});
  const later: string[] = [];
  store.onChange(() => {
    throw new Error('from a handler');
  });
  store.onChange(object => later.push(object.metadata.name));
  store.start();
  await clock.advance(0);
  last().send('ADDED', deployment('api', 110));
  await clock.advance(0);
  expect(errors).toHaveLength(2);
  expect(later).toEqual(['web', 'api']);
  expect(changes).toEqual(['+web@50', '+api@110']);
  expect(store.state()).toEqual({ phase: 'watching' });
  await store.stop();
});
