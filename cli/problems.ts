/** What cannot work, or works by luck, in a manifest under given traffic: whole sentences. Those of the judge are its own. */
import { type FixedRule, fixedThresholdOf } from '../analyzers/judge/thresholdPlan.ts';
import { ruleOf, type Subject, type Traffic } from './subject.ts';

/** Good releases that are rolled back more often than this are worth a word. */
const FALSE_SHARE_MAX = 0.01;
/** And checks that see no request. */
const SILENT_SHARE_MAX = 0.05;

/** In every mode. */
export function problemsOfAny({ settings, traffic, leftOut }: Subject): string[] {
  const problems: string[] = [];
  if (settings.skipAnalysis)
    problems.push('spec.skipAnalysis is set: every release is promoted as soon as it is ready, unjudged.');
  if (settings.iterations > 0 && traffic.rps > 0)
    problems.push(
      `Until all traffic is switched at once the canary gets none of it: its ${settings.iterations} checks see only what you send to it yourself, and a release that fails then fails all ${rounded(traffic.rps)} requests a second.`,
    );
  if (leftOut !== undefined)
    problems.push(
      `The step of ${leftOut} % is left out, because no primary is left there to compare with: a release is promoted from ${settings.steps.at(-1)} %.`,
    );
  return problems;
}

/** Metrics that are named beside `compare` are vetoes, outside of what the judge promises. */
export function vetoProblems(rule: FixedRule, { failingPercent }: Traffic): string[] {
  const [problem] = chanceProblems(rule, failingPercent / 100, 'Without metrics the judge alone decides.');
  return problem === undefined ? [] : [`Beside the judge, metrics are vetoes. ${problem}`];
}

export function thresholdProblems(subject: Subject): string[] {
  const { settings, traffic, failureShare } = subject;
  if (!(traffic.rps > 0)) return ['There is no traffic, so that nothing can be judged.'];
  if (settings.metrics.length === 0)
    return ['There is no metric: every release whose pods become ready is promoted.'];
  if (failureShare === undefined)
    return [
      'No metric has a bound on failed requests (request-success-rate with thresholdRange.min): what fails is not seen, and cannot be planned.',
    ];
  const rule = ruleOf(subject, { share: failureShare, threshold: settings.threshold, isFlagger: false });
  const advice = 'With judge.mode: compare and no metrics there is no such threshold.';
  return [...chanceProblems(rule, traffic.failingPercent / 100, advice), ...paceProblems(rule, subject)];
}

function chanceProblems(rule: FixedRule, base: number, advice: string): string[] {
  const { share, weightsPercent } = rule;
  if (base > share)
    return [
      `The primary itself fails ${percent(base)} of its requests, more than the ${percent(share)} that request-success-rate allows: a release that is as good as it fails its checks.`,
    ];
  const { rolledBackShare } = fixedThresholdOf(rule, base);
  if (rolledBackShare <= FALSE_SHARE_MAX) return [];
  const seen = firstPace(rule) * rule.windowSeconds;
  const why =
    share * seen < 1
      ? 'and one failed request among them is too many'
      : 'and the threshold is close to what the primary fails';
  return [
    `By chance alone about ${percent(rolledBackShare)} of good releases are rolled back: a check at ${weightsPercent[0]} % sees about ${rounded(seen)} requests, ${why}. ${advice}`,
  ];
}

function paceProblems(rule: FixedRule, { settings: { guard } }: Subject): string[] {
  const { threshold, intervalSeconds, weightsPercent, windowSeconds } = rule;
  const problems: string[] = [];
  const silent = Math.exp(-firstPace(rule) * windowSeconds);
  if (silent > SILENT_SHARE_MAX)
    problems.push(
      `At ${weightsPercent[0]} % of the traffic ${percent(silent)} of the checks see no request at all; then the step waits, as onNoData says.`,
    );
  if (!guard) return problems;
  const guardSeconds = guard.after.requests / firstPace(rule);
  if (guardSeconds > threshold * intervalSeconds)
    problems.push(
      `The guard waits for ${guard.after.requests} canary requests, which take ${rounded(guardSeconds)} s at ${weightsPercent[0]} %: failed checks are there after ${threshold * intervalSeconds} s.`,
    );
  return problems;
}

/** Canary requests a second in the first step. */
function firstPace({ rps, weightsPercent }: FixedRule): number {
  return (rps * (weightsPercent[0] ?? 0)) / 100;
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(2))} %`;
}

function rounded(value: number): number {
  return Number(value.toPrecision(2));
}
