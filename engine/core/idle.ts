/**
 * Between rollouts: what the last one left behind is cleaned up, and a revision that is neither promoted nor rejected
 * starts. Also the end of a successful one.
 */
import { act, BEHIND_MS, freshRun, hold, newRun, recorded, say, type Unnamed, write } from './write.ts';
import { cleanUpTarget, leftovers } from './cleanUp.ts';
import { type Facts, isNewerThan, isTargetBehind } from './facts.ts';
import { contestedHold } from './repair.ts';

/** The last phase of a promotion: over when nothing is left to clean up. */
export function finalise(f: Facts): Unnamed {
  const cleaning = cleanUpTarget(f);
  if (cleaning) return cleaning;
  const message = `Revision ${f.run?.revision ?? ''} was promoted and serves all traffic.`;
  return write(
    f,
    { phase: 'Succeeded', history: recorded(f, 'Succeeded', 'Succeeded', message) },
    [say('Succeeded', 'info', message)],
    leftovers(f),
    0,
  );
}

export function idle(f: Facts): Unnamed {
  const started = start(f);
  // A release that brings its replicas along starts with them: scaling down first would be in vain.
  const isStarting = started?.actions[0]?.kind === 'storeRevision' && f.o.target?.pausedBy === 'nobody';
  // But with the primary's own strategy: the temporary one of the last run would say that a way back of this run has
  // written the primary already (promote.ts).
  if (isStarting) return f.o.primary?.isSurging ? write(f, {}, [], leftovers(f)) : started;
  const cleaning = cleanUpTarget(f);
  if (cleaning) return cleaning;
  const left = leftovers(f);
  if (left.length > 0) return write(f, {}, [], left);
  return started ?? act([], 'whenWoken');
}

/** A new revision, or a rejected one that a person retries. */
function start(f: Facts): Unnamed | undefined {
  const { target, command, obstacles, settings } = f.o;
  if (!target)
    return hold(f, 'TargetNotFound', `Deployment ${settings.targetName} does not exist.`, undefined);
  // What an older target has is nothing to start, to go back to or to call promoted.
  if (isTargetBehind(f)) return act([], BEHIND_MS);
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
