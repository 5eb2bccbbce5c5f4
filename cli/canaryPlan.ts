/**
 * What one Canary would do under given traffic, as plain data for people and programs: good and bad releases under its
 * own rule beside the same manifest under a fixed threshold, what each metric is worth to the judge, and what cannot work.
 * It combines formulas and knows no files and no words of a terminal.
 */
import { type Detection, EXCESSES, planOf } from '../analyzers/judge/plan.ts';
import { type FixedRule, fixedThresholdOf, guardDetectionOf } from '../analyzers/judge/thresholdPlan.ts';
import type { JudgeChoice, JudgeMode } from './judgeSettings.ts';
import type { Manifest } from './manifests.ts';
import { type MetricNote, metricNotes } from './metricNotes.ts';
import { problemsOfAny, thresholdProblems } from './problems.ts';
import { ruleOf, type Subject, subjectOf, type Traffic } from './subject.ts';

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
/** The guard looks no more often than this. */
const GUARD_TICK_SECONDS_MIN = 2;
/** In `compare` failures share the evidence with latency, which nearly every source of metrics has. */
const FAILURES_BESIDE_LATENCY = 0.5;
/** Shares below this are none: nobody waits for one release in a million. */
const SHARE_MIN = 1e-6;

export function canaryPlanOf(manifest: Manifest, traffic: Traffic): CanaryPlan {
  const { canary, choice } = manifest;
  const subject = subjectOf(manifest, traffic);
  const planned = choice.mode === 'threshold' ? thresholdPlan(subject) : judgePlan(subject);
  return {
    namespace: canary.namespace,
    name: canary.name,
    mode: choice.mode,
    because: choice.because,
    traffic,
    ...planned,
    metrics: metricNotes(choice, subject.settings.metrics),
    problems: [...problemsOfAny(subject), ...planned.problems],
  };
}

type Planned = Pick<CanaryPlan, 'steps' | 'rules' | 'problems'>;

function judgePlan(subject: Subject): Planned {
  const { settings, choice, traffic, bounds, failureShare } = subject;
  const { judge } = choice;
  const isSlo = choice.mode === 'slo';
  if (isSlo && failureShare === undefined) return blindPlan(subject);
  const plan = planOf({
    settings: judge,
    weightsPercent: settings.steps,
    rps: traffic.rps,
    baseRate: traffic.failingPercent / 100,
    dispersion: traffic.dispersion,
    tickMs: traffic.scrapeSeconds * 1_000,
    ...(isSlo ? { bound: failureShare } : {}),
    evidenceShare: isSlo ? 1 / bounds.length : FAILURES_BESIDE_LATENCY,
  });
  return {
    steps: plan.steps.map(({ weightPercent, margin, seconds }) => ({
      weightPercent,
      seconds: finite(seconds),
      excludedPercentPoints: pointsOf(margin),
    })),
    rules: [
      {
        rule: 'judge',
        good: { seconds: finite(plan.seconds), rolledBackShare: judge.alpha, isPromised: true },
        bad: plan.detections.map(detection => judged(detection, choice)),
      },
      flaggerPlan(subject),
    ],
    problems: plan.problems,
  };
}

/** `slo` without a bound on failures: what it does with failing requests is nothing, and how many are slow is not known. */
function blindPlan(subject: Subject): Planned {
  const { settings, choice } = subject;
  const good = { seconds: null, rolledBackShare: choice.judge.alpha, isPromised: true };
  return {
    steps: settings.steps.map(weightPercent => ({ weightPercent, seconds: null })),
    rules: [{ rule: 'judge', good, bad: EXCESSES.map(unseen) }, flaggerPlan(subject)],
    problems: [
      'slo has no bound on failed requests: give request-success-rate a thresholdRange.min. A bound on latency alone cannot be planned, because nothing here tells how many requests are slow.',
    ],
  };
}

/** The deadline comes before what takes longer: it holds, and the evidence goes on growing, or it ends the run. */
function judged({ excess, seconds, failedRequests }: Detection, { judge }: JudgeChoice): BadRelease {
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
  const { settings, choice, failureShare } = subject;
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
  if (choice.guard) rules.unshift(guardedPlan(subject, rule, checks));
  return { steps, rules, problems };
}

/** Whichever is there first: the guard, or as many failed checks as the manifest asks for. */
function guardedPlan({ choice, traffic, bounds }: Subject, rule: FixedRule, checks: RulePlan): RulePlan {
  if (!choice.guard) return checks;
  const plan = {
    settings: choice.guard,
    rule,
    guarded: bounds.length,
    dispersion: traffic.dispersion,
    tickMs: Math.max(GUARD_TICK_SECONDS_MIN, traffic.scrapeSeconds) * 1_000,
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
