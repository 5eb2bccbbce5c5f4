/** One comparison over a request stream at a constant weight, to measure an e-process by itself: no steps, no verdicts. */
import {
  type Comparison,
  compared,
  type Evidence,
  logRegressionOf,
  NO_EVIDENCE,
} from '../../analyzers/judge/comparison.ts';
import type { Uniform } from './draws.ts';
import { createStream, type StreamTick, type World } from './streams.ts';

export interface Trial {
  /** When the evidence first reached 1/alpha; undefined if it did not. */
  crossedMs: number | undefined;
  /** Canary requests until then, or until the end. */
  canaryRequests: number;
  /** `log E` at the end. */
  logE: number;
}

export interface TrialPlan {
  comparison: Comparison;
  weight: number;
  tickMs: number;
  lengthMs: number;
  alpha: number;
  random: Uniform;
  /** Goes on after the crossing. */
  isWhole?: boolean;
}

/** Failures against the primary, with a dispersion of 1 and the base rate of the world. */
export function failureComparison(rate: number, offset = 0.001): Comparison {
  return {
    metric: 'request-success-rate',
    slow: undefined,
    upperMs: undefined,
    weight: 1,
    bound: undefined,
    margin: { ratio: 1, offset },
    promotionMargin: 0.005,
    mustBeShown: true,
    base: { rate, weight: 300 },
    dispersion: { icc: 0, clumping: 1 },
  };
}

export function trial(world: World, plan: TrialPlan): Trial {
  const { weight, tickMs, lengthMs } = plan;
  const stream = createStream(world, [], plan.random);
  const ticks = function* () {
    for (let atMs = 0; atMs < lengthMs; atMs += tickMs) yield stream.next(atMs, atMs + tickMs, weight);
  };
  return trialOf(ticks(), plan);
}

/** The same over given ticks. */
export function trialOf(
  ticks: Iterable<StreamTick>,
  plan: Omit<TrialPlan, 'weight' | 'lengthMs' | 'random'>,
): Trial {
  const { comparison, tickMs, alpha } = plan;
  let evidence: Evidence = NO_EVIDENCE;
  let [atMs, canaryRequests, logE] = [0, 0, 0];
  let crossedMs: number | undefined;
  for (const { canary, primary } of ticks) {
    evidence = compared(comparison, evidence, {
      canary,
      primary,
      fromMs: atMs,
      toMs: atMs + tickMs,
      stepMargin: comparison.promotionMargin,
      isWarmingUp: false,
    });
    atMs += tickMs;
    if (crossedMs === undefined) canaryRequests += canary.total;
    logE = logRegressionOf(evidence, atMs);
    if (crossedMs === undefined && logE >= Math.log(1 / alpha)) crossedMs = atMs;
    if (crossedMs !== undefined && !plan.isWhole) break;
  }
  return { crossedMs, canaryRequests, logE };
}

export function trials(
  runs: number,
  run: () => Trial,
): { share: number; meanMs: number; meanRequests: number } {
  const all = Array.from({ length: runs }, run);
  const crossed = all.flatMap(({ crossedMs }) => (crossedMs === undefined ? [] : [crossedMs]));
  return {
    share: crossed.length / runs,
    meanMs: crossed.reduce((sum, ms) => sum + ms, 0) / crossed.length,
    meanRequests: all.reduce((sum, { canaryRequests }) => sum + canaryRequests, 0) / runs,
  };
}
