/**
 * What a judgement is asked for, in shares and milliseconds, with the defaults and why they are so. Its words are the
 * user's once the spec has been decoded; nothing here reads a spec.
 */

export interface JudgeSettings {
  /** `compare`: the canary against the primary. `slo`: against the user's own bounds. */
  mode: 'compare' | 'slo';
  /** Bound on the probability that a canary within the margin is ever rolled back, for each rollout. */
  alpha: number;
  /** Bound on the probability that a canary at or beyond the margin is given more traffic. */
  beta: number;
  /** Tolerated regression: `p_canary <= ratio * p_primary + offset`. 0 is strict. */
  regression: { ratio: number; offset: number };
  /** Excess failure rate that has to be excluded before the promotion. Undefined: by traffic. */
  promotionMargin: number | undefined;
  /** Share of all requests that a step may cost: the margin of a step is `budget / next weight`. */
  budget: number;
  minDwellMs: number;
  deadlineMs: number;
  /** What follows when nothing could be shown by the deadline. Outside alpha and beta: the user's own choice. */
  onDeadline: 'hold' | 'rollback' | 'promote';
  /** Latency of a canary is not judged for so long after it became ready: caches are cold. */
  warmUpMs: number;
  noTrafficTimeoutMs: number;
  latency: { tolerance: number; promotionTolerance: number };
}

export const JUDGE_DEFAULTS: JudgeSettings = {
  mode: 'compare',
  // 0.05 decides 23-26 % faster (1.7-2.2 % false rollbacks measured), 0.001 is 30-37 % slower.
  alpha: 0.01,
  beta: 0.05,
  // 0.1 pp costs 12 % of time at +2 pp, 48 % at +0.5 pp, and removes rollbacks for differences that do not matter.
  regression: { ratio: 1, offset: 0.001 },
  promotionMargin: undefined,
  budget: 0.01,
  minDwellMs: 60_000,
  deadlineMs: 3_600_000,
  onDeadline: 'hold',
  warmUpMs: 30_000,
  noTrafficTimeoutMs: 300_000,
  latency: { tolerance: 1.1, promotionTolerance: 1.25 },
};

/** Below this many requests a second 0.5 pp takes too long to show, and so does the tail of latency. */
export const THIN_TRAFFIC_RPS = 20;
const PROMOTION_MARGIN = 0.005;
const PROMOTION_MARGIN_THIN = 0.01;

/** @param rps of both arms; undefined when there is no history */
export function promotionMarginOf(settings: JudgeSettings, rps: number | undefined): number {
  return settings.promotionMargin ?? (isThin(rps) ? PROMOTION_MARGIN_THIN : PROMOTION_MARGIN);
}

export function isThin(rps: number | undefined): boolean {
  return rps !== undefined && rps < THIN_TRAFFIC_RPS;
}

/**
 * Excess rate that has to be excluded in a step: `max(delta_N, budget / w_next)` before the last step, `delta_N` there.
 * @param nextWeight share of the traffic that the canary gets next; undefined in the last step
 */
export function stepMargin(promotionMargin: number, budget: number, nextWeight: number | undefined): number {
  return nextWeight === undefined ? promotionMargin : Math.max(promotionMargin, budget / nextWeight);
}
