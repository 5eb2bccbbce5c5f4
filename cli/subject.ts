/** What a plan is made of: the settings of one Canary, its traffic, and the bounds and the fixed rule that follow from both. */
import { type UserBound, userBoundOf } from '../analyzers/judge/comparisons.ts';
import type { FixedRule } from '../analyzers/judge/thresholdPlan.ts';
import { type Settings, settingsOf } from '../engine/core/settings.ts';
import type { JudgeChoice } from './judgeSettings.ts';
import type { Manifest } from './manifests.ts';

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
  choice: JudgeChoice;
  traffic: Traffic;
  /** Of the built-in metrics; latency bounds as they are written, because nothing here knows the buckets. */
  bounds: UserBound[];
  /** Share of requests that may fail; undefined: no metric says so. */
  failureShare: number | undefined;
  isThresholdGiven: boolean;
}

export function subjectOf({ canary, choice }: Manifest, traffic: Traffic): Subject {
  const settings = settingsOf(canary, { drainMs: 0 });
  const bounds = settings.metrics.flatMap(({ kind, min, max }) => {
    const bound = kind === 'custom' ? undefined : userBoundOf(kind, { min, max }, undefined);
    return bound ? [bound] : [];
  });
  return {
    settings,
    choice,
    traffic,
    bounds,
    failureShare: bounds.find(({ metric }) => metric === 'request-success-rate')?.share,
    isThresholdGiven: canary.spec.analysis.threshold !== undefined,
  };
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
