/** What a plan is made of: the settings of one Canary, its traffic, and the bounds and the fixed rule that follow from both. */
import { type UserBound, userBoundOf } from '../analyzers/judge/comparisons.ts';
import type { FixedRule } from '../analyzers/judge/thresholdPlan.ts';
import type { Canary } from '../engine/api/decode.ts';
import type { JUDGE_MODES } from '../engine/api/judge.ts';
import { judgeModeOf, type Settings, settingsOf } from '../engine/core/settings.ts';
import { stepsOf } from '../steppers/plan.ts';

export type JudgeMode = (typeof JUDGE_MODES)[number];

export interface Traffic {
  /** Requests a second of both arms. */
  rps: number;
  /** Of the primary's requests, those that fail. */
  failingPercent: number;
  dispersion: number;
  /** How often the metrics have new data. */
  scrapeSeconds: number;
}

export interface Subject {
  settings: Settings;
  mode: JudgeMode;
  /** Why this mode, as the end of a sentence. */
  because: string;
  traffic: Traffic;
  /** Of the built-in metrics; latency bounds as they are written, because nothing here knows the buckets. */
  bounds: UserBound[];
  /** Share of requests that may fail; undefined: no metric says so. */
  failureShare: number | undefined;
  isThresholdGiven: boolean;
  isGuardOff: boolean;
  /** A step that the manifest asks for and the judge leaves out: 100 %. */
  leftOut: number | undefined;
}

export function subjectOf(canary: Canary, traffic: Traffic): Subject {
  const { analysis } = canary.spec;
  const settings = settingsOf(canary, { drainMs: 0 });
  const bounds = settings.metrics.flatMap(({ kind, min, max }) => {
    const bound = kind === 'custom' ? undefined : userBoundOf(kind, { min, max }, undefined);
    return bound ? [bound] : [];
  });
  const { stepWeight, stepWeights, maxWeight, iterations } = analysis;
  const asked = stepsOf({ stepWeight, stepWeights, maxWeight, iterations });
  return {
    settings,
    mode: judgeModeOf(analysis, asked),
    because: becauseOf(analysis),
    traffic,
    bounds,
    failureShare: bounds.find(({ metric }) => metric === 'request-success-rate')?.share,
    isThresholdGiven: analysis.threshold !== undefined,
    isGuardOff: analysis.judge?.guard?.enabled === false,
    leftOut: asked.find(weight => !settings.steps.includes(weight)),
  };
}

function becauseOf({
  judge,
  threshold,
  metrics,
  iterations,
  ...weights
}: Canary['spec']['analysis']): string {
  if (judge?.mode) return 'judge.mode says so';
  const given = [
    ...(threshold === undefined ? [] : ['threshold']),
    ...(metrics?.length ? ['metrics'] : []),
    ...(iterations === undefined ? [] : ['iterations']),
  ];
  if (given.length > 0) return `${given.join(' and ')} ${given.join() === 'threshold' ? 'is' : 'are'} given`;
  if (!stepsOf(weights).some(weight => weight < 100)) return 'no step is below 100 %';
  return 'neither threshold nor metrics nor iterations are given';
}

/** The checks of this Canary, as Serin or as Flagger counts them. */
export function ruleOf(
  { settings, traffic }: Subject,
  rule: Pick<FixedRule, 'share' | 'threshold' | 'isFlagger'>,
): FixedRule {
  const metric = settings.metrics.find(({ kind }) => kind === 'request-success-rate');
  return {
    weightsPercent: settings.steps,
    rps: traffic.rps,
    intervalSeconds: settings.intervalMs / 1_000,
    windowSeconds: (metric?.windowMs ?? settings.intervalMs) / 1_000,
    ...rule,
  };
}
