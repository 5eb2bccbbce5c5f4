/**
 * The whole mathematics of one tick: a betting e-value for two Bernoulli arms against a linear null. It knows four
 * numbers and one alternative, and nothing of time, metrics or verdicts. Never NaN, never infinite.
 */

/** What one arm counted. Real numbers: dispersion divides counts. */
export interface Counts {
  total: number;
  /** Failed, or slower than a bound: at most `total`. */
  failures: number;
}

/** The null hypothesis is `p_canary <= ratio * p_primary + offset`; rates are shares of requests. */
export interface Margin {
  ratio: number;
  offset: number;
}

/** Rates that the bet is placed on. Chosen before the tick's outcomes are known; validity needs nothing else of it. */
export interface Alternative {
  primary: number;
  canary: number;
}

/** Rates at 0 or 1 would make one outcome impossible, and one such outcome would end the evidence for good. */
export const RATE_MIN = 1e-9;
export const RATE_MAX = 1 - 1e-9;
/** Less than this is no request: divided counts of one are far above it. */
const COUNT_MIN = 1e-6;
/** The most of a stake that one outcome may take away: a factor of 0 could never recover. */
const LOSS_MAX = 1 - 1e-9;
/** Regula falsi needs about ten steps; the bound is for what nobody has thought of. */
const ROOT_STEPS_MAX = 60;
const ROOT_TOLERANCE = 1e-15;

/**
 * Natural logarithm of the tick's e-value.
 *
 *     a   root of  ratio*n_C*(t_C-c)/(c(1-c)) = n_P*(a-t_P)/(a(1-a)),  c = ratio*a + offset
 *     g_C = (t_C-c)/(c(1-c))          g_P = ratio*g_C*n_C/n_P
 *     log e = f_C log(1+g_C(1-c)) + (n_C-f_C) log(1-g_C c) + f_P log(1-g_P(1-a)) + (n_P-f_P) log(1+g_P a)
 *
 * With `t_C` above the margin it tests `p_C <= ratio*p_P + offset` (regression); with `t_C` below it, the opposite null
 * `p_C >= ratio*p_P + offset` (non-inferiority). Its expectation under the null is at most 1 for every p_P, every
 * alternative and every a (AM-GM inside an arm, then (1+x/n)^n <= e^x), so that the root buys power, never validity.
 * Source: Turner, Ly, Gruenwald, "Generic E-variables for exact sequential k-sample tests", JSPI 230 (2024), with the
 * linear null of Turner and Gruenwald, arXiv 2203.09785.
 *
 * @returns 0 (no evidence) when an arm counted nothing or the alternative lies on the margin
 */
export function tickLogE(canary: Counts, primary: Counts, alternative: Alternative, margin: Margin): number {
  const { total: nC } = canary;
  const { total: nP } = primary;
  if (!(nC > COUNT_MIN) || !(nP > COUNT_MIN)) return 0;
  const fC = Math.min(Math.max(canary.failures, 0), nC);
  const fP = Math.min(Math.max(primary.failures, 0), nP);
  const { ratio, offset } = margin;
  const tP = rateOf(alternative.primary);
  const tC = rateOf(alternative.canary);
  const a = projectionOf(nC, nP, tP, tC, ratio, offset);
  if (a === undefined) return 0;
  const c = ratio * a + offset;
  let gC = (tC - c) / (c * (1 - c));
  let gP = (ratio * gC * nC) / nP;
  const loss = Math.max(gC * c, -gC * (1 - c), gP * (1 - a), -gP * a);
  if (loss > LOSS_MAX) {
    gC *= LOSS_MAX / loss;
    gP *= LOSS_MAX / loss;
  }
  return (
    times(fC, gC * (1 - c)) + times(nC - fC, -gC * c) + times(fP, -gP * (1 - a)) + times(nP - fP, gP * a)
  );
}

/** `count * log(1 + stake)`, and 0 without a count whatever the stake. */
function times(count: number, stake: number): number {
  return count > 0 ? count * Math.log1p(stake) : 0;
}

export function rateOf(rate: number): number {
  return Math.min(Math.max(rate, RATE_MIN), RATE_MAX);
}

/**
 * The primary's rate of the null's member that is nearest to the alternative (in likelihood, for these sample sizes).
 * The function falls from one end of the bracket to the other on both sides of the margin. Illinois' regula falsi.
 */
function projectionOf(
  nC: number,
  nP: number,
  tP: number,
  tC: number,
  ratio: number,
  offset: number,
): number | undefined {
  const onMargin = (tC - offset) / ratio;
  const least = Math.max(RATE_MIN, (RATE_MIN - offset) / ratio);
  const most = Math.min(RATE_MAX, (RATE_MAX - offset) / ratio);
  let low = Math.max(least, Math.min(tP, onMargin));
  let high = Math.min(most, Math.max(tP, onMargin));
  if (!(low < high)) return undefined;
  const slope = (a: number): number => {
    const c = ratio * a + offset;
    return (ratio * nC * (tC - c)) / (c * (1 - c)) - (nP * (a - tP)) / (a * (1 - a));
  };
  let atLow = slope(low);
  let atHigh = slope(high);
  if (atLow <= 0) return low;
  if (atHigh >= 0) return high;
  for (let step = 0; step < ROOT_STEPS_MAX; step += 1) {
    let a = (low * atHigh - high * atLow) / (atHigh - atLow);
    if (!(a > low && a < high)) a = (low + high) / 2;
    const at = slope(a);
    if (at === 0 || high - low < ROOT_TOLERANCE * high) return a;
    if (at > 0) {
      low = a;
      atLow = at;
      atHigh /= 2;
    } else {
      high = a;
      atHigh = at;
      atLow /= 2;
    }
  }
  return (low + high) / 2;
}
