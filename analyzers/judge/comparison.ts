/**
 * One kind of outcome (failed, or slower than one bound) of the canary, compared with the primary or with the user's
 * bound: two e-processes side by side, one that asks to roll back, one that allows to advance. What is compared is fixed
 * before the rollout; what moves is plain numbers. Pure.
 */
import type { ArmCounts } from './counters.ts';
import { type Dispersion, dispersionOf } from './dispersion.ts';
import { logAdd } from './logDomain.ts';
import {
  ALTERNATIVE_MAX,
  FAILURE_EFFECTS,
  logEvidenceOf,
  SLOW_EFFECTS,
  startShare,
  UNINVESTED,
  wagered,
} from './mixture.ts';
import { alternativeOf, sloLogE, withinAlternatives } from './slo.ts';
import { type Counts, type Margin, tickLogE } from './twoArm.ts';

/** Fixed before the rollout. Rates and margins are shares of requests. */
export interface Comparison {
  metric: 'request-success-rate' | 'request-duration';
  /** Index of the latency bound; undefined: failures are compared. */
  slow: number | undefined;
  /** The latency bound, milliseconds. */
  upperMs: number | undefined;
  /** Weight in the merged evidence; all of a judgement's sum to 1. */
  weight: number;
  /** The user's bound; undefined: the primary is what the canary is compared with. */
  bound: number | undefined;
  /** Tolerated regression against the primary. */
  margin: Margin;
  /** Excess that has to be excluded before the promotion. */
  promotionMargin: number;
  /** Whether traffic waits until it is. */
  mustBeShown: boolean;
  /** The primary's rate in its history, and how many requests it is worth. */
  base: { rate: number; weight: number };
  /** Of the primary's history; undefined: it could not be told. */
  dispersion: Dispersion | undefined;
}

/** What moves. */
export interface Evidence {
  /** Logarithms of the wealth on each effect size, for the regression. */
  logWealth: readonly number[];
  /** The primary's recent counts, by which the next bet is chosen. */
  recent: Counts;
  /** Logarithms of the two products against the opposite null, since the step began. */
  logShown: readonly [number, number];
  /** The most that they have shown together in this step. */
  logShownMost: number;
  /** Everything since judging began, for people. */
  canary: Counts;
  primary: Counts;
  /** Dispersions that the last tick used. */
  dispersion: { canary: number; primary: number };
}

const NOTHING: Counts = { total: 0, failures: 0 };

export const NO_EVIDENCE: Evidence = {
  logWealth: UNINVESTED,
  recent: NOTHING,
  logShown: [0, 0],
  logShownMost: 0,
  canary: NOTHING,
  primary: NOTHING,
  dispersion: { canary: 1, primary: 1 },
};

export interface ComparedTick {
  canary: ArmCounts;
  primary: ArmCounts;
  /** Times since judging began, milliseconds. */
  fromMs: number;
  toMs: number;
  /** Excess that has to be excluded in this step. */
  stepMargin: number;
  /** The canary warms up: its outcomes are not looked at. */
  isWarmingUp: boolean;
}

/** Half of what the primary's recent counts weigh is two minutes old at most. */
const HALF_LIFE_MS = 120_000;
/** A primary without any failure is not taken to be perfect. */
const BASE_RATE_MIN = 1e-5;
/** Share of the step's margin that the second, more cautious bet leaves between the arms. */
const CAUTIOUS_SHARE = 1 / 3;

/** The step begins anew: nothing has been shown in it yet. Evidence of a regression stays. */
export function atNewStep(evidence: Evidence): Evidence {
  return { ...evidence, logShown: [0, 0], logShownMost: 0 };
}

export function compared(comparison: Comparison, evidence: Evidence, tick: ComparedTick): Evidence {
  const { fromMs, toMs } = tick;
  const raw = { canary: countsOf(comparison, tick.canary), primary: countsOf(comparison, tick.primary) };
  const dispersion = {
    canary: dispersionOf(comparison.dispersion, raw.canary.total, tick.canary.pods, toMs - fromMs),
    primary: dispersionOf(comparison.dispersion, raw.primary.total, tick.primary.pods, toMs - fromMs),
  };
  const canary = tick.isWarmingUp ? NOTHING : divided(raw.canary, dispersion.canary);
  const primary = divided(raw.primary, dispersion.primary);
  const bets = betsOf(comparison, evidence, canary, primary, tick.stepMargin);
  const logShown: [number, number] = [
    evidence.logShown[0] + bets.shown[0](),
    evidence.logShown[1] + bets.shown[1](),
  ];
  return {
    logWealth: wagered(evidence.logWealth, startShare(fromMs, toMs), bets.regression),
    // After the tick's own bets: a bet must not know the outcomes that it is placed on.
    recent: faded(evidence.recent, raw.primary, toMs - fromMs),
    logShown,
    logShownMost: Math.max(evidence.logShownMost, logAdd(logShown[0], logShown[1]) - Math.LN2),
    canary: tick.isWarmingUp ? evidence.canary : plus(evidence.canary, raw.canary),
    primary: tick.isWarmingUp ? evidence.primary : plus(evidence.primary, raw.primary),
    dispersion,
  };
}

/**
 * Regression: `t_P = (kappa p_hist + F) / (kappa + N)`, `t_C = min(ratio t_P + offset + d_k, .999)`.
 * Non-inferiority against `p_C >= p_P + m`: half on `t_C = t_P`, half on `t_C = t_P + m/3`. Against the user's bound the
 * same two questions are asked of the canary alone: `p_C <= theta`, and `p_C >= theta + m`.
 */
function betsOf(
  comparison: Comparison,
  evidence: Evidence,
  canary: Counts,
  primary: Counts,
  stepMarginOffset: number,
): { regression: (k: number) => number; shown: readonly [() => number, () => number] } {
  const effects = comparison.slow === undefined ? FAILURE_EFFECTS : SLOW_EFFECTS;
  const { bound, margin } = comparison;
  if (bound !== undefined) {
    const excluded = bound + stepMarginOffset;
    const [onBound, within] = withinAlternatives(bound);
    return {
      regression: k => sloLogE(canary, bound, alternativeOf(bound, effects[k] ?? 0)),
      shown: [() => sloLogE(canary, excluded, onBound), () => sloLogE(canary, excluded, within)],
    };
  }
  const rate = baseRateOf(comparison, evidence);
  const worst = margin.ratio * rate + margin.offset;
  const against = { ratio: 1, offset: stepMarginOffset };
  const shown = (excess: number) => () =>
    tickLogE(canary, primary, { primary: rate, canary: rate + excess }, against);
  return {
    regression: k => {
      const alternative = { primary: rate, canary: Math.min(worst + (effects[k] ?? 0), ALTERNATIVE_MAX) };
      // Beyond .999 the alternative would fall on the other side of the margin, where it bets on the opposite.
      return alternative.canary > worst ? tickLogE(canary, primary, alternative, margin) : 0;
    },
    shown: [shown(0), shown(stepMarginOffset * CAUTIOUS_SHARE)],
  };
}

export function baseRateOf({ base }: Comparison, { recent }: Evidence): number {
  const weight = base.weight + recent.total;
  return weight > 0
    ? Math.max(BASE_RATE_MIN, (base.weight * base.rate + recent.failures) / weight)
    : base.rate;
}

/** `log E` of the regression. @param sinceMs time since judging began */
export function logRegressionOf(evidence: Evidence, sinceMs: number): number {
  return logEvidenceOf(evidence.logWealth, sinceMs);
}

function countsOf({ slow }: Comparison, counts: ArmCounts): Counts {
  const failures = slow === undefined ? counts.failures : (counts.slow[slow] ?? 0);
  return { total: counts.total, failures: Math.min(failures, counts.total) };
}

function divided({ total, failures }: Counts, by: number): Counts {
  return { total: total / by, failures: failures / by };
}

function faded(recent: Counts, now: Counts, tickMs: number): Counts {
  const kept = 2 ** (-tickMs / HALF_LIFE_MS);
  return { total: recent.total * kept + now.total, failures: recent.failures * kept + now.failures };
}

function plus(a: Counts, b: Counts): Counts {
  return { total: a.total + b.total, failures: a.failures + b.failures };
}
