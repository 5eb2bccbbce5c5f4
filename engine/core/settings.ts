/**
 * What the user asked for, with defaults filled in and durations in milliseconds. Decoding the spec into settings
 * happens once for each generation of a Canary; decisions read nothing else of the spec.
 */

import type { Canary } from '../api/decode.ts';
import { durationMs } from '../api/duration.ts';
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
  return {
    targetName: spec.targetRef.name,
    apexName: spec.service.name ?? spec.targetRef.name,
    intervalMs,
    threshold: Math.max(1, analysis?.threshold ?? DEFAULT_THRESHOLD),
    steps: stepsOf({
      stepWeight: analysis?.stepWeight,
      stepWeights: analysis?.stepWeights,
      maxWeight: analysis?.maxWeight,
      iterations: analysis?.iterations,
    }),
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
    metrics: (analysis?.metrics ?? []).map(metric => metricSettingOf(metric, intervalMs, canary.namespace)),
  };
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
