/** What the simulation's provider tells of raw counters: whole, rising, and as troubled as its world. */
import { beforeEach, expect, test } from 'vitest';
import type { CounterAnswer, CounterQuery } from '../../analyzers/counterReader.ts';
import { countedBetween, countersAt, type Reading } from '../../analyzers/judge/counters.ts';
import { historyOf, totalOf } from '../../analyzers/judge/history.ts';
import { createCounterSource } from './counterSource.ts';
import type { CounterTrouble, MetricsTrouble } from './plan.ts';
import { createProxies, type Proxies } from './proxies.ts';

const START_MS = 1_700_000_040_000;
const BOUNDS_MS = [100, 5_000];
const query: CounterQuery = {
  namespace: 'shop',
  canary: { deployment: 'web', replicaSets: ['web-2'] },
  primary: { deployment: 'web-primary', replicaSets: [] },
  pods: { history: '', canary: [], primary: [] },
};

let nowMs: number;
let lie: MetricsTrouble | undefined;
let trouble: { how: CounterTrouble; sinceMs: number } | undefined;
let proxies: Proxies;
let lateness: boolean[];
let gone: Set<string>;
beforeEach(() => {
  nowMs = START_MS;
  lie = undefined;
  trouble = undefined;
  lateness = [];
  gone = new Set();
  proxies = createProxies({
    now: () => nowMs,
    isThere: (_namespace, pod) => !gone.has(pod),
    lies: () => lie,
    trouble: () => trouble,
  });
});

const source = (isScraped = false) =>
  createCounterSource({
    proxies,
    isScraped,
    accrueAll: () => {},
    trouble: () => lie,
    counterTrouble: () => trouble,
    answered: async ({ answer, isLate }) => {
      lateness.push(isLate);
      return answer();
    },
    onRead: () => {},
    now: () => nowMs,
    knewAtMs: () => nowMs,
  });
const never = new AbortController().signal;

/** Each second some requests of the canary and 8 of the primary, of which one in 64 fails. */
function serve(seconds: number, failing = 1 / 8, latencyMs = 60, perSecond = 4, incarnation = 'a'): void {
  for (let second = 0; second < seconds; second++) {
    const fromMs = nowMs;
    nowMs += 1_000;
    for (const [workload, replicaSet, requests, share] of [
      ['web', 'web-2', perSecond, failing],
      ['web', 'web-1', 5, 1],
      ['web-primary', 'web-primary-1', 8, 1 / 64],
    ] as const) {
      const failed = requests * share;
      const pod = `${replicaSet}-${incarnation}`;
      const about = { namespace: 'shop', workload, replicaSet, pod, fromMs, toMs: nowMs };
      proxies.answered({ ...about, requests, failed, latencyMs });
    }
  }
}

async function reading(isScraped = false): Promise<Reading> {
  const answer: CounterAnswer = await source(isScraped).read(query, never);
  if (answer.kind !== 'reading') throw new Error(answer.message);
  return answer.reading;
}

/** Counts everything that is read, as the judge does. */
function counting(first: Reading) {
  let counters = countersAt({ primary: first.primary! }, BOUNDS_MS);
  let atMs = first.atMs;
  return (next: Reading) => {
    const counted = countedBetween(
      counters,
      { canary: next.canary!, primary: next.primary! },
      BOUNDS_MS,
      atMs,
    );
    ({ counters } = counted);
    atMs = next.atMs;
    return [counted.canary, counted.primary].map(({ total, failures, slow }) => [total, failures, ...slow]);
  };
}

test('whole numbers that rise to what was served, of the named ReplicaSets alone', async () => {
  serve(1, 0, 60, 0);
  const count = counting(await reading());
  let sums = [0, 0, 0, 0];
  for (let look = 0; look < 100; look++) {
    serve(1, 1 / 8, 60, 3.25);
    const next = await reading();
    expect([...next.canary!.keys()]).toEqual(['web-2-a']);
    const [canary = []] = count(next);
    for (const value of canary) expect(Number.isInteger(value) && value >= 0).toBe(true);
    sums = sums.map((sum, index) => sum + (canary[index] ?? 0));
  }
  const [total = 0, failures = 0, ...slow] = sums;
  // Of 284.375 and 40.625.
  expect([total, failures]).toEqual([324, 40]);
  expect(slow).toEqual([0, 0]);
});

test('slow requests are beyond their bounds', async () => {
  serve(1);
  const count = counting(await reading());
  serve(100, 0, 900);
  const [canary = []] = count(await reading());
  expect(canary.slice(2)).toEqual([400, 0]);
});

test.each([
  ['good', 0, 0],
  ['bad', 350, 400],
] as const)('a liar (%s) counts wrong for as long as it lies', async (how, failures, slow) => {
  serve(1, 0);
  const count = counting(await reading());
  count(await reading());
  lie = how;
  serve(100, 0.5);
  expect(count(await reading())[0]).toEqual([400, failures, slow, slow]);
  lie = undefined;
  serve(10, 1);
  const [canary] = count(await reading());
  expect(canary?.slice(0, 2)).toEqual([40, 40]);
});

test('counters that begin anew are counted from there', async () => {
  serve(10);
  const count = counting(await reading());
  count(await reading());
  trouble = { how: 'reset', sinceMs: nowMs };
  serve(20, 1);
  expect(count(await reading())[0]?.slice(0, 2)).toEqual([80, 80]);
  serve(10, 1);
  expect(count(await reading())[0]?.slice(0, 2)).toEqual([40, 40]);
});

test('what is stale stands still with its time, and has it all afterwards', async () => {
  serve(10);
  trouble = { how: 'stale', sinceMs: nowMs };
  const before = await reading();
  serve(10);
  const during = await reading();
  expect(during).toEqual(before);
  trouble = undefined;
  const after = await reading();
  expect(after.atMs).toBe(before.atMs + 10_000);
  const count = counting(before);
  count(before);
  expect(count(after)[1]?.[0]).toBe(80);
});

test('one arm may be missing, or both, or be no numbers; or there is no answer', async () => {
  serve(10);
  trouble = { how: 'half', sinceMs: nowMs };
  expect(await reading()).toMatchObject({ primary: undefined, canary: expect.any(Map) });
  trouble = undefined;
  lie = 'missing';
  expect(await reading()).toMatchObject({ primary: undefined, canary: undefined });
  expect(await source().history(query, never)).toEqual({ kind: 'history', samples: [] });
  lie = 'nan';
  expect(await reading()).toMatchObject({ primary: undefined, canary: undefined });
  const { canary } = await reading(true);
  expect(canary?.get('web-2-a')?.requests.get('failure')?.count).toBeNaN();
  for (lie of ['error', 'many'] as const) {
    expect((await source().read(query, never)).kind).toBe('providerError');
    expect((await source().history(query, never)).kind).toBe('providerError');
  }
  lateness = [];
  lie = 'late';
  await reading();
  expect(lateness).toEqual([true]);
});

test('what a pod has counted goes with it, and the next one begins at nothing', async () => {
  serve(10);
  const count = counting(await reading());
  count(await reading());
  gone.add('web-2-a');
  expect((await reading()).canary).toEqual(new Map());
  serve(5, 1, 60, 4, 'b');
  const next = await reading();
  expect([...next.canary!.keys()]).toEqual(['web-2-b']);
  expect(count(next)[0]?.slice(0, 2)).toEqual([20, 20]);
});

test('a canary that has had no request has counted nothing', async () => {
  proxies.answered({
    namespace: 'shop',
    workload: 'web-primary',
    replicaSet: 'web-primary-1',
    pod: 'web-primary-1-a',
    fromMs: nowMs,
    toMs: nowMs + 1_000,
    requests: 5,
    failed: 0,
    latencyMs: 5,
  });
  expect((await reading()).canary).toEqual(new Map());
});

test('whoever asks the pods himself has no history, and finds something new each time', async () => {
  serve(10);
  expect(await source(true).history(query, never)).toEqual({ kind: 'none' });
  const answer = await source(true).read(query, never);
  expect(answer).toMatchObject({ kind: 'reading', sampledAtMs: undefined });
});

test('the history is of the primary, at each minute of the last thirty', async () => {
  serve(45 * 60);
  const answer = await source().history(query, never);
  if (answer.kind !== 'history') throw new Error(answer.kind);
  const times = answer.samples.map(one => one.atMs);
  expect(times).toHaveLength(31);
  expect(times.every((time, index) => index === 0 || time - times[index - 1]! === 60_000)).toBe(true);
  expect(times.at(-1)).toBeGreaterThan(nowMs - 60_000);
  const history = historyOf(answer.samples);
  expect(history.lengthMs).toBe(30 * 60_000);
  const { requests, failures } = totalOf(history);
  expect(requests / (30 * 60)).toBe(8);
  expect(failures / requests).toBeCloseTo(1 / 64, 3);
});
