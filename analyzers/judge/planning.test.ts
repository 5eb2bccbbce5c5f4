import { describe, expect, test } from 'vitest';
import { createRandom } from '../../simulator/api/random.ts';
import { binomial } from '../../simulator/judging/draws.ts';
import { playJudge, playMany, type Summary } from '../../simulator/judging/play.ts';
import { constantWorld, ISTIO_BUCKETS, primaryHistory, type World } from '../../simulator/judging/streams.ts';
import type { UserBound } from './comparisons.ts';
import { rateInterval } from './confidence.ts';
import { dispersionIn, dispersionOf } from './dispersion.ts';
import { histogramOf, historyOf, totalOf } from './history.ts';
import { latencyBounds } from './latency.ts';
import { automaticMargin, planOf, type PlanInput } from './plan.ts';
import { pods } from './samples.ts';
import { oddsOf } from './sentence.ts';
import { JUDGE_DEFAULTS, type JudgeSettings } from './settings.ts';

const PLAN_A = [10, 20, 30, 40, 50];

function input(overrides: Partial<PlanInput> = {}): PlanInput {
  return {
    settings: JUDGE_DEFAULTS,
    weightsPercent: PLAN_A,
    rps: 50,
    baseRate: 0.005,
    dispersion: 1,
    tickMs: 5_000,
    ...overrides,
  };
}

/** 60 rollouts under the judge. */
function played(
  seed: number,
  world: World,
  settings: JudgeSettings,
  bounds: readonly UserBound[] = [],
): Summary {
  return playMany(60, seed, random =>
    playJudge(world, {
      weightsPercent: PLAN_A,
      tickMs: 5_000,
      random,
      settings,
      history: primaryHistory(world, random),
      bounds,
    }),
  );
}

describe('plans', () => {
  test.each([
    [5, 0.005, 0.01, 60_000],
    [20, 0.005, 0.005, 60_000],
    [50, 0.01, 0.005, 60_000],
    [50, 0.005, 0.01, 15_000],
  ])(
    'planner.accuracy: %d rps at %d with a margin of %d, within 0.8 to 1.3',
    (rps, baseRate, promotionMargin, minDwellMs) => {
      const settings = { ...JUDGE_DEFAULTS, promotionMargin, minDwellMs };
      const world = constantWorld(rps, baseRate);
      const { promoteSeconds } = played(2, world, settings);
      const planned = planOf(input({ settings, rps, baseRate }));
      expect(planned.seconds / promoteSeconds).toBeGreaterThan(0.8);
      expect(planned.seconds / promoteSeconds).toBeLessThan(1.3);
    },
    120_000,
  );

  test.each([
    [50, 0.02, 82, 11],
    [5, 0.02, 704, 11],
    [500, 0.02, 13, 13],
    [50, 1, 5, 25],
    [500, 1, 5, 249],
  ])('at %d rps an excess of %d is found in about %d s', (rps, excess, seconds, failed) => {
    const found = planOf(input({ rps })).detections.find(
      detection => Math.abs(detection.excess - excess) < 0.01,
    );
    expect(found?.seconds).toBeGreaterThan(seconds * 0.6);
    expect(found?.seconds).toBeLessThan(seconds * 1.5);
    expect(found?.failedRequests).toBeGreaterThan(failed * 0.6);
    expect(found?.failedRequests).toBeLessThan(failed * 1.5);
  });

  test.each([
    [50, 0.02, 0.015],
    [50, 0.02, 0.005],
    [500, 1, 0.005],
  ])(
    'slo: at %d rps an excess of %d, and %d beyond the bound to be excluded',
    (rps, excess, promotionMargin) => {
      const settings = { ...JUDGE_DEFAULTS, mode: 'slo' as const, promotionMargin };
      const planned = planOf(input({ settings, rps, baseRate: 0.002, bound: 0.01 }));
      const bounds = [{ metric: 'request-success-rate' as const, share: 0.01 }];
      const found = (more: number) => played(3, constantWorld(rps, 0.002, more), settings, bounds);
      expect(planned.seconds / found(0).promoteSeconds).toBeGreaterThan(0.8);
      expect(planned.seconds / found(0).promoteSeconds).toBeLessThan(1.3);
      const detection = planned.detections.find(one => Math.abs(one.excess - excess) < 0.01);
      expect(detection).toBeDefined();
      const ratio = (detection?.seconds ?? 0) / found(excess).rollbackSeconds;
      expect(ratio).toBeGreaterThan(0.6);
      expect(ratio).toBeLessThan(1.5);
    },
  );

  test('latency takes its share of the evidence', () => {
    const alone = planOf(input()).detections[0];
    const shared = planOf(input({ evidenceShare: 0.5 })).detections[0];
    expect(shared?.canaryRequests).toBeGreaterThan((alone?.canaryRequests ?? 0) * 1.05);
    expect(shared?.canaryRequests).toBeLessThan((alone?.canaryRequests ?? 0) * 1.2);
  });

  test('a bound that the primary is beyond is named, and nothing can be shown', () => {
    const settings = { ...JUDGE_DEFAULTS, mode: 'slo' as const };
    const { problems, seconds } = planOf(input({ settings, baseRate: 0.02, bound: 0.01 }));
    expect(problems.join()).toContain(
      'The primary itself fails 2 % of its requests, more than the bound of 1 %',
    );
    expect(seconds).toBe(Infinity);
    const within = planOf(input({ settings, baseRate: 0.001, bound: 0.01 }));
    expect(within.detections[0]?.seconds).toBeLessThan(300);
    expect(planOf(input({ settings, baseRate: 0.001, bound: 0.05 })).detections[0]?.seconds).toBe(Infinity);
  });

  test('settings that cannot work are named', () => {
    expect(planOf(input({ weightsPercent: [1, 5, 25, 50] })).problems).toEqual([]);
    expect(planOf(input({ weightsPercent: [1, 50, 100] })).problems.join()).toContain(
      'no primary to compare with',
    );
    expect(planOf(input({ rps: 0 })).problems.join()).toContain('no traffic');
    expect(planOf(input()).problems.join()).toContain(
      'The first step of 10 % may cost more than the budget of 1 %',
    );
    const thin = planOf(input({ rps: 0.5, weightsPercent: [1, 50] }));
    expect(thin.problems.join()).toMatch(
      /A good release needs about \d+ s, longer than the deadline of 3600 s/,
    );
  });

  test('the automatic margin is the smallest that is shown in half of the deadline', () => {
    expect(automaticMargin(input())).toBe(0.005);
    expect(automaticMargin(input({ rps: 5 }))).toBe(0.01);
    expect(automaticMargin(input({ rps: 0.5 }))).toBe(0.02);
  });
});

describe('dispersion', () => {
  test('dispersion.estimator: pods that are alike have none, two kinds of pods have what they differ by', () => {
    const random = createRandom(1);
    const blocks = (rates: readonly number[]) =>
      Array.from({ length: 30 }, () =>
        rates.map(rate => ({ total: 3_000, failures: binomial(3_000, rate, random) })),
      );
    expect(dispersionIn(blocks(Array(10).fill(0.01)))?.icc).toBeLessThan(0.002);
    const two = dispersionIn(blocks([0.002, 0.018, 0.002, 0.018, 0.002, 0.018, 0.002, 0.018]))?.icc;
    expect(two).toBeGreaterThan(0.0065 * 0.5);
    expect(two).toBeLessThan(0.0065 * 1.5);
  });

  test('a shock that all pods share is none of their differences', () => {
    const random = createRandom(2);
    const shared = Array.from({ length: 30 }, (_, block) =>
      Array.from({ length: 6 }, () => ({
        total: 3_000,
        failures: binomial(3_000, block % 3 === 0 ? 0.2 : 0.005, random),
      })),
    );
    expect(dispersionIn(shared)?.icc).toBeLessThan(0.002);
  });

  test('the prior stands where the history cannot tell', () => {
    expect(dispersionIn([])).toBeUndefined();
    expect(dispersionIn([[{ total: 5_000, failures: 400 }]])).toBeUndefined();
    expect(
      dispersionIn([
        [
          { total: 500, failures: 4 },
          { total: 500, failures: 5 },
        ],
      ]),
    ).toBeUndefined();
    expect(dispersionOf(undefined, 1e6, 1, 1_000)).toBe(1.25);
  });

  test('it grows with what one pod serves, and is never less than clumps need', () => {
    expect(dispersionOf({ icc: 0.01, clumping: 1 }, 100, 1, 60_000)).toBeCloseTo(1 + 1.25 * 0.99, 12);
    expect(dispersionOf({ icc: 0.01, clumping: 1 }, 100, 1, 5_000)).toBeCloseTo(1 + 1.25 * 11.99, 12);
    expect(dispersionOf({ icc: 0.01, clumping: 5 }, 1, 4, 60_000)).toBe(6);
    expect(dispersionOf({ icc: 0, clumping: 1 }, 0, 0, 5_000)).toBe(1);
  });
});

describe('latency bounds', () => {
  const world = {
    ...constantWorld(200, 0),
    latency: { medianMs: 100, sigma: 0.5, buckets: ISTIO_BUCKETS, slowdown: 1, tailShare: 0 },
  };
  const tolerances = { tolerance: 1.1, promotionTolerance: 1.25 };

  test('lie near p50, p90 and p99, and tolerate what a slowdown of 10 % does', () => {
    const history = primaryHistory(world, createRandom(3));
    const bounds = latencyBounds(histogramOf(totalOf(history)), tolerances);
    expect(bounds.map(({ upperMs }) => upperMs)).toEqual([100, 250, 500]);
    // A lognormal slowdown by 10 % adds 7.6 pp at 100 ms, 1.7 pp at 250 ms.
    expect(bounds[0]?.margin).toBeGreaterThan(0.05);
    expect(bounds[0]?.margin).toBeLessThan(0.09);
    expect(bounds[1]?.margin).toBeGreaterThan(0.015);
    expect(bounds[1]?.margin).toBeLessThan(0.04);
    expect(bounds[2]?.margin).toBeLessThan(0.005);
    for (const { margin, promotionMargin } of bounds) expect(promotionMargin).toBeGreaterThanOrEqual(margin);
  });

  test('there are none without a histogram, and fewer where buckets are coarse', () => {
    expect(latencyBounds([], tolerances)).toEqual([]);
    const coarse = [
      { upperMs: 1_000, count: 9_990 },
      { upperMs: Number.POSITIVE_INFINITY, count: 10_000 },
    ];
    expect(latencyBounds(coarse, tolerances).map(({ upperMs, weight }) => [upperMs, weight])).toEqual([
      [1_000, 1],
    ]);
  });
});

describe('history', () => {
  test('is cut into minutes from samples that come as they come', () => {
    const samples = Array.from({ length: 61 }, (_, index) => ({
      atMs: index * 5_000,
      pods: pods({ a: { ok: index * 10 }, b: { ok: index * 20, failed: index } }),
    }));
    const history = historyOf(samples);
    expect(history.blocks).toHaveLength(5);
    expect(history.lengthMs).toBe(300_000);
    expect(totalOf(history)).toMatchObject({ requests: 60 * 31, failures: 60 });
    expect(historyOf(samples.slice(0, 5)).blocks).toHaveLength(1);
    expect(historyOf([])).toEqual({ blocks: [], lengthMs: 0 });
  });
});

describe('for people', () => {
  test.each([0.05, 0.5])('confidence sequences at %d hold the true rate at all times', alpha => {
    const random = createRandom(5);
    let misses = 0;
    for (let run = 0; run < 200; run += 1) {
      let [total, failures, isOut] = [0, 0, false];
      for (let tick = 0; tick < 60; tick += 1) {
        total += 50;
        failures += binomial(50, 0.1, random);
        const { low, high } = rateInterval({ total, failures }, alpha);
        if (low > 0.1 || high < 0.1) isOut = true;
      }
      if (isOut) misses += 1;
    }
    expect(misses / 200).toBeLessThanOrEqual(alpha);
    if (alpha === 0.5) expect(misses).toBeGreaterThan(0);
  });

  test('an interval begins as everything, and narrows', () => {
    expect(rateInterval({ total: 0, failures: 0 }, 0.05)).toEqual({ low: 0, high: 1 });
    const few = rateInterval({ total: 10, failures: 1 }, 0.05);
    const many = rateInterval({ total: 1_000, failures: 100 }, 0.05);
    expect(many.high - many.low).toBeLessThan(few.high - few.low);
    expect(rateInterval({ total: 50, failures: 50 }, 0.05).high).toBe(1);
  });

  test('odds are whole numbers where they matter', () => {
    expect(oddsOf(Math.log(100))).toBe('100:1');
    expect(oddsOf(Math.log(312.4))).toBe('312:1');
    expect(oddsOf(Math.log(3.24))).toBe('3.2:1');
    expect(oddsOf(-40)).toBe('less than 0.1:1');
    expect(oddsOf(400)).toBe('more than 1,000,000:1');
  });
});
