/**
 * What the rules ask of an observation again and again, computed once: the epochs and weights of the fence, the run,
 * the revisions, and the clock marks in the status. Pure; every rule takes the same `Facts`.
 */
import type { CanaryStatus, Condition, Phase, Run } from '../api/status.ts';
import type { Evidence, Judgement, Observation } from './observation.ts';
import { parseRunId, type RunIdentity } from './run.ts';

export interface Facts {
  o: Observation;
  status: CanaryStatus;
  /** Epoch that a decision takes now. */
  nextEpoch: number;
  statusEpoch: number;
  /** Epoch of the route in the observation that the status was decided on. */
  recordedRouteEpoch: number;
  routeEpoch: number;
  statusWeight: number;
  routeWeight: number;
  run: Run | undefined;
  /** The run in the route's stamp; undefined before the first. */
  routeRun: RunIdentity | undefined;
  routeRunId: string;
  /** Hash of the last good revision. */
  goodRevision: string | undefined;
  /** The route has sent the canary nothing for the drain time. */
  isDrained: boolean;
  drainedAt: number;
}

export function factsOf(o: Observation): Facts {
  const { status, route } = o;
  const statusEpoch = status.epoch ?? 0;
  const routeEpoch = route?.stamp.epoch ?? 0;
  const routeWeight = route?.canaryWeight ?? 0;
  // A take-away may land long after it was decided, or without its status: the drain begins when the route was written.
  const emptiedAt = Math.max(parseTime(status.zeroSince), route?.writtenAt ?? 0);
  const drainedAt = emptiedAt > 0 ? emptiedAt + o.settings.drainMs : 0;
  return {
    o,
    status,
    nextEpoch: Math.max(statusEpoch, routeEpoch) + 1,
    statusEpoch,
    recordedRouteEpoch: status.routeEpoch ?? 0,
    routeEpoch,
    statusWeight: status.canaryWeight ?? 0,
    routeWeight,
    run: status.run,
    routeRun: route ? parseRunId(route.stamp.run) : undefined,
    routeRunId: route?.stamp.run ?? '',
    goodRevision: status.lastGood?.hash,
    isDrained: routeWeight === 0 && o.now >= drainedAt,
    drainedAt,
  };
}

/** Another template than this run's, seen at a later generation or at a target that was made anew: only that is a new revision. */
export function isNewerThan(
  o: Observation,
  run: Pick<RunIdentity, 'revision' | 'generation'> & { targetUid?: string | undefined },
): boolean {
  const { target } = o;
  if (!target || target.revision === run.revision) return false;
  const isOther = run.targetUid !== undefined && run.targetUid !== target.uid;
  return isOther || target.generation > run.generation;
}

/**
 * The user went back to what is promoted, after the run began: the natural way to abort. A cached target that is older
 * than the run has the promoted template too, and says nothing.
 */
export function isReverted(f: Facts, run: Pick<RunIdentity, 'revision' | 'generation'>): boolean {
  return f.o.target?.revision === f.goodRevision && isNewerThan(f.o, run);
}

/** The cached target is older than the one that the status was decided on: what it lacks proves nothing. */
export function isTargetBehind(f: Facts): boolean {
  const { target } = f.o;
  const seen = f.status.target;
  // One that was made anew counts from 1 again.
  const isSame = (seen?.uid ?? target?.uid) === target?.uid;
  return target !== undefined && isSame && target.generation < (seen?.generation ?? 0);
}

/** Nothing is unfinished between status and route, and both speak of one run: a checkpoint may be written. */
export function isSettled(f: Facts): boolean {
  if (f.routeWeight > 0 && f.routeRunId !== (f.run?.id ?? '')) return false;
  if (f.routeEpoch > f.recordedRouteEpoch) {
    return f.routeEpoch === f.statusEpoch && f.routeWeight === f.statusWeight && f.o.route?.stamp.end === '';
  }
  return f.routeEpoch === f.recordedRouteEpoch && f.routeWeight === f.statusWeight;
}

/** The route was written by a decision that the status does not know of (fence rule 3, "higher"). */
export function hasRouteMoved(f: Facts): boolean {
  return f.routeEpoch > f.recordedRouteEpoch && !isSettled(f);
}

/**
 * When the canary is judged next: an interval after the last check, and after the traffic came. A raise may land long
 * after it was recorded (a frozen process, a lost reply), and its interval begins when it did.
 */
export function nextCheckAt(f: Facts, run: Run): number {
  const landedAt = f.o.route?.writtenAt ?? 0;
  const steppedAt = parseTime(run.steppedAt ?? run.startedAt);
  return Math.max(parseTime(run.checkedAt), steppedAt, landedAt) + f.o.settings.intervalMs;
}

export function parseTime(text: string | undefined): number {
  return text ? Date.parse(text) : 0;
}

export function formatTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** What the metrics said of this run on this arm, under the route as it is now; every other verdict is void. */
export function judgementOf(f: Facts, run: Run, arm: Judgement['arm']): Judgement | undefined {
  const { judgement } = f.o;
  return judgement?.arm === arm && !judgement.isEvidenceOnly && isOf(judgement, f, run)
    ? judgement
    : undefined;
}

/** What judge or guard said of this run's canary, under the route as it is now. */
export function evidenceOf(f: Facts, run: Run): { given: Evidence | undefined } | undefined {
  const { judgement } = f.o;
  return judgement?.arm === 'canary' && isOf(judgement, f, run) ? { given: judgement.evidence } : undefined;
}

function isOf(judgement: Judgement, f: Facts, run: Run): boolean {
  return judgement.runId === run.id && judgement.epoch === f.routeEpoch;
}

/** What people were told last of how the run stands. */
export function progressingOf(f: Facts): Condition | undefined {
  return f.status.conditions?.find(one => one.type === 'Progressing');
}

/** A phase in which a canary is judged. */
export function isJudgedIn(phase: Phase | undefined): boolean {
  return phase === 'Progressing' || phase === 'Waiting' || phase === 'WaitingPromotion';
}

/** A rollout is under way, its clean-up included. */
export function isRunning(phase: Phase): boolean {
  return ['Waiting', 'Progressing', 'WaitingPromotion', 'Promoting', 'Finalising'].includes(phase);
}
