/**
 * What the engine needs beside the route, put back when somebody deletes or edits it, and brought up to what is asked for:
 * the primary, the engine's Services, and the selector of the apex Service. It never raises anybody's traffic and writes no template but the last good.
 */
import type { Action } from './decision.ts';
import { contestEndsAt, isContested, takenBackBy } from './contest.ts';
import { type Facts, isTargetBehind } from './facts.ts';
import { primaryHasEndpoint } from './readiness.ts';
import { endRun, isAnalysing } from './takeAway.ts';
import { act, hold, nextStatus, say, type Unnamed, until, write } from './write.ts';

function isAdopted(f: Facts): boolean {
  const { phase } = f.status;
  return phase !== undefined && phase !== 'Initializing' && phase !== 'Terminating';
}

/** The primary and the Services of both arms, when one is gone or selects something else. */
export function restoreObjects(f: Facts): Unnamed | undefined {
  const { target, primary, objects, obstacles, stored } = f.o;
  // An obstacle may be that the name belongs to somebody else by now. An autoscaler stands in nobody's way here.
  const isTaken = obstacles.some(one => one.reason !== 'TargetHasAutoscaler');
  if (!isAdopted(f) || !target || isTaken) return undefined;
  if (!primary) {
    const good = f.goodRevision;
    if (!good || !stored.has(good)) {
      const message = `The primary is gone, and so is the stored template of revision ${good ?? '(none)'}.`;
      return hold(f, 'PrimaryNotReady', message, undefined);
    }
    const replicas = f.o.goodReplicas ?? Math.max(1, target.replicas);
    return restored(f, `The primary was gone; it comes back with revision ${good}.`, [
      { kind: 'createPrimary', revision: good, replicas, epoch: f.nextEpoch },
    ]);
  }
  if (objects.hasServices || isHeld(f, 'applyServices')) return undefined;
  return restored(f, 'A Service of primary or canary was gone or selected other pods.', [
    { kind: 'applyServices' },
  ]);
}

/**
 * The Services that the engine made are brought up to what the spec and the apex ask for, ports that are gone included.
 * Nobody's traffic waits for it, and a field that somebody else keeps on changing is not fought over.
 */
export function followServices(f: Facts): Unnamed | undefined {
  const { target, objects, obstacles } = f.o;
  const { services = 'asAsked' } = objects;
  if (services === 'asAsked' || !isAdopted(f) || !target || obstacles.length > 0) return undefined;
  if (isTargetBehind(f) || isHeld(f, 'applyServices')) return undefined;
  const isDrifted = services === 'drifted';
  if (isDrifted && isContested(f.status.takenBack, f.o.now, 'Service spec.ports')) return undefined;
  const said = isDrifted
    ? say('ObjectRestored', 'warn', 'A Service of primary, canary or apex had been changed by somebody else.')
    : say('ServicesFollowed', 'info', 'The Services have what the spec and the apex Service ask for.');
  const patch = isDrifted ? takenBackBy(f, 'Service spec.ports') : {};
  const { status, transitions } = nextStatus(f, patch, [said]);
  return { actions: [{ kind: 'applyServices' }, { kind: 'status', status }], transitions, nextTickMs: 0 };
}

/** It was refused just now. What does not need it goes on: users must not stay on a bad revision over an object. */
export function isHeld(f: Facts, action: 'applyServices' | 'pointApex'): boolean {
  return f.o.objects.held?.includes(action) ?? false;
}

function restored(f: Facts, message: string, actions: Action[]): Unnamed {
  // The world first: a status write that fails must not keep the Service away.
  const { status, transitions } = nextStatus(f, {}, [say('ObjectRestored', 'warn', message)]);
  return { actions: [...actions, { kind: 'status', status }], transitions, nextTickMs: 0 };
}

/**
 * Whoever scales the target wants the workload to have that many replicas, and the primary is what serves: it gets
 * them. Zero is no wish: that is what the target has between rollouts.
 */
export function resizePrimary(f: Facts): Unnamed | undefined {
  const { target, primary, settings } = f.o;
  if (!target?.isScaledByOthers || target.replicas < 1 || !primary || primary.replicas === target.replicas)
    return undefined;
  const message = `The primary gets ${target.replicas} replicas, as somebody asked of Deployment ${settings.targetName}.`;
  const { revision, isSurging: surge } = primary;
  return write(
    f,
    {},
    [say('Scaled', 'info', message)],
    [{ kind: 'primary', revision, surge, replicas: target.replicas, epoch: f.nextEpoch }],
  );
}

/**
 * The apex Service points at the primary, whatever a chart or a GitOps loop sets it to. Only while the target itself
 * serves the last good revision is a contested selector left alone: users then get what they would get anyway.
 */
export function restoreApex(f: Facts): Unnamed | undefined {
  const { objects, target, primary } = f.o;
  if (!isAdopted(f) || !target || objects.apexSelects === 'primary' || !primaryHasEndpoint(f.o))
    return undefined;
  if (isHeld(f, 'pointApex')) return undefined;
  const isLeftAlone =
    isContested(f.status.takenBack, f.o.now, 'Service spec.selector') !== undefined &&
    objects.apexSelects === 'target' &&
    target.revision === f.goodRevision &&
    f.routeWeight === 0;
  if (isLeftAlone) {
    const replicas = Math.max(1, primary?.replicas ?? 1);
    if (target.replicas < replicas && target.pausedBy === 'nobody')
      return act([{ kind: 'target', replicas, epoch: f.nextEpoch }]);
    return undefined;
  }
  const message = 'The apex Service selected other pods than the primary; it selects the primary again.';
  const { status, transitions } = nextStatus(f, takenBackBy(f, 'Service spec.selector'), [
    say('ObjectRestored', 'warn', message),
  ]);
  return {
    actions: [
      { kind: 'pointApex', at: 'primary', epoch: f.nextEpoch },
      { kind: 'status', status },
    ],
    transitions,
    nextTickMs: 0,
  };
}

/** A run does not go on over a contested field: its traffic goes back to the primary. */
export function contestedRun(f: Facts): Unnamed | undefined {
  const field = isContested(f.status.takenBack, f.o.now);
  if (!field || !isAnalysing(f) || !f.run) return undefined;
  const message = `Revision ${f.run.revision} is given up: another manager keeps taking back ${field}.`;
  return endRun(f, 'failed', say('Contested', 'error', message));
}

/** Nothing starts, and the target keeps what it has, until the contest is over. */
export function contestedHold(f: Facts): Unnamed | undefined {
  const field = isContested(f.status.takenBack, f.o.now);
  if (!field) return undefined;
  const message = `Another manager keeps taking back ${field}; what is safe is kept, and nothing starts until it stops.`;
  return hold(f, 'Contested', message, until(f, contestEndsAt(f)) + 1);
}
