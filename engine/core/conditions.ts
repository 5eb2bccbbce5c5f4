/**
 * What a status says in conditions, for `kubectl wait`, dashboards and alerts: each is drawn from the observation and
 * the status that is written with it, never from what an earlier tick happened to say.
 */
import type { Condition, Phase } from '../api/status.ts';
import type { Reason } from '../api/reasons.ts';
import type { Problem } from './observation.ts';
import { type Facts, formatTime, isRunning, parseTime, progressingOf } from './facts.ts';
import { isContested } from './contest.ts';
import { canaryHasEndpoint, primaryHasEndpoint } from './readiness.ts';
import type { Said, StatusPatch } from './write.ts';

const PROMOTED: Readonly<Record<Phase, Condition['status']>> = {
  Initializing: 'Unknown',
  Initialized: 'True',
  Waiting: 'Unknown',
  Progressing: 'Unknown',
  WaitingPromotion: 'Unknown',
  Promoting: 'Unknown',
  Finalising: 'Unknown',
  Succeeded: 'True',
  Failed: 'False',
  Terminating: 'Unknown',
};

const MESSAGE_MAX = 1_024;

type Wanted = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/** Why the object cannot be worked on as it is: its own fields, what it refers to, or the target. */
export function refusal(f: Facts): Problem | undefined {
  const { target, settings, problems, obstacles } = f.o;
  if (problems[0]) return problems[0];
  const name = settings.targetName;
  if (!target)
    return {
      reason: 'TargetNotFound',
      field: 'spec.targetRef.name',
      message: `Deployment ${name} does not exist.`,
    };
  if (target.pausedBy === 'user')
    return {
      reason: 'TargetPausedByUser',
      field: 'spec.targetRef.name',
      message: `Deployment ${name} was paused by its user; nothing starts and nothing rises until it is resumed.`,
    };
  return f.o.objects.refused ?? obstacles[0];
}

function accepted(f: Facts): Wanted {
  const refused = refusal(f);
  if (!refused)
    return {
      type: 'Accepted',
      status: 'True',
      reason: 'Accepted',
      message: 'The object is valid and supported.',
    };
  return {
    type: 'Accepted',
    status: 'False',
    reason: refused.reason,
    message: `${refused.field ? `${refused.field}: ` : ''}${refused.message}`,
  };
}

/** Whether the apex Service has somebody behind it, as far as routes and endpoints tell. */
function ready(f: Facts, phase: Phase): Wanted {
  if (phase === 'Initializing' || phase === 'Terminating')
    return {
      type: 'Ready',
      status: 'Unknown',
      reason: phase === 'Terminating' ? 'Terminating' : 'Adopting',
      message: '',
    };
  const isServed = f.routeWeight === 100 ? canaryHasEndpoint(f.o) : primaryHasEndpoint(f.o);
  return isServed
    ? { type: 'Ready', status: 'True', reason: 'Serving', message: 'The apex Service has ready endpoints.' }
    : {
        type: 'Ready',
        status: 'False',
        reason: f.routeWeight === 100 ? 'CanaryLost' : 'PrimaryNotReady',
        message: `The ${f.routeWeight === 100 ? 'canary' : 'primary'} has no ready endpoint.`,
      };
}

function contested(f: Facts, status: StatusPatch): Wanted {
  const field = isContested(status.takenBack, f.o.now);
  return field
    ? {
        type: 'Contested',
        status: 'True',
        reason: 'Contested',
        message: `Another manager keeps taking back ${field}.`,
      }
    : { type: 'Contested', status: 'False', reason: 'Uncontested', message: '' };
}

/** The conditions that a status is written with. `said` is the last transition of this decision. */
export function conditionsOf(f: Facts, status: StatusPatch, said: Said | undefined): Condition[] {
  const phase = status.phase ?? 'Initializing';
  const previous = f.status.conditions ?? [];
  const kept = progressingOf(f);
  const reason = said?.reason ?? kept?.reason ?? phase;
  const message = said?.message ?? kept?.message ?? '';
  const isStalled = reason === 'Stalled';
  const wanted: Wanted[] = [
    { type: 'Promoted', status: PROMOTED[phase], reason: phase, message },
    { type: 'Progressing', status: isRunning(phase) ? 'True' : 'False', reason, message },
    accepted(f),
    ready(f, phase),
    {
      type: 'Stalled',
      status: isStalled ? 'True' : 'False',
      reason: isStalled ? 'Stalled' : ('Moving' satisfies Reason),
      message: isStalled ? message : '',
    },
    contested(f, status),
  ];
  return wanted.map(one => brought(f, previous, one));
}

function brought(f: Facts, previous: readonly Condition[], wanted: Wanted): Condition {
  const old = previous.find(one => one.type === wanted.type);
  const message = wanted.message.slice(0, MESSAGE_MAX);
  if (old && old.status === wanted.status && old.reason === wanted.reason && old.message === message)
    return old;
  const at = formatTime(f.o.now);
  return {
    ...wanted,
    message,
    lastTransitionTime: old?.status === wanted.status ? old.lastTransitionTime : at,
    lastUpdateTime: at,
    observedGeneration: f.o.canary.generation,
  };
}

/** What has just changed waits: two engines that see different things must not answer each other at once. */
export const AGAIN_MS = 10_000;

/**
 * From when on the status may be brought up to date although nothing else is to be written, milliseconds since the epoch:
 * an object that was refused and is fine now, a spec that was edited, a primary that lost or found its endpoints, a target
 * that was scaled. Undefined when what people read is true.
 */
export function outOfDateSince(f: Facts): number | undefined {
  const { status } = f;
  const { phase = 'Initializing', target: seen } = status;
  const { canary, target } = f.o;
  if (status.observedGeneration !== canary.generation) return 0;
  // The generation at which a template was last seen tells an upgrade of the hash from a release; scaling moves it too.
  const isMoved =
    target !== undefined &&
    seen?.hash === target.revision &&
    (seen.generation < target.generation || (seen.uid ?? target.uid) !== target.uid);
  if (isMoved && !isRunning(phase)) return 0;
  const changed = [accepted(f), ready(f, phase), contested(f, status)].flatMap(wanted => {
    const old = status.conditions?.find(one => one.type === wanted.type);
    if (!old) return [0];
    return old.status === wanted.status && old.reason === wanted.reason
      ? []
      : [parseTime(old.lastUpdateTime) + AGAIN_MS];
  });
  return changed.length === 0 ? undefined : Math.min(...changed);
}
