/**
 * Reasons to take traffic off the canary at once, whatever else is going on: a newer revision, a revert, an abort, a
 * lost canary, pods that are not the judged revision. They read the watch caches only; no query, hook or notifier
 * stands before them.
 */
import type { StatusPatch } from './write.ts';
import {
  freshRun,
  hold,
  lower,
  newRun,
  recorded,
  say,
  type Said,
  stage,
  type Unnamed,
  write,
} from './write.ts';
import { takenBackBy } from './contest.ts';
import { type Facts, hasRouteMoved, isJudgedIn, isNewerThan, isReverted, isTargetBehind } from './facts.ts';
import { canaryHasEndpoint, isPinned, primaryHasEndpoint } from './readiness.ts';
import type { Stamp } from '../../steppers/stepper.ts';

export function isAnalysing(f: Facts): boolean {
  return isJudgedIn(f.status.phase);
}

/** Ends the run: route first where it carries traffic, otherwise the status alone. */
export function endRun(
  f: Facts,
  end: Exclude<Stamp['end'], '' | 'promoted'>,
  said: Said,
  by?: string,
  patch: StatusPatch = {},
): Unnamed {
  const failed: StatusPatch = {
    phase: 'Failed',
    paused: undefined,
    history: recorded(f, 'Failed', said.reason, said.message, by),
    ...patch,
  };
  // A take-away is stamped even when the weight is 0 already: an older raise that is still on its way must not land.
  return lower(f, 0, end, failed, [said]);
}

export function revert(f: Facts): Unnamed | undefined {
  if (!isAnalysing(f) || !f.run || !isReverted(f, f.run)) return undefined;
  const message = `The target is back at the promoted revision ${f.goodRevision}; revision ${f.run.revision} is given up.`;
  return endRun(f, 'aborted', say('Reverted', 'warn', message));
}

export function abort(f: Facts): Unnamed | undefined {
  const { command } = f.o;
  if (!isAnalysing(f) || !f.run || command?.verb !== 'abort' || command.revision !== f.run.revision)
    return undefined;
  const message = `${command.by} aborted revision ${f.run.revision}${command.reason ? `: ${command.reason}` : ''}.`;
  return endRun(f, 'aborted', say('Aborted', 'warn', message), command.by, { handledCommand: command.id });
}

/** A newer revision while the canary is analysed: weight 0, and the run starts again with it through every gate. */
export function supersede(f: Facts): Unnamed | undefined {
  if (!isAnalysing(f) || !f.run || !isNewerThan(f.o, f.run)) return undefined;
  const run = newRun(f);
  const message = `Revision ${run.revision} replaces ${f.run.revision}, which is given up at weight ${f.routeWeight}.`;
  const patch = { ...freshRun(run), history: recorded(f, 'Superseded', 'Restarted', message) };
  return lower(f, 0, 'superseded', patch, [say('Restarted', 'info', message)]);
}

/** The canary has traffic and not one ready endpoint. */
export function unready(f: Facts): Unnamed | undefined {
  if (f.routeWeight === 0 || canaryHasEndpoint(f.o) || !primaryHasEndpoint(f.o)) return undefined;
  const message = `The canary lost its last ready endpoint at weight ${f.routeWeight}.`;
  const said = say('CanaryLost', 'error', message);
  if (isAnalysing(f)) return endRun(f, 'unready', said);
  if (f.status.phase === 'Terminating') return undefined;
  if (f.status.phase !== 'Promoting') return strayed(f);
  const back = f.status.stage === 'back' ? {} : stage(f, 'back');
  return lower(f, 0, 'unready', back, [said]);
}

/**
 * Somebody resumed or replaced the target under a live weight. If template and pods are all the revision's it is
 * paused again; otherwise the traffic leaves it.
 */
export function unpinned(f: Facts): Unnamed | undefined {
  const { target, primary } = f.o;
  if (f.routeWeight === 0 || !f.run || !target || !primary || isPinned(f.o, f.run.revision)) return undefined;
  if ((!isAnalysing(f) && f.status.phase !== 'Promoting') || isTargetBehind(f)) return undefined;
  const isOwn =
    target.revision === f.run.revision &&
    target.pods.every(pods => pods.total === 0 || pods.revision === f.run?.revision);
  if (isOwn && target.pausedBy === 'nobody') {
    const message = 'The target was resumed by somebody else under a live weight; it is paused again.';
    return write(
      f,
      takenBackBy(f, 'Deployment spec.paused'),
      [say('ObjectRestored', 'warn', message)],
      [{ kind: 'target', paused: true, epoch: f.nextEpoch }],
    );
  }
  if (isOwn && target.pausedBy === 'user') {
    return hold(
      f,
      'TargetPausedByUser',
      'The target was paused by its user under a live weight; nothing rises until it is resumed.',
      undefined,
    );
  }
  const message = 'The target runs other pods than the revision that is judged; its traffic is taken away.';
  const back = f.status.phase === 'Promoting' ? stage(f, 'back') : {};
  return lower(f, 0, '', back, [say('CanaryLost', 'error', message)]);
}

/** Traffic on the canary outside any run: nobody asked for it. */
export function stray(f: Facts): Unnamed | undefined {
  const { phase } = f.status;
  if (f.routeWeight === 0 || isAnalysing(f) || phase === 'Promoting' || phase === 'Terminating')
    return undefined;
  // Whoever gave it has written a status that this one is older than, e.g. that the Canary is deleted: it has to be
  // known before anybody can say that nobody asked for it. Following writes it, or meets the newer one.
  if (hasRouteMoved(f) && f.routeEpoch > f.statusEpoch) return undefined;
  return strayed(f);
}

function strayed(f: Facts): Unnamed {
  return lower(f, 0, 'aborted', {}, [
    say('RouteRestored', 'warn', `The route gave the canary ${f.routeWeight} % outside any run.`),
  ]);
}

/**
 * Somebody else edited the weights and left the stamp: under an epoch that the status knows, the route can only carry
 * less than was recorded, never more.
 */
export function raisedByOthers(f: Facts): Unnamed | undefined {
  const isKnownEpoch = f.routeEpoch === f.recordedRouteEpoch || f.routeEpoch === f.statusEpoch;
  if (f.routeWeight <= f.statusWeight || !isKnownEpoch) return undefined;
  const message = `The route gave the canary ${f.routeWeight} %, but ${f.statusWeight} % were recorded.`;
  return lower(f, f.statusWeight, '', takenBackBy(f, 'the weights of the route'), [
    say('RouteRestored', 'warn', message),
  ]);
}

/** Every stage of a promotion that is not yet the way back goes there when the user reverts or aborts. */
export function giveUpPromotion(f: Facts): Unnamed | undefined {
  if (f.status.phase !== 'Promoting' || f.status.stage === 'back' || !f.run) return undefined;
  const { command } = f.o;
  const isAborted = command?.verb === 'abort' && command.revision === f.run.revision;
  if (!isAborted && !isReverted(f, f.run)) return undefined;
  const message = isAborted
    ? `${command.by} aborted the promotion of ${f.run.revision}${command.reason ? `: ${command.reason}` : ''}.`
    : `The target is back at the promoted revision ${f.goodRevision} while ${f.run.revision} was promoted.`;
  const patch = {
    ...stage(f, 'back'),
    ...(isAborted ? { handledCommand: command.id } : {}),
  };
  return write(f, patch, [say(isAborted ? 'Aborted' : 'Reverted', 'warn', message)]);
}
