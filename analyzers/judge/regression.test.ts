import { expect, test } from 'vitest';
import golden from './golden.json' with { type: 'json' };
import { createRandom } from '../../simulator/api/random.ts';
import {
  constantWorld,
  createStream,
  DRIFTS,
  type StreamTick,
  type World,
} from '../../simulator/judging/streams.ts';
import { failureComparison, trial, trialOf, trials } from '../../simulator/judging/trial.ts';
import { baseRateOf, compared, type Evidence, logRegressionOf, NO_EVIDENCE } from './comparison.ts';
import { growthOf, informationBound } from './growth.ts';
import { FAILURE_EFFECTS, UNINVESTED, wagered } from './mixture.ts';
import { logSum } from './logDomain.ts';
import { tickLogE } from './twoArm.ts';

const HOUR_MS = 3_600_000;
const TICK_MS = 5_000;
const CPU_MS = 120_000;

function arm(total: number, failures: number) {
  return { total, failures, slow: [], pods: 1 };
}

function hourly(world: World, runs: number, alpha: number, weight = 0.1, rate = 0.005) {
  const random = createRandom(11);
  const comparison = failureComparison(rate);
  return trials(runs, () =>
    trial(world, { comparison, weight, tickMs: TICK_MS, lengthMs: HOUR_MS, alpha, random }),
  );
}

test('regression.golden: the 40-tick stream is met to 1e-6', () => {
  let evidence: Evidence = NO_EVIDENCE;
  golden.stream.forEach(([nC = 0, fC = 0, nP = 0, fP = 0, logE = 0], index) => {
    const [fromMs, toMs] = [index * TICK_MS, (index + 1) * TICK_MS];
    evidence = compared(failureComparison(0.005), evidence, {
      canary: arm(nC, fC),
      primary: arm(nP, fP),
      fromMs,
      toMs,
      stepMargin: 0.01,
      isWarmingUp: false,
    });
    expect(Math.abs(logRegressionOf(evidence, toMs) - logE)).toBeLessThan(1e-6);
  });
});

test(
  'regression.falseRollbackRate: a good canary is rolled back within alpha, looked at 720 times',
  () => {
    const { share } = hourly(constantWorld(50, 0.005), 400, 0.01);
    expect(share).toBeLessThanOrEqual(0.0125);
  },
  CPU_MS,
);

test.each(Object.entries(DRIFTS))(
  'regression.driftingBaseline: %s, within alpha',
  (_name, drift) => {
    const world = { ...constantWorld(50, 0.005), baseRate: drift(0.005) };
    expect(hourly(world, 250, 0.01, 0.3).share).toBeLessThanOrEqual(0.0125);
  },
  CPU_MS,
);

test('regression.lookInvariance: ticks of 60 s and of 5 s say the same within 6 %', () => {
  const random = createRandom(3);
  let difference = 0;
  const runs = 300;
  for (let run = 0; run < runs; run += 1) {
    const stream = createStream(constantWorld(50, 0.005, 0.02), [], random);
    const ticks = Array.from({ length: 60 }, (_, tick) =>
      stream.next(tick * TICK_MS, (tick + 1) * TICK_MS, 0.1),
    );
    const minutes = [0, 1, 2, 3, 4].map(minute => summed(ticks.slice(minute * 12, minute * 12 + 12)));
    const plan = { comparison: failureComparison(0.005), alpha: 0.01, isWhole: true };
    const often = trialOf(ticks, { ...plan, tickMs: TICK_MS }).logE;
    const seldom = trialOf(minutes, { ...plan, tickMs: 60_000 }).logE;
    difference += Math.abs(often - seldom) / Math.abs(often);
  }
  expect(difference / runs).toBeLessThan(0.06);
});

function summed(ticks: readonly StreamTick[]): StreamTick {
  const sum = (of: (tick: StreamTick) => number) => ticks.reduce((all, tick) => all + of(tick), 0);
  return {
    canary: arm(
      sum(tick => tick.canary.total),
      sum(tick => tick.canary.failures),
    ),
    primary: arm(
      sum(tick => tick.primary.total),
      sum(tick => tick.primary.failures),
    ),
    excessFailures: sum(tick => tick.excessFailures),
  };
}

/** Good until it breaks: delays after the break, of runs that were not rolled back before. */
function lateBreak(rps: number, excess: number, isRestarting: boolean): number {
  const breakMs = 150_000;
  const world = { ...constantWorld(rps, 0.005), excess: (atMs: number) => (atMs < breakMs ? 0 : excess) };
  const random = createRandom(5);
  const delays = Array.from({ length: 200 }, () => {
    const stream = createStream(world, [], random);
    let evidence: Evidence = NO_EVIDENCE;
    let onlyFirst: readonly number[] = UNINVESTED;
    for (let fromMs = 0; ; fromMs += TICK_MS) {
      const { canary, primary } = stream.next(fromMs, fromMs + TICK_MS, 0.3);
      const comparison = failureComparison(0.005);
      const rate = baseRateOf(comparison, evidence);
      onlyFirst = wagered(onlyFirst, fromMs === 0 ? 1 : 0, k =>
        tickLogE(
          canary,
          primary,
          { primary: rate, canary: Math.min(rate + 0.001 + (FAILURE_EFFECTS[k] ?? 0), 0.999) },
          comparison.margin,
        ),
      );
      const toMs = fromMs + TICK_MS;
      evidence = compared(comparison, evidence, {
        canary,
        primary,
        fromMs,
        toMs,
        stepMargin: 1,
        isWarmingUp: false,
      });
      const logE = isRestarting ? logRegressionOf(evidence, toMs) : logSum(onlyFirst);
      if (logE >= Math.log(100)) return toMs - breakMs;
    }
  }).filter(delay => delay > 0);
  return delays.reduce((sum, delay) => sum + delay, 0) / delays.length;
}

test(
  'regression.lateBreak: +5 pp after 150 good seconds is found in 30 s, and later without late bets',
  () => {
    const delay = lateBreak(50, 0.05, true);
    expect(delay).toBeLessThanOrEqual(30_000);
    expect(lateBreak(50, 0.05, false)).toBeGreaterThan(delay);
  },
  CPU_MS,
);

test(
  "regression.sharedIncident: 30 % for both is nobody's fault, and a later +5 pp is found in 60 s",
  () => {
    const incident = (atMs: number) => (atMs >= 60_000 && atMs < 120_000 ? 0.3 : 0.005);
    const shared = { ...constantWorld(50, 0.005), baseRate: incident };
    const random = createRandom(6);
    const plan = { comparison: failureComparison(0.005), weight: 0.3, tickMs: TICK_MS, alpha: 0.01, random };
    expect(trials(400, () => trial(shared, { ...plan, lengthMs: 600_000 })).share).toBeLessThanOrEqual(0.01);
    const broken = { ...shared, excess: (atMs: number) => (atMs < 150_000 ? 0 : 0.05) };
    const found = trials(300, () => trial(broken, { ...plan, lengthMs: HOUR_MS }));
    expect(found.share).toBe(1);
    expect(found.meanMs - 150_000).toBeLessThanOrEqual(60_000);
  },
  CPU_MS,
);

test.each([
  [0.005, 120],
  [0.01, 300],
  [0.02, 500],
])(
  'efficiency.boundRatio: +%d takes at most 1.7 times the two-sample bound',
  (excess, runs) => {
    const random = createRandom(8);
    const comparison = failureComparison(0.005, 0);
    const plan = { comparison, weight: 0.1, tickMs: 1_000, lengthMs: 2 * HOUR_MS, alpha: 0.01, random };
    const { meanRequests, share } = trials(runs, () => trial(constantWorld(50, 0.005, excess), plan));
    expect(share).toBe(1);
    const ratio = meanRequests / informationBound({ rate: 0.005, excess }, 0.01, 0.1);
    expect(ratio).toBeLessThanOrEqual(1.7);
    expect(ratio).toBeGreaterThan(1);
  },
  CPU_MS,
);

test('the information bound is the one of the tables', () => {
  expect(informationBound({ rate: 0.005, excess: 0.005 }, 0.01, 0.1)).toBeCloseTo(2707.7, 0);
  expect(informationBound({ rate: 0.001, excess: 0.02 }, 0.01, 0.5)).toBeCloseTo(408.2, 0);
  expect(growthOf({ rate: 0.005, excess: 0 }, 0.005, 0.1)).toBeGreaterThan(0);
});
