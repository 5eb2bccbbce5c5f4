/**
 * The fences of the design (section 1): which route write may land, and how status and route are brought together
 * after a crash, a lost reply or a second engine. Every clause was model-checked; change one only with a model.
 */
import type { ObservedRoute, Stamp } from '../../steppers/stepper.ts';
import { type Facts, formatTime, hasRouteMoved, isJudgedIn, isNewerThan, isReverted } from './facts.ts';
import { canaryHasEndpoint } from './readiness.ts';
import { act, freshRun, hold, lower, newRun, recorded, say, stage, type Unnamed, write } from './write.ts';
import { takenBackBy } from './contest.ts';

/**
 * The route carries traffic for another run than the status speaks of: one of the two caches is old. The cause is
 * judged against the route's own run, and only the route is written.
 */
export function strandedRun(f: Facts): Unnamed | undefined {
  if (f.routeWeight === 0 || f.routeRunId === (f.run?.id ?? '')) return undefined;
  const carried = f.routeRun;
  if (!carried) return disowned(f);
  if (isNewerThan(f.o, carried)) {
    const isRevert = f.o.target?.revision === f.goodRevision;
    return lower(f, 0, isRevert ? 'aborted' : 'superseded', undefined, []);
  }
  if (!canaryHasEndpoint(f.o)) return lower(f, 0, 'unready', undefined, []);
  return hold(
    f,
    'CacheStale',
    'Route and status speak of different runs; nothing moves until they agree.',
    1_000,
  );
}

/**
 * Somebody else wrote the route: no run answers for its traffic, and no verdict could be keyed to it. It goes to 0 under
 * a new stamp, and whatever runs begins again from there, with its own cause. It is no end of the run.
 */
function disowned(f: Facts): Unnamed {
  // Under a newer epoch it may be a deletion's, of which this status does not tell yet: this write meets it then.
  if (f.routeEpoch > f.statusEpoch && canaryHasEndpoint(f.o)) return write(f, {}, []);
  const back = f.status.phase === 'Promoting' && f.status.stage !== 'back' ? stage(f, 'back') : {};
  const message = `The route gave the canary ${f.routeWeight} % under no stamp of a run; its traffic is taken away.`;
  return lower(f, 0, '', { ...takenBackBy(f, 'the weights of the route'), ...back }, [
    say('RouteRestored', 'warn', message),
  ]);
}

/** A missing route sends everything to the primary. It is made anew at weight 0, above every epoch that is known. */
export function restoreRoute(f: Facts): Unnamed | undefined {
  if (f.o.route && (f.o.route.isIntact || f.routeWeight > 0)) return undefined;
  const stamp: Stamp = { epoch: f.nextEpoch, run: f.run?.id ?? '', end: '' };
  const split = { canaryWeight: 0, primaryWeight: 100 };
  return act([{ kind: 'route', mode: f.o.route ? 'lower' : 'create', split, stamp }]);
}

/**
 * The route is ahead of the status: a recorded raise is void, or a take-away lost its status write. The status follows
 * in one write and never resumes a run that the stamp says has ended. The caller has ruled out that a take-away is due.
 */
export function followRoute(f: Facts): Unnamed | undefined {
  if (!hasRouteMoved(f)) return undefined;
  const zeroSince = f.routeWeight > 0 ? undefined : (f.status.zeroSince ?? formatTime(f.o.now));
  const followed = { canaryWeight: f.routeWeight, zeroSince };
  const end = f.o.route?.stamp.end ?? '';
  const { phase } = f.status;
  const isActive = isJudgedIn(phase);
  if (end === '' || !f.run || f.routeRunId !== f.run.id) return write(f, followed, []);
  if (phase === 'Promoting' && end !== 'promoted' && f.status.stage !== 'back') {
    return write(f, { ...followed, ...stage(f, 'back') }, [
      say(
        'GoingBack',
        'error',
        'Traffic had left the canary while it was being promoted; the last good revision comes back.',
      ),
    ]);
  }
  if (!isActive || end === 'promoted') return write(f, followed, []);
  if (end === 'superseded' && isNewerThan(f.o, f.run) && !isReverted(f, f.run)) {
    const message = `Revision ${f.o.target?.revision} replaces ${f.run.revision}.`;
    return write(
      f,
      { ...freshRun(newRun(f)), ...followed, history: recorded(f, 'Superseded', 'Restarted', message) },
      [say('Restarted', 'info', message)],
    );
  }
  const reason = end === 'aborted' ? 'Aborted' : end === 'unready' ? 'CanaryLost' : 'RolledBack';
  const message = `Revision ${f.run.revision} was rolled back (${end}).`;
  return write(f, { ...followed, phase: 'Failed', history: recorded(f, 'Failed', reason, message) }, [
    say(reason, 'error', message),
  ]);
}

/** The cached route is older than the status: only a take-away may act. */
export function staleRoute(f: Facts): Unnamed | undefined {
  if (f.routeEpoch >= f.recordedRouteEpoch) return undefined;
  return hold(f, 'CacheStale', 'The cached route is older than the status.', 1_000);
}

/**
 * What a take-away does after a conflict or a lost reply, given the route as it is now: it has landed, it is void
 * because the route belongs to another run, or it is written again under a higher epoch (fence rule 2).
 */
export function retakeAway(
  wanted: { stamp: Stamp; canaryWeight: number },
  route: ObservedRoute | undefined,
): { kind: 'landed' } | { kind: 'void' } | { kind: 'again'; stamp: Stamp; resourceVersion: string } {
  if (!route) return { kind: 'void' };
  const { stamp } = wanted;
  if (route.stamp.run !== stamp.run) return { kind: 'void' };
  const isOwn =
    route.stamp.epoch === stamp.epoch &&
    route.stamp.end === stamp.end &&
    route.canaryWeight === wanted.canaryWeight;
  if (isOwn) return { kind: 'landed' };
  // Another worker has ended this run already: its reason stands.
  if (route.canaryWeight === 0 && route.stamp.end !== '' && route.stamp.epoch >= stamp.epoch)
    return { kind: 'void' };
  // Somebody took as much or more meanwhile: a partial lowering that is written again would give it back.
  if (stamp.end === '' && route.canaryWeight <= wanted.canaryWeight) return { kind: 'void' };
  const epoch = Math.max(stamp.epoch, route.stamp.epoch + 1);
  return { kind: 'again', stamp: { ...stamp, epoch }, resourceVersion: route.resourceVersion };
}
