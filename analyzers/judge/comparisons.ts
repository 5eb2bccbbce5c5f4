/**
 * What a judgement compares, fixed before the rollout from the user's settings and the primary's history: failures, and
 * up to three latency bounds, each with its margins, base rate and dispersion. Pure.
 */
import type { Increments } from '../scrape/counters.ts';
import type { Comparison } from './comparison.ts';
import { nextBound, totalsOf } from './counters.ts';
import { dispersionIn } from './dispersion.ts';
import { blocksOf, histogramOf, paceOf, type PrimaryHistory, totalOf } from './history.ts';
import { type LatencyBound, latencyBounds } from './latency.ts';
import { isThin, type JudgeSettings, promotionMarginOf } from './settings.ts';

/** One bound of the user's, as the share of requests that may be beyond it. */
export interface UserBound {
  metric: 'request-success-rate' | 'request-duration';
  /** Share of requests that may fail, or be slower than `upperMs`. */
  share: number;
  /** Latency bound, milliseconds; only for durations. */
  upperMs?: number;
}

/** Latency bounds that are counted, at most: a checkpoint keeps three counts of each pod. */
export const LATENCY_BOUNDS_MAX = 3;
/** Success and latency share the merged evidence evenly. */
const FAILURE_WEIGHT = 0.5;
/** A history is worth at most this many requests against what is seen during the rollout. */
const BASE_WEIGHT_MAX = 300;
/** Without a history: what an unknown service may fail, and how little that is worth. */
const UNKNOWN_BASE = { rate: 0.005, weight: 30 } as const;
/** `request-duration` is the 99th percentile: within its bound, at most this share is slower. */
const SLOWER_THAN_P99 = 0.01;

export interface Compared {
  comparisons: readonly Comparison[];
  /** Latency bounds that are counted, milliseconds, in the order of `slow`. */
  boundsMs: readonly number[];
  hasHistory: boolean;
}

/**
 * The user's `thresholdRange` of a built-in metric. A success rate in percent: at most `100 - min` percent may fail. A
 * 99th percentile in milliseconds: at most 1 % may be slower than `max`, and so at most 1 % slower than the next bucket
 * bound above it, the only one that can be counted.
 * @returns undefined where the range says nothing about it, or no bucket bound lies at or above it
 */
export function userBoundOf(
  metric: 'request-success-rate' | 'request-duration',
  range: { min?: number | undefined; max?: number | undefined },
  buckets: ReadonlyMap<number, unknown> | undefined,
): UserBound | undefined {
  if (metric === 'request-success-rate') {
    if (range.min === undefined || range.min <= 0) return undefined;
    return { metric, share: Math.max(0, 1 - range.min / 100) };
  }
  if (range.max === undefined) return undefined;
  const upperMs = buckets ? nextBound(buckets, range.max) : range.max;
  return Number.isFinite(upperMs) ? { metric, share: SLOWER_THAN_P99, upperMs } : undefined;
}

export function comparisonsOf(
  settings: JudgeSettings,
  history: PrimaryHistory,
  bounds: readonly UserBound[],
): Compared {
  const found =
    settings.mode === 'slo'
      ? boundComparisons(settings, history, bounds)
      : primaryComparisons(settings, history);
  return { ...found, hasHistory: history.blocks.length > 1 };
}

function primaryComparisons(settings: JudgeSettings, history: PrimaryHistory): Omit<Compared, 'hasHistory'> {
  const rps = paceOf(history);
  const latency = latencyBounds(histogramOf(totalOf(history)), settings.latency);
  const failures: Comparison = {
    metric: 'request-success-rate',
    slow: undefined,
    upperMs: undefined,
    weight: latency.length > 0 ? FAILURE_WEIGHT : 1,
    bound: undefined,
    margin: settings.regression,
    promotionMargin: promotionMarginOf(settings, rps),
    mustBeShown: true,
    ...baseOf(history, undefined),
  };
  const boundsMs = latency.map(bound => bound.upperMs);
  return {
    comparisons: [failures, ...latency.map((bound, index) => slowComparison(history, bound, index, rps))],
    boundsMs,
  };
}

function slowComparison(
  history: PrimaryHistory,
  bound: LatencyBound,
  slow: number,
  rps: number | undefined,
): Comparison {
  // The tail of a thin stream would hold every promotion for half an hour; a regression of it is still looked for.
  const isTail = bound.share <= 0.05;
  return {
    metric: 'request-duration',
    slow,
    upperMs: bound.upperMs,
    weight: (1 - FAILURE_WEIGHT) * bound.weight,
    bound: undefined,
    margin: { ratio: 1, offset: bound.margin },
    promotionMargin: bound.promotionMargin,
    mustBeShown: !(isTail && isThin(rps)),
    ...baseOf(history, bound.upperMs),
  };
}

function boundComparisons(
  settings: JudgeSettings,
  history: PrimaryHistory,
  bounds: readonly UserBound[],
): Omit<Compared, 'hasHistory'> {
  const rps = paceOf(history);
  const { kept, boundsMs } = slotted(bounds);
  const comparisons = kept.map(
    ({ bound, slow }): Comparison => ({
      metric: bound.metric,
      slow,
      upperMs: bound.upperMs,
      weight: 1 / kept.length,
      bound: bound.share,
      margin: { ratio: 1, offset: 0 },
      promotionMargin: promotionMarginOf(settings, rps),
      mustBeShown: true,
      ...baseOf(history, bound.upperMs),
    }),
  );
  return { comparisons, boundsMs };
}

/** Which latency bounds are counted. Bounds that would be a fourth one are left out. */
export function slotted(bounds: readonly UserBound[]): {
  kept: { bound: UserBound; slow: number | undefined }[];
  boundsMs: number[];
} {
  const boundsMs: number[] = [];
  const kept: { bound: UserBound; slow: number | undefined }[] = [];
  for (const bound of bounds) {
    const { upperMs } = bound;
    if (upperMs !== undefined && !boundsMs.includes(upperMs)) {
      if (boundsMs.length === LATENCY_BOUNDS_MAX) continue;
      boundsMs.push(upperMs);
    }
    kept.push({ bound, slow: upperMs === undefined ? undefined : boundsMs.indexOf(upperMs) });
  }
  return { kept, boundsMs };
}

/** What is counted of a pod against one bound: failures, or requests slower than it. */
export function beyondOf(upperMs: number | undefined): (increments: Increments) => number {
  return increments =>
    upperMs === undefined ? increments.failures : (totalsOf(increments, [upperMs]).slow[0] ?? 0);
}

function baseOf(
  history: PrimaryHistory,
  upperMs: number | undefined,
): Pick<Comparison, 'base' | 'dispersion'> {
  const blocks = blocksOf(history, beyondOf(upperMs));
  const pods = blocks.flat();
  const total = pods.reduce((sum, pod) => sum + pod.total, 0);
  const failures = pods.reduce((sum, pod) => sum + pod.failures, 0);
  const base =
    total > 0 ? { rate: failures / total, weight: Math.min(total, BASE_WEIGHT_MAX) } : { ...UNKNOWN_BASE };
  return { base, dispersion: dispersionIn(blocks) };
}
