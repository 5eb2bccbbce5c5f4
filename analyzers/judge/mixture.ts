/**
 * Bets on six effect sizes and on every moment at which a regression may begin, merged into one e-process without
 * tuning: small, huge and late regressions are all found. It knows logarithms of wealth and times, no counts.
 */
import { logAdd, logSum } from './logDomain.ts';

/** Prior weights of the effect sizes, smallest effect first; they sum to 1. */
export const EFFECT_WEIGHTS = [0.25, 0.22, 0.19, 0.14, 0.1, 0.1] as const;
/** Excess over the margin, as shares of requests: failures, and requests slower than a bound. */
export const FAILURE_EFFECTS = [0.004, 0.01, 0.03, 0.1, 0.35, 0.98] as const;
export const SLOW_EFFECTS = [0.004, 0.012, 0.04, 0.1, 0.22, 0.45] as const;
/** The highest rate that is bet on. */
export const ALTERNATIVE_MAX = 0.999;

/** Share of the wealth that is bet from the first tick; it costs ln(1/0.7) = 0.36 nats against a regression of that time. */
export const FIRST_SHARE = 0.7;
/** The rest is invested over time, falling by e in 10 minutes: it keeps the test alive after a long good phase. */
const START_SCALE_MS = 600_000;

/** Nothing is invested before the first tick. */
export const UNINVESTED: readonly number[] = EFFECT_WEIGHTS.map(() => Number.NEGATIVE_INFINITY);

/**
 * Share of the wealth that is invested in the tick from `fromMs` to `toMs` (since the beginning of judging):
 * `pi = .7 [t = 0] + .3 (exp(-t/600 s) - exp(-(t+dt)/600 s))`. All shares of a process sum to less than 1.
 */
export function startShare(fromMs: number, toMs: number): number {
  return (fromMs === 0 ? FIRST_SHARE : 0) + laterShare(fromMs, toMs);
}

/** Without what is bet from the first tick. */
export function laterShare(fromMs: number, toMs: number): number {
  return (1 - FIRST_SHARE) * (Math.exp(-fromMs / START_SCALE_MS) - Math.exp(-toMs / START_SCALE_MS));
}

/** Adds a share of the wealth, split by the weights of the effect sizes. */
export function invested(logWealth: readonly number[], share: number): number[] {
  const logShare = Math.log(share);
  return EFFECT_WEIGHTS.map((weight, k) =>
    logAdd(logWealth[k] ?? Number.NEGATIVE_INFINITY, Math.log(weight) + logShare),
  );
}

/** `W_k <- (W_k + v_k pi) e_k`: what is invested before the tick takes part in it. */
export function wagered(
  logWealth: readonly number[],
  share: number,
  logEOf: (index: number) => number,
): number[] {
  return invested(logWealth, share).map((log, k) => log + logEOf(k));
}

/**
 * `log E`, with `E = sum_k W_k + (1 - sum pi)`. E starts at 1 and is a nonnegative supermartingale under the null, so
 * that P(E ever reaches 1/alpha) <= alpha for any number of looks (Ville 1939).
 * @param sinceMs time since the beginning of judging that has been invested
 */
export function logEvidenceOf(logWealth: readonly number[], sinceMs: number): number {
  const isBegun = logWealth.some(log => log > Number.NEGATIVE_INFINITY);
  if (!isBegun) return 0;
  const logCash = Math.log(1 - FIRST_SHARE) - sinceMs / START_SCALE_MS;
  return logAdd(logSum(logWealth), logCash);
}
