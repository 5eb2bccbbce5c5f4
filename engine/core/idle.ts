/**
 * Between rollouts: what the last one left behind is cleaned up level by level (drain, un-pause, scale down), and a
 * revision that is neither promoted nor rejected starts. Also the end of a successful one.
 */
import {
  act,
  fenced,
  freshRun,
  hold,
  newRun,
  recorded,
  release,
  say,
  type Unnamed,
  until,
  write,
} from './write.ts';
import { type Facts, isNewerThan } from './facts.ts';
import { isPrimaryReady, primaryHasEndpoint } from './readiness.ts';
import { isContested, takenBackBy } from './contest.ts';
import type { Action } from './decision.ts';
import { contestedHold, resizePrimary } from './repair.ts';

/**
 * Drained, un-paused, scaled to zero (only while the primary is ready), the primary's own strategy back, and stored
 * templates forgotten that nothing refers to.
 */
function cleanUp(f: Facts): Unnamed | undefined {
  const { target, primary } = f.o;
  if (!target) return undefined;
  const isHeld = target.pausedBy === 'engine';
  if (isHeld || target.replicas > 0) {
    if (!f.isDrained) return act([], until(f, f.drainedAt));
    const mayScaleDown =
      target.replicas > 0 && isPrimaryReady(f.o) && primaryHasEndpoint(f.o) && !isForeign(f);
    if (!isHeld && mayScaleDown && target.isScaledByOthers) return scaledByOthers(f);
    if (isHeld || mayScaleDown) {
      const releasing: Action = {
        kind: 'target',
        epoch: f.nextEpoch,
        ...(isHeld ? { paused: false } : {}),
        ...(mayScaleDown && !(isHeld && target.isScaledByOthers) ? { replicas: 0 } : {}),
      };
      return release(f, releasing);
    }
    if (isForeign(f)) return undefined;
    return hold(
      f,
      'PrimaryNotReady',
      'The canary keeps running while the primary has too few ready pods.',
      undefined,
    );
  }
  if (primary?.isSurging)
    return fenced(f, { kind: 'primary', revision: primary.revision, surge: false, epoch: f.nextEpoch });
  const forgotten = [...f.o.stored].find(revision => !isReferredTo(f, revision));
  return forgotten === undefined ? undefined : fenced(f, { kind: 'forgetRevision', revision: forgotten });
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

/** The last phase of a promotion: over when nothing is left to clean up. */
export function finalise(f: Facts): Unnamed {
  const cleaning = cleanUp(f);
  if (cleaning) return cleaning;
  const message = `Revision ${f.run?.revision ?? ''} was promoted and serves all traffic.`;
  return write(
    f,
    { phase: 'Succeeded', history: recorded(f, 'Succeeded', 'Succeeded', message) },
    [say('Succeeded', 'info', message)],
    [],
    0,
  );
}

export function idle(f: Facts): Unnamed {
  const started = start(f);
  // A release that brings its replicas along starts with them: scaling down first would be in vain.
  const isStarting = started?.actions[0]?.kind === 'storeRevision' && f.o.target?.pausedBy === 'nobody';
  if (isStarting) return started;
  return cleanUp(f) ?? started ?? act([], 'whenWoken');
}

/** A new revision, or a rejected one that a person retries. */
function start(f: Facts): Unnamed | undefined {
  const { target, command, obstacles, settings } = f.o;
  if (!target)
    return hold(f, 'TargetNotFound', `Deployment ${settings.targetName} does not exist.`, undefined);
  if (isSameAtGeneration(f)) return rebaseline(f);
  const isRetry =
    command?.verb === 'retry' &&
    f.status.phase === 'Failed' &&
    command.revision === f.run?.revision &&
    target.revision === f.run.revision;
  if (command && !isRetry && command.verb === 'retry') {
    return write(f, { handledCommand: command.id }, [
      say(
        'CommandRefused',
        'warn',
        `retry names revision ${command.revision}, the target has ${target.revision}.`,
      ),
    ]);
  }
  const isPromoted = target.revision === f.goodRevision;
  const isSeen = target.revision === f.status.lastAppliedSpec;
  if (isPromoted && !isSeen) return write(f, { lastAppliedSpec: target.revision }, [], [], 'whenWoken');
  if (!isRetry && (isPromoted || isSeen)) return undefined;
  if (f.run && !isRetry && !isNewerThan(f.o, f.run)) return undefined;
  const contested = contestedHold(f);
  if (contested) return contested;
  const [obstacle] = obstacles;
  if (obstacle) return hold(f, obstacle.reason as 'FieldOwnedByOther', obstacle.message, undefined);
  const run = newRun(f, isRetry ? command.id : '');
  const message = isRetry
    ? `${command.by} retries revision ${run.revision}.`
    : `Revision ${run.revision} is rolled out.`;
  const { status, transitions } = startStatus(f, run, message, isRetry ? command.id : undefined);
  return {
    actions: [
      { kind: 'storeRevision', revision: run.revision },
      { kind: 'status', status },
    ],
    transitions,
    nextTickMs: 0,
  };
}

function startStatus(
  f: Facts,
  run: ReturnType<typeof newRun>,
  message: string,
  commandId: string | undefined,
) {
  // Contests are counted anew: nothing starts while one lasts, and an engine whose clock is behind must not end this run.
  const patch = {
    ...freshRun(run),
    takenBack: undefined,
    ...(commandId ? { handledCommand: commandId } : {}),
  };
  const started = write(f, patch, [say('Started', 'info', message)]);
  const [first] = started.actions;
  if (first?.kind !== 'status') throw new Error('a start writes its status first');
  return { status: first.status, transitions: started.transitions };
}

/** The same generation with another hash: Kubernetes or Serin was upgraded, and nobody changed the template. */
function isSameAtGeneration(f: Facts): boolean {
  const { target } = f.o;
  const seen = f.status.target;
  return (
    target !== undefined &&
    seen !== undefined &&
    seen.generation === target.generation &&
    (seen.uid ?? target.uid) === target.uid &&
    seen.hash !== target.revision
  );
}

function rebaseline(f: Facts): Unnamed {
  const { target } = f.o;
  const old = f.status.target?.hash;
  if (!target) throw new Error('rebaseline needs a target');
  const renamed = { hash: target.revision, generation: target.generation };
  const isGood = f.goodRevision === old;
  const { status } = f;
  const patch = {
    lastAppliedSpec: status.lastAppliedSpec === old ? target.revision : status.lastAppliedSpec,
    ...(isGood ? { promoted: renamed, lastGood: renamed, lastPromotedSpec: target.revision } : {}),
    ...(status.run && status.run.revision === old
      ? { run: { ...status.run, revision: target.revision, generation: target.generation } }
      : {}),
  };
  const said = write(f, patch, [], [], 'whenWoken');
  return { ...said, actions: [{ kind: 'storeRevision', revision: target.revision }, ...said.actions] };
}
