/** How fast evidence grows in the mean, for plans and for sentences: information, no data. Pure. */
import { FIRST_SHARE, EFFECT_WEIGHTS, FAILURE_EFFECTS } from './mixture.ts';
import { alternativeOf, sloLogE, withinAlternatives } from './slo.ts';
import { tickLogE } from './twoArm.ts';

/** True rates: of the primary, and what the canary fails more. */
export interface Truth {
  rate: number;
  excess: number;
}

/**
 * Nats for each canary request that show the excess to be below a margin:
 * `KL* = min_a [KL(p||a+m) + (1-w)/w KL(p||a)]`. The bet on the truth itself grows by just that, so that no second
 * minimisation is needed.
 * @param weight the canary's share of the requests, between 0 and 1 (exclusive)
 */
export function growthOf({ rate, excess }: Truth, margin: number, weight: number): number {
  return growth({ rate, excess }, rate + excess, margin, weight);
}

function growth({ rate, excess }: Truth, bet: number, margin: number, weight: number): number {
  const canary = { total: 1, failures: Math.min(1, rate + excess) };
  const others = (1 - weight) / weight;
  const primary = { total: others, failures: others * rate };
  return tickLogE(canary, primary, { primary: rate, canary: bet }, { ratio: 1, offset: margin });
}

/**
 * The effect sizes that grow towards a rollback, with what each has to win: `ln(1/alpha) + ln(1/(v_k * 0.7))` nats, at so
 * many nats for each canary request.
 */
export function rollbackGrowth(
  truth: Truth,
  margin: number,
  alpha: number,
  weight: number,
): { nats: number; growth: number }[] {
  return FAILURE_EFFECTS.map((effect, k) => ({
    nats: natsOf(alpha, k),
    growth: growth(truth, Math.min(truth.rate + margin + effect, 0.999), margin, weight),
  }));
}

function natsOf(alpha: number, k: number): number {
  return Math.log(1 / alpha) + Math.log(1 / ((EFFECT_WEIGHTS[k] ?? 1) * FIRST_SHARE));
}

/** The same two questions against the user's bound, which only the canary's requests answer. Rates are shares. */
export function boundGrowthOf(rate: number, bound: number, margin: number): number {
  const one = { total: 1, failures: Math.min(1, rate) };
  return Math.max(...withinAlternatives(bound).map(within => sloLogE(one, bound + margin, within)));
}

export function boundRollbackGrowth(
  rate: number,
  bound: number,
  alpha: number,
): { nats: number; growth: number }[] {
  const one = { total: 1, failures: Math.min(1, rate) };
  return FAILURE_EFFECTS.map((effect, k) => ({
    nats: natsOf(alpha, k),
    growth: sloLogE(one, bound, alternativeOf(bound, effect)),
  }));
}

/**
 * The two-sample information bound: canary requests that any test with error alpha needs in the mean,
 * `ln(1/alpha) / min_a [KL(p_C||a) + (1-w)/w KL(p_P||a)]`. Source: Wald's inequality with the null at equal rates.
 */
export function informationBound(truth: Truth, alpha: number, weight: number): number {
  return Math.log(1 / alpha) / growthOf(truth, 0, weight);
}
