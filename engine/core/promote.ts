/**
 * Promotion and the one way back (design, "Promotion"). The canary keeps serving until every pod of the primary is of
 * the new revision and ready; the last good template is kept until the new primary has proved itself; what fails on
 * the way returns to it. Nothing here ever writes a template that was not judged, except by the explicit `skip`.
 */
import type { RevisionRef, Run } from '../api/status.ts';
import { nextPromotionWeight } from '../../steppers/plan.ts';
import type { Said, StatusPatch } from './write.ts';
import {
  act,
  awaitPods,
  fenced,
  hold,
  lower,
  raise,
  recorded,
  restamp,
  say,
  touchTarget,
  type Unnamed,
  until,
  withTrouble,
  write,
} from './write.ts';
import { type Facts, formatTime, isNewerThan, isReverted, nextCheckAt, parseTime } from './facts.ts';
import { isAllReady, isPinned, mayCarry, primaryHasEndpoint } from './readiness.ts';
import { judge } from './verdict.ts';
import { targetRelease } from './cleanUp.ts';
import { refusal } from './commands.ts';

export function promote(f: Facts): Unnamed {
  const { run } = f;
  if (!run) throw new Error('Promoting without a run');
  const rescued = takeOver(f, run);
  if (rescued) return rescued;
  switch (f.status.stage) {
    case 'shift':
      return shift(f, run);
    case 'bake':
      return bake(f, run);
    case 'back':
      return goBack(f, run);
    case 'skip':
      return skip(f, run);
    case 'primary':
    case undefined:
      return rollPrimary(f, run);
    default:
      return f.status.stage satisfies never;
  }
}

function stage(f: Facts, name: 'primary' | 'shift' | 'bake' | 'back' | 'skip'): StatusPatch {
  return { stage: name, stageSince: formatTime(f.o.now) };
}

function toBack(f: Facts, message: string): Unnamed {
  return write(f, stage(f, 'back'), [say('GoingBack', 'error', message)]);
}

/** Stages (2) and (3): the recorded template to the primary, and every pod of it ready. The split stays meanwhile. */
function rollPrimary(f: Facts, run: Run): Unnamed {
  const { primary, settings } = f.o;
  if (!primary) return hold(f, 'PrimaryNotReady', 'The primary does not exist.', undefined);
  if (primary.revision !== run.revision) {
    if (!f.o.stored.has(run.revision))
      return f.o.target?.revision === run.revision
        ? act([{ kind: 'storeRevision', revision: run.revision }])
        : toBack(f, `The stored template of revision ${run.revision} is gone.`);
    return fenced(f, { kind: 'primary', revision: run.revision, surge: true, epoch: f.nextEpoch });
  }
  if (isAllReady(primary, run.revision) && primaryHasEndpoint(f.o)) {
    // The move is recorded before the first traffic returns; the next tick writes the route.
    return write(f, { ...stage(f, 'shift'), run: { ...run, peakWeight: f.routeWeight } }, [
      say('Shifting', 'info', `The primary runs revision ${run.revision}; traffic returns to it.`),
    ]);
  }
  const deadline = parseTime(f.status.stageSince) + settings.progressDeadlineMs;
  if (f.o.now >= deadline)
    return toBack(
      f,
      withTrouble(
        f,
        `The primary did not become ready with revision ${run.revision} in ${settings.progressDeadlineMs / 1000} s.`,
      ),
    );
  const failed = judgeOn(f, run, 'canary');
  if (failed) return failed;
  const message = `The primary rolls to revision ${run.revision}.`;
  return awaitPods(f, 'Promoting', message, untilNextCheck(f, run, deadline));
}

/** What the status says of a weight that somebody else took away, or of a raise that never landed. */
function atZero(f: Facts): StatusPatch {
  return f.statusWeight > 0 ? { canaryWeight: 0, zeroSince: formatTime(f.o.now) } : {};
}

/** Stage (4): traffic back to the primary, at once or in steps, judging on. */
function shift(f: Facts, run: Run): Unnamed {
  if (!isAllReady(f.o.primary, run.revision) || !primaryHasEndpoint(f.o)) {
    return toBack(f, `The primary lost pods of revision ${run.revision} while traffic returned to it.`);
  }
  if (f.routeWeight === 0) {
    return write(f, stage(f, 'bake'), [
      say('Baking', 'info', 'All traffic is on the primary; it is watched for one more interval.'),
    ]);
  }
  const { settings } = f.o;
  const weight = nextPromotionWeight(settings.stepWeightPromotion, f.routeWeight);
  const isFirst = f.routeWeight === (run.peakWeight ?? f.routeWeight);
  const dueAt = isFirst ? 0 : parseTime(run.steppedAt) + settings.intervalMs;
  if (f.o.now < dueAt) return judgeOn(f, run, 'canary') ?? act([], until(f, dueAt));
  const moved = { ...run, steppedAt: formatTime(f.o.now) };
  const isLast = weight === 0;
  const patch: StatusPatch = isLast ? { ...stage(f, 'bake'), run: moved } : { run: moved };
  const message = isLast
    ? 'All traffic is on the primary; it is watched for one more interval.'
    : `The primary gets ${100 - weight} % of the traffic.`;
  return lower(f, weight, isLast ? 'promoted' : '', patch, [
    say(isLast ? 'Baking' : 'Shifting', 'info', message),
  ]);
}

/** Stage (5): the new primary is watched with all the traffic. Only then does the last good revision change. */
function bake(f: Facts, run: Run): Unnamed {
  if (f.routeWeight > 0) return shift(f, run);
  const said = say('Finalising', 'info', `Revision ${run.revision} is promoted.`);
  const good = { hash: run.revision, generation: run.generation };
  return watchPrimary(f, run, good, parseTime(f.status.stageSince), said);
}

/** The new primary serves alone for the watch and nothing speaks against it: it becomes the last good in one status write. */
function watchPrimary(f: Facts, run: Run, good: RevisionRef, since: number, said: Said): Unnamed {
  const { settings, command } = f.o;
  if (!isAllReady(f.o.primary, good.hash) || !primaryHasEndpoint(f.o)) {
    return toBack(f, `The primary lost pods of revision ${good.hash} while it was watched.`);
  }
  // What does not apply here has been refused by `obey`.
  const isHurried = command?.verb === 'promote';
  const answer = isHurried ? undefined : judgePrimary(f, run, since + settings.bakeMs);
  if (answer?.kind === 'waits') return answer.decision;
  const unknown = answer?.message ?? (isHurried ? `${command.by} ended the watch over the primary.` : '');
  // No way leads back to the canary from here on: what has drained is let go in the same decision.
  const releasing = f.statusWeight === 0 ? targetRelease(f) : undefined;
  return write(
    f,
    {
      ...atZero(f),
      ...(isHurried ? { handledCommand: command.id } : {}),
      phase: 'Finalising',
      stage: undefined,
      stageSince: undefined,
      promoted: good,
      lastGood: good,
      lastPromotedSpec: good.hash,
    },
    [unknown === '' ? said : say(said.reason, 'warn', `${said.message} ${unknown}`)],
    releasing ? [releasing] : [],
  );
}

/** The watch goes on, or it is over: without a word, or with what could not be known. */
type Watched = { kind: 'waits'; decision: Unnamed } | { kind: 'over'; message?: string } | undefined;

/**
 * Judges the primary when the watch is over, by the built-in metrics: custom queries speak of the target. Where nothing
 * is known, the policies for that hold or end it as they do while the canary is analysed, with budgets of their own;
 * whoever promoted by command has decided without them already.
 */
function judgePrimary(f: Facts, run: Run, bakedAt: number): Watched {
  const { settings, judgement, now } = f.o;
  const waits = (decision: Unnamed): Watched => ({ kind: 'waits', decision });
  const hasLooked = parseTime(run.checkedAt) >= bakedAt;
  const dueAt = hasLooked ? parseTime(run.checkedAt) + settings.intervalMs : bakedAt;
  if (now < dueAt) return waits(act([], until(f, dueAt)));
  if (settings.skipAnalysis || settings.metrics.every(metric => metric.kind === 'custom')) return undefined;
  const isForThis =
    judgement?.arm === 'primary' && judgement.runId === run.id && judgement.epoch === f.routeEpoch;
  if (!isForThis)
    return waits({ actions: [], transitions: [], measure: 'primary', nextTickMs: settings.intervalMs });
  const before = hasLooked ? run : { ...run, noData: 0, errors: 0 };
  const { verdict, noData, errors } = judge(judgement.checks, settings, before);
  if (verdict.kind === 'pass') return undefined;
  if (verdict.kind === 'fail') return waits(failedWatch(f, run, verdict.message));
  if (run.cause === 'command' || f.status.stage === 'skip')
    return { kind: 'over', message: `It was not judged as primary: ${verdict.message}.` };
  if (verdict.isSpent && settings.onStalled === 'rollback')
    return waits(failedWatch(f, run, `the budget for checks without a value is spent; ${verdict.message}`));
  const reason = verdict.isSpent ? 'Stalled' : verdict.reason;
  const old = f.status.conditions?.find(one => one.type === 'Progressing');
  const said =
    old?.reason === reason ? [] : [say(reason, 'warn', `The new primary is watched on: ${verdict.message}.`)];
  const checked = { ...run, checkedAt: formatTime(now), noData, errors };
  return waits(write(f, { checks: judgement.checks, run: checked }, said, [], settings.intervalMs));
}

function failedWatch(f: Facts, run: Run, why: string): Unnamed {
  const message = `The promoted primary fails: ${why}.`;
  const peak = run.peakWeight ?? 0;
  return mayReturn(f, run, peak) ? bridge(f, run, peak, message) : toBack(f, message);
}

/** The one way back, (a) to (c). The canary keeps its share until the last good primary is ready. */
function goBack(f: Facts, run: Run): Unnamed {
  const { primary, settings, target } = f.o;
  const good = f.goodRevision;
  if (!good || !primary)
    return hold(f, 'PrimaryNotReady', 'There is no last good revision to return to.', undefined);
  const isFailing = !isAllReady(primary, primary.revision) || !primaryHasEndpoint(f.o);
  const peak = run.peakWeight ?? 0;
  if (primary.revision !== good && isFailing && mayReturn(f, run, peak))
    return bridge(f, run, peak, 'The promoted primary failed.');
  // Written even where the template is the good one already: an older decision may still be about to promote, and its
  // write must meet a newer version. The temporary strategy shows that this has been done.
  if (primary.revision !== good || !primary.isSurging)
    return fenced(f, { kind: 'primary', revision: good, surge: true, epoch: f.nextEpoch });
  if (isAllReady(primary, good) && primaryHasEndpoint(f.o)) {
    const message = `Revision ${run.revision} was not promoted; the last good revision ${good} serves all traffic.`;
    return lower(
      f,
      0,
      'failed',
      {
        phase: 'Failed',
        stage: undefined,
        stageSince: undefined,
        history: recorded(f, 'Failed', 'RolledBack', message),
      },
      [say('RolledBack', 'error', message)],
    );
  }
  if (f.routeWeight === 0 && f.isDrained && target?.pausedBy === 'engine') {
    // Another engine may be about to return traffic to it: the stamp voids that write, and the status says that there is
    // no way back to the canary any more, before its pods may change.
    if ((run.peakWeight ?? 0) > 0 || f.statusWeight > 0)
      return lower(f, 0, '', { run: { ...run, peakWeight: 0 } }, []);
    return fenced(f, { kind: 'target', paused: false, epoch: f.nextEpoch });
  }
  const deadline = parseTime(f.status.stageSince) + settings.progressDeadlineMs;
  const queued = isNewerThan(f.o, run) && !isReverted(f, run);
  if (f.o.now < deadline) {
    const message = queued
      ? `Revision ${f.o.target?.revision} waits until the last good revision is back.`
      : `The primary returns to revision ${good}.`;
    return hold(f, queued ? 'RevisionQueued' : 'GoingBack', message, until(f, deadline));
  }
  const message = `The last good revision ${good} does not become ready on the primary; the canary keeps its traffic.`;
  return hold(f, queued ? 'Stalled' : 'PrimaryNotReady', message, undefined);
}

/** (a): the traffic has left a canary that is still pinned and ready, and no cache is too old to say so. */
function mayReturn(f: Facts, run: Run, peak: number): boolean {
  return peak > 0 && f.routeWeight === 0 && f.o.staleCaches.length === 0 && mayCarry(f.o, run.revision, peak);
}

/** Back to the last split, on the way back. */
function bridge(f: Facts, run: Run, peak: number, why: string): Unnamed {
  const patch = f.status.stage === 'back' ? {} : stage(f, 'back');
  const text = `${why} The canary gets its last share of ${peak} % again while the last good revision comes back.`;
  const returned = { ...run, cause: 'return' as const, causeDetail: 'the promoted primary failed' };
  return raise(f, peak, returned, patch, [say('Returned', 'error', text)], 0);
}

/** A dead primary and a pinned, ready canary that passed every step: the only ready arm beats none. */
function takeOver(f: Facts, run: Run): Unnamed | undefined {
  const stages = ['primary', 'back', 'skip', undefined];
  if (!stages.includes(f.status.stage) || primaryHasEndpoint(f.o) || f.routeWeight >= 100 || !run.passedAll)
    return undefined;
  if (f.o.endpoints.canary === 0 || !isPinned(f.o, run.revision) || f.o.staleCaches.length > 0)
    return undefined;
  if (f.statusWeight === 100 && f.routeEpoch === f.recordedRouteEpoch) {
    const stamp = { epoch: f.statusEpoch, run: run.id, end: '' as const };
    const split = { canaryWeight: 100, primaryWeight: 0 };
    return act([...touchTarget(f), { kind: 'route', mode: 'raise', split, stamp }]);
  }
  return raise(
    f,
    100,
    { ...run, cause: 'takeover', causeDetail: 'the primary has no ready endpoint' },
    {},
    [say('TookOver', 'error', 'The primary has no ready endpoint; the canary carries all traffic.')],
    0,
  );
}

/** The explicit way out when neither revision comes up: the queued revision's stored template goes to the primary. */
function skip(f: Facts, run: Run): Unnamed {
  const { primary } = f.o;
  const queued = f.status.lastAppliedSpec;
  if (!primary || !queued) return hold(f, 'PrimaryNotReady', 'The primary does not exist.', undefined);
  if (f.o.target?.revision === f.goodRevision)
    return toBack(f, 'The target is back at the last good revision.');
  if (!f.o.stored.has(queued)) return act([{ kind: 'storeRevision', revision: queued }]);
  if (primary.revision !== queued)
    return fenced(f, { kind: 'primary', revision: queued, surge: true, epoch: f.nextEpoch });
  const hasServed = f.routeWeight === 0 && parseTime(f.status.zeroSince) >= parseTime(f.status.stageSince);
  if (!hasServed && (!isAllReady(primary, queued) || !primaryHasEndpoint(f.o))) {
    const deadline = parseTime(f.status.stageSince) + f.o.settings.progressDeadlineMs;
    if (f.o.now >= deadline)
      return toBack(
        f,
        `The primary did not become ready with revision ${queued}, which was put there by command.`,
      );
    return hold(f, 'Promoting', `The primary rolls to revision ${queued} by command.`, until(f, deadline));
  }
  if (f.routeWeight > 0) return lower(f, 0, 'promoted', {}, []);
  const said = say('Finalising', 'warn', `Revision ${queued} serves by command, without having been judged.`);
  const good = { hash: queued, generation: f.o.target?.generation ?? 0 };
  const since = Math.max(parseTime(f.status.zeroSince), parseTime(f.status.stageSince));
  return watchPrimary(f, run, good, since, said);
}

/** While the canary has weight it is judged on: a check that fails often enough sends the promotion back. */
function judgeOn(f: Facts, run: Run, arm: 'canary'): Unnamed | undefined {
  const { settings, judgement, now } = f.o;
  if (f.routeWeight === 0 || settings.metrics.length === 0 || settings.skipAnalysis) return undefined;
  const isForThis = judgement?.arm === arm && judgement.runId === run.id && judgement.epoch === f.routeEpoch;
  const dueAt = nextCheckAt(f, run);
  if (now < dueAt) return undefined;
  if (!isForThis) return { actions: [], transitions: [], measure: arm, nextTickMs: settings.intervalMs };
  const { verdict, noData, errors } = judge(judgement.checks, settings, run);
  const checked = { ...run, checkedAt: formatTime(now), noData, errors };
  const patch: StatusPatch = { checks: judgement.checks, run: checked };
  if (verdict.kind !== 'fail') return write(f, patch, [], [], settings.intervalMs);
  const failedChecks = (f.status.failedChecks ?? 0) + 1;
  if (failedChecks < settings.threshold) {
    return write(
      f,
      { ...patch, failedChecks },
      [say('CheckFailed', 'warn', verdict.message)],
      [],
      settings.intervalMs,
    );
  }
  return write(f, { ...patch, failedChecks, ...stage(f, 'back') }, [
    say('GoingBack', 'error', `Revision ${run.revision} fails while it is promoted: ${verdict.message}.`),
  ]);
}

function untilNextCheck(f: Facts, run: Run, deadline: number): number {
  const dueAt = nextCheckAt(f, run);
  return Math.max(1_000, Math.min(until(f, deadline), until(f, dueAt)));
}

/** What a `skip` command needs to know; the command rule calls it. */
export function queuedRevision(f: Facts): string | undefined {
  const isGoingBack = f.status.phase === 'Promoting' && f.status.stage === 'back';
  if (!isGoingBack || !f.run || primaryHasEndpoint(f.o) || f.o.primary?.revision !== f.goodRevision)
    return undefined;
  return isNewerThan(f.o, f.run) && f.o.target?.revision !== f.goodRevision
    ? f.o.target?.revision
    : undefined;
}

/** Carries out what a person commanded, or says why it does not apply. Aborts are take-aways and come before. */
export function obey(f: Facts): Unnamed | undefined {
  const { command } = f.o;
  if (!command) return undefined;
  const handled: StatusPatch = { handledCommand: command.id };
  const why = refusal(command.verb, command.revision, {
    phase: f.status.phase,
    runRevision: f.run?.revision,
    isPaused: f.status.paused !== undefined,
    isWatched: f.status.stage === 'bake',
    queuedRevision: queuedRevision(f),
  });
  if (why) return write(f, handled, [say('CommandRefused', 'warn', why)]);
  const reason = command.reason ? `: ${command.reason}` : '';
  switch (command.verb) {
    case 'pause':
      return restamp(f, { ...handled, paused: { revision: command.revision, by: command.by } }, [
        say('Paused', 'info', `${command.by} paused the run${reason}.`),
      ]);
    case 'resume':
      return write(
        f,
        {
          ...handled,
          paused: undefined,
          ...(f.status.phase === 'WaitingPromotion' ? { phase: 'Progressing' } : {}),
        },
        [say('Resumed', 'info', `${command.by} resumed the run${reason}.`)],
      );
    case 'promote':
      return undefined;
    case 'retry':
      return undefined;
    case 'skip':
      return write(f, { ...handled, ...stage(f, 'skip'), lastAppliedSpec: command.revision }, [
        say(
          'Promoting',
          'warn',
          `${command.by} put revision ${command.revision} on the primary without judging it${reason}.`,
        ),
      ]);
    case 'abort':
      return write(f, handled, [say('CommandRefused', 'warn', 'The run is on its way back already.')]);
    default:
      return command.verb satisfies never;
  }
}
