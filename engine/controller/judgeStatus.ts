/**
 * What judge and guard have found, as the core decides on it (`Evidence`) and as the status remembers and people read it
 * (`JudgeStatus`). Pure: no clock, no request.
 */
import { COMPARISONS_MAX, type JudgeStatus, TIMELINE_MAX } from '../api/status.ts';
import { encodeCheckpoint } from '../../analyzers/judge/checkpoint.ts';
import {
  type GuardSettings,
  type GuardState,
  guardCheckpoint,
  type GuardVerdict,
} from '../../analyzers/judge/guard.ts';
import type { JudgeState, Step, Verdict } from '../../analyzers/judge/judge.ts';
import { evidenceOf, guardEvidenceOf, type RateRecord } from '../../analyzers/judge/record.ts';
import { guardSentenceOf, sentenceOf } from '../../analyzers/judge/sentence.ts';
import type { JudgeSettings } from '../../analyzers/judge/settings.ts';
import { withPoint } from '../../analyzers/judge/timeline.ts';
import type { Evidence } from '../core/observation.ts';

export interface Found {
  evidence: Omit<Evidence, 'nextMs'>;
  /** Undefined before the first reading. */
  status: JudgeStatus | undefined;
}

/** What was judged before in this run; its points are continued. */
type Before = Pick<JudgeStatus, 'timeline'> | undefined;

const SENTENCE_MAX = 1_024;
/** Stands for what is beyond every number that JSON has. */
const LOG_MAX = 1e6;

export function judgeFound(
  state: JudgeState,
  settings: JudgeSettings,
  verdict: Verdict,
  step: Step,
  before: Before,
): Found {
  const record = evidenceOf(state, settings, step);
  const sentence = sentenceOf(verdict, record).slice(0, SENTENCE_MAX);
  const evidence = { ...kindOf(verdict, step), message: sentence };
  const { progress } = state;
  if (!progress) return { evidence, status: undefined };
  const shown = record.comparisons.filter(one => one.mustBeShown).map(one => one.logShown);
  const [first] = record.comparisons;
  const status: JudgeStatus = {
    run: state.runId,
    mode: settings.mode,
    at: new Date(progress.atMs).toISOString(),
    verdict: verdict.kind === 'hold' || verdict.kind === 'inconclusive' ? verdict.reason : verdict.kind,
    sentence,
    logEvidence: finite(record.logEvidence),
    logNeeded: record.logNeeded,
    comparisons: record.comparisons.slice(0, COMPARISONS_MAX).map(one => ({
      metric: one.metric,
      ...(one.upperMs === undefined ? {} : { upperMs: one.upperMs }),
      ...(one.bound === undefined ? {} : { bound: one.bound }),
      logEvidence: finite(one.logEvidence),
      logShown: finite(one.logShown),
      canary: rate(one.canary),
      primary: rate(one.primary),
    })),
    timeline: withPoint(
      before?.timeline ?? [],
      [
        (progress.atMs - progress.startedAtMs) / 1_000,
        step.weightPercent,
        first?.canary.total ?? 0,
        first?.canary.failures ?? 0,
        first?.primary.total ?? 0,
        first?.primary.failures ?? 0,
        record.logEvidence,
        shown.length > 0 ? Math.min(...shown) : 0,
      ],
      TIMELINE_MAX - 1,
    ),
    checkpoint: encodeCheckpoint({ kind: 'judge', state }),
  };
  return { evidence, status };
}

function kindOf(verdict: Verdict, { weightPercent }: Step): Pick<Evidence, 'kind' | 'action'> {
  switch (verdict.kind) {
    case 'rollback':
      return { kind: 'rollback' };
    case 'advance':
    case 'promote':
      return { kind: 'pass' };
    case 'inconclusive':
      return { kind: 'stalled', action: verdict.action };
    case 'hold':
      if (verdict.reason === 'Stale') return { kind: 'silent' };
      return { kind: weightPercent === 0 ? 'ready' : 'hold' };
    default:
      return verdict satisfies never;
  }
}

export interface GuardFound extends Found {
  /** The state as the checkpoint of `status` has it: what goes on once that is written. */
  checkpointed: GuardState;
}

/** @param weights what the canary has, and what it may have from the next status write on, in percent */
export function guardFound(
  state: GuardState,
  settings: GuardSettings,
  verdict: GuardVerdict,
  weights: { now: number; next: number },
  before: Before,
): GuardFound {
  const record = guardEvidenceOf(state, settings);
  const sentence = guardSentenceOf(verdict, record).slice(0, SENTENCE_MAX);
  const evidence = { kind: verdict.kind === 'rollback' ? 'rollback' : 'hold', message: sentence } as const;
  const checkpointed = guardCheckpoint(state, weights.next);
  const { progress } = state;
  if (!progress) return { evidence, status: undefined, checkpointed };
  const strongest = [...record.guarded].sort((a, b) => b.logEvidence - a.logEvidence);
  const failures = record.guarded.find(one => one.metric === 'request-success-rate') ?? strongest[0];
  const status: JudgeStatus = {
    run: state.runId,
    mode: 'threshold',
    at: new Date(progress.atMs).toISOString(),
    verdict: verdict.kind === 'rollback' ? verdict.kind : verdict.reason,
    sentence,
    logEvidence: finite(record.logEvidence),
    logNeeded: record.logNeeded,
    comparisons: strongest.slice(0, COMPARISONS_MAX).map(one => ({
      metric: one.metric,
      ...(one.upperMs === undefined ? {} : { upperMs: one.upperMs }),
      bound: one.bound,
      logEvidence: finite(one.logEvidence),
      canary: rate(one.canary),
      primary: rate(one.primary),
    })),
    timeline: withPoint(
      before?.timeline ?? [],
      [
        (progress.atMs - progress.startedAtMs) / 1_000,
        weights.now,
        failures?.canary.total ?? 0,
        failures?.canary.failures ?? 0,
        failures?.primary.total ?? 0,
        failures?.primary.failures ?? 0,
        record.logEvidence,
        0,
      ],
      TIMELINE_MAX - 1,
    ),
    checkpoint: encodeCheckpoint({ kind: 'guard', state: checkpointed }),
  };
  return { evidence, status, checkpointed };
}

function rate({ total, failures, low, high }: RateRecord): RateRecord {
  return { total, failures, low: Number(low.toPrecision(4)), high: Number(high.toPrecision(4)) };
}

function finite(log: number): number {
  return Number(Math.max(-LOG_MAX, Math.min(LOG_MAX, log)).toFixed(4));
}
