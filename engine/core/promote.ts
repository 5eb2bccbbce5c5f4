/**
 * Promotion and the one way back (design, "Promotion"). The canary keeps serving until every pod of the primary is of
 * the new revision and ready; the last good template is kept until the new primary has proved itself; what fails on
 * the way returns to it. Nothing here ever writes a template that was not judged, except by the explicit `skip`.
 */
import type { Run } from '../api/status.ts';
import { nextPromotionWeight } from '../../steppers/plan.ts';
import type { StatusPatch } from './write.ts';
import {
  act,
  awaitPods,
  fenced,
  hold,
  lower,
  raise,
  say,
  stage,
  touchTarget,
  type Unnamed,
  until,
  withTrouble,
  write,
} from './write.ts';
import { type Facts, formatTime, judgementOf, nextCheckAt, parseTime } from './facts.ts';
import { isAllReady, isPinned, lackOf, primaryHasEndpoint } from './readiness.ts';
import { judge } from './verdict.ts';
import { watchPrimary } from './watch.ts';
import { goBack, toBack } from './wayBack.ts';

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

/** Stage (4): traffic back to the primary, at once or in steps, judging on. */
function shift(f: Facts, run: Run): Unnamed {
  if (!isAllReady(f.o.primary, run.revision) || !primaryHasEndpoint(f.o)) {
    const lack = lackOf(f.o.primary, run.revision, f.o.endpoints.primary);
    return toBack(
      f,
      `The primary lost pods of revision ${run.revision} while traffic returned to it: ${lack}.`,
    );
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
  // The traffic may have come long after that was decided (a frozen process, a slow reply).
  const since = Math.max(parseTime(f.status.stageSince), f.o.route?.writtenAt ?? 0);
  return watchPrimary(f, run, good, since, said);
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
  const { settings, now } = f.o;
  if (f.routeWeight === 0 || settings.metrics.length === 0 || settings.skipAnalysis) return undefined;
  const judgement = judgementOf(f, run, arm);
  const dueAt = nextCheckAt(f, run);
  if (now < dueAt) return undefined;
  if (!judgement) return { actions: [], transitions: [], measure: arm, nextTickMs: settings.intervalMs };
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
