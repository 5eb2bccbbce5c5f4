/** Counters of one pod: which series are kept, and that increments are what was really counted. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  added,
  createCounterReader,
  difference,
  incrementsBetween,
  incrementsSinceBirth,
  NO_INCREMENTS,
  type PodCounters,
  remembered,
  SERIES_MAX,
} from './counters.ts';
import { linkerdSource } from './sources.ts';

type Line = [name: string, labels: Record<string, string>, value: number];

function counters(...lines: Line[]): PodCounters {
  const reader = createCounterReader(linkerdSource);
  for (const [name, labels, value] of lines) {
    if (linkerdSource.wants(name))
      reader.take({ name, labels: new Map(Object.entries({ direction: 'inbound', ...labels })), value });
  }
  return reader.counters();
}

const total = (status: string, value: number): Line => [
  'response_total',
  { status_code: status, classification: status.startsWith('5') ? 'failure' : 'success' },
  value,
];
const bucket = (le: string, value: number, authority = 'a'): Line => [
  'response_latency_ms_bucket',
  { le, authority },
  value,
];
const started = (seconds: number): Line => ['process_start_time_seconds', {}, seconds];

test('what rose between two looks', () => {
  const before = counters(total('200', 10), total('500', 1), bucket('10', 4), bucket('+Inf', 6));
  const after = counters(total('200', 25), total('500', 3), bucket('10', 5), bucket('+Inf', 9));
  expect(incrementsBetween(before, after)).toEqual({
    requests: 17,
    failures: 2,
    buckets: new Map([
      [10, 1],
      [Infinity, 3],
    ]),
  });
  expect(incrementsBetween(after, after)).toEqual({
    ...NO_INCREMENTS,
    buckets: new Map([
      [10, 0],
      [Infinity, 0],
    ]),
  });
});

test('a series that is new at a known pod counts in full: the first failure is born with its series', () => {
  expect(
    incrementsBetween(counters(total('200', 10)), counters(total('200', 10), total('500', 2))),
  ).toMatchObject({ requests: 2, failures: 2 });
});

test('a series that fell was reset, the others were not', () => {
  const before = counters(total('200', 100), total('404', 50));
  expect(incrementsBetween(before, counters(total('200', 3), total('404', 51)))).toMatchObject({
    requests: 4,
  });
});

test('a histogram of which one bucket fell was reset as a whole', () => {
  const before = counters(bucket('10', 5), bucket('+Inf', 9));
  const after = counters(bucket('10', 1), bucket('+Inf', 9));
  expect(incrementsBetween(before, after).buckets).toEqual(
    new Map([
      [10, 1],
      [Infinity, 9],
    ]),
  );
});

test('a new process counts in full, even where its counters have overtaken the old ones', () => {
  const before = counters(started(1_000), total('200', 5), bucket('+Inf', 5));
  const after = counters(started(2_000), total('200', 8), bucket('+Inf', 8));
  expect(incrementsBetween(before, after)).toEqual({
    requests: 8,
    failures: 0,
    buckets: new Map([[Infinity, 8]]),
  });
  const same = counters(started(1_000.4), total('200', 8));
  expect(incrementsBetween(before, same)).toMatchObject({ requests: 3 });
});

test('a vanished series adds nothing, and is not new when it comes back', () => {
  const first = counters(total('200', 10), total('500', 4), bucket('+Inf', 3));
  const second = counters(total('200', 12));
  expect(incrementsBetween(first, second)).toMatchObject({ requests: 2, failures: 0 });
  const known = remembered(first, second);
  const third = counters(total('200', 12), total('500', 5), bucket('+Inf', 4));
  expect(incrementsBetween(known, third)).toEqual({
    requests: 1,
    failures: 1,
    buckets: new Map([[Infinity, 1]]),
  });
  const restarted = counters(started(5_000), total('200', 1));
  expect(remembered(counters(started(1_000), total('500', 9)), restarted)).toEqual(restarted);
});

test('values that no counter can have leave their series out of this look', () => {
  for (const value of [Number.NaN, Infinity, -1]) {
    const odd = counters(total('200', value), total('500', 2), bucket('10', value), bucket('+Inf', 3));
    expect([odd.requests.size, odd.durations.size]).toEqual([1, 0]);
  }
});

test('the order of labels does not matter, their values do', () => {
  const one = counters(['response_total', { a: '1', b: '2', classification: 'success' }, 5]);
  const two = counters(['response_total', { b: '2', a: '1', classification: 'success' }, 7]);
  expect(incrementsBetween(one, two)).toMatchObject({ requests: 2 });
  const three = counters(['response_total', { b: '1', a: '2', classification: 'success' }, 7]);
  expect(incrementsBetween(one, three)).toMatchObject({ requests: 7 });
});

test('a label that holds something unbounded is given up', () => {
  const lines = Array.from(
    { length: SERIES_MAX + 1 },
    (_, index): Line => ['response_total', { path: `/${index}` }, 1],
  );
  expect(() => counters(...lines)).toThrow(`more than ${SERIES_MAX} series`);
});

interface Counted {
  ok: number;
  failed: number;
  slow: number;
}
const plus = (a: Counted, b: Counted): Counted => ({
  ok: a.ok + b.ok,
  failed: a.failed + b.failed,
  slow: a.slow + b.slow,
});
const ZERO: Counted = { ok: 0, failed: 0, slow: 0 };

const arbitraryStep = fc.record({
  restarts: fc.boolean(),
  counts: fc.record({ ok: fc.nat(20), failed: fc.nat(5), slow: fc.nat(5) }),
});

/** A process that exports a series from its first count on, and when it began, or all of them and no such time. */
function exported(held: Counted, start: number, tellsStart: boolean): PodCounters {
  const lines: Line[] = [
    total('200', held.ok),
    total('500', held.failed),
    bucket('10', 0),
    bucket('+Inf', held.slow),
  ];
  if (!tellsStart) return counters(...lines);
  return counters(
    started(start),
    ...(held.slow ? lines : lines.slice(0, 2)).filter(([, labels, value]) => value || labels['le']),
  );
}

test('over any history of counting, resets and vanishing series, increments sum to what was counted', () => {
  fc.assert(
    fc.property(
      fc.array(arbitraryStep, { minLength: 2, maxLength: 12 }),
      fc.boolean(),
      (steps, tellsStart) => {
        let [held, start] = [ZERO, 1_000];
        let known: PodCounters | undefined;
        let [sum, truth] = [NO_INCREMENTS, ZERO];
        for (const { restarts, counts } of steps) {
          const isSeen = counts.ok < held.ok && counts.failed < held.failed && counts.slow < held.slow;
          // Without the start of the process nobody can see a restart but where counters fell.
          if (restarts && (tellsStart || isSeen)) [held, start] = [ZERO, start + 100];
          held = plus(held, counts);
          const now = exported(held, start, tellsStart);
          if (known) {
            truth = plus(truth, counts);
            sum = added(sum, incrementsBetween(known, now));
          }
          known = remembered(known, now);
        }
        const slow = sum.buckets.get(Infinity) ?? 0;
        expect({ ok: sum.requests - sum.failures, failed: sum.failures, slow }).toEqual(truth);
      },
    ),
  );
});

test('sums and differences undo each other', () => {
  const a = incrementsSinceBirth(counters(total('200', 5), bucket('10', 2), bucket('+Inf', 3)));
  const b = incrementsSinceBirth(counters(total('500', 2), bucket('20', 1), bucket('+Inf', 1)));
  expect(difference(added(a, b), b)).toEqual({ ...a, buckets: new Map([...a.buckets, [20, 0]]) });
});
