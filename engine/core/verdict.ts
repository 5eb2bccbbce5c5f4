/**
 * From measurements to a verdict: pass, fail or inconclusive. No data and provider errors are never failures by
 * accident: each follows its own policy and has its own budget.
 */
import type { CheckResult, Run } from '../api/status.ts';
import type { Measurement } from '../../analyzers/analyzer.ts';
import type { MetricSetting, NoDataPolicy, Settings } from './settings.ts';

export function checkOf(metric: MetricSetting, measurement: Measurement): CheckResult {
  const bounds = {
    ...(metric.min === undefined ? {} : { min: metric.min }),
    ...(metric.max === undefined ? {} : { max: metric.max }),
  };
  if (measurement.kind === 'noData')
    return { metric: metric.name, outcome: 'noData', ...bounds, message: measurement.message.slice(0, 512) };
  if (measurement.kind === 'providerError') {
    return { metric: metric.name, outcome: 'error', ...bounds, message: measurement.message.slice(0, 512) };
  }
  const { value } = measurement;
  if (!Number.isFinite(value))
    return { metric: metric.name, outcome: 'noData', ...bounds, message: `the value is ${value}` };
  const isBeyond =
    (metric.min !== undefined && value < metric.min) || (metric.max !== undefined && value > metric.max);
  return { metric: metric.name, outcome: isBeyond ? 'fail' : 'pass', value, ...bounds };
}

export type Verdict =
  | { kind: 'pass' }
  | { kind: 'fail'; message: string }
  | { kind: 'inconclusive'; reason: 'NoData' | 'ProviderError'; message: string; isSpent: boolean };

export interface Judged {
  verdict: Verdict;
  /** Checks in a row without data, and with a failing provider, this one included. */
  noData: number;
  errors: number;
}

export function judge(checks: readonly CheckResult[], settings: Settings, run: Run): Judged {
  const missing = checks.find(check => check.outcome === 'noData');
  const broken = checks.find(check => check.outcome === 'error');
  const noData = missing ? (run.noData ?? 0) + 1 : 0;
  const errors = broken ? (run.errors ?? 0) + 1 : 0;
  return { verdict: verdictOf(checks, settings, noData, errors), noData, errors };
}

function verdictOf(
  checks: readonly CheckResult[],
  settings: Settings,
  noData: number,
  errors: number,
): Verdict {
  const policyOf = (check: CheckResult): NoDataPolicy | undefined =>
    check.outcome === 'noData' ? settings.onNoData : check.outcome === 'error' ? settings.onError : undefined;
  const failed = checks.find(check => check.outcome === 'fail' || policyOf(check) === 'fail');
  if (failed) return { kind: 'fail', message: describeCheck(failed) };
  const held = checks.find(check => policyOf(check) === 'hold');
  if (!held) return { kind: 'pass' };
  const isData = held.outcome === 'noData';
  return {
    kind: 'inconclusive',
    reason: isData ? 'NoData' : 'ProviderError',
    message: describeCheck(held),
    isSpent: isData ? noData >= settings.noDataBudget : errors >= settings.errorBudget,
  };
}

/** One sentence with the numbers, e.g. `request-success-rate is 91.2, below 99`. */
export function describeCheck(check: CheckResult): string {
  if (check.value === undefined) return `${check.metric}: ${check.message ?? 'no value'}`;
  const value = Number(check.value.toFixed(3));
  if (check.min !== undefined && check.value < check.min)
    return `${check.metric} is ${value}, below ${check.min}`;
  if (check.max !== undefined && check.value > check.max)
    return `${check.metric} is ${value}, above ${check.max}`;
  const bounds = [
    check.min === undefined ? '' : `at least ${check.min}`,
    check.max === undefined ? '' : `at most ${check.max}`,
  ];
  return `${check.metric} is ${value}, ${bounds.filter(Boolean).join(' and ') || 'without a bound'}`;
}

/** Longer lists are cut: a transition's message has 512 characters in all, and its own words come first. */
const VALUES_CHARACTERS_MAX = 400;

/** What was judged, to stand at the end of a sentence: `: a is 99.9, at least 99; b is 12, at most 500`; empty for none. */
export function describeChecks(checks: readonly CheckResult[]): string {
  const text = checks.map(describeCheck).join('; ');
  if (text === '') return '';
  return `: ${text.length > VALUES_CHARACTERS_MAX ? `${text.slice(0, VALUES_CHARACTERS_MAX - 1)}…` : text}`;
}
