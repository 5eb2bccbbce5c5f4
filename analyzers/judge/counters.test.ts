import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Counters, countedBetween, countersAt, podKey, type Totals } from './counters.ts';
import { pod, pods, type PodSample } from './samples.ts';

const NO_BOUNDS: number[] = [];
type Samples = Record<string, PodSample>;

function begun(primary: Samples): Counters {
  return countersAt({ primary: pods(primary) }, NO_BOUNDS);
}

function next(before: Counters, canary: Samples, primary: Samples, sinceMs = 1_000) {
  return countedBetween(before, { canary: pods(canary), primary: pods(primary) }, NO_BOUNDS, sinceMs);
}

test('counters.first: the primary counts from its first sample on, the canary from its birth', () => {
  const { canary, primary } = next(
    begun({ p: { ok: 1_000, failed: 3 } }),
    { c: { ok: 2, failed: 9 } },
    { p: { ok: 1_090, failed: 4 } },
  );
  expect(canary).toEqual({ total: 11, failures: 9, slow: [], pods: 1 });
  expect(primary).toEqual({ total: 91, failures: 1, slow: [], pods: 1 });
});

test('counters.reset: a counter that fell has counted its whole value since', () => {
  const first = next(begun({ p: { ok: 500 } }), {}, { p: { ok: 600 } });
  const { primary } = next(first.counters, {}, { p: { ok: 30, failed: 2 } });
  expect(primary).toMatchObject({ total: 32, failures: 2 });
});

test('counters.newPod: one that was born since counts in full, one of unknown age from its first sample on', () => {
  const first = next(begun({ p: { ok: 500 } }), {}, { p: { ok: 510 } }, 1_000);
  const born = next(first.counters, {}, { p: { ok: 520 }, q: { ok: 40, startedAt: 6_000 } }, 5_000);
  expect(born.primary).toMatchObject({ total: 50, pods: 2 });
  const old = next(first.counters, {}, { p: { ok: 520 }, q: { ok: 40_000, startedAt: 4_000 } }, 5_000);
  expect(old.primary.total).toBe(10);
  const unknown = next(first.counters, {}, { p: { ok: 520 }, q: { ok: 40_000 } }, 5_000);
  expect(unknown.primary.total).toBe(10);
  expect(next(unknown.counters, {}, { p: { ok: 520 }, q: { ok: 40_007 } }).primary.total).toBe(7);
});

test('counters.newSeries: the first failure of a known pod counts', () => {
  const first = next(begun({ p: { ok: 500 } }), { c: { ok: 10 } }, { p: { ok: 510 } });
  expect(next(first.counters, { c: { ok: 10, failed: 1 } }, { p: { ok: 510 } }).canary).toMatchObject({
    total: 1,
    failures: 1,
  });
});

test('counters.vanished: a pod that is gone adds nothing, and one that comes back goes on where it was', () => {
  const first = next(begun({ p: { ok: 500 }, q: { ok: 100 } }), {}, { p: { ok: 510 }, q: { ok: 105 } });
  const without = next(first.counters, {}, { p: { ok: 520 } });
  expect(without.primary.total).toBe(10);
  expect(next(without.counters, {}, { p: { ok: 520 }, q: { ok: 125 } }).primary.total).toBe(20);
});

test('counters.vanishedSeries: a code that the proxy dropped and shows again is not counted twice', () => {
  const first = next(begun({ p: { ok: 500, failed: 7 } }), {}, { p: { ok: 510, failed: 7 } });
  const without = next(first.counters, {}, { p: { ok: 520 } });
  expect(without.primary).toMatchObject({ total: 10, failures: 0 });
  expect(next(without.counters, {}, { p: { ok: 530, failed: 8 } }).primary).toMatchObject({
    total: 11,
    failures: 1,
  });
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, -5])(
  'counters.nan: a series at %d is left out of this tick',
  value => {
    const first = next(begun({ p: { ok: 500, failed: 2 } }), {}, { p: { ok: 510, failed: 2 } });
    const without = next(first.counters, {}, { p: { ok: value, failed: 3 } });
    expect(without.primary).toMatchObject({ total: 1, failures: 1 });
    expect(next(without.counters, {}, { p: { ok: 540, failed: 3 } }).primary).toMatchObject({
      total: 30,
      failures: 0,
    });
  },
);

test('counters.missingScrape: a tick that is skipped and the next one are one long tick', () => {
  const start = next(begun({ p: { ok: 500 } }), { c: { ok: 3 } }, { p: { ok: 510 } }).counters;
  const middle = { canary: { c: { ok: 8, failed: 1 } }, primary: { p: { ok: 560, failed: 2 } } };
  const last = { canary: { c: { ok: 11, failed: 4 }, d: { ok: 2 } }, primary: { p: { ok: 600, failed: 2 } } };
  const one = next(start, middle.canary, middle.primary);
  const two = next(one.counters, last.canary, last.primary);
  const long = next(start, last.canary, last.primary);
  expect(sum(one.canary, two.canary)).toEqual([long.canary.total, long.canary.failures]);
  expect(sum(one.primary, two.primary)).toEqual([long.primary.total, long.primary.failures]);
});

function sum(a: Totals, b: Totals): number[] {
  return [a.total + b.total, a.failures + b.failures];
}

test('counters.slow: requests slower than a bound, at the next bucket where there is none at it', () => {
  const buckets = (scale: number) =>
    [
      [100, 5 * scale],
      [250, 8 * scale],
      [Number.POSITIVE_INFINITY, 10 * scale],
    ] as const;
  const bounds = [100, 200, 5_000];
  const before = countersAt({ primary: pods({ p: { ok: 10, buckets: buckets(1) } }) }, bounds);
  const reading = { canary: pods({}), primary: pods({ p: { ok: 40, buckets: buckets(4) } }) };
  const { primary } = countedBetween(before, reading, bounds, 1_000);
  expect(primary.slow).toEqual([15, 6, 0]);
});

test('counters.total: whatever is reset, born, gone or skipped, totals are what the pods have counted', () => {
  const happening = fc.record({
    pod: fc.integer({ min: 0, max: 3 }),
    ok: fc.nat(50),
    failed: fc.nat(5),
    isRestart: fc.boolean(),
    isHidden: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(fc.array(happening, { maxLength: 4 }), { minLength: 1, maxLength: 12 }), ticks => {
      let counters = begun({ p: { ok: 0 } });
      const now = new Map<string, { ok: number; failed: number }>();
      let [served, counted] = [0, 0];
      /** Counted something that no reading has shown: a restart would lose it for everybody. */
      const unseen = new Set<string>();
      ticks.forEach((happenings, tick) => {
        const hidden = new Set<string>();
        for (const { pod: index, ok, failed, isRestart, isHidden } of onePerPod(happenings)) {
          const name = `c${index}`;
          const before = now.get(name) ?? { ok: 0, failed: 0 };
          // A restart shows only as a fall: it begins anew with less than there was.
          const isFall =
            isRestart && !isHidden && !unseen.has(name) && ok < before.ok && failed < before.failed;
          now.set(name, isFall ? { ok, failed } : { ok: before.ok + ok, failed: before.failed + failed });
          served += ok + failed;
          unseen.add(name);
          if (isHidden) hidden.add(name);
        }
        const isLast = tick === ticks.length - 1;
        const shown = [...now].filter(([name]) => isLast || !hidden.has(name));
        for (const [name] of shown) unseen.delete(name);
        const canary = new Map(shown.map(([name, sample]) => [name, pod(sample)]));
        const result = countedBetween(counters, { canary, primary: pods({ p: { ok: 0 } }) }, [], 1_000);
        counters = result.counters;
        counted += result.canary.total;
      });
      expect(counted).toBe(served);
    }),
    { numRuns: 300, seed: 4 },
  );
});

function onePerPod<T extends { pod: number }>(happenings: readonly T[]): T[] {
  return [...new Map(happenings.map(happening => [happening.pod, happening])).values()];
}

test('keys of pods are short and differ', () => {
  const keys = new Set(Array.from({ length: 1_000 }, (_, index) => podKey(`app-primary-7d9f-${index}`)));
  expect(keys.size).toBe(1_000);
  expect([...keys].every(key => key.length === 8)).toBe(true);
});
