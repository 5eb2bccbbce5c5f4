import fc from 'fast-check';
import { expect, test } from 'vitest';
import golden from './golden.json' with { type: 'json' };
import { createRandom } from '../../simulator/api/random.ts';
import { tickLogE } from './twoArm.ts';

test('tickLogE.golden: the vectors of one tick are met to 1e-9', () => {
  expect(golden.tick).toHaveLength(10);
  for (const { canary, primary, alternative, margin, logE } of golden.tick)
    expect(Math.abs(tickLogE(canary, primary, alternative, margin) - logE)).toBeLessThan(1e-9);
});

test('tickLogE.exactExpectation: E[e] <= 1 + 1e-9 under the null, over all outcomes of 200 configurations', () => {
  const random = createRandom(7);
  let greatest = 0;
  let signs = 0;
  for (let configuration = 0; configuration < 200; configuration += 1) {
    const nC = 1 + Math.floor(random.next() * 40);
    const nP = 1 + Math.floor(random.next() * 120);
    const offset = random.next() < 0.2 ? 0 : random.next() * 0.1;
    const isRegression = configuration % 2 === 0;
    const primary = random.next() ** 3;
    const canary = isRegression
      ? Math.min(1, primary + offset + random.next() ** 3)
      : Math.max(0, primary + offset * random.next() - random.next() ** 4 * 0.1);
    const logs = Array.from({ length: nC + 1 }, (_, fC) =>
      Array.from({ length: nP + 1 }, (_unused, fP) =>
        tickLogE(
          { total: nC, failures: fC },
          { total: nP, failures: fP },
          { primary, canary },
          { ratio: 1, offset },
        ),
      ),
    );
    for (const rate of [0, 1e-4, 1e-3, 0.01, 0.1, 0.3, 0.6, 0.9]) {
      const onMargin = rate + offset;
      if (onMargin > 1) continue;
      const expectation = expected(logs, pmf(nC, onMargin), pmf(nP, rate));
      if (expectation > 1 - 1e-6) signs |= isRegression ? 1 : 2;
      greatest = Math.max(greatest, expectation);
    }
  }
  expect(greatest).toBeLessThanOrEqual(1 + 1e-9);
  // The bound is reached on both sides: a test of something that is far below 1 would show little.
  expect(signs).toBe(3);
}, 60_000);

function expected(
  logs: readonly (readonly number[])[],
  canary: readonly number[],
  primary: readonly number[],
) {
  let sum = 0;
  logs.forEach((row, fC) =>
    row.forEach((log, fP) => {
      const mass = (canary[fC] ?? 0) * (primary[fP] ?? 0);
      if (mass > 0) sum += mass * Math.exp(log);
    }),
  );
  return sum;
}

function pmf(n: number, rate: number): number[] {
  let row = [1];
  for (let trial = 0; trial < n; trial += 1) {
    const next = Array.from({ length: row.length + 1 }, (_, count) => {
      return (row[count] ?? 0) * (1 - rate) + (row[count - 1] ?? 0) * rate;
    });
    row = next;
  }
  return row;
}

test('tickLogE.edge: no requests say nothing, more failures than requests are as many, rates at the edge work', () => {
  const usual = { primary: 0.005, canary: 0.03 };
  const margin = { ratio: 1, offset: 0.001 };
  const some = { total: 90, failures: 1 };
  expect(tickLogE({ total: 0, failures: 0 }, some, usual, margin)).toBe(0);
  expect(tickLogE(some, { total: 0, failures: 0 }, usual, margin)).toBe(0);
  const all = tickLogE({ total: 10, failures: 10 }, some, usual, margin);
  expect(all).toBeGreaterThan(10);
  expect(tickLogE({ total: 10, failures: 14 }, some, usual, margin)).toBe(all);
  expect(tickLogE({ total: 10, failures: 3 }, some, { primary: 1e-5, canary: 0.98 }, margin)).toSatisfy(
    Number.isFinite,
  );
  expect(
    tickLogE({ total: 10, failures: 3 }, some, { primary: 0.05, canary: 0.999 }, { ratio: 1, offset: 0.9 }),
  ).toSatisfy(Number.isFinite);
});

test('a tick is never NaN or infinite, whatever is counted and whatever is bet on', () => {
  const count = fc.oneof(
    fc.constant(0),
    fc.integer({ min: 0, max: 1e9 }),
    fc.double({ min: 0, max: 1e7, noNaN: true }),
  );
  const counts = fc.record({ total: count, failures: count });
  const rate = fc.oneof(fc.constantFrom(0, 1, 1e-12, 1 - 1e-12), fc.double({ min: 0, max: 1, noNaN: true }));
  const margin = fc.record({
    ratio: fc.double({ min: 0.5, max: 3, noNaN: true }),
    offset: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(
      counts,
      counts,
      fc.record({ primary: rate, canary: rate }),
      margin,
      (canary, primary, bet, null_) => {
        expect(tickLogE(canary, primary, bet, null_)).toSatisfy(Number.isFinite);
      },
    ),
    { numRuns: 3_000, seed: 1 },
  );
});

test('evidence of a regression never falls with one more failure of the canary, nor rises with one of the primary', () => {
  const bet = fc.record({
    rate: fc.double({ min: 1e-5, max: 0.5, noNaN: true }),
    offset: fc.double({ min: 0, max: 0.05, noNaN: true }),
    effect: fc.double({ min: 0.004, max: 0.4, noNaN: true }),
  });
  const size = fc.integer({ min: 1, max: 500 });
  fc.assert(
    fc.property(size, size, fc.nat(), fc.nat(), bet, (nC, nP, atC, atP, { rate, offset, effect }) => {
      const [fC, fP] = [atC % nC, atP % nP];
      const logE = (moreC: number, moreP: number) =>
        tickLogE(
          { total: nC, failures: fC + moreC },
          { total: nP, failures: fP + moreP },
          { primary: rate, canary: rate + offset + effect },
          { ratio: 1, offset },
        );
      expect(logE(1, 0)).toBeGreaterThanOrEqual(logE(0, 0));
      expect(logE(0, 1)).toBeLessThanOrEqual(logE(0, 0));
    }),
    { numRuns: 1_000, seed: 2 },
  );
});
