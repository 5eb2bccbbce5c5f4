/**
 * What a judgement knows, as one record for programs: status, REST, the report of a rollout. Rates come with confidence
 * sequences, so that they may be looked at whenever one likes. Pure; every number is finite.
 */
import { type Comparison, type Evidence, logRegressionOf, NO_EVIDENCE } from './comparison.ts';
import { rateInterval } from './confidence.ts';
import { type GuardSettings, type GuardState, logGuardEvidenceOf, NO_GUARD_EVIDENCE } from './guard.ts';
import { logSum } from './logDomain.ts';
import { type JudgeState, logMergedOf, type Step } from './judge.ts';
import { type JudgeSettings, stepMargin } from './settings.ts';
import type { Counts } from './twoArm.ts';

/** One arm's share of failed or slow requests since judging began, with bounds that hold at all times at once. */
export interface RateRecord {
  total: number;
  failures: number;
  low: number;
  high: number;
}

export interface ComparisonRecord {
  metric: Comparison['metric'];
  /** Latency bound, milliseconds; absent for failures. */
  upperMs?: number;
  /** The user's bound as a share of requests; absent when the primary is compared with. */
  bound?: number;
  /** Tolerated regression, share of requests. */
  margin: number;
  /** Natural logarithm of the evidence that the canary is beyond. */
  logEvidence: number;
  /** The same for the opposite: the excess is below `stepMargin`. */
  logShown: number;
  stepMargin: number;
  mustBeShown: boolean;
  canary: RateRecord;
  primary: RateRecord;
  dispersion: { canary: number; primary: number };
}

export interface EvidenceRecord {
  mode: JudgeSettings['mode'];
  /** Evaluation time, milliseconds since the epoch; undefined before the first reading. */
  atMs: number | undefined;
  step: number;
  /** Merged over the comparisons; reaching `logNeeded` rolls back. */
  logEvidence: number;
  logNeeded: number;
  /** What each `logShown` has to reach for traffic to rise. */
  logShownNeeded: number;
  hasHistory: boolean;
  comparisons: ComparisonRecord[];
}

/** Confidence of the intervals; no verdict depends on it. */
export const INTERVAL_ALPHA = 0.05;

export function evidenceOf(state: JudgeState, settings: JudgeSettings, step: Step): EvidenceRecord {
  const { progress } = state;
  const sinceMs = progress ? progress.atMs - progress.startedAtMs : 0;
  return {
    mode: settings.mode,
    atMs: progress?.atMs,
    step: step.index,
    logEvidence: progress && state.comparisons.length > 0 ? logMergedOf(state, progress) : 0,
    logNeeded: Math.log(1 / settings.alpha),
    logShownNeeded: Math.log(1 / settings.beta),
    hasHistory: state.hasHistory,
    comparisons: state.comparisons.map((comparison, index) =>
      comparisonRecord(comparison, progress?.evidence[index] ?? NO_EVIDENCE, sinceMs, settings, step),
    ),
  };
}

function comparisonRecord(
  comparison: Comparison,
  evidence: Evidence,
  sinceMs: number,
  settings: JudgeSettings,
  { nextWeightPercent }: Step,
): ComparisonRecord {
  const { metric, upperMs, bound, margin, promotionMargin, mustBeShown } = comparison;
  const nextWeight = nextWeightPercent === undefined ? undefined : nextWeightPercent / 100;
  return {
    metric,
    ...(upperMs === undefined ? {} : { upperMs }),
    ...(bound === undefined ? {} : { bound }),
    margin: margin.offset,
    logEvidence: logRegressionOf(evidence, sinceMs),
    logShown: evidence.logShownMost,
    stepMargin: stepMargin(promotionMargin, settings.budget, nextWeight),
    mustBeShown,
    canary: rateRecord(evidence.canary, evidence.dispersion.canary),
    primary: rateRecord(evidence.primary, evidence.dispersion.primary),
    dispersion: evidence.dispersion,
  };
}

function rateRecord({ total, failures }: Counts, dispersion: number): RateRecord {
  const scaled = { total: total / dispersion, failures: failures / dispersion };
  return { total, failures, ...rateInterval(scaled, INTERVAL_ALPHA) };
}

export interface GuardRecord {
  atMs: number | undefined;
  logEvidence: number;
  logNeeded: number;
  guarded: {
    metric: Comparison['metric'];
    upperMs?: number;
    /** Share of requests that may be beyond the bound. */
    bound: number;
    logEvidence: number;
    canary: RateRecord;
    primary: RateRecord;
    /** Since the canary was first seen beyond. */
    streak: { evaluations: number; canary: Counts; primary: Counts };
  }[];
}

export function guardEvidenceOf(state: GuardState, { alpha }: GuardSettings): GuardRecord {
  const { progress } = state;
  const guarded = state.guarded.map((one, index) => {
    const evidence = progress?.evidence[index] ?? NO_GUARD_EVIDENCE;
    return {
      metric: one.metric,
      ...(one.upperMs === undefined ? {} : { upperMs: one.upperMs }),
      bound: one.share,
      logEvidence: progress ? logGuardEvidenceOf(one, evidence, progress) : 0,
      canary: rateRecord(evidence.canary, evidence.dispersion),
      primary: rateRecord(evidence.primary, evidence.dispersion),
      streak: evidence.streak,
    };
  });
  const logs = guarded.map(({ logEvidence }) => logEvidence);
  return {
    atMs: progress?.atMs,
    logEvidence: logs.length > 0 ? logSum(logs) - Math.log(logs.length) : 0,
    logNeeded: Math.log(1 / alpha),
    guarded,
  };
}
