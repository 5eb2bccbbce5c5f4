/**
 * Steps that a judge decides on: evidence against the primary, or against the user's bounds, read as often as there is
 * something new. Harm ends the run at once; a step needs that enough is shown, and that the metrics pass too which the
 * analysis names beside the judge. Everything else holds, and says why.
 */
import type { CheckResult, Run } from '../api/status.ts';
import type { Evidence } from './observation.ts';
import type { MetricSetting, Settings } from './settings.ts';
import { type Facts, formatTime, evidenceOf, judgementOf, parseTime, progressingOf } from './facts.ts';
import { endRun } from './takeAway.ts';
import { hold, say, type StatusPatch, still, type Unnamed, until } from './write.ts';
import { describeCheck, judge } from './verdict.ts';

/** What the status remembers of a judge is written at most this often, milliseconds. */
const CHECKPOINT_MS_MIN = 10_000;

/** Metrics that are compared with their bounds at each check. In slo mode the judge has the built-in ones. */
export function checkedMetrics({ judge: judging, metrics }: Settings): readonly MetricSetting[] {
  return judging?.mode === 'slo' ? metrics.filter(metric => metric.kind === 'custom') : metrics;
}

export function askEvidence(f: Facts): Unnamed {
  return {
    actions: [],
    transitions: [],
    measure: 'canary',
    isEvidenceOnly: true,
    nextTickMs: f.o.settings.intervalMs,
  };
}

/** Nobody knows yet at which pace new data comes: as often as it may be looked for, milliseconds. */
const FIRST_LOOK_MS = 2_000;

/** Until the next check, or until judge or guard may see something new before it. */
export function nextLookMs(f: Facts, run: Run): number {
  const { intervalMs, judge: judging, guard } = f.o.settings;
  if (!judging && !guard) return intervalMs;
  const asked = evidenceOf(f, run);
  const nextMs = asked ? (asked.given?.nextMs ?? intervalMs) : FIRST_LOOK_MS;
  return Math.min(intervalMs, nextMs);
}

/** The traffic is taken away on evidence: of the judge, or of the guard of the thresholds. */
export function rolledBack(f: Facts, run: Run, evidence: Evidence): Unnamed {
  const text = `Revision ${run.revision} is rolled back: ${evidence.message}`;
  return endRun(f, 'failed', say('RolledBack', 'error', text), undefined, { run });
}

/** Before the first step of a judged run there has to be something to compare with. Undefined: there is. */
export function beforeFirstStep(f: Facts, run: Run, outcomes: Outcomes): Unnamed | undefined {
  const asked = evidenceOf(f, run);
  if (!asked) return askEvidence(f);
  const evidence = asked.given;
  if (evidence?.kind === 'preparing') return still('Judging', evidence.message, evidence.nextMs);
  const missing = checkOfMissing(evidence);
  if (!missing) return undefined;
  const dueAt = parseTime(run.checkedAt ?? run.startedAt) + f.o.settings.intervalMs;
  if (f.o.now < dueAt)
    return still(
      missing.outcome === 'error' ? 'ProviderError' : 'NoData',
      missing.message ?? '',
      Math.min(until(f, dueAt), evidence?.nextMs ?? Infinity),
    );
  return checkedWithout(f, run, [missing], outcomes) ?? withoutCounters(f, run, [missing], missing, outcomes);
}

/** Said beside the first step. */
export function warningOf(f: Facts, run: Run): string | undefined {
  return evidenceOf(f, run)?.given?.warning;
}

/** What follows from checks, as for every run: how `progress.ts` writes it. */
export interface Outcomes {
  failed(run: Run, message: string, patch: StatusPatch): Unnamed;
  inconclusive(
    run: Run,
    verdict: { reason: 'NoData' | 'ProviderError'; message: string; isSpent: boolean },
    patch: StatusPatch,
  ): Unnamed;
  passed(run: Run, patch: StatusPatch, why: string): Unnamed;
  /** The deadline has passed, and its user wants the revision then. */
  promoted(run: Run, why: string, patch: StatusPatch): Unnamed;
  /** A status write over a settled route. */
  remembered(patch: StatusPatch, next: number): Unnamed;
}

export function judged(f: Facts, run: Run, dueAt: number, outcomes: Outcomes): Unnamed {
  const { settings, now } = f.o;
  const hasChecks = checkedMetrics(settings).length > 0;
  const isDue = now >= dueAt;
  const asked = evidenceOf(f, run);
  const judgement = judgementOf(f, run, 'canary');
  if (!asked || (isDue && hasChecks && !judgement))
    return isDue && hasChecks
      ? { actions: [], transitions: [], measure: 'canary', nextTickMs: settings.intervalMs }
      : askEvidence(f);
  const evidence = asked.given;
  if (evidence?.kind === 'rollback') return rolledBack(f, run, evidence);
  const missing = checkOfMissing(evidence);
  const nextMs = Math.max(1, Math.min(evidence?.nextMs ?? settings.intervalMs, settings.intervalMs));
  const untilDue = isDue ? nextMs : Math.min(nextMs, until(f, dueAt));
  // Checks that were not made this time do not stand against a step only where there are none.
  const isPaused = f.status.paused?.revision === run.revision;
  if (!isDue && (hasChecks || isPaused || missing || evidence?.kind !== 'pass'))
    return acted(f, run, evidence, outcomes) ?? still('Judging', evidence?.message ?? '', untilDue);
  const checks = [...(judgement?.checks ?? []), ...(missing ? [missing] : [])];
  const stopped = isDue ? checkedWithout(f, run, checks, outcomes) : undefined;
  if (stopped) return stopped;
  if (isDue && missing) return withoutCounters(f, run, checks, missing, outcomes);
  const checked = checkedNow(f, run, checks);
  if (evidence?.kind === 'pass')
    return outcomes.passed(checked, { checks }, `: ${evidence.message.replace(/\.$/, '')}`);
  return acted(f, checked, evidence, outcomes) ?? held(f, checked, checks, evidence, nextMs, outcomes);
}

/** What an analysis asks for at its deadline. */
function acted(f: Facts, run: Run, evidence: Evidence | undefined, outcomes: Outcomes): Unnamed | undefined {
  if (evidence?.kind !== 'stalled') return undefined;
  if (evidence.action === 'rollback') return rolledBack(f, run, evidence);
  if (evidence.action === 'promote' && f.status.paused?.revision !== run.revision)
    return outcomes.promoted(run, evidence.message, {});
  return undefined;
}

/** Nothing moves: what is known is remembered, and a run that cannot go on by itself says so once. */
function held(
  f: Facts,
  run: Run,
  checks: CheckResult[],
  evidence: Evidence | undefined,
  nextMs: number,
  outcomes: Outcomes,
): Unnamed {
  const message = evidence?.message ?? '';
  const patch: StatusPatch = { run, ...(checks.length > 0 ? { checks } : {}) };
  if (evidence?.kind === 'stalled') {
    if (progressingOf(f)?.reason !== 'Stalled') return hold(f, 'Stalled', message, nextMs, patch);
    return outcomes.remembered(patch, nextMs);
  }
  // The sentence has new numbers each time: it stands in `status.judge`, and only its beginning is told.
  if (progressingOf(f)?.reason === 'Stalled')
    return hold(f, 'Judging', 'The run is judged again.', nextMs, patch);
  return outcomes.remembered(patch, nextMs);
}

function checkedNow(f: Facts, run: Run, checks: readonly CheckResult[]): Run {
  const { noData, errors } = judge(checks, f.o.settings, run);
  const { passedEpoch: _passedEpoch, ...before } = run;
  return { ...before, checkedAt: formatTime(f.o.now), noData, errors };
}

/** What follows when a check failed or has no value; undefined when all of them passed. */
function checkedWithout(f: Facts, run: Run, checks: CheckResult[], outcomes: Outcomes): Unnamed | undefined {
  const { verdict } = judge(checks, f.o.settings, run);
  const checked = checkedNow(f, run, checks);
  if (verdict.kind === 'fail') return outcomes.failed(checked, verdict.message, { checks });
  if (verdict.kind === 'inconclusive') return outcomes.inconclusive(checked, verdict, { checks });
  return undefined;
}

/** Also whoever takes a missing value as passed cannot compare what is not there: that is said, and no budget ends it. */
function withoutCounters(
  f: Facts,
  run: Run,
  checks: CheckResult[],
  missing: CheckResult,
  outcomes: Outcomes,
): Unnamed {
  const reason = missing.outcome === 'error' ? 'ProviderError' : 'NoData';
  const verdict = { reason, message: describeCheck(missing), isSpent: false } as const;
  return outcomes.inconclusive(checkedNow(f, run, checks), verdict, { checks });
}

/** Counters that could not be read are a check without a value: they have the same policies and budgets. */
function checkOfMissing(evidence: Evidence | undefined): CheckResult | undefined {
  const message = evidence?.message.slice(0, 512);
  if (evidence === undefined)
    return { metric: 'judge', outcome: 'error', message: 'the metric provider has no raw counters' };
  if (evidence.kind === 'error') return { metric: 'judge', outcome: 'error', message };
  return evidence.kind === 'silent' ? { metric: 'judge', outcome: 'noData', message } : undefined;
}

/** When a judged run is due: checks at each interval, and what is remembered not more often than it may be written. */
export function judgedDueAt(f: Facts, nextAt: number): number {
  const checkedAt = Math.max(parseTime(f.run?.checkedAt), parseTime(f.run?.steppedAt));
  return Math.max(nextAt, checkedAt + CHECKPOINT_MS_MIN);
}
