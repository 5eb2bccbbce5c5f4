/**
 * What the user asked for, with defaults filled in and durations in milliseconds. Decoding the spec into settings
 * happens once for each generation of a Canary; decisions read nothing else of the spec.
 */

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
