/**
 * What raw counters can show at most against a canary, by bounds that hold for every judge that keeps its promise: log
 * evidence is never more than the information that the counts hold about the alternative that fits them best. Formulas
 * of its own; it shares no code with the engine's judge. Pure.
 */
import type { Json } from '../../api/json.ts';
import { BOUNDS_MS } from '../proxies.ts';
import type { Stretch, Tally } from '../readings.ts';
import { judgeModeOf } from './reading.ts';

/** What is counted of a tally: failed requests, or those slower than a bound. */
type Count = (tally: Tally) => number;

const failed: Count = tally => tally.failed;
const slowerThan =
  (index: number): Count =>
  tally =>
    Math.min(tally.total, tally.slow[index] ?? 0);

export interface Bound {
  /** Share of requests that may be so. */
  share: number;
  count: Count;
}

/** Bounds of built-in metrics that counters can be held against, as their descriptions in the CRD say. */
export function boundsOf(spec: Json): Bound[] {
  const metrics: Json[] = spec.analysis?.metrics ?? [];
  return metrics.flatMap((metric): Bound[] => {
    const { thresholdRange: range, threshold = 0, name } = metric;
    if (name === 'request-success-rate') {
      const min: number | undefined = range ? range.min : threshold;
      return min !== undefined && min > 0 ? [{ share: Math.max(0, 1 - min / 100), count: failed }] : [];
    }
    const max: number | undefined = range ? range.max : threshold;
    if (name !== 'request-duration' || max === undefined) return [];
    const index = BOUNDS_MS.findIndex(bound => bound >= max);
    return Number.isFinite(BOUNDS_MS[index]) ? [{ share: 0.01, count: slowerThan(index) }] : [];
  });
}

/** Why these counts are no reason to end a run of this spec; undefined when they are one. */
export function unfounded(stretches: readonly Stretch[], spec: Json): string | undefined {
  const judge: Json = spec.analysis?.judge ?? {};
  const mode = judgeModeOf(spec);
  if (mode === 'threshold') {
    const { enabled = true, alpha = 0.001, requests = 10, evaluations = 2 } = judge.guard ?? {};
    if (!enabled) return 'the guard is off';
    const most = mostBeyond(stretches, boundsOf(spec), { requests, evaluations });
    return enough(most, alpha, 'beyond the bounds');
  }
  const { alpha = 0.01, regression = 0.1 } = judge;
  if (mode === 'slo')
    return enough(
      mostBeyond(stretches, boundsOf(spec), { requests: 1, evaluations: 1 }),
      alpha,
      'beyond the bounds',
    );
  return enough(mostAbove(stretches, regression / 100), alpha, 'above the primary');
}

/** What a step rests on at least. */
export interface Shown {
  /** Highest probability that a canary at the margin gets more traffic. */
  beta: number;
  /** Share of failures in excess that has to be excluded. */
  margin: number;
}

/** The most lenient that this spec can be read. @param nextWeight percent; undefined: the promotion */
export function shownOf(spec: Json, nextWeight: number | undefined): Shown {
  const { beta = 0.05, promotionMargin = 1, budget = 1 } = spec.analysis?.judge ?? {};
  const ofStep = nextWeight === undefined ? 0 : budget / nextWeight;
  return { beta, margin: Math.max(promotionMargin / 100, ofStep) };
}

/** Why these counts are not enough for a step of this spec; undefined when they are. */
export function unshown(
  stretches: readonly Stretch[],
  spec: Json,
  { beta, margin }: Shown,
): string | undefined {
  const needed = Math.log(1 / beta);
  const mosts =
    judgeModeOf(spec) === 'slo'
      ? boundsOf(spec).map(bound => mostWithin(stretches, bound, margin))
      : [mostBelow(stretches, margin)];
  const least = Math.min(...mosts);
  return least >= needed - 1e-6
    ? undefined
    : `counters show ${least.toFixed(2)} that the canary is not worse by ${margin}, and ${needed.toFixed(2)} is needed`;
}

function mostWithin(stretches: readonly Stretch[], { share, count }: Bound, margin: number): number {
  return stretches.reduce((sum, { canary }) => {
    const of = canary.total === 0 ? 1 : count(canary) / canary.total;
    return of < share + margin ? sum + canary.total * divergence(of, Math.min(1, share + margin)) : sum;
  }, 0);
}

/** As `mostAbove`, of the opposite: the canary is above the primary by `margin` or more. */
function mostBelow(stretches: readonly Stretch[], margin: number): number {
  return stretches.reduce((sum, { canary, primary }) => sum + lack(canary, primary, margin), 0);
}

function lack(canary: Tally, primary: Tally, margin: number): number {
  if (canary.total === 0) return 0;
  const ofCanary = canary.failed / canary.total;
  const ofPrimary = primary.total === 0 ? Math.max(0, ofCanary - margin) : primary.failed / primary.total;
  if (ofCanary >= ofPrimary + margin) return 0;
  return least(
    Math.max(0, ofCanary - margin),
    ofPrimary,
    p =>
      canary.total * divergence(ofCanary, Math.min(1, p + margin)) + primary.total * divergence(ofPrimary, p),
  );
}

function enough(most: number, alpha: number, what: string): string | undefined {
  const needed = Math.log(1 / alpha);
  return most >= needed - 1e-6
    ? undefined
    : `counters show ${most.toFixed(2)} that the canary is ${what}, and ${needed.toFixed(2)} is needed`;
}

/**
 * A product of likelihood ratios against a fixed bound, bet from any moment on, is at most `n KL(x/n, bound)` of what was
 * counted from that moment on; and an average of such products is at most the greatest of them.
 */
function mostBeyond(
  stretches: readonly Stretch[],
  bounds: readonly Bound[],
  after: { requests: number; evaluations: number },
): number {
  let most = 0;
  for (const { share, count } of bounds) {
    for (let end = stretches.length - 1; end >= 0; end--) {
      const sum = { n: 0, x: 0, primary: 0, primaryX: 0, evaluations: 0 };
      for (let begin = end; begin >= 0; begin--) {
        const { canary, primary } = stretches[begin]!;
        const x = count(canary);
        sum.n += canary.total;
        sum.x += x;
        sum.primary += primary.total;
        sum.primaryX += count(primary);
        if (x > share * canary.total) sum.evaluations += 1;
        if (sum.n < after.requests || sum.evaluations < after.evaluations) continue;
        // A shared incident is nobody's fault.
        if (sum.x * sum.primary < sum.primaryX * sum.n) continue;
        if (sum.x > share * sum.n) most = Math.max(most, sum.n * divergence(sum.x / sum.n, share));
      }
    }
  }
  return most;
}

/**
 * Of each stretch of time, at most the information against the best of all pairs of rates in which the canary is not
 * above the primary by more than `offset`; together, at most their sum.
 */
function mostAbove(stretches: readonly Stretch[], offset: number): number {
  const sumOf = (count: Count, tolerated: number) =>
    stretches.reduce((sum, { canary, primary }) => sum + excess(canary, primary, count, tolerated), 0);
  const slow = BOUNDS_MS.map((_bound, index) => sumOf(slowerThan(index), 0));
  return Math.max(sumOf(failed, offset), ...slow);
}

/** Each leaves two thirds: the rate to 10^-8. */
const STEPS = 45;

/** `min over p of n_C KL(x_C/n_C, p + offset) + n_P KL(x_P/n_P, p)`: convex in p, least between the two shares. */
function excess(canary: Tally, primary: Tally, count: Count, offset: number): number {
  if (canary.total === 0) return 0;
  const ofCanary = count(canary) / canary.total;
  const ofPrimary = primary.total === 0 ? ofCanary - offset : count(primary) / primary.total;
  if (ofCanary <= ofPrimary + offset) return 0;
  return least(
    ofPrimary,
    ofCanary - offset,
    p => canary.total * divergence(ofCanary, p + offset) + primary.total * divergence(ofPrimary, p),
  );
}

/** Least value of a convex function between two points. */
function least(from: number, to: number, at: (p: number) => number): number {
  let [low, high] = [from, to];
  for (let step = 0; step < STEPS; step++) {
    const [a, b] = [low + (high - low) / 3, high - (high - low) / 3];
    if (at(a) < at(b)) high = b;
    else low = a;
  }
  return at((low + high) / 2);
}

/** `KL(a, b)` of two coins, in nats. */
export function divergence(a: number, b: number): number {
  const part = (p: number, q: number) =>
    p <= 0 ? 0 : q <= 0 ? Number.POSITIVE_INFINITY : p * Math.log(p / q);
  return part(a, b) + part(1 - a, 1 - b);
}
