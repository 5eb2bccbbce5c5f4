/**
 * Latency as shares of requests slower than three bounds of the histogram, near the primary's p50, p90 and p99, and how
 * much larger a share is tolerated at each. Chosen from the primary's history before the rollout, and fixed. Pure.
 */

/** A cumulative histogram: requests that took at most as long. Sorted, the last bound is Infinity. */
export type Histogram = readonly { upperMs: number; count: number }[];

export interface LatencyBound {
  upperMs: number;
  /** Share of the primary's requests that were slower. */
  share: number;
  /** Excess share that the regression test tolerates: what a slowdown by `tolerance` would do. */
  margin: number;
  /** Excess share that must be excluded before traffic rises: what a slowdown by `promotionTolerance` would do. */
  promotionMargin: number;
  /** Weight of this bound inside latency. */
  weight: number;
}

/** Evidence of the three bounds is averaged with these weights; they are renormalised when there are fewer bounds. */
const WEIGHTS = [0.4, 0.35, 0.25] as const;
const QUANTILES = [0.5, 0.9] as const;
/** The third bound is the first one with at most this share above it. */
const TAIL_SHARE = 0.015;
/** Floors of the margins. */
const MARGIN_MIN = 0.001;
const PROMOTION_MARGIN_MIN = 0.01;
/** Inside a bucket the share falls linearly if it falls by less than this factor, otherwise as a power of the latency. */
const STEEP = 3;
/** A power law inside a bucket is a guess, so that what it gives is widened. */
const STEEP_WIDENING = 1.5;
/** History shorter than this says nothing about latency. */
const OBSERVATIONS_MIN = 20;

export interface Tolerance {
  /** 1.1: ten percent slower is tolerated. */
  tolerance: number;
  promotionTolerance: number;
}

/** @returns at most three bounds, rising; none where the histogram says too little */
export function latencyBounds(
  histogram: Histogram,
  { tolerance, promotionTolerance }: Tolerance,
): LatencyBound[] {
  const total = histogram.at(-1)?.count ?? 0;
  if (total < OBSERVATIONS_MIN) return [];
  const uppers = histogram.filter(({ upperMs }) => Number.isFinite(upperMs)).map(({ upperMs }) => upperMs);
  const shareAbove = (upperMs: number) => slower(histogram, upperMs).share;
  const chosen: number[] = [];
  for (const quantile of QUANTILES) {
    const nearest = nearestTo(quantile, uppers, shareAbove);
    if (nearest !== undefined && !chosen.includes(nearest)) chosen.push(nearest);
  }
  const tail = uppers.find(upper => shareAbove(upper) <= TAIL_SHARE && !chosen.includes(upper));
  if (tail !== undefined) chosen.push(tail);
  const weights = WEIGHTS.slice(0, chosen.length);
  const sum = weights.reduce((all, weight) => all + weight, 0);
  return chosen
    .sort((a, b) => a - b)
    .map((upperMs, index) => ({
      upperMs,
      share: shareAbove(upperMs),
      margin: Math.max(MARGIN_MIN, excessOf(histogram, upperMs, tolerance)),
      promotionMargin: Math.max(PROMOTION_MARGIN_MIN, excessOf(histogram, upperMs, promotionTolerance)),
      weight: (weights[index] ?? 0) / sum,
    }));
}

/** The bound whose share is nearest to the quantile in logit; bounds that nothing or everything exceeds are none. */
function nearestTo(
  quantile: number,
  uppers: readonly number[],
  shareAbove: (upperMs: number) => number,
): number | undefined {
  const wanted = logit(1 - quantile);
  let nearest: number | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const upper of uppers) {
    const share = shareAbove(upper);
    if (share <= 0 || share >= 1) continue;
    const distance = Math.abs(logit(share) - wanted);
    if (distance < least) {
      least = distance;
      nearest = upper;
    }
  }
  return nearest;
}

function logit(share: number): number {
  return Math.log(share / (1 - share));
}

/** `S(L/tol) - S(L)`, widened where it had to be guessed inside a steep bucket. */
function excessOf(histogram: Histogram, upperMs: number, tolerance: number): number {
  const at = slower(histogram, upperMs / tolerance);
  return (at.share - slower(histogram, upperMs).share) * (at.isSteep ? STEEP_WIDENING : 1);
}

/**
 * Share of requests slower than a latency. Between two bounds it is linear where it falls by less than 3x, else linear in
 * logarithms: linear interpolation in a steep bucket made the margin 7 pp instead of 1.7 pp and missed every regression
 * of the tail, and the power law without widening rolled back 84 % of canaries that were exactly at the tolerance.
 */
function slower(histogram: Histogram, latencyMs: number): { share: number; isSteep: boolean } {
  const total = histogram.at(-1)?.count ?? 0;
  const above = histogram.findIndex(({ upperMs }) => upperMs >= latencyMs);
  const upper = histogram[above];
  if (!upper || total <= 0) return { share: 0, isSteep: false };
  const lower = histogram[above - 1] ?? { upperMs: 0, count: 0 };
  const [high, low] = [1 - lower.count / total, Math.max(0, 1 - upper.count / total)];
  if (upper.upperMs === latencyMs || !Number.isFinite(upper.upperMs)) {
    return { share: upper.upperMs === latencyMs ? low : high, isSteep: false };
  }
  if (lower.upperMs <= 0 || high < STEEP * low || high <= 0) {
    const part = (latencyMs - lower.upperMs) / (upper.upperMs - lower.upperMs);
    return { share: high + (low - high) * part, isSteep: false };
  }
  // Nobody was slower than the upper bound: half a request stands for what was not seen.
  const [logHigh, logLow] = [Math.log(high), Math.log(Math.max(low, 0.5 / total))];
  const part = Math.log(latencyMs / lower.upperMs) / Math.log(upper.upperMs / lower.upperMs);
  return { share: Math.exp(logHigh + (Math.min(logLow, logHigh) - logHigh) * part), isSteep: true };
}
