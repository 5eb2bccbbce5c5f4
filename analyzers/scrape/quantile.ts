/** A quantile of a histogram with cumulative buckets, computed as Prometheus's `histogram_quantile` does. Pure. */

export interface Bucket {
  /** Upper bound, inclusive; the last one is Infinity. */
  upper: number;
  /** Observations at or below it: cumulative. */
  count: number;
}

/**
 * @param quantile between 0 and 1
 * @param buckets in any order, each bound once
 * @returns in the unit of the bounds; NaN without observations or without a bucket for everything above
 * Source: `bucketQuantile` in prometheus/promql/quantile.go. Observations are taken as spread evenly within a bucket;
 * the quantile of the last bucket is its lower bound, because nothing is known above it.
 */
export function histogramQuantile(quantile: number, buckets: readonly Bucket[]): number {
  const sorted = monotonic([...buckets].sort((a, b) => a.upper - b.upper));
  const last = sorted.at(-1);
  const beforeLast = sorted.at(-2);
  if (!last || !beforeLast || last.upper !== Number.POSITIVE_INFINITY || last.count === 0) return Number.NaN;
  let rank = quantile * last.count;
  const index = sorted.findIndex(bucket => bucket.count >= rank);
  const bucket = sorted[index];
  if (!bucket || bucket === last) return beforeLast.upper;
  const below = sorted[index - 1];
  // Bounds at or below zero: the lowest bucket has no lower bound to start from.
  if (!below && bucket.upper <= 0) return bucket.upper;
  const start = below?.upper ?? 0;
  const count = bucket.count - (below?.count ?? 0);
  rank -= below?.count ?? 0;
  return start + (bucket.upper - start) * (rank / count);
}

/** Buckets are read one after another while requests come in, so that a higher one may lag: it takes the lower one's count. */
function monotonic(sorted: readonly Bucket[]): Bucket[] {
  let highest = 0;
  return sorted.map(({ upper, count }) => {
    highest = Math.max(highest, count);
    return { upper, count: highest };
  });
}
