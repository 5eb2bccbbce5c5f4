/**
 * The guard of a manifest in `threshold` mode: takes the traffic away when it is beyond doubt that the canary is beyond
 * the user's own threshold. It can only roll back, never promote, and a canary that is within the threshold at every time
 * is rolled back with probability at most alpha. Pure. How to wire it:
 *
 * At the start of a run: `startGuard({ runId, bounds, history? })`, `bounds` being `userBoundOf` of the built-in metrics
 * (custom queries have none: say so). While the canary has weight, as often as new data can be there: read both arms as
 * for `judge.ts` and call `guardTick(state, settings, reading)`. `rollback`: now. Nothing is written between checkpoints:
 * the state may be kept in memory or thrown away, since the alternatives are fixed, likelihood ratios multiply, and what
 * counts is whole numbers since the checkpoint; without memory it may only decide later, never otherwise.
 * With every status write that is made anyway, the first raise included: `guardCheckpoint(state, weightPercent)`, then
 * `encodeCheckpoint`.
 */
import { beyondOf, slotted, type UserBound } from './comparisons.ts';
import {
  type Counted,
  type Counters,
  countedBetween,
  countersAt,
  type Reading,
  type Totals,
} from './counters.ts';
import { BLOCK_MS, DISPERSION_PRIOR, type Dispersion, dispersionIn, dispersionOf } from './dispersion.ts';
import { blocksOf, paceOf, type PrimaryHistory } from './history.ts';
import { logSum } from './logDomain.ts';
import {
  FAILURE_EFFECTS,
  FIRST_SHARE,
  invested,
  laterShare,
  logEvidenceOf,
  SLOW_EFFECTS,
  UNINVESTED,
} from './mixture.ts';
import { alternativeOf, sloLogE } from './slo.ts';
import type { Counts } from './twoArm.ts';

export interface GuardSettings {
  /** Bound on the probability that a canary which is always within the threshold is ever rolled back. */
  alpha: number;
  /** `guard.after`: canary requests since it was first seen beyond, and fresh evaluations in which it was. */
  after: { requests: number; evaluations: number };
}

export const GUARD_DEFAULTS: GuardSettings = { alpha: 0.001, after: { requests: 10, evaluations: 2 } };

/** One threshold of the user's. */
export interface Guarded extends UserBound {
  /** Index of its latency bound; undefined: failures. */
  slow: number | undefined;
  /** Of the primary's history; undefined: the prior. */
  dispersion: Dispersion | undefined;
}

export interface GuardState {
  runId: string;
  guarded: readonly Guarded[];
  boundsMs: readonly number[];
  /** Requests a second of both arms, from the history. */
  rps: number | undefined;
  /** Undefined before the first reading. */
  progress: GuardProgress | undefined;
}

export interface GuardProgress {
  startedAtMs: number;
  atMs: number;
  /** Of the last checkpoint: evidence is invested anew there and nowhere else. */
  checkpointAtMs: number;
  counters: Counters;
  /** Pods of the canary that counted something in the last evaluation, at least 1. */
  canaryPods: number;
  /** One for each threshold. */
  evidence: readonly GuardEvidence[];
}

export interface GuardEvidence {
  /** Logarithms of the wealth on each effect size at the checkpoint. */
  logWealth: readonly number[];
  /** The canary's counts since the checkpoint; whole numbers, without those of incidents. */
  since: Counts;
  /** By which they are divided: fixed at the checkpoint, so that it knows none of them. */
  dispersion: number;
  /** Since the canary was first seen beyond while there is evidence: what `after` asks for, and the primary beside it. */
  streak: { evaluations: number; canary: Counts; primary: Counts };
  /** What the primary counted since the last incident; undefined once it has been calm for long enough. */
  calm: Counts | undefined;
  /** Everything since the guard began, for people. */
  canary: Counts;
  primary: Counts;
}

export type GuardVerdict =
  | { kind: 'rollback'; index: number; logE: number }
  /**
   * `SharedIncident`: the primary is beyond the bound too. The other two have the evidence: `TooFresh`: see `after`;
   * `Recovered`: the latest evaluation was within the bound.
   */
  | { kind: 'hold'; reason: 'SharedIncident' | 'TooFresh' | 'Recovered'; index: number; logE: number }
  | { kind: 'quiet'; reason: 'NoEvidence' | 'Beginning' | 'Stale' | 'NoNewData' };

/** Above the bound by so much in one evaluation is an incident: a healthy primary shows it once in hundreds. */
const INCIDENT_DEVIATIONS = 3;
/** And over all evaluations since the canary was first seen beyond. */
const SHARED_DEVIATIONS = 1;
/** One failed request among few is above most bounds, and is no incident. */
const INCIDENT_FAILURES_MIN = 2;
/** A canary that fails so many times as often as the primary does not fail for the primary's reason. */
const OWN_REASON_FACTOR = 5;
/** A bound that is next to nothing would wait for ever. */
const CALM_SHARE_MIN = 0.001;
const NONE: Counts = { total: 0, failures: 0 };
const NO_STREAK = { evaluations: 0, canary: NONE, primary: NONE } as const;

export interface GuardStart {
  runId: string;
  bounds: readonly UserBound[];
  history?: PrimaryHistory;
}

/** Thresholds whose latency bound would be a fourth one are left out: compare `guarded` with what was asked for. */
export function startGuard({ runId, bounds, history }: GuardStart): GuardState {
  const { kept, boundsMs } = slotted(bounds);
  const guarded = kept.map(({ bound, slow }): Guarded => {
    const dispersion = history && dispersionIn(blocksOf(history, beyondOf(bound.upperMs)));
    return { ...bound, slow, dispersion };
  });
  return { runId, guarded, boundsMs, rps: history && paceOf(history), progress: undefined };
}

/** Never throws on what a provider may answer. */
export function guardTick(
  state: GuardState,
  settings: GuardSettings,
  reading: Reading,
): { state: GuardState; verdict: GuardVerdict } {
  const { atMs, canary, primary } = reading;
  const { progress } = state;
  if (!canary || !primary) return { state, verdict: { kind: 'quiet', reason: 'Stale' } };
  if (!progress) {
    const counters = countersAt({ primary, earlier: reading.earlier }, state.boundsMs);
    return { state: begun(state, atMs, counters), verdict: { kind: 'quiet', reason: 'Beginning' } };
  }
  if (!(atMs > progress.atMs)) return { state, verdict: { kind: 'quiet', reason: 'NoNewData' } };
  const counted = countedBetween(progress.counters, { canary, primary }, state.boundsMs, progress.atMs);
  return guardCounted(state, settings, atMs, counted);
}

/** The same for a tick that has been counted already, later than the last one: what simulations call. */
export function guardCounted(
  state: GuardState,
  settings: GuardSettings,
  atMs: number,
  counted: Counted,
): { state: GuardState; verdict: GuardVerdict } {
  const { progress } = state;
  if (!progress) return { state, verdict: { kind: 'quiet', reason: 'Beginning' } };
  const looks = state.guarded.map(guarded => lookOf(guarded, counted));
  const evidence = state.guarded.map((guarded, index) =>
    evidenceAfter(guarded, progress.evidence[index] ?? NO_GUARD_EVIDENCE, looks[index] ?? NO_LOOK),
  );
  const next: GuardProgress = {
    ...progress,
    atMs,
    counters: counted.counters,
    canaryPods: counted.canary.pods,
    evidence,
  };
  const after = { ...state, progress: next };
  return { state: after, verdict: verdictOf(after, next, settings, looks) };
}

function begun(state: GuardState, atMs: number, counters: Counters): GuardState {
  const progress: GuardProgress = {
    startedAtMs: atMs,
    atMs,
    checkpointAtMs: atMs,
    counters,
    canaryPods: 1,
    // What is bet from the beginning; the rest is invested at the checkpoints.
    evidence: state.guarded.map(() => ({
      ...NO_GUARD_EVIDENCE,
      logWealth: invested(UNINVESTED, FIRST_SHARE),
    })),
  };
  return { ...state, progress };
}

export const NO_GUARD_EVIDENCE: GuardEvidence = {
  logWealth: UNINVESTED,
  since: NONE,
  dispersion: DISPERSION_PRIOR,
  streak: NO_STREAK,
  calm: undefined,
  canary: NONE,
  primary: NONE,
};

/** What one evaluation says about one threshold. */
interface Look {
  canary: Counts;
  primary: Counts;
  isCanaryBeyond: boolean;
  /** The primary is beyond the bound in this very evaluation. */
  isIncident: boolean;
}

const NO_LOOK: Look = {
  canary: NONE,
  primary: NONE,
  isCanaryBeyond: false,
  isIncident: false,
};

function lookOf({ slow, share }: Guarded, counted: Counted): Look {
  const countsOf = (arm: Totals): Counts => ({
    total: arm.total,
    failures: Math.min(arm.total, slow === undefined ? arm.failures : (arm.slow[slow] ?? 0)),
  });
  const [canary, primary] = [countsOf(counted.canary), countsOf(counted.primary)];
  return {
    canary,
    primary,
    isCanaryBeyond: isBeyond(canary, share),
    isIncident: exceeds(primary, share, INCIDENT_DEVIATIONS) && primary.failures >= INCIDENT_FAILURES_MIN,
  };
}

function isBeyond({ total, failures }: Counts, share: number): boolean {
  return total > 0 && failures > share * total;
}

/** By more than chance gives an arm that is on the bound: in standard deviations of a Poisson count. */
function exceeds({ total, failures }: Counts, share: number, deviations: number): boolean {
  return failures > share * total + deviations * Math.sqrt(share * total);
}

/**
 * The primary is beyond the bound in the same window as the canary. One that is above it by chance alone, beside a
 * canary that fails many times as often, is not: a bound of 1 % and 180 requests make two failures look like an incident.
 */
function isShared(streak: GuardEvidence['streak'], share: number): boolean {
  const { canary, primary } = streak;
  if (!isBeyond(primary, share)) return false;
  const isOwn = canary.failures * primary.total >= OWN_REASON_FACTOR * primary.failures * canary.total;
  return exceeds(primary, share, SHARED_DEVIATIONS) || !isOwn;
}

/**
 * An evaluation in which the primary is beyond the bound too is no evidence against the canary, and neither is what came
 * right before it: of a shared incident the canary may be the first to show, and what it left behind would roll back a
 * canary that recovers from it. So it is left out, and wealth falls back to what was bet at the beginning. That keeps
 * alpha: wealth may always be thrown away, and only the primary's counts decide on leaving out, which say nothing of how
 * the canary's requests end, given their rates.
 */
function evidenceAfter(guarded: Guarded, before: GuardEvidence, look: Look): GuardEvidence {
  const all = { canary: plus(before.canary, look.canary), primary: plus(before.primary, look.primary) };
  if (look.isIncident) {
    const begun = invested(UNINVESTED, FIRST_SHARE);
    const logWealth = wealthOf(guarded, before).map((log, k) => Math.min(log, begun[k] ?? log));
    return { ...before, ...all, logWealth, since: NONE, streak: NO_STREAK, calm: NONE };
  }
  const calm = calmAfter(before.calm, look.primary, guarded.share);
  const kept = { ...before, ...all, since: plus(before.since, look.canary), calm };
  return { ...kept, streak: streakAfter(guarded, kept, look) };
}

/**
 * Evaluations of few requests show an incident only now and then. It is over when the primary has counted so many since
 * that one failure is expected on the bound, and is within it.
 */
function calmAfter(before: Counts | undefined, primary: Counts, share: number): Counts | undefined {
  const calm = before && plus(before, primary);
  const isOver = calm && calm.total * Math.max(share, CALM_SHARE_MIN) >= 1 && !isBeyond(calm, share);
  return isOver ? undefined : calm;
}

/** Begins with an evaluation in which the canary is beyond; ends when there is no evidence any more, or in an incident. */
function streakAfter(guarded: Guarded, kept: GuardEvidence, look: Look): GuardEvidence['streak'] {
  const { streak } = kept;
  const isRunning = streak.evaluations > 0 && logSum(wealthOf(guarded, kept)) > 0;
  if (!isRunning && !look.isCanaryBeyond) return NO_STREAK;
  const from = isRunning ? streak : NO_STREAK;
  return {
    evaluations: from.evaluations + (look.isCanaryBeyond ? 1 : 0),
    canary: plus(from.canary, look.canary),
    primary: plus(from.primary, look.primary),
  };
}

function plus(a: Counts, b: Counts): Counts {
  return { total: a.total + b.total, failures: a.failures + b.failures };
}

/** `log W_k`: that of the checkpoint, times the likelihood ratio of everything since. */
function wealthOf(guarded: Guarded, { logWealth, since, dispersion }: GuardEvidence): number[] {
  const counts = { total: since.total / dispersion, failures: since.failures / dispersion };
  const effects = guarded.slow === undefined ? FAILURE_EFFECTS : SLOW_EFFECTS;
  return logWealth.map(
    (log, k) => log + sloLogE(counts, guarded.share, alternativeOf(guarded.share, effects[k] ?? 0)),
  );
}

/** `log E` of one threshold. */
export function logGuardEvidenceOf(
  guarded: Guarded,
  evidence: GuardEvidence,
  { startedAtMs, checkpointAtMs }: Pick<GuardProgress, 'startedAtMs' | 'checkpointAtMs'>,
): number {
  return logEvidenceOf(wealthOf(guarded, evidence), checkpointAtMs - startedAtMs);
}

/** Thresholds share alpha by averaging their evidence, so that one of m needs m times as much. */
function verdictOf(
  state: GuardState,
  progress: GuardProgress,
  { alpha, after }: GuardSettings,
  looks: readonly Look[],
): GuardVerdict {
  const logs = state.guarded.map((guarded, index) =>
    logGuardEvidenceOf(guarded, progress.evidence[index] ?? NO_GUARD_EVIDENCE, progress),
  );
  const logE = logSum(logs) - Math.log(Math.max(1, logs.length));
  if (!(logE >= Math.log(1 / alpha))) {
    const incident = looks.findIndex(look => look.isIncident && look.isCanaryBeyond);
    if (incident < 0) return { kind: 'quiet', reason: 'NoEvidence' };
    return { kind: 'hold', reason: 'SharedIncident', index: incident, logE };
  }
  const index = logs.indexOf(Math.max(...logs));
  const guarded = state.guarded[index];
  const evidence = progress.evidence[index];
  const look = looks[index];
  if (!guarded || !evidence || !look) return { kind: 'quiet', reason: 'NoEvidence' };
  const { streak } = evidence;
  if (look.isIncident || evidence.calm || isShared(streak, guarded.share))
    return { kind: 'hold', reason: 'SharedIncident', index, logE };
  if (!look.isCanaryBeyond) return { kind: 'hold', reason: 'Recovered', index, logE };
  if (streak.canary.total < after.requests || streak.evaluations < after.evaluations)
    return { kind: 'hold', reason: 'TooFresh', index, logE };
  return { kind: 'rollback', index, logE };
}

/**
 * At a status write: what was won since the last checkpoint is kept, and the share of the wealth that belongs to the
 * time between them is bet from here on: a late regression then has to win back little.
 * @param weightPercent what the canary has from now on
 */
export function guardCheckpoint(state: GuardState, weightPercent: number): GuardState {
  const { progress, rps } = state;
  if (!progress) return state;
  const { startedAtMs, checkpointAtMs, atMs } = progress;
  const share = laterShare(checkpointAtMs - startedAtMs, atMs - startedAtMs);
  const requests = ((rps ?? 0) * weightPercent * BLOCK_MS) / 100_000;
  const evidence = progress.evidence.map((before, index): GuardEvidence => {
    const guarded = state.guarded[index];
    if (!guarded) return before;
    return {
      ...before,
      logWealth: invested(wealthOf(guarded, before), share),
      since: NONE,
      dispersion: Math.max(
        DISPERSION_PRIOR,
        dispersionOf(guarded.dispersion, requests, progress.canaryPods, BLOCK_MS),
      ),
    };
  });
  return { ...state, progress: { ...progress, checkpointAtMs: atMs, evidence } };
}
