/**
 * What a rollout leaves behind, cleaned up level by level: the target drained, un-paused and scaled to zero, the primary's
 * own strategy back, and stored templates forgotten that nothing refers to. It moves no traffic.
 */
import { contestedHold, resizePrimary } from './repair.ts';
import { isContested, takenBackBy } from './contest.ts';
import type { Action } from './decision.ts';
import { type Facts, isTargetBehind } from './facts.ts';
import { isPrimaryReady, primaryHasEndpoint } from './readiness.ts';
import { act, BEHIND_MS, hold, release, type Unnamed, until, write } from './write.ts';

/** The write that lets the drained target go: un-paused, and to zero only while the primary is ready. */
export function targetRelease(f: Facts): Action | undefined {
  const { target } = f.o;
  if (!target || !f.isDrained) return undefined;
  const isHeld = target.pausedBy === 'engine';
  const mayScaleDown = target.replicas > 0 && isPrimaryReady(f.o) && primaryHasEndpoint(f.o) && !isForeign(f);
  if (!isHeld && !mayScaleDown) return undefined;
  return {
    kind: 'target',
    epoch: f.nextEpoch,
    ...(isHeld ? { paused: false } : {}),
    ...(mayScaleDown && !(isHeld && target.isScaledByOthers) ? { replicas: 0 } : {}),
  };
}

/** Undefined when there is nothing left to do about the target. */
export function cleanUpTarget(f: Facts): Unnamed | undefined {
  const { target } = f.o;
  if (!target) return undefined;
  const isHeld = target.pausedBy === 'engine';
  if (!isHeld && target.replicas === 0) return undefined;
  if (!f.isDrained) return act([], until(f, f.drainedAt));
  if (isTargetBehind(f)) return act([], BEHIND_MS);
  const releasing = targetRelease(f);
  if (releasing) return !isHeld && target.isScaledByOthers ? scaledByOthers(f) : release(f, releasing);
  if (isForeign(f)) return undefined;
  const message = 'The canary keeps running while the primary has too few ready pods.';
  return hold(f, 'PrimaryNotReady', message, undefined);
}

/** What else is left, after a status write that goes first: an engine with an old status must not do it. */
export function leftovers(f: Facts): Action[] {
  const { primary, target, stored } = f.o;
  if (!target) return [];
  const surging: Action[] = primary?.isSurging
    ? [{ kind: 'primary', revision: primary.revision, surge: false, epoch: f.nextEpoch }]
    : [];
  // An old target does not show the revision that has just been stored for the newer one.
  const forgotten = isTargetBehind(f) ? [] : [...stored].filter(revision => !isReferredTo(f, revision));
  return [...surging, ...forgotten.map(revision => ({ kind: 'forgetRevision' as const, revision }))];
}

/**
 * Somebody scaled the target while it has nothing to do: they want the workload to have that many replicas, and the
 * primary is what serves. Then the target goes back to zero, unless they keep on taking that back.
 */
function scaledByOthers(f: Facts): Unnamed {
  const contested = isContested(f.status.takenBack, f.o.now, 'Deployment spec.replicas');
  if (contested) return contestedHold(f) ?? act([], 'whenWoken');
  const resized = resizePrimary(f);
  if (resized) return resized;
  return write(
    f,
    takenBackBy(f, 'Deployment spec.replicas'),
    [],
    [{ kind: 'target', replicas: 0, epoch: f.nextEpoch }],
  );
}

/** Kept: what runs, what is promoted, what a way back returns to, and the promotion before it, for an undo. */
function isReferredTo(f: Facts, revision: string): boolean {
  const { status, target } = f.o;
  const promotedBefore = (status.history ?? []).filter(one => one.outcome === 'Succeeded').slice(0, 2);
  return [
    target?.revision,
    status.run?.revision,
    status.promoted?.hash,
    status.lastGood?.hash,
    status.lastAppliedSpec,
    f.o.primary?.revision,
    ...promotedBefore.map(one => one.revision),
  ].includes(revision);
}

/** Another manager owns what Serin would have to write, or points clients at the target: it is left alone. */
function isForeign(f: Facts): boolean {
  return (
    f.o.objects.apexSelects === 'target' || f.o.obstacles.some(one => one.reason === 'FieldOwnedByOther')
  );
}
