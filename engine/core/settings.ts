/**
 * What the user asked for, with defaults filled in and durations in milliseconds. Decoding the spec into settings
 * happens once for each generation of a Canary; decisions read nothing else of the spec.
 */

import type { Canary } from '../api/decode.ts';
import { durationMs } from '../api/duration.ts';
import { GUARD_DEFAULTS, type GuardSettings } from '../../analyzers/judge/guard.ts';
import { JUDGE_DEFAULTS, type JudgeSettings } from '../../analyzers/judge/settings.ts';
import { stepsOf } from '../../steppers/plan.ts';

export type NoDataPolicy = 'hold' | 'pass' | 'fail';

export interface MetricSetting {
  name: string;
  kind: 'request-success-rate' | 'request-duration' | 'custom';
  windowMs: number;
  /** Bounds are inclusive: a value equal to a bound passes. */
  min: number | undefined;
  max: number | undefined;
  query: string | undefined;
  template: { namespace: string; name: string } | undefined;
  variables: Readonly<Record<string, string>>;
}

export interface Settings {
  targetName: string;
  apexName: string;
  intervalMs: number;
  /** Failed checks that end the run; at least 1. */
  threshold: number;
  /** Canary weights in percent, strictly rising; blue/green: just 100. */
  steps: readonly number[];
  /** Checks to pass at weight 0 before the first step (blue/green); 0 otherwise. */
  iterations: number;
  /** Percent points that return to the primary in each step of a promotion; 0: all at once. */
  stepWeightPromotion: number;
  skipAnalysis: boolean;
  suspend: boolean;
  progressDeadlineMs: number;
  primaryReadyPercent: number;
  canaryReadyPercent: number;
  onNoData: NoDataPolicy;
  onError: NoDataPolicy;
  noDataBudget: number;
  errorBudget: number;
  onStalled: 'hold' | 'rollback';
  bakeMs: number;
  /** How long a workload keeps running after the route has sent it the last request. */
  drainMs: number;
  metrics: readonly MetricSetting[];
  /** Judges against the primary or the user's bounds; undefined: metrics are compared with their bounds at each check. */
  judge?: JudgeSettings | undefined;
  /** Looks after the bounds of built-in metrics between the checks; undefined: nobody does. Never beside `judge`. */
  guard?: GuardSettings | undefined;
}

/** What is not in the spec: from the engine's own flags. */
export interface EngineDefaults {
  drainMs: number;
}

const DEFAULT_INTERVAL_MS = 60_000;
const DEFAULT_PROGRESS_DEADLINE_SECONDS = 600;
/** Absent thresholds follow Flagger: one failed check ends the run. */
const DEFAULT_THRESHOLD = 1;

/** Absent fields get the meaning that their description in the CRD gives them. The spec has been decoded, so it is valid. */
export function settingsOf(canary: Pick<Canary, 'namespace' | 'spec'>, defaults: EngineDefaults): Settings {
  const { spec } = canary;
  const analysis = spec.analysis;
  const intervalMs = msOf(analysis?.interval) ?? DEFAULT_INTERVAL_MS;
  const metrics = (analysis?.metrics ?? []).map(metric =>
    metricSettingOf(metric, intervalMs, canary.namespace),
  );
  const steps = stepsOf({
    stepWeight: analysis?.stepWeight,
    stepWeights: analysis?.stepWeights,
    maxWeight: analysis?.maxWeight,
    iterations: analysis?.iterations,
  });
  const judge = judgeSettingsOf(analysis, steps);
  return {
    targetName: spec.targetRef.name,
    apexName: spec.service.name ?? spec.targetRef.name,
    intervalMs,
    threshold: Math.max(1, analysis?.threshold ?? DEFAULT_THRESHOLD),
    // At 100 no primary is left to compare with.
    steps: judge?.mode === 'compare' ? steps.filter(weight => weight < 100) : steps,
    iterations: analysis?.iterations ?? 0,
    stepWeightPromotion: analysis?.stepWeightPromotion ?? 0,
    skipAnalysis: spec.skipAnalysis ?? false,
    suspend: spec.suspend ?? false,
    progressDeadlineMs: (spec.progressDeadlineSeconds ?? DEFAULT_PROGRESS_DEADLINE_SECONDS) * 1_000,
    primaryReadyPercent: analysis?.primaryReadyThreshold ?? 100,
    canaryReadyPercent: analysis?.canaryReadyThreshold ?? 100,
    onNoData: analysis?.onNoData ?? 'hold',
    onError: analysis?.onError ?? 'hold',
    noDataBudget: analysis?.noDataBudget ?? 10,
    errorBudget: analysis?.errorBudget ?? 10,
    onStalled: analysis?.onStalled ?? 'hold',
    bakeMs: msOf(analysis?.bake) ?? intervalMs,
    drainMs: defaults.drainMs,
    metrics,
    judge,
    guard: judge ? undefined : guardSettingsOf(analysis, metrics),
  };
}

type Analysis = Canary['spec']['analysis'];
type Judge = NonNullable<Analysis['judge']>;

/** Which mode an analysis asks for that names none: somebody who gives neither bounds nor metrics has only the primary. */
export function judgeModeOf(
  analysis: Partial<Analysis> | undefined,
  steps: readonly number[],
): NonNullable<Judge['mode']> {
  if (analysis?.judge?.mode) return analysis.judge.mode;
  const hasOwn =
    analysis === undefined ||
    analysis.threshold !== undefined ||
    (analysis.metrics ?? []).length > 0 ||
    analysis.iterations !== undefined;
  return hasOwn || !steps.some(weight => weight < 100) ? 'threshold' : 'compare';
}

/** Undefined in threshold mode. Percent and percent points of the spec become shares. */
export function judgeSettingsOf(
  analysis: Partial<Analysis> | undefined,
  steps: readonly number[],
): JudgeSettings | undefined {
  const mode = judgeModeOf(analysis, steps);
  if (mode === 'threshold') return undefined;
  const judge: Judge = analysis?.judge ?? {};
  const share = (percent: number | undefined) => (percent === undefined ? undefined : percent / 100);
  const { regression, latency } = JUDGE_DEFAULTS;
  return {
    mode,
    alpha: judge.alpha ?? JUDGE_DEFAULTS.alpha,
    beta: judge.beta ?? JUDGE_DEFAULTS.beta,
    regression: { ...regression, offset: share(judge.regression) ?? regression.offset },
    promotionMargin: share(judge.promotionMargin),
    budget: share(judge.budget) ?? JUDGE_DEFAULTS.budget,
    minDwellMs: msOf(judge.minDwell) ?? JUDGE_DEFAULTS.minDwellMs,
    deadlineMs: msOf(judge.deadline) ?? JUDGE_DEFAULTS.deadlineMs,
    onDeadline: judge.onDeadline ?? JUDGE_DEFAULTS.onDeadline,
    warmUpMs: msOf(judge.warmUp) ?? JUDGE_DEFAULTS.warmUpMs,
    noTrafficTimeoutMs: msOf(judge.noTrafficTimeout) ?? JUDGE_DEFAULTS.noTrafficTimeoutMs,
    latency: {
      tolerance: judge.latencyTolerance ?? latency.tolerance,
      promotionTolerance: judge.latencyPromotionTolerance ?? latency.promotionTolerance,
    },
  };
}

/** Undefined when it is off, or when there is no bound of a built-in metric that it could guard. */
function guardSettingsOf(
  analysis: Partial<Analysis> | undefined,
  metrics: readonly MetricSetting[],
): GuardSettings | undefined {
  const { enabled = true, alpha, requests, evaluations } = analysis?.judge?.guard ?? {};
  if (!enabled || !metrics.some(isGuarded)) return undefined;
  const { after } = GUARD_DEFAULTS;
  return {
    alpha: alpha ?? GUARD_DEFAULTS.alpha,
    after: { requests: requests ?? after.requests, evaluations: evaluations ?? after.evaluations },
  };
}

/** A built-in metric whose bound can be read as a share of requests; others have no guard. */
export function isGuarded({ kind, min, max }: Pick<MetricSetting, 'kind' | 'min' | 'max'>): boolean {
  return kind === 'custom'
    ? false
    : kind === 'request-success-rate'
      ? min !== undefined && min > 0
      : max !== undefined;
}

type Metric = NonNullable<NonNullable<Canary['spec']['analysis']>['metrics']>[number];

function metricSettingOf(metric: Metric, intervalMs: number, namespace: string): MetricSetting {
  const kind =
    metric.name === 'request-success-rate' || metric.name === 'request-duration'
      ? metric.name
      : ('custom' as const);
  const { thresholdRange: range, threshold = 0 } = metric;
  // A bare threshold is the lowest success rate, and the highest value of everything else.
  const bare =
    kind === 'request-success-rate' ? { min: threshold, max: undefined } : { min: undefined, max: threshold };
  return {
    name: metric.name,
    kind,
    windowMs: msOf(metric.interval) ?? intervalMs,
    ...(range ? { min: range.min, max: range.max } : bare),
    query: metric.query,
    template: metric.templateRef
      ? { namespace: metric.templateRef.namespace ?? namespace, name: metric.templateRef.name }
      : undefined,
    variables: metric.templateVariables ?? {},
  };
}

function msOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : durationMs(text);
}
