/**
 * Progressing: one revision beside the primary, from scale-up to the last step. The order is law (design, "The
 * revision is pinned"): scale up, wait for every pod, pause the target, record the intent, give the first traffic;
 * then judge at each interval and take one step for each pass.
 */
import type { Run } from '../api/status.ts';
import { nextStep } from '../../steppers/plan.ts';
import type { StatusPatch } from './write.ts';
import {
  act,
  awaitPods,
  hold,
  raise,
  release,
  say,
  still,
  touchTarget,
  type Unnamed,
  until,
  withoutValue,
  withTrouble,
  write,
} from './write.ts';
import {
  evidenceOf,
  type Facts,
  formatTime,
  hasRouteMoved,
  isSettled,
  judgementOf,
  nextCheckAt,
  parseTime,
  progressingOf,
} from './facts.ts';
import { resizePrimary } from './repair.ts';
import { endRun } from './takeAway.ts';
import { isAllReady, isPinned, isPrimaryReady, mayCarry, runsOnly } from './readiness.ts';
import { describeChecks, judge } from './verdict.ts';
import {
  askEvidence,
  beforeFirstStep,
  judged,
  judgedDueAt,
  nextLookMs,
  type Outcomes,
  rolledBack,
  warningOf,
} from './judged.ts';

/** Gets the target to run nothing but this revision, ready and paused. Undefined once that is so. */
function bringUp(f: Facts, run: Run): Unnamed | undefined {
  const { target, primary, settings, stored } = f.o;
  if (!target)
    return hold(f, 'TargetNotFound', `Deployment ${settings.targetName} does not exist.`, undefined);
  // Also of a run that has begun: an engine with old caches may have forgotten it.
  if (!stored.has(run.revision) && target.revision === run.revision)
    return act([{ kind: 'storeRevision', revision: run.revision }]);
  if (isPinned(f.o, run.revision)) return undefined;
  if (target.pausedBy === 'user') {
    const message = `Deployment ${settings.targetName} was paused by its user; resume it to let revision ${run.revision} start.`;
    return hold(f, 'TargetPausedByUser', message, undefined, { phase: 'Waiting' });
  }
  if (
    target.pausedBy === 'engine' &&
    !(target.pods.length === 0 && target.revision === run.revision && target.replicas === 0)
  ) {
    if (!f.isDrained)
      return hold(f, 'CanaryNotReady', 'The pods of the previous revision drain.', until(f, f.drainedAt));
    return release(f, { kind: 'target', paused: false, epoch: f.nextEpoch });
  }
  if (target.observedGeneration < target.generation) {
    // Its controller is about to write: a patch under the version that is cached would be in vain.
    const message = `Deployment ${settings.targetName} has not been looked at by its controller yet.`;
    const deadline = podsDeadline(f, run);
    return still('CanaryNotReady', message, (deadline && until(f, deadline)) || undefined);
  }
  const resized = resizePrimary(f);
  if (resized) return resized;
  if (target.replicas === 0) {
    return act([
      {
        kind: 'target',
        replicas: Math.max(1, primary?.replicas ?? 1),
        ...(target.pausedBy === 'engine' ? { paused: false } : {}),
        epoch: f.nextEpoch,
      },
    ]);
  }
  if (!isAllReady(target, run.revision) || f.o.endpoints.canary === 0) {
    const deadline = podsDeadline(f, run);
    const available = target.pods.find(pods => pods.revision === run.revision)?.available ?? 0;
    const message = `${available} of ${target.replicas} pods of revision ${run.revision} are ready.`;
    if (deadline === undefined) return awaitPods(f, 'Paused', `${pausedBy(f)} ${message}`, undefined);
    if (f.o.now >= deadline) return deadlineExceeded(f, message);
    return awaitPods(f, 'CanaryNotReady', message, until(f, deadline));
  }
  // With the replicas that a release brought along, so that from here on any other number is somebody's wish.
  const { replicas } = target;
  return act([
    { kind: 'target', paused: true, ...(target.isScaledByOthers ? { replicas } : {}), epoch: f.nextEpoch },
  ]);
}

/** Until when the pods of a run are waited for; undefined while a person has paused it: the deadline stands still. */
function podsDeadline(f: Facts, run: Run): number | undefined {
  if (f.status.paused?.revision === run.revision) return undefined;
  return parseTime(run.waitingSince ?? run.startedAt) + f.o.settings.progressDeadlineMs;
}

/** Whether anything but the metrics stands against more traffic for the canary. */
function obstacle(f: Facts, run: Run, weight: number): Unnamed | undefined {
  const [stale] = f.o.staleCaches;
  if (stale) return hold(f, 'CacheStale', `The watch of ${stale} has been silent for too long.`, 5_000);
  const [first] = f.o.obstacles;
  if (first) return hold(f, first.reason as 'CompanionExcludesPrimary', first.message, undefined);
  if (!isPrimaryReady(f.o))
    return hold(f, 'PrimaryNotReady', 'The primary has too few ready pods.', undefined);
  if (!mayCarry(f.o, run.revision, weight)) return awaitCanary(f);
  return undefined;
}

/** Pods that were ready once are waited for as long as those that never were; then the run ends. */
function awaitCanary(f: Facts): Unnamed {
  const message = 'The canary has too few ready pods.';
  const said = progressingOf(f);
  const isSaid = said?.reason === 'CanaryNotReady' && said.message === message;
  const since = isSaid ? parseTime(said.lastUpdateTime ?? said.lastTransitionTime) : f.o.now;
  const deadline = since + f.o.settings.progressDeadlineMs;
  if (f.o.now < deadline) return hold(f, 'CanaryNotReady', message, until(f, deadline));
  return deadlineExceeded(f, message);
}

function deadlineExceeded(f: Facts, message: string): Unnamed {
  const passed = `The deadline of ${f.o.settings.progressDeadlineMs / 1000} s has passed.`;
  return endRun(f, 'unready', say('DeadlineExceeded', 'error', `${withTrouble(f, message)} ${passed}`));
}

/** A raise that was recorded and never reached the route: finished with the status's own epoch, or judged again. */
function finishRaise(f: Facts, run: Run): Unnamed | undefined {
  if (f.routeEpoch !== f.recordedRouteEpoch || f.statusWeight <= f.routeWeight) return undefined;
  if (f.status.paused?.revision === run.revision) return undefined;
  const isFresh =
    run.passedEpoch === f.routeEpoch && f.o.now - parseTime(run.checkedAt) < f.o.settings.intervalMs;
  if (f.routeWeight > 0 && !isFresh) return undefined;
  const standsAgainst = obstacle(f, run, f.statusWeight);
  if (standsAgainst) return standsAgainst;
  const split = { canaryWeight: f.statusWeight, primaryWeight: 100 - f.statusWeight };
  const stamp = { epoch: f.statusEpoch, run: run.id, end: '' as const };
  return act([...touchTarget(f), { kind: 'route', mode: 'raise', split, stamp }], nextLookMs(f, run));
}

export function progress(f: Facts): Unnamed {
  const { run, o } = f;
  const { settings } = o;
  if (!run) throw new Error('Progressing without a run');
  const rising = bringUp(f, run);
  if (rising) return rising;
  if (hasRouteMoved(f)) throw new Error('the status must follow the route before anything rises');
  const unfinished = finishRaise(f, run);
  if (unfinished) return unfinished;
  const weight = f.routeWeight;
  const isPaused = f.status.paused?.revision === run.revision;
  const { command } = o;
  if (command?.verb === 'promote' && command.revision === run.revision) {
    const why = command.reason ? `${command.by} promoted it: ${command.reason}` : `${command.by} promoted it`;
    return startPromotion(f, { ...run, cause: 'command', causeDetail: command.by }, 'command', why, {
      handledCommand: command.id,
    });
  }
  if (weight === 0) {
    if (isPaused) return pausedHold(f);
    if (settings.skipAnalysis) return startPromotion(f, run, 'skip', 'spec.skipAnalysis is set');
    const needed = settings.iterations - (f.status.iterations ?? 0);
    if (needed > 0) return check(f, run, parseTime(run.checkedAt ?? run.startedAt) + settings.intervalMs);
    return (settings.judge && beforeFirstStep(f, run, outcomesOf(f))) ?? firstStep(f, run);
  }
  if (!settings.judge) return check(f, run, nextCheckAt(f, run));
  return judged(f, run, judgedDueAt(f, nextCheckAt(f, run)), outcomesOf(f));
}

function outcomesOf(f: Facts): Outcomes {
  return {
    failed: (run, message, patch) => failedCheck(f, run, message, patch),
    inconclusive: (run, verdict, patch) => inconclusive(f, run, verdict, patch),
    passed: (run, patch, why) => passed(f, { ...run, passedEpoch: f.routeEpoch }, patch, why),
    promoted: (run, why, patch) => startPromotion(f, run, 'skip', why, patch),
    remembered: (patch, next) => settledWrite(f, patch, next),
  };
}

/** That it was paused has been written with the command: it is not said a second time. */
function pausedHold(f: Facts): Unnamed {
  return still('Paused', pausedBy(f), undefined);
}

function pausedBy(f: Facts): string {
  return `The run was paused by ${f.status.paused?.by ?? 'a person'}.`;
}

/** The watch event comes sooner; this is for one that is lost. Milliseconds. */
const NOTED_MS = 1_000;

function firstStep(f: Facts, run: Run): Unnamed {
  const { target } = f.o;
  if (target && target.observedGeneration < target.generation) {
    // Its controller is about to note the pause: the touch before the first traffic would be in vain.
    const message = 'The pause of the target has not been noted by its controller yet.';
    return still('CanaryNotReady', message, NOTED_MS);
  }
  const weight = nextStep(f.o.settings.steps, 0);
  if (weight === undefined) throw new Error('settings have at least one step');
  const standsAgainst = obstacle(f, run, weight);
  if (standsAgainst) return standsAgainst;
  const isGreen = f.o.settings.iterations > 0;
  const warning = warningOf(f, run);
  const cause = isGreen ? ('verdict' as const) : ('first' as const);
  return raise(
    f,
    weight,
    { ...run, cause, causeDetail: isGreen ? 'all iterations passed' : 'ready' },
    { phase: 'Progressing' },
    [
      say('WeightRaised', 'info', `Revision ${run.revision} gets ${weight} % of the traffic.`),
      ...(warning === undefined ? [] : [say('TrafficTooThin', 'warn', warning)]),
    ],
    nextLookMs(f, run),
  );
}

/** Judges when the interval is over. The caller has ruled out that the route moved. */
function check(f: Facts, run: Run, dueAt: number): Unnamed {
  const { settings, now } = f.o;
  const waits =
    settings.metrics.length === 0
      ? 'No metric is configured; the step waits for its interval.'
      : 'The next check is due.';
  const judgement = judgementOf(f, run, 'canary');
  const guard = evidenceOf(f, run);
  if (guard?.given?.kind === 'rollback' && f.routeWeight > 0) return rolledBack(f, run, guard.given);
  // Another worker may have judged this interval while the queries ran: it counts once.
  if (now < dueAt) {
    if (settings.guard && f.routeWeight > 0 && !guard) return askEvidence(f);
    return still('Waiting', waits, Math.min(until(f, dueAt), guard?.given?.nextMs ?? Infinity));
  }
  if (!judgement && settings.metrics.length > 0)
    return { actions: [], transitions: [], measure: 'canary', nextTickMs: settings.intervalMs };
  const checks = judgement?.checks ?? [];
  const { verdict, noData, errors } = judge(checks, settings, run);
  // The pass that a recorded raise rests on is void once a later check has said anything else.
  const { passedEpoch: _passedEpoch, ...before } = run;
  const checked: Run = { ...before, checkedAt: formatTime(now), noData, errors };
  if (verdict.kind === 'fail') return failedCheck(f, checked, verdict.message, { checks });
  if (verdict.kind === 'inconclusive') return inconclusive(f, checked, verdict, { checks });
  return passed(f, { ...checked, passedEpoch: f.routeEpoch }, { checks });
}

/** A failed check that reaches the threshold is followed by the route write in the same tick. */
function failedCheck(f: Facts, run: Run, message: string, patch: StatusPatch): Unnamed {
  const failedChecks = (f.status.failedChecks ?? 0) + 1;
  const { threshold } = f.o.settings;
  if (failedChecks >= threshold) {
    const text = `Revision ${run.revision} is rolled back: ${message} (failed check ${failedChecks} of ${threshold}).`;
    return endRun(f, 'failed', say('RolledBack', 'error', text), undefined, { ...patch, failedChecks, run });
  }
  return write(
    f,
    { ...patch, failedChecks, run },
    [say('CheckFailed', 'warn', `${message} (failed check ${failedChecks} of ${threshold}).`)],
    [],
    nextLookMs(f, run),
  );
}

function inconclusive(
  f: Facts,
  run: Run,
  verdict: { reason: 'NoData' | 'ProviderError'; message: string; isSpent: boolean },
  patch: StatusPatch,
): Unnamed {
  const { onStalled } = f.o.settings;
  if (verdict.isSpent && onStalled === 'rollback') {
    const text = `Revision ${run.revision} is rolled back: the budget for checks without a value is spent. ${verdict.message}`;
    return endRun(f, 'failed', say('RolledBack', 'error', text), undefined, { ...patch, run });
  }
  return write(f, { ...patch, run }, withoutValue(f, verdict, verdict.message), [], nextLookMs(f, run));
}

/** @param values what was judged, to stand at the end of a sentence */
function passed(
  f: Facts,
  run: Run,
  patch: StatusPatch,
  values = describeChecks(patch.checks ?? []),
): Unnamed {
  const { settings } = f.o;
  const isPaused = f.status.paused?.revision === run.revision;
  if (f.routeWeight === 0) {
    const iterations = (f.status.iterations ?? 0) + 1;
    const text = `Check ${iterations} of ${settings.iterations} passed${values}.`;
    return write(
      f,
      { ...patch, run, iterations },
      [say('Waiting', 'info', text)],
      [],
      iterations >= settings.iterations ? 0 : settings.intervalMs,
    );
  }
  const weight = nextStep(settings.steps, f.routeWeight);
  if (isPaused) {
    const phase = weight === undefined ? ('WaitingPromotion' as const) : ('Progressing' as const);
    return settledWrite(f, { ...patch, run, phase }, nextLookMs(f, run));
  }
  if (weight === undefined)
    return startPromotion(f, { ...run, passedAll: true }, 'verdict', `every step passed${values}`, patch);
  const standsAgainst = obstacle(f, run, weight);
  if (standsAgainst) return standsAgainst;
  const isJudged = settings.judge !== undefined || (patch.checks ?? []).length > 0;
  const detail = isJudged ? 'all checks passed' : 'the interval is over';
  return raise(
    f,
    weight,
    { ...run, cause: 'verdict', causeDetail: detail },
    patch,
    [
      say(
        'WeightRaised',
        'info',
        `Revision ${run.revision} passed at ${f.routeWeight} % and gets ${weight} %${values}.`,
      ),
    ],
    nextLookMs(f, run),
  );
}

/** A checkpoint of the judge, written only over a settled route. */
function settledWrite(f: Facts, patch: StatusPatch, next: number): Unnamed {
  return isSettled(f) ? write(f, patch, [], [], next) : act([], next);
}

export function startPromotion(
  f: Facts,
  run: Run,
  cause: 'verdict' | 'command' | 'skip',
  detail: string,
  patch: StatusPatch = {},
): Unnamed {
  if (!f.o.target || !runsOnly(f.o.target, run.revision))
    throw new Error('only a pinned revision is promoted');
  const said = say('Promoting', 'info', `Revision ${run.revision} is promoted: ${detail}.`);
  const promoted = {
    ...patch,
    phase: 'Promoting' as const,
    stage: 'primary' as const,
    stageSince: formatTime(f.o.now),
    paused: undefined,
  };
  return write(
    f,
    {
      ...promoted,
      run: { ...run, peakWeight: f.routeWeight, ...(cause === 'verdict' ? { passedAll: true } : {}) },
    },
    [said],
    // The status goes first, and the template in the same decision: what did not land is written by the next tick.
    f.o.primary && f.o.stored.has(run.revision) && f.o.primary.revision !== run.revision
      ? [{ kind: 'primary', revision: run.revision, surge: true, epoch: f.nextEpoch }]
      : [],
  );
}
