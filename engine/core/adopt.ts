/**
 * Taking a workload over and giving it back, in the order that loses no request. Adoption touches the target last:
 * until the primary is ready and the route points at it, everything serves as it did. Deletion runs the other way.
 */
import {
  act,
  BEHIND_MS,
  fenced,
  hold,
  nextStatus,
  release,
  say,
  touchTarget,
  type Unnamed,
  until,
  write,
} from './write.ts';
import { type Facts, formatTime, isTargetBehind, parseTime } from './facts.ts';
import { canaryHasEndpoint, isAllReady, primaryHasEndpoint } from './readiness.ts';
import type { Action } from './decision.ts';
import type { Workload } from './observation.ts';
import { isHeld } from './repair.ts';

/** After this long a deletion is let go, loudly, rather than hang (a namespace would never end). */
export const TERMINATION_LIMIT_MS = 5 * 60_000;

export function adopt(f: Facts): Unnamed {
  const { canary, target, primary, obstacles, objects, settings, stored } = f.o;
  if (!canary.hasFinalizer) return act([{ kind: 'addFinalizer' }]);
  if (f.status.phase === undefined)
    return write(f, { phase: 'Initializing' }, [
      say('Adopting', 'info', `Deployment ${settings.targetName} is being adopted.`),
    ]);
  if (!target)
    return hold(f, 'TargetNotFound', `Deployment ${settings.targetName} does not exist.`, undefined);
  if (target.pausedBy === 'user') {
    return hold(
      f,
      'TargetPausedByUser',
      `Deployment ${settings.targetName} was paused by its user; resume it to let it be adopted.`,
      undefined,
    );
  }
  // The primary would be made of a template that somebody has replaced since.
  if (isTargetBehind(f)) return act([], BEHIND_MS);
  const [obstacle] = obstacles;
  if (obstacle) return hold(f, obstacle.reason as 'FieldOwnedByOther', obstacle.message, 10_000);
  if (!primary) {
    if (!stored.has(target.revision)) return act([{ kind: 'storeRevision', revision: target.revision }]);
    return act([
      {
        kind: 'createPrimary',
        revision: target.revision,
        replicas: Math.max(1, target.replicas),
        epoch: f.nextEpoch,
      },
    ]);
  }
  if (!objects.hasServices) return whenNotHeld(f, { kind: 'applyServices' });
  if (!isAllReady(primary, primary.revision) || !primaryHasEndpoint(f.o)) {
    return hold(
      f,
      'PrimaryNotReady',
      'The primary copy is not ready yet; the target serves as before.',
      10_000,
    );
  }
  if (!f.o.route) {
    const split = { canaryWeight: 0, primaryWeight: 100 };
    return act([{ kind: 'route', mode: 'create', split, stamp: { epoch: f.nextEpoch, run: '', end: '' } }]);
  }
  if (objects.apexSelects !== 'primary')
    return whenNotHeld(f, { kind: 'pointApex', at: 'primary', epoch: f.nextEpoch });
  const good = {
    hash: primary.revision,
    generation: primary.revision === target.revision ? target.generation : 0,
  };
  const patch = {
    phase: 'Initialized' as const,
    promoted: good,
    lastGood: good,
    lastPromotedSpec: good.hash,
    lastAppliedSpec: good.hash,
  };
  return write(
    f,
    { ...patch, canaryWeight: 0, zeroSince: formatTime(f.o.now), adoptionFailedSince: undefined },
    [say('Adopted', 'info', `The primary serves revision ${good.hash}.`)],
  );
}

/** Adoption goes no further without it: why it is refused is said until it is tried again. */
function whenNotHeld(f: Facts, action: Extract<Action, { kind: 'applyServices' | 'pointApex' }>): Unnamed {
  const { refused } = f.o.objects;
  if (!isHeld(f, action.kind)) return act([action]);
  return refused
    ? hold(f, refused.reason as 'ServiceRefused', refused.message, undefined)
    : act([], BEHIND_MS);
}

/** Every pod that the target should have is there and ready, of the one revision that it runs. */
function servesItself(target: Workload): boolean {
  const running = target.pods.filter(pods => pods.total > 0);
  const [only] = running;
  if (running.length !== 1 || !only || target.replicas < 1) return false;
  return target.pausedBy === 'user'
    ? only.available >= target.replicas
    : isAllReady({ ...target, observedGeneration: target.generation }, target.revision);
}

export function terminate(f: Facts): Unnamed {
  const { canary, target, primary, objects, now } = f.o;
  if (!canary.hasFinalizer) return act([], 'whenWoken');
  const deadline = (canary.deletingSince ?? now) + TERMINATION_LIMIT_MS;
  if (now >= deadline)
    return letGo(
      f,
      'The workload could not be given back in 5 minutes; it is left as it is.',
      'TerminationGivenUp',
    );
  if (!target && objects.apexSelects === 'primary')
    return fenced(f, { kind: 'pointApex', at: 'target', epoch: f.nextEpoch });
  if (!target) return letGo(f, 'The target does not exist; there is nothing to give back.', 'Terminating');
  if (f.status.phase !== 'Terminating')
    return write(f, { phase: 'Terminating' }, [
      say('Terminating', 'info', 'The workload is being given back.'),
    ]);
  const isTaken = objects.apexSelects === 'primary' || f.o.route !== undefined;
  if (!isTaken) {
    // Adoption had not moved any traffic yet, or the route is gone again: data planes hear of that before its Services go.
    if (target.pausedBy === 'engine') return fenced(f, { kind: 'target', paused: false, epoch: f.nextEpoch });
    if (f.status.canaryWeight !== 100) return letGo(f, 'The target was never taken over.', 'Terminating');
    if (now < handedOverAt(f)) return act([], until(f, handedOverAt(f)));
    if (!canaryHasEndpoint(f.o))
      return hold(f, 'Terminating', 'The target has no ready endpoint.', until(f, deadline));
    return letGo(f, 'The target serves by itself again.', 'Terminating');
  }
  const onlyTarget = canaryHasEndpoint(f.o) && !primaryHasEndpoint(f.o);
  if ((servesItself(target) && canaryHasEndpoint(f.o)) || onlyTarget) return handOver(f, target);
  if (f.routeWeight > 0 && primaryHasEndpoint(f.o)) return routeTo(f, 0);
  if (!f.isDrained && primaryHasEndpoint(f.o)) return act([], until(f, f.drainedAt));
  if (target.pausedBy === 'engine') return release(f, { kind: 'target', paused: false, epoch: f.nextEpoch });
  if (target.replicas === 0)
    return fenced(f, { kind: 'target', replicas: Math.max(1, primary?.replicas ?? 1), epoch: f.nextEpoch });
  return hold(
    f,
    'Terminating',
    'The target does not serve yet; the primary keeps serving until it does.',
    until(f, deadline),
  );
}

function handOver(f: Facts, target: Workload): Unnamed {
  if (f.o.route && f.routeWeight < 100) return routeTo(f, 100);
  if (f.o.objects.apexSelects === 'primary')
    return fenced(f, { kind: 'pointApex', at: 'target', epoch: f.nextEpoch });
  if (target.pausedBy === 'engine') return fenced(f, { kind: 'target', paused: false, epoch: f.nextEpoch });
  if (f.o.now < handedOverAt(f)) return act([], until(f, handedOverAt(f)));
  if (!f.o.route) return letGo(f, 'The target serves by itself again.', 'Terminating');
  // Kubernetes deletes what the Canary owns in any order: a route that outlives its Services would lead nowhere.
  return write(f, { stageSince: formatTime(f.o.now) }, [], [{ kind: 'deleteRoute' }]);
}

/** When everybody has heard of the last change of the route on the way out. */
function handedOverAt(f: Facts): number {
  return parseTime(f.status.stageSince) + f.o.settings.drainMs;
}

/** Deletion moves traffic by readiness alone; more for the target is recorded first, less is routed first. */
function routeTo(f: Facts, canaryWeight: number): Unnamed {
  const stamp = { epoch: f.nextEpoch, run: f.run?.id ?? '', end: '' as const };
  const split = { canaryWeight, primaryWeight: 100 - canaryWeight };
  const isMore = canaryWeight > f.routeWeight;
  const { status, transitions } = nextStatus(
    f,
    {
      canaryWeight,
      stageSince: formatTime(f.o.now),
      zeroSince: isMore ? undefined : formatTime(f.o.now),
      ...(isMore ? {} : { routeEpoch: f.nextEpoch }),
      ...(f.run && isMore
        ? { run: { ...f.run, cause: 'command' as const, causeDetail: 'the Canary was deleted' } }
        : {}),
    },
    [],
  );
  const route = {
    kind: 'route' as const,
    mode: isMore ? ('raise' as const) : ('lower' as const),
    split,
    stamp,
  };
  const record = { kind: 'status' as const, status };
  return {
    actions: isMore ? [record, ...touchTarget(f), route] : [route, record],
    transitions,
    nextTickMs: 0,
  };
}

function letGo(f: Facts, message: string, reason: 'Terminating' | 'TerminationGivenUp'): Unnamed {
  const severity = reason === 'TerminationGivenUp' ? ('warn' as const) : ('info' as const);
  const { transitions } = nextStatus(f, {}, [say(reason, severity, message)]);
  const isGivenBack = reason === 'Terminating' && f.o.target !== undefined;
  const unmarked = isGivenBack ? [{ kind: 'unmarkTarget' as const }] : [];
  return { actions: [...unmarked, { kind: 'removeFinalizer' }], transitions, nextTickMs: undefined };
}
