/**
 * The shapes that every decision is made of: the next status with its epoch, conditions and transitions, and the two
 * orders of writing. More traffic: status first, then the world. Less: the route first, then the status.
 */
import {
  type CanaryStatus,
  HISTORY_MAX,
  type JudgeStatus,
  type PastRollout,
  type Run,
  type Transition,
  TRANSITIONS_MAX,
} from '../api/status.ts';
import type { Reason } from '../api/reasons.ts';
import type { Stamp } from '../../steppers/stepper.ts';
import { AGAIN_MS, conditionsOf } from './conditions.ts';
import type { Action, Decision } from './decision.ts';
import {
  type Facts,
  formatTime,
  isJudgedIn,
  isSettled,
  isTargetBehind,
  parseTime,
  progressingOf,
} from './facts.ts';
import { formatRunId } from './run.ts';
import { primaryHasEndpoint } from './readiness.ts';

export type Unnamed = Omit<Decision, 'rule'>;
/** Milliseconds, or only when something changes. */
export type NextTick = number | 'whenWoken';
export type StatusPatch = { [K in keyof CanaryStatus]?: CanaryStatus[K] | undefined };

export interface Said {
  reason: Reason;
  severity: Transition['severity'];
  message: string;
}

export function say(reason: Reason, severity: Transition['severity'], message: string): Said {
  return { reason, severity, message: message.slice(0, 512) };
}

/** The status that a decision leaves behind: patched, with epoch, conditions and transitions brought up to date. */
export function nextStatus(
  f: Facts,
  patch: StatusPatch,
  said: Said[],
): { status: CanaryStatus; transitions: Transition[] } {
  const at = formatTime(f.o.now);
  let number = f.status.transitions?.at(-1)?.number ?? 0;
  const transitions = said.map(one => ({ number: ++number, at, ...one }));
  const merged: StatusPatch = {
    ...f.status,
    epoch: f.nextEpoch,
    routeEpoch: f.routeEpoch,
    observedGeneration: f.o.canary.generation,
    // What was seen of the target never goes back: an engine with an old cache and one with a new one would answer each
    // other's status for as long as the cache is old.
    ...(f.o.target && !isTargetBehind(f)
      ? {
          target: {
            hash: f.o.target.revision,
            generation: f.o.target.generation,
            uid: f.o.target.uid,
          },
        }
      : {}),
    ...patch,
  };
  merged.judge = judgeIn(f, merged);
  if (transitions.length)
    merged.transitions = [...(f.status.transitions ?? []), ...transitions].slice(-TRANSITIONS_MAX);
  if (merged.phase !== f.status.phase) merged.lastTransitionTime = at;
  const notified = Math.max(f.status.notified ?? 0, f.o.notified);
  if (notified > 0) merged.notified = notified;
  const last = said.at(-1);
  merged.conditions = conditionsOf(f, merged, last);
  const status = Object.fromEntries(
    Object.entries(merged).filter(([, value]) => value !== undefined),
  ) as CanaryStatus;
  return { status, transitions };
}

/** What is known by now of the run, where it is newer; the checkpoint goes when judging is over. */
function judgeIn(f: Facts, { judge, run, phase }: StatusPatch): JudgeStatus | undefined {
  const known = f.o.judge;
  const isNewer = known !== undefined && known.run === run?.id && parseTime(known.at) >= parseTime(judge?.at);
  const latest = isNewer ? known : judge;
  if (!latest || isJudgedIn(phase)) return latest;
  const { checkpoint: _checkpoint, ...kept } = latest;
  return kept;
}

/** A status write and then actions on the world. */
export function write(
  f: Facts,
  patch: StatusPatch,
  said: Said[],
  after: Action[] = [],
  next: NextTick = 0,
): Unnamed {
  const { status, transitions } = nextStatus(f, patch, said);
  return {
    actions: [{ kind: 'status', status }, ...after],
    transitions,
    nextTickMs: next === 'whenWoken' ? undefined : next,
  };
}

/** Actions on the world that need no intent in the status. The next tick observes what they did. */
export function act(actions: Action[], next: NextTick = 0): Unnamed {
  return { actions, transitions: [], nextTickMs: next === 'whenWoken' ? undefined : next };
}

/** How often a cache that is known to be behind is looked at again, milliseconds: the event that it waits for wakes too. */
export const BEHIND_MS = 1_000;

/**
 * A write to a workload that would do harm under a status of another time. The workload's own version does not tell
 * that the run has moved on, so the status is written first, and with it fails a decision that was made on an old one.
 */
export function fenced(f: Facts, action: Action): Unnamed {
  // The write would only meet a newer target, and the status before it would be written in vain, again and again.
  if (action.kind === 'target' && isTargetBehind(f)) return act([], BEHIND_MS);
  return write(f, {}, [], [action]);
}

/**
 * Un-pauses the target or scales it down, at weight 0. A raise that is recorded and may still be on its way to the
 * route is made void first, by a new stamp.
 */
export function release(f: Facts, action: Action): Unnamed {
  if (f.statusWeight > 0) return lower(f, 0, f.o.route?.stamp.end ?? '', {}, []);
  return fenced(f, action);
}

/**
 * Touches the target and changes nothing of it. It comes before a raise from 0: a scale-down or un-pause that was
 * decided while the canary had no traffic must not land once it has some.
 */
export function touchTarget(f: Facts): Action[] {
  return f.routeWeight === 0 ? [{ kind: 'target', epoch: f.nextEpoch }] : [];
}

/** The route as it is under a new stamp, then the status: a raise that was decided before does not land any more. */
export function restamp(f: Facts, patch: StatusPatch, said: Said[]): Unnamed {
  const stamp: Stamp = { epoch: f.nextEpoch, run: f.routeRunId || (f.run?.id ?? ''), end: '' };
  const split = { canaryWeight: f.routeWeight, primaryWeight: 100 - f.routeWeight };
  const followed = { canaryWeight: f.routeWeight, ...patch, routeEpoch: f.nextEpoch };
  const { status, transitions } = nextStatus(f, followed, said);
  return {
    actions: [
      { kind: 'route', mode: 'raise', split, stamp },
      { kind: 'status', status },
    ],
    transitions,
    nextTickMs: 0,
  };
}

/** Gives the canary more: the intent in the status, then the route with the same epoch. */
export function raise(
  f: Facts,
  weight: number,
  run: Run,
  patch: StatusPatch,
  said: Said[],
  nextTickMs: number,
): Unnamed {
  const stamp: Stamp = { epoch: f.nextEpoch, run: run.id, end: '' };
  const { status, transitions } = nextStatus(
    f,
    { ...patch, canaryWeight: weight, zeroSince: undefined, run: { ...run, steppedAt: formatTime(f.o.now) } },
    said,
  );
  const split = { canaryWeight: weight, primaryWeight: 100 - weight };
  return {
    actions: [{ kind: 'status', status }, ...touchTarget(f), { kind: 'route', mode: 'raise', split, stamp }],
    transitions,
    nextTickMs,
  };
}

/**
 * Takes traffic off the canary: the route, under the run that the route carries, and only then the status. Without a
 * ready primary endpoint it would send users to nothing, so the route stays and the answer is a hold (invariant 2).
 * `patch` undefined: only the route is written (the status cache is of another run).
 */
export function lower(
  f: Facts,
  weight: number,
  end: Stamp['end'],
  patch: StatusPatch | undefined,
  said: Said[],
): Unnamed {
  if (f.routeWeight > 0 && !primaryHasEndpoint(f.o)) {
    return hold(
      f,
      'PrimaryNotReady',
      'Traffic should leave the canary, but the primary has no ready endpoint.',
      undefined,
    );
  }
  const stamp: Stamp = { epoch: f.nextEpoch, run: f.routeRunId || (f.run?.id ?? ''), end };
  const split = { canaryWeight: weight, primaryWeight: 100 - weight };
  const route: Action = { kind: 'route', mode: 'lower', split, stamp };
  if (!patch) return { actions: [route], transitions: [], nextTickMs: 0 };
  const zeroSince =
    weight > 0
      ? undefined
      : f.routeWeight > 0
        ? formatTime(f.o.now)
        : (f.status.zeroSince ?? formatTime(f.o.now));
  const { status, transitions } = nextStatus(
    f,
    { canaryWeight: weight, zeroSince, ...patch, routeEpoch: f.nextEpoch },
    said,
  );
  return { actions: [route, { kind: 'status', status }], transitions, nextTickMs: 0 };
}

/** Nothing moves. The reason is written when it is new, and only over a settled route (fence rule 3). */
export function hold(
  f: Facts,
  reason: Reason,
  message: string,
  nextTickMs: number | undefined,
  patch: StatusPatch = {},
): Unnamed {
  const old = progressingOf(f);
  const isNew = old?.reason !== reason || old.message !== message;
  const isPatched = Object.entries(patch).some(
    ([key, value]) => f.status[key as keyof CanaryStatus] !== value,
  );
  const againMs = isNew && !isPatched ? untilSaidAgain(f, reason, message) : 0;
  if (againMs > 0) return still(reason, message, Math.min(againMs, nextTickMs ?? againMs));
  if ((!isNew && !isPatched) || !isSettled(f)) return still(reason, message, nextTickMs);
  const severity = reason === 'Waiting' ? 'info' : 'warn';
  const { status, transitions } = nextStatus(f, patch, [say(reason, severity, message)]);
  return { actions: [{ kind: 'status', status }], transitions, hold: { reason, message }, nextTickMs };
}

/**
 * Milliseconds until a sentence may be written again that another has just replaced: two engines whose clocks or caches
 * tell them different things would answer each other at once. 0 when it may be written now.
 */
function untilSaidAgain(f: Facts, reason: Reason, message: string): number {
  const [before, last] = (f.status.transitions ?? []).slice(-2);
  if (!last || before?.reason !== reason || before.message !== say(reason, 'info', message).message) return 0;
  return Math.max(0, parseTime(last.at) + AGAIN_MS - f.o.now);
}

/** One warning for each series of checks without a value: an unchanged reason is not told again. */
export function withoutValue(
  f: Facts,
  verdict: { reason: 'NoData' | 'ProviderError'; isSpent: boolean },
  message: string,
): Said[] {
  const reason = verdict.isSpent ? 'Stalled' : verdict.reason;
  return progressingOf(f)?.reason === reason ? [] : [say(reason, 'warn', message)];
}

/** Nothing moves, and it is no news: nothing is written of it. */
export function still(reason: Reason, message: string, nextTickMs: number | undefined): Unnamed {
  return { actions: [], transitions: [], hold: { reason, message }, nextTickMs };
}

/** How often pods that do not become ready are looked at, milliseconds. */
const TROUBLE_MS = 10_000;

/**
 * Pods are waited for. That is no news and costs no write, until there is a trouble to tell: then it is told in the
 * API's own words.
 */
export function awaitPods(f: Facts, reason: Reason, message: string, untilMs: number | undefined): Unnamed {
  const nextTickMs = Math.max(1, Math.min(untilMs ?? TROUBLE_MS, TROUBLE_MS));
  const [trouble] = f.o.troubles ?? [];
  if (trouble) return hold(f, trouble.reason as Reason, withTrouble(f, message), nextTickMs);
  return still(reason, message, nextTickMs);
}

/** The sentence, and why it is so when that is known. */
export function withTrouble(f: Facts, message: string): string {
  const [trouble] = f.o.troubles ?? [];
  return trouble ? `${message} ${trouble.message}` : message;
}

/** A run of what the target's template is now, in the phase in which it begins. */
export function newRun(f: Facts, commandId = ''): Run {
  const target = f.o.target;
  if (!target) throw new Error('a run needs a target');
  const identity = { revision: target.revision, generation: target.generation, commandId };
  return {
    id: formatRunId(identity),
    revision: target.revision,
    generation: target.generation,
    targetUid: target.uid,
    startedAt: formatTime(f.o.now),
  };
}

export function freshRun(run: Run): StatusPatch {
  return {
    phase: 'Progressing',
    run,
    lastAppliedSpec: run.revision,
    failedChecks: 0,
    iterations: 0,
    canaryWeight: 0,
    stage: undefined,
    stageSince: undefined,
    checks: undefined,
    paused: undefined,
    judge: undefined,
  };
}

/** A promotion comes to this stage now. */
export function stage(f: Facts, name: NonNullable<CanaryStatus['stage']>): StatusPatch {
  return { stage: name, stageSince: formatTime(f.o.now) };
}

/** The history with the run that ends now in front. */
export function recorded(
  f: Facts,
  outcome: PastRollout['outcome'],
  reason: Reason,
  message: string,
  by?: string,
): PastRollout[] {
  if (!f.run) return f.status.history ?? [];
  const entry: PastRollout = {
    revision: f.run.revision,
    outcome,
    reason,
    message: message.slice(0, 256),
    startedAt: f.run.startedAt,
    endedAt: formatTime(f.o.now),
    ...(by ? { by: by.slice(0, 100) } : {}),
  };
  return [entry, ...(f.status.history ?? [])].slice(0, HISTORY_MAX);
}

/** Milliseconds from now until `at`, never negative. */
export function until(f: Facts, at: number): number {
  return Math.max(0, at - f.o.now);
}
