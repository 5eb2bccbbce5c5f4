/**
 * What one Canary would do under given traffic, as plain data for people and programs: good and bad releases under its
 * own rule beside the same manifest under a fixed threshold, what each metric is worth to the judge, and what cannot work.
 * It combines formulas and knows no files and no words of a terminal.
 */
import { type Detection, EXCESSES, planOf } from '../analyzers/judge/plan.ts';
import type { GuardSettings } from '../analyzers/judge/guard.ts';
import { type FixedRule, fixedThresholdOf, guardDetectionOf } from '../analyzers/judge/thresholdPlan.ts';
import type { JudgeSettings } from '../analyzers/judge/settings.ts';
import type { Canary } from '../engine/api/decode.ts';
import { checkedMetrics } from '../engine/core/judged.ts';
import { type MetricNote, metricNotes } from './metricNotes.ts';
import { problemsOfAny, thresholdProblems, vetoProblems } from './problems.ts';
import { type JudgeMode, ruleOf, type Subject, subjectOf, type Traffic } from './subject.ts';

export interface CanaryPlan {
  namespace: string;
  name: string;
  mode: JudgeMode;
  /** Why this mode. */
  because: string;
  traffic: Traffic;
  /** Of a good release under the Canary's own rule. */
  steps: PlannedStep[];
  /** The Canary's own rule first. */
  rules: RulePlan[];
  metrics: MetricNote[];
  /** Whole sentences; empty when nothing speaks against it. */
  problems: string[];
}

export interface PlannedStep {
  weightPercent: number;
  /** Mean; null: it never ends. */
  seconds: number | null;
  /** What the canary may not fail more than the primary (or the bound) to leave this step; absent where nothing is shown. */
  excludedPercentPoints?: number;
}

export interface RulePlan {
  rule: 'judge' | 'thresholdWithGuard' | 'threshold' | 'flagger';
  /** Set where failed checks count. */
  checks?: { intervalSeconds: number; threshold: number; successMinPercent: number; isAssumed: boolean };
  good: {
    /** Mean time until the promotion begins; null: never. */
    seconds: number | null;
    /** Share of good releases that are rolled back all the same; at most that where it is promised. */
    rolledBackShare: number;
    isPromised: boolean;
  };
  bad: BadRelease[];
}

export interface BadRelease {
  /** Percent points of the requests that the canary fails more than the primary. */
  excessPercentPoints: number;
  /** Share of such releases that are rolled back. */
  caughtShare: number;
  /** Means of those; null: there are none, or it is not known. */
  seconds: number | null;
  failedRequests: number | null;
  by: 'judge' | 'guard' | 'checks' | 'deadline' | null;
}

/** What Flagger's documentation begins with, where a manifest names no threshold of its own. */
const ASSUMED = { threshold: 5, share: 0.01 } as const;
/** Nobody looks more often than this. */
const LOOK_SECONDS_MIN = 2;
/** Of one step: with more of them nothing changes that a plan could tell. */
const CHECKS_MAX = 500;
/** In `compare` failures share the evidence with latency, which nearly every source of metrics has. */
const FAILURES_BESIDE_LATENCY = 0.5;
/** Shares below this are none: nobody waits for one release in a million. */
const SHARE_MIN = 1e-6;

export function canaryPlanOf(canary: Canary, traffic: Traffic): CanaryPlan {
  const subject = subjectOf(canary, traffic);
  const { mode, because, settings } = subject;
  const planned = settings.judge ? judgePlan(subject, settings.judge) : thresholdPlan(subject);
  return {
    namespace: canary.namespace,
    name: canary.name,
    mode,
    because,
    traffic,
    ...planned,
    metrics: metricNotes(subject),
    problems: [...problemsOfAny(subject), ...planned.problems],
  };
}

type Planned = Pick<CanaryPlan, 'steps' | 'rules' | 'problems'>;

function judgePlan(subject: Subject, judge: JudgeSettings): Planned {
  const { settings, traffic, bounds, failureShare } = subject;
  const isSlo = judge.mode === 'slo';
  if (isSlo && failureShare === undefined) return blindPlan(subject, judge);
  // Metrics beside the judge are looked at once in each interval, and a step waits for them.
  const waitsMs = checkedMetrics(settings).length > 0 ? settings.intervalMs : 0;
  const plan = planOf({
    settings: { ...judge, minDwellMs: Math.max(judge.minDwellMs, waitsMs) },
    weightsPercent: settings.steps,
    rps: traffic.rps,
    baseRate: traffic.failingPercent / 100,
    dispersion: traffic.dispersion,
    tickMs: Math.max(LOOK_SECONDS_MIN, traffic.scrapeSeconds) * 1_000,
    ...(isSlo ? { bound: failureShare } : {}),
    evidenceShare: isSlo ? 1 / bounds.length : FAILURES_BESIDE_LATENCY,
  });
  const veto = isSlo ? undefined : vetoOf(subject, plan.steps);
  const own: RulePlan = {
    rule: 'judge',
    good: { seconds: finite(plan.seconds), rolledBackShare: judge.alpha, isPromised: true },
    bad: plan.detections.map(detection => judged(detection, judge)),
  };
  return {
    steps: plan.steps.map(({ weightPercent, margin, seconds }) => ({
      weightPercent,
      seconds: finite(seconds),
      excludedPercentPoints: pointsOf(margin),
    })),
    rules: [veto ? vetoed(own, veto, traffic) : own, flaggerPlan(subject)],
    problems: [...plan.problems, ...(veto ? vetoProblems(veto, traffic) : [])],
  };
}

/** The checks of a success rate that is named beside `compare`: so many at each weight as a good release stays there. */
function vetoOf(
  subject: Subject,
  steps: readonly { weightPercent: number; seconds: number }[],
): FixedRule | undefined {
  const { settings, failureShare } = subject;
  if (failureShare === undefined) return undefined;
  const rule = ruleOf(subject, { share: failureShare, threshold: settings.threshold, isFlagger: false });
  const weightsPercent = steps.flatMap(({ weightPercent, seconds }) => {
    const checks = Number.isFinite(seconds) ? Math.round(seconds / rule.intervalSeconds) : 1;
    return Array.from({ length: Math.min(CHECKS_MAX, Math.max(1, checks)) }, () => weightPercent);
  });
  return { ...rule, weightsPercent };
}

/** Failed checks end a run beside the judge, good or bad, and outside of what it promises. */
function vetoed(own: RulePlan, veto: FixedRule, { failingPercent }: Traffic): RulePlan {
  const rate = failingPercent / 100;
  const { rolledBackShare } = fixedThresholdOf(veto, rate);
  const bad = own.bad.map((byJudge, index): BadRelease => {
    const excess = Math.min(EXCESSES[index] ?? 1, 1 - rate);
    const found = fixedThresholdOf(veto, rate + excess);
    const isSooner = found.rolledBackShare > 0.5 && found.rollbackSeconds < (byJudge.seconds ?? Infinity);
    if (!isSooner) return byJudge;
    const cost = {
      seconds: rounded(found.rollbackSeconds),
      failedRequests: rounded(found.rollbackRequests * excess),
    };
    return { ...byJudge, caughtShare: 1, ...cost, by: 'checks' };
  });
  const isPromised = rolledBackShare < SHARE_MIN;
  const lost = shareOf(own.good.rolledBackShare + (isPromised ? 0 : rolledBackShare));
  return { ...own, good: { ...own.good, rolledBackShare: lost, isPromised }, bad };
}

/** `slo` without a bound on failures: what it does with failing requests is nothing, and how many are slow is not known. */
function blindPlan(subject: Subject, { alpha }: JudgeSettings): Planned {
  const good = { seconds: null, rolledBackShare: alpha, isPromised: true };
  return {
    steps: subject.settings.steps.map(weightPercent => ({ weightPercent, seconds: null })),
    rules: [{ rule: 'judge', good, bad: EXCESSES.map(unseen) }, flaggerPlan(subject)],
    problems: [
      'slo has no bound on failed requests: give request-success-rate a thresholdRange.min. A bound on latency alone cannot be planned, because nothing here tells how many requests are slow.',
    ],
  };
}

/** The deadline comes before what takes longer: it holds, and the evidence goes on growing, or it ends the run. */
function judged({ excess, seconds, failedRequests }: Detection, judge: JudgeSettings): BadRelease {
  const excessPercentPoints = pointsOf(excess);
  const deadline = judge.deadlineMs / 1_000;
  if (seconds > deadline && judge.onDeadline === 'rollback')
    return { excessPercentPoints, caughtShare: 1, seconds: deadline, failedRequests: null, by: 'deadline' };
  if (!Number.isFinite(seconds) || (seconds > deadline && judge.onDeadline === 'promote'))
    return unseen(excess);
  const cost = { seconds: rounded(seconds), failedRequests: rounded(failedRequests) };
  return { excessPercentPoints, caughtShare: 1, ...cost, by: 'judge' };
}

function thresholdPlan(subject: Subject): Planned {
  const { settings, failureShare } = subject;
  const seconds = settings.intervalMs / 1_000;
  const { iterations } = settings;
  const steps = [
    // Blue/green passes its checks before there is any traffic.
    ...(iterations > 0 ? [{ weightPercent: 0, seconds: rounded(seconds * iterations) }] : []),
    ...settings.steps.map(weightPercent => ({ weightPercent, seconds })),
  ];
  const problems = thresholdProblems(subject);
  if (failureShare === undefined) {
    const checks = iterations + settings.steps.length;
    const good = { seconds: rounded(seconds * checks), rolledBackShare: 0, isPromised: false };
    return { steps, rules: [{ rule: 'threshold', good, bad: EXCESSES.map(unseen) }], problems };
  }
  const rule = ruleOf(subject, { share: failureShare, threshold: settings.threshold, isFlagger: false });
  const checks = checksPlan('threshold', subject, rule);
  const rules = [checks, flaggerPlan(subject)];
  if (settings.guard) rules.unshift(guardedPlan(subject, settings.guard, rule, checks));
  return { steps, rules, problems };
}

/** Whichever is there first: the guard, or as many failed checks as the manifest asks for. */
function guardedPlan(
  { traffic, bounds }: Subject,
  settings: GuardSettings,
  rule: FixedRule,
  checks: RulePlan,
): RulePlan {
  const plan = {
    settings,
    rule,
    guarded: bounds.length,
    dispersion: traffic.dispersion,
    tickMs: Math.max(LOOK_SECONDS_MIN, traffic.scrapeSeconds) * 1_000,
  };
  const bad = checks.bad.map((byChecks, index): BadRelease => {
    const found = guardDetectionOf(plan, traffic.failingPercent / 100, EXCESSES[index] ?? 1);
    if (!(found.seconds < (byChecks.seconds ?? Infinity))) return byChecks;
    const cost = { seconds: rounded(found.seconds), failedRequests: rounded(found.failedRequests) };
    return { ...byChecks, caughtShare: 1, ...cost, by: 'guard' };
  });
  return { ...checks, rule: 'thresholdWithGuard', bad };
}

function flaggerPlan(subject: Subject): RulePlan {
  const { settings, failureShare, isThresholdGiven } = subject;
  const threshold = isThresholdGiven || failureShare !== undefined ? settings.threshold : ASSUMED.threshold;
  const share = failureShare ?? ASSUMED.share;
  return checksPlan('flagger', subject, ruleOf(subject, { share, threshold, isFlagger: true }));
}

function checksPlan(name: 'threshold' | 'flagger', subject: Subject, rule: FixedRule): RulePlan {
  const { settings, traffic, failureShare } = subject;
  const rate = traffic.failingPercent / 100;
  const good = fixedThresholdOf(rule, rate);
  const before = (settings.iterations * settings.intervalMs) / 1_000;
  const bad = EXCESSES.map((wanted): BadRelease => {
    const excess = Math.min(wanted, 1 - rate);
    const { rolledBackShare, rollbackSeconds, rollbackRequests } = fixedThresholdOf(rule, rate + excess);
    if (rolledBackShare < SHARE_MIN) return unseen(excess);
    const cost = { seconds: rounded(rollbackSeconds), failedRequests: rounded(rollbackRequests * excess) };
    return {
      excessPercentPoints: pointsOf(excess),
      caughtShare: shareOf(rolledBackShare),
      ...cost,
      by: 'checks',
    };
  });
  return {
    rule: name,
    checks: {
      intervalSeconds: rule.intervalSeconds,
      threshold: rule.threshold,
      successMinPercent: pointsOf(1 - rule.share),
      isAssumed: failureShare === undefined,
    },
    good: {
      seconds: finite(before + good.promoteSeconds),
      rolledBackShare: shareOf(good.rolledBackShare),
      isPromised: false,
    },
    bad,
  };
}

function unseen(excess: number): BadRelease {
  const excessPercentPoints = pointsOf(excess);
  return { excessPercentPoints, caughtShare: 0, seconds: null, failedRequests: null, by: null };
}

function finite(seconds: number): number | null {
  return Number.isFinite(seconds) ? rounded(seconds) : null;
}

/** Means are no more exact than this, and a program that compares two plans should not see noise. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

function shareOf(value: number): number {
  return value < SHARE_MIN ? 0 : Number(Math.min(1, value).toPrecision(3));
}

function pointsOf(share: number): number {
  return Number((share * 100).toPrecision(6));
}
