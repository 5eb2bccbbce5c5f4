/** Whole rollouts on played request streams: what the defaults promise, with a fixed seed each. */
import { describe, expect, test } from 'vitest';
import { type Played, playJudge, playMany, summaryOf } from '../../simulator/judging/play.ts';
import { createRandom } from '../../simulator/api/random.ts';
import {
  constantWorld,
  ISTIO_BUCKETS,
  type Noise,
  primaryHistory,
  type World,
} from '../../simulator/judging/streams.ts';
import type { Uniform } from '../../simulator/judging/draws.ts';
import { JUDGE_DEFAULTS, type JudgeSettings } from './settings.ts';

const PLAN_A = [10, 20, 30, 40, 50];
const PLAN_B = [1, 2, 5, 10, 25, 50];
const CPU_MS = 120_000;

interface Cell extends Partial<JudgeSettings> {
  runs: number;
  weights?: readonly number[];
  bounds?: Parameters<typeof playJudge>[1]['bounds'];
  isNaive?: boolean;
}

function played(world: World, random: Uniform, cell: Cell): Played {
  const { runs: _, weights, bounds, isNaive, ...overrides } = cell;
  const history = primaryHistory(world, random);
  // Failures spread evenly over pods and minutes look like requests that are independent.
  const even = history.blocks.map(block =>
    block.map(pod => ({ ...pod, failures: Math.round(pod.requests * world.baseRate(0)) })),
  );
  return playJudge(world, {
    weightsPercent: weights ?? PLAN_A,
    tickMs: 5_000,
    random,
    settings: { ...JUDGE_DEFAULTS, ...overrides },
    history: isNaive ? { ...history, blocks: even } : history,
    ...(bounds ? { bounds } : {}),
    ...(isNaive ? { isUngated: true } : {}),
  });
}

function cell(world: World, options: Cell) {
  return playMany(options.runs, 17, random => played(world, random, options));
}

describe('what is rolled back', () => {
  test(
    'regression.outage: 100 % failing at 10 % of 50 rps is rolled back at the first tick, at 5 rps in 9 s',
    () => {
      const busy = cell(constantWorld(50, 0.005, 0.995), { runs: 1_000 });
      expect(busy.rollbackShare).toBe(1);
      expect(busy.rollbackSecondsP95).toBe(5);
      expect(busy.rollbackSeconds).toBeLessThan(5.005 + 0.001);
      expect(busy.excessFailures).toBeLessThanOrEqual(25.5);
      const thin = cell(constantWorld(5, 0.005, 0.995), { runs: 500 });
      expect(thin.rollbackSeconds).toBeLessThanOrEqual(9);
    },
    CPU_MS,
  );

  test(
    'regression.plus2pp: +2 pp at 50 rps takes at most 95 s in the mean, 170 s in 95 %',
    () => {
      const found = cell(constantWorld(50, 0.005, 0.02), { runs: 600 });
      expect(found.rollbackShare).toBeGreaterThanOrEqual(0.999);
      expect(found.rollbackSeconds).toBeLessThanOrEqual(95);
      expect(found.rollbackSecondsP95).toBeLessThanOrEqual(170);
    },
    CPU_MS,
  );
});

describe('what is promoted', () => {
  test(
    'ni.falsePromotion: a canary exactly at the margin is promoted within beta',
    () => {
      const { promoteShare } = cell(constantWorld(50, 0.005, 0.005), { runs: 600, promotionMargin: 0.005 });
      expect(promoteShare).toBeLessThanOrEqual(JUDGE_DEFAULTS.beta);
    },
    CPU_MS,
  );

  test.each([0.025, 0.05, 0.2, 0.9])(
    'ni.budget: +%d never costs more than the budget, within beta',
    excess => {
      for (const weights of [PLAN_A, PLAN_B]) {
        const random = createRandom(4);
        const world = constantWorld(50, 0.005, excess);
        const runs = Array.from({ length: 150 }, () => played(world, random, { runs: 1, weights }));
        const isOver = (run: Played) =>
          run.weights.slice(1).some(weight => (weight / 100) * excess > JUDGE_DEFAULTS.budget + 1e-12);
        expect(runs.filter(isOver).length / runs.length).toBeLessThanOrEqual(JUDGE_DEFAULTS.beta);
      }
    },
    CPU_MS,
  );

  test(
    'ni.goodCanaryTime: 50 rps at 0.1 % takes 320 s, with a short dwell 110 s',
    () => {
      const usual = cell(constantWorld(50, 0.001), { runs: 200 });
      expect(usual.promoteShare).toBe(1);
      expect(usual.promoteSeconds).toBeLessThanOrEqual(320);
      const fast = cell(constantWorld(50, 0.001), { runs: 200, minDwellMs: 15_000, promotionMargin: 0.01 });
      expect(fast.promoteSeconds).toBeLessThanOrEqual(110);
    },
    CPU_MS,
  );
});

describe('bursts', () => {
  const bursty = (rps: number, noise: Noise, pods = { canary: 2, primary: 10 }): World => ({
    ...constantWorld(rps, 0.005),
    noise,
    pods,
  });

  test(
    'dispersion.naiveFails: taken as independent, bursts roll back most good canaries',
    () => {
      const world = bursty(500, { kind: 'pods', icc: 0.05, shockMs: 5_000 });
      expect(cell(world, { runs: 100, isNaive: true }).rollbackShare).toBeGreaterThan(0.5);
    },
    CPU_MS,
  );

  test.each([
    ['ICC .01 / 5 s', { kind: 'pods', icc: 0.01, shockMs: 5_000 }],
    ['ICC .05 / 5 s', { kind: 'pods', icc: 0.05, shockMs: 5_000 }],
    ['ICC .005 / 60 s', { kind: 'pods', icc: 0.005, shockMs: 60_000 }],
    ['ICC .02 / 60 s', { kind: 'pods', icc: 0.02, shockMs: 60_000 }],
    ['clumps of 3', { kind: 'clumps', mean: 3 }],
  ] as [string, Noise][])(
    'dispersion.robust: %s, within alpha at 5, 50 and 500 rps',
    (_name, noise) => {
      const cells = [5, 50, 500].flatMap(rps =>
        [
          { canary: 2, primary: 10 },
          { canary: 4, primary: 4 },
        ].map(pods => cell(bursty(rps, noise, pods), { runs: 100, deadlineMs: 900_000 })),
      );
      expect(
        cells.reduce((sum, { rollbackShare }) => sum + rollbackShare, 0) / cells.length,
      ).toBeLessThanOrEqual(0.01);
    },
    CPU_MS,
  );
});

describe('latency', () => {
  const slow = (rps: number, slowdown: number, tailShare = 0): World => ({
    ...constantWorld(rps, 0.005),
    latency: { medianMs: 100, sigma: 0.5, buckets: ISTIO_BUCKETS, slowdown, tailShare },
  });

  test(
    'latency.tolerance: 1.1x is tolerated; 1.2x and a slow tail at 50 rps are not',
    () => {
      expect(cell(slow(50, 1.1), { runs: 200 }).rollbackShare).toBeLessThanOrEqual(0.01);
      expect(cell(slow(50, 1.2), { runs: 100 }).rollbackShare).toBeGreaterThanOrEqual(0.99);
      expect(cell(slow(50, 1, 0.02), { runs: 100 }).rollbackShare).toBeGreaterThanOrEqual(0.99);
    },
    CPU_MS,
  );

  test(
    'merge.alpha: failures and three latency bounds together stay within alpha',
    () => {
      for (const rps of [5, 50, 500]) {
        const merged = cell(slow(rps, 1), { runs: 150, deadlineMs: 900_000 });
        expect(merged.rollbackShare).toBeLessThanOrEqual(0.01);
      }
    },
    CPU_MS,
  );
});

test(
  'slo.boundary: a canary exactly on the bound is rolled back within alpha, one well beyond it is',
  () => {
    const bounds = [{ metric: 'request-success-rate' as const, share: 0.01 }];
    for (const rps of [5, 50, 500]) {
      const slo = { mode: 'slo' as const, bounds, deadlineMs: 900_000 };
      const on = cell(constantWorld(rps, 0.01), { ...slo, runs: 250 });
      expect(on.rollbackShare).toBeLessThanOrEqual(0.0125);
      expect(cell(constantWorld(rps, 0.01, 0.05), { ...slo, runs: 50 }).rollbackShare).toBe(1);
    }
  },
  CPU_MS,
);

test(
  'engine.bounded: every run ends by the deadline and skips no weight',
  () => {
    const settings = { deadlineMs: 600_000, onDeadline: 'hold' as const };
    const random = createRandom(9);
    const runs = [0, 0.003, 0.01, 0.05, 1].flatMap(excess =>
      Array.from({ length: 20 }, () =>
        played(constantWorld(20, 0.01, excess), random, { runs: 1, ...settings }),
      ),
    );
    for (const run of runs) {
      expect(run.ms).toBeLessThanOrEqual(settings.deadlineMs);
      expect(run.weights).toEqual(PLAN_A.slice(0, run.weights.length));
    }
    expect(summaryOf(runs).rollbackShare).toBeGreaterThan(0.2);
    expect(new Set(runs.map(run => run.outcome))).toContain('inconclusive');
  },
  CPU_MS,
);
