/**
 * E-values of one arm against an absolute bound, from the user's own threshold: likelihood ratios of fixed alternatives,
 * so that ticks may be grouped in any way without changing one bit of what they say. Pure.
 */
import { ALTERNATIVE_MAX } from './mixture.ts';
import { type Counts, rateOf } from './twoArm.ts';

/**
 * `log[(q/theta)^f ((1-q)/(1-theta))^(n-f)]`. With `q > theta` its expectation is at most 1 for every rate <= theta
 * (monotone likelihood ratio), with `q < theta` for every rate >= theta.
 */
export function sloLogE(counts: Counts, bound: number, alternative: number): number {
  const { total } = counts;
  if (!(total > 0)) return 0;
  const failures = Math.min(Math.max(counts.failures, 0), total);
  const theta = rateOf(bound);
  const q = rateOf(alternative);
  return failures * Math.log(q / theta) + (total - failures) * Math.log((1 - q) / (1 - theta));
}

/** `q_k = theta + d_k`. An alternative that is not above the bound bets nothing. */
export function alternativeOf(bound: number, effect: number): number {
  return Math.max(bound, Math.min(bound + effect, ALTERNATIVE_MAX));
}

/**
 * Rates below `bound + margin` that are bet on, half of the wealth each, when it has to be shown that a canary is not
 * at or beyond it: one on the bound, and one well within it, where healthy services are.
 */
export function withinAlternatives(bound: number): readonly [number, number] {
  return [bound, bound / 4];
}
