/** Counters that are sums of series, as a query by pod gives them: what falls is not always a reset. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { incrementsBetween, type PodCounters, remembered } from './counters.ts';

interface Sums {
  success?: number;
  failure?: number;
  /** Series that they are sums of. */
  series: number;
  startedAt?: number | undefined;
  /** Answers within 10 ms; all are within 20 ms. */
  fast?: number;
}

function sums({ success, failure, series, startedAt, fast = 0 }: Sums): PodCounters {
  const requests = new Map([
    ...(success === undefined ? [] : [['success', { isFailure: false, count: success }] as const]),
    ...(failure === undefined ? [] : [['failure', { isFailure: true, count: failure }] as const]),
  ]);
  const all = (success ?? 0) + (failure ?? 0);
  const durations = new Map([['', { uppersMs: [10, 20, Infinity], counts: [fast, all, all] }]]);
  return { startedAt, requests, durations, summed: series };
}

const START = 1_700_000_000_000;
const LATER = START + 60_000;

function counted(before: PodCounters, after: PodCounters): [number, number, number] {
  const { requests, failures, buckets } = incrementsBetween(before, after);
  return [requests, failures, buckets.get(20) ?? 0];
}

describe('between two looks', () => {
  const two = { series: 2, startedAt: START };
  test.each<[string, Sums, Sums, number[]]>([
    ['rose', { ...two, success: 100, failure: 5 }, { ...two, success: 150, failure: 6 }, [51, 1, 51]],
    ['a code is new', { ...two, success: 100 }, { ...two, success: 100, failure: 6, series: 3 }, [6, 6, 6]],
    [
      'a new process',
      { ...two, success: 100, failure: 5 },
      { ...two, success: 7, failure: 1, startedAt: LATER },
      [8, 1, 8],
    ],
    // The proxy has dropped an idle client: what is left was counted before.
    [
      'a client is gone',
      { ...two, success: 100, failure: 5 },
      { ...two, success: 40, failure: 5, series: 1 },
      [0, 0, 0],
    ],
    // The others have made up for it, but for the number of series.
    [
      'a client is gone, unseen',
      { ...two, success: 100, failure: 5 },
      { ...two, success: 140, failure: 9, series: 1 },
      [0, 0, 0],
    ],
    ['a code is gone', { ...two, success: 100, failure: 5 }, { ...two, success: 110 }, [0, 0, 0]],
    ['a bucket fell', { ...two, success: 100, fast: 50 }, { ...two, success: 110, fast: 40 }, [0, 0, 0]],
    // A restart, perhaps; nobody can tell.
    ['fell, of an unknown start', { success: 100, series: 2 }, { success: 40, series: 1 }, [0, 0, 0]],
    // That of another container, say.
    ['a new start alone', { ...two, success: 100 }, { ...two, success: 130, startedAt: LATER }, [30, 0, 30]],
  ])('%s', (_name, before, after, expected) => {
    expect(counted(sums(before), sums(after))).toEqual(expected);
  });
});

test('a code that is gone with its client and comes back is counted from zero', () => {
  const looks = [
    { success: 100, failure: 5, series: 2, startedAt: START },
    { success: 100, series: 1, startedAt: START },
    { success: 110, failure: 2, series: 2, startedAt: undefined },
    { success: 110, failure: 3, series: 2, startedAt: START },
  ].map(sums);
  let before = looks[0]!;
  const seen = looks.slice(1).map(look => {
    const rose = counted(before, look);
    before = remembered(before, look);
    return rose;
  });
  expect(seen).toEqual([
    [0, 0, 0],
    [12, 2, 12],
    [1, 1, 1],
  ]);
});

/** One scrape interval of one client's series: how many more, or that the proxy has dropped it. */
const clientArbitrary = fc.record({
  successes: fc.nat(20),
  failures: fc.nat(5),
  isDropped: fc.boolean(),
});
const intervalsArbitrary = fc.array(
  fc.record({
    clients: fc.array(clientArbitrary, { minLength: 4, maxLength: 4 }),
    isRestarted: fc.integer({ min: 0, max: 9 }).map(one => one === 0),
  }),
  { maxLength: 30 },
);

test('never more than was really counted, whatever is dropped or restarted', () => {
  fc.assert(
    fc.property(intervalsArbitrary, intervals => {
      let clients = Array.from({ length: 4 }, () => ({ success: 0, failure: 0, isThere: false }));
      let startedAt = START;
      let before = sums({ series: 0, startedAt });
      const truth = [0, 0];
      const found = [0, 0];
      for (const interval of intervals) {
        if (interval.isRestarted) {
          startedAt += 60_000;
          clients = clients.map(() => ({ success: 0, failure: 0, isThere: false }));
        }
        for (const [index, { successes, failures, isDropped }] of interval.clients.entries()) {
          const client = clients[index]!;
          // Only an idle client's series is dropped.
          if (isDropped) Object.assign(client, { success: 0, failure: 0, isThere: false });
          else if (successes + failures > 0) {
            client.success += successes;
            client.failure += failures;
            client.isThere = true;
            truth[0]! += successes + failures;
            truth[1]! += failures;
          }
        }
        const there = clients.filter(client => client.isThere);
        const sum = (of: 'success' | 'failure') => there.reduce((total, one) => total + one[of], 0);
        const after = sums({
          success: sum('success'),
          failure: sum('failure'),
          series: there.length,
          startedAt,
        });
        const rose = counted(before, after);
        found[0]! += rose[0];
        found[1]! += rose[1];
        expect(Math.min(...rose)).toBeGreaterThanOrEqual(0);
        before = remembered(before, after);
        expect(found[0]).toBeLessThanOrEqual(truth[0]!);
        expect(found[1]).toBeLessThanOrEqual(truth[1]!);
      }
      const isCalm = intervals.every(
        one => !one.isRestarted && one.clients.every(client => !client.isDropped),
      );
      if (isCalm) expect(found).toEqual(truth);
    }),
  );
});
