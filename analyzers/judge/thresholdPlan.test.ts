/** Plans of fixed thresholds and of the guard beside played rollouts under the same rules. */
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../simulator/api/random.ts';
import { binomial } from '../../simulator/judging/draws.ts';
import { playMany, playThreshold } from '../../simulator/judging/play.ts';
import { constantWorld } from '../../simulator/judging/streams.ts';
import { GUARD_DEFAULTS } from './guard.ts';
import { type FixedRule, fixedThresholdOf, guardDetectionOf, moreThan } from './thresholdPlan.ts';

const PLAN_A = [10, 20, 30, 40, 50];

function rule(overrides: Partial<FixedRule> = {}): FixedRule {
  return {
    weightsPercent: PLAN_A,
    rps: 50,
    intervalSeconds: 60,
    windowSeconds: 60,
    threshold: 5,
    share: 0.01,
    isFlagger: true,
    ...overrides,
  };
}

describe('failed checks', () => {
  test.each([
    [5, 0.005],
    [5, 0.01],
    [5, 0.025],
    [50, 0.01],
    [50, 0.015],
    [50, 1],
    [500, 0.0105],
  ])('%d requests a second of which %d fail: as played', (rps, rate) => {
    const played = playMany(2_000, 5, random =>
      playThreshold(constantWorld(rps, 0, rate), {
        weightsPercent: PLAN_A,
        intervalMs: 60_000,
        threshold: 5,
        successMin: 99,
        random,
      }),
    );
    const planned = fixedThresholdOf(rule({ rps }), rate);
    expect(Math.abs(planned.rolledBackShare - played.rollbackShare)).toBeLessThan(0.06);
    if (played.rollbackShare > 0.05) {
      expect(planned.rollbackSeconds / played.rollbackSeconds).toBeGreaterThan(0.93);
      expect(planned.rollbackSeconds / played.rollbackSeconds).toBeLessThan(1.07);
    }
    if (played.rollbackShare === 1) {
      expect(planned.rollbackRequests / played.canaryRequests).toBeGreaterThan(0.9);
      expect(planned.rollbackRequests / played.canaryRequests).toBeLessThan(1.1);
    }
    if (played.promoteShare > 0.05) {
      expect(planned.promoteSeconds / played.promoteSeconds).toBeGreaterThan(0.95);
      expect(planned.promoteSeconds / played.promoteSeconds).toBeLessThan(1.05);
    }
  });

  test('an outage takes as many intervals as checks have to fail, and one more in Flagger', () => {
    expect(fixedThresholdOf(rule(), 1)).toMatchObject({ rolledBackShare: 1, rollbackSeconds: 360 });
    expect(fixedThresholdOf(rule({ isFlagger: false }), 1).rollbackSeconds).toBe(300);
    const fast = rule({ intervalSeconds: 10, threshold: 2 });
    expect(fixedThresholdOf(fast, 1)).toMatchObject({ rollbackSeconds: 30, rollbackRequests: 150 });
  });

  test('without requests Flagger rolls back, and Serin waits', () => {
    const silent = rule({ rps: 1e-6 });
    expect(fixedThresholdOf(silent, 0).rolledBackShare).toBeCloseTo(1, 4);
    const waits = fixedThresholdOf({ ...silent, isFlagger: false }, 0);
    expect(waits.rolledBackShare).toBe(0);
    expect(waits.promoteSeconds).toBeGreaterThan(1e6);
    expect(fixedThresholdOf(rule({ rps: 0, isFlagger: false }), 0).promoteSeconds).toBe(Infinity);
  });
});

test.each([
  [30, 0.01, 0],
  [300, 0.02, 8],
  [4_000, 0.01, 45],
  [2_000_000, 0.01, 20_100],
])('of %d requests with a rate of %d, more than %d fail as often as drawn', (total, rate, most) => {
  const random = createRandom(3);
  let more = 0;
  for (let run = 0; run < 20_000; run += 1) if (binomial(total, rate, random) > most) more += 1;
  expect(Math.abs(moreThan(total, rate, most) - more / 20_000)).toBeLessThan(0.012);
});

describe('the guard', () => {
  test.each([
    [10, 2, 50, 1],
    [60, 5, 50, 1],
    [60, 5, 50, 0.2],
    [60, 5, 50, 0.05],
    [60, 5, 500, 0.05],
    [60, 5, 5, 0.2],
  ])(
    'interval %d s, threshold %d, %d rps, %d more fail: found about when it is in play',
    (intervalSeconds, threshold, rps, excess) => {
      const played = playMany(200, 6, random =>
        playThreshold(constantWorld(rps, 0.005, excess), {
          weightsPercent: PLAN_A,
          intervalMs: intervalSeconds * 1_000,
          // So that the guard alone ends a rollout.
          threshold: Number.POSITIVE_INFINITY,
          successMin: 99,
          random,
          guard: { scrapeMs: 2_000 },
        }),
      );
      const plan = {
        settings: GUARD_DEFAULTS,
        rule: rule({ intervalSeconds, threshold, rps, isFlagger: false }),
        guarded: 1,
        dispersion: 1,
        tickMs: 2_000,
      };
      const planned = guardDetectionOf(plan, 0.005, excess);
      expect(played.guardShare).toBe(1);
      expect(planned.seconds / played.rollbackSeconds).toBeGreaterThan(0.6);
      expect(planned.seconds / played.rollbackSeconds).toBeLessThan(1.5);
      expect(planned.failedRequests / played.excessFailures).toBeGreaterThan(0.6);
      expect(planned.failedRequests / played.excessFailures).toBeLessThan(1.6);
    },
  );

  test('within the threshold it never rolls back', () => {
    const plan = {
      settings: GUARD_DEFAULTS,
      rule: rule({ isFlagger: false }),
      guarded: 1,
      dispersion: 1,
      tickMs: 2_000,
    };
    expect(guardDetectionOf(plan, 0.001, 0.005).seconds).toBe(Infinity);
  });
});
