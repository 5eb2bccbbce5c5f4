/**
 * What many rehearsals of one Canary came to, as plain data for people and programs: its own rule beside a fixed
 * threshold. It plays nothing by itself and knows no files and no words of a terminal.
 */
import type { Canary } from '../engine/api/decode.ts';
import type { MetricSetting } from '../engine/core/settings.ts';
import { type Rule, rulesOf } from '../simulator/rehearsal/rules.ts';
import { rehearseAll } from '../simulator/rehearsal/company.ts';
import { refusalOf } from '../simulator/rehearsal/rehearse.ts';
import type { Rehearsed, Scenario, Traffic } from '../simulator/rehearsal/scenario.ts';
import { problemsOfAny } from './problems.ts';
import { type JudgeMode, type Subject, subjectOf } from './subject.ts';

export interface Rehearsal {
  namespace: string;
  name: string;
  mode: JudgeMode;
  /** Why this mode. */
  because: string;
  traffic: Traffic;
  runs: number;
  seed: number;
  /** The Canary's own rule first; only that one where it is a fixed threshold itself. */
  rules: RuleRehearsal[];
  /** Whole sentences; empty when there is nothing to say beside the numbers. */
  notes: string[];
}

export interface RuleRehearsal {
  rule: 'judge' | 'thresholdWithGuard' | 'threshold' | 'fixedThreshold';
  /** Set where failed checks count. */
  checks?: Checks;
  rolledBack: Ended & { by: Partial<Record<NonNullable<Rehearsed['by']>, number>> };
  promoted: Ended;
  /** Neither in the time that there was; with the reasons for it and their shares of all runs. */
  held: { share: number; reasons: { reason: string; message: string; share: number }[] };
  failedRequests: {
    /** In pods of the new release, from its first traffic to its end. */
    median: number;
    p95: number;
    /** All of them, as a share of all requests in that time. */
    shareOfAll: number;
    /** The same of everything that failed, in the primary too. */
    shareAnywhere: number;
  };
  /** In the order of their seeds. */
  rehearsals: RunRehearsal[];
}

export interface Checks {
  intervalSeconds: number;
  threshold: number;
  metrics: Pick<MetricSetting, 'name' | 'min' | 'max'>[];
  /** The manifest has no such bounds. */
  isAssumed: boolean;
}

export interface Ended {
  share: number;
  /** From the canary's first traffic; null: no run ended so. */
  seconds: { median: number; p95: number } | null;
}

export interface RunRehearsal {
  outcome: Rehearsed['outcome'];
  by?: NonNullable<Rehearsed['by']>;
  seconds: number;
  requests: number;
  failedRequests: number;
}

export interface Company {
  runs: number;
  seed: number;
}

/** @returns a sentence where a cluster would not even take such a Canary */
export async function rehearsalOf(
  canary: Canary,
  traffic: Traffic,
  company: Company,
): Promise<Rehearsal | string> {
  const { namespace, name } = canary;
  const rules = rulesOf(canary);
  const subject = subjectOf(canary, plannedTraffic(traffic));
  const scenarios = rules.map(
    ({ spec, endsAfterMs }): Scenario => ({ namespace, name, spec, traffic, endsAfterMs }),
  );
  for (const scenario of scenarios) {
    const refusal = refusalOf(scenario);
    if (refusal !== undefined) return `Canary ${name}: ${refusal}`;
  }
  const played = await rehearseAll({ scenarios, ...company });
  return {
    namespace,
    name,
    mode: subject.mode,
    because: subject.because,
    traffic,
    ...company,
    rules: rules.map((rule, index) => ruleRehearsalOf(rule, played[index] ?? [])),
    notes: notesOf(subject),
  };
}

function nameOf({ name, settings }: Rule): RuleRehearsal['rule'] {
  if (name === 'fixed') return 'fixedThreshold';
  if (settings.judge) return 'judge';
  return settings.guard ? 'thresholdWithGuard' : 'threshold';
}

function ruleRehearsalOf(rule: Rule, runs: readonly Rehearsed[]): RuleRehearsal {
  const { settings, isAssumed } = rule;
  const { intervalMs, threshold, metrics } = settings;
  const checks = {
    intervalSeconds: intervalMs / 1_000,
    threshold,
    metrics: metrics.map(({ name, min, max }) => ({ name, min, max })),
    isAssumed,
  };
  const rolledBack = runs.filter(({ outcome }) => outcome === 'rolledBack');
  const requests = sumOf(runs, run => run.requests);
  const failed = runs.map(run => run.failed);
  return {
    rule: nameOf(rule),
    ...(settings.judge ? {} : { checks }),
    rolledBack: { ...endedOf(runs, 'rolledBack'), by: sharesOf(rolledBack, runs.length) },
    promoted: endedOf(runs, 'promoted'),
    held: heldOf(runs),
    failedRequests: {
      median: quantile(failed, 0.5),
      p95: quantile(failed, 0.95),
      shareOfAll: share(
        sumOf(runs, run => run.failed),
        requests,
      ),
      shareAnywhere: share(
        sumOf(runs, run => run.failedAnywhere),
        requests,
      ),
    },
    rehearsals: runs.map(run => ({
      outcome: run.outcome,
      ...(run.by ? { by: run.by } : {}),
      seconds: run.ms / 1_000,
      requests: run.requests,
      failedRequests: run.failed,
    })),
  };
}

function endedOf(runs: readonly Rehearsed[], outcome: Rehearsed['outcome']): Ended {
  const seconds = runs.filter(run => run.outcome === outcome).map(run => run.ms / 1_000);
  return {
    share: share(seconds.length, runs.length),
    seconds: seconds.length > 0 ? { median: quantile(seconds, 0.5), p95: quantile(seconds, 0.95) } : null,
  };
}

function sharesOf(rolledBack: readonly Rehearsed[], runs: number): RuleRehearsal['rolledBack']['by'] {
  const shares: RuleRehearsal['rolledBack']['by'] = {};
  for (const { by = 'other' } of rolledBack) shares[by] = (shares[by] ?? 0) + 1;
  for (const by of Object.keys(shares) as (keyof typeof shares)[]) shares[by] = share(shares[by] ?? 0, runs);
  return shares;
}

/** With the first sentence of each reason; the others differ in their numbers. */
function heldOf(runs: readonly Rehearsed[]): RuleRehearsal['held'] {
  const held = runs.filter(({ outcome }) => outcome === 'held');
  const reasons = Map.groupBy(held, ({ reason }) => reason);
  return {
    share: share(held.length, runs.length),
    reasons: [...reasons]
      .map(([reason, of]) => ({
        reason,
        message: of[0]?.message ?? '',
        share: share(of.length, runs.length),
      }))
      .sort((a, b) => b.share - a.share),
  };
}

/** As `plan` has it. */
function plannedTraffic({ rps, primary, scrapeMs }: Traffic): Subject['traffic'] {
  return { rps, failingPercent: primary.failing * 100, dispersion: 1, scrapeSeconds: scrapeMs / 1_000 };
}

function notesOf(subject: Subject): string[] {
  const custom = subject.settings.metrics.filter(({ kind }) => kind === 'custom').map(({ name }) => name);
  const unknown =
    custom.length > 0
      ? [`${custom.join(', ')} passed every check: what a query of your own would answer is not known here.`]
      : [];
  return [...problemsOfAny(subject), ...unknown];
}

/** Nearest rank. */
function quantile(values: readonly number[], at: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(at * sorted.length) - 1)] ?? 0;
}

function sumOf(runs: readonly Rehearsed[], of: (run: Rehearsed) => number): number {
  return runs.reduce((sum, run) => sum + of(run), 0);
}

function share(part: number, whole: number): number {
  return whole > 0 ? Number((part / whole).toPrecision(4)) : 0;
}
