/**
 * The product's table of contents. A decision is the answer of the first rule that applies to an observation: total,
 * pure, never throwing on any state of the world. What takes traffic away stands before everything that waits, asks
 * or raises; it is also what `decideUrgent` may do beside a running tick.
 */
import type { Decision } from './decision.ts';
import { factsOf, type Facts, hasRouteMoved, isRunning, isSettled } from './facts.ts';
import type { Observation } from './observation.ts';
import { adopt, terminate } from './adopt.ts';
import { followRoute, restoreRoute, staleRoute, strandedRun } from './fence.ts';
import { outOfDateSince, refusal } from './conditions.ts';
import { finalise, idle } from './idle.ts';
import { progress } from './progress.ts';
import { obey, refused } from './obey.ts';
import { promote } from './promote.ts';
import { primaryHasEndpoint } from './readiness.ts';
import { contestedRun, followServices, restoreApex, restoreObjects } from './repair.ts';
import {
  abort,
  giveUpPromotion,
  raisedByOthers,
  revert,
  stray,
  supersede,
  unpinned,
  unready,
} from './takeAway.ts';
import { act, hold, type Said, say, type Unnamed, write } from './write.ts';

interface Rule {
  name: string;
  /** May run beside a tick, in every replica, on a watch event: it starts, ends or lowers, and never raises. */
  isUrgent: boolean;
  apply(facts: Facts): Unnamed | undefined;
}

const isNew = (f: Facts) => f.status.phase === undefined || f.status.phase === 'Initializing';

export const RULES: readonly Rule[] = [
  { name: 'terminate', isUrgent: true, apply: f => (f.o.canary.isDeleting ? terminate(f) : undefined) },
  { name: 'refuseNew', isUrgent: false, apply: f => (isNew(f) ? refuse(f) : undefined) },
  { name: 'adopt', isUrgent: false, apply: f => (isNew(f) ? adopt(f) : undefined) },
  { name: 'restoreRoute', isUrgent: true, apply: restoreRoute },
  // Without an endpoint of the primary nothing can be taken away: it has to come back first.
  {
    name: 'restorePrimary',
    isUrgent: true,
    apply: f => (primaryHasEndpoint(f.o) ? undefined : restoreObjects(f)),
  },
  { name: 'raisedByOthers', isUrgent: true, apply: raisedByOthers },
  { name: 'strandedRun', isUrgent: true, apply: strandedRun },
  // Following is not urgent, because no traffic waits for it: another replica that saw the route before the status would
  // write the end of a run without what whoever ended it knows (the values that failed).
  { name: 'followEnded', isUrgent: false, apply: f => (f.routeWeight === 0 ? followRoute(f) : undefined) },
  { name: 'revert', isUrgent: true, apply: revert },
  { name: 'abort', isUrgent: true, apply: abort },
  { name: 'supersede', isUrgent: true, apply: supersede },
  { name: 'unready', isUrgent: true, apply: unready },
  { name: 'unpinned', isUrgent: true, apply: unpinned },
  { name: 'stray', isUrgent: true, apply: stray },
  { name: 'followRoute', isUrgent: false, apply: f => (hasRouteMoved(f) ? followRoute(f) : undefined) },
  { name: 'staleRoute', isUrgent: true, apply: staleRoute },
  { name: 'giveUpPromotion', isUrgent: true, apply: giveUpPromotion },
  { name: 'restoreObjects', isUrgent: true, apply: restoreObjects },
  { name: 'restoreApex', isUrgent: true, apply: restoreApex },
  { name: 'contestedRun', isUrgent: true, apply: contestedRun },
  // Not urgent: replicas whose caches differ would undo each other's.
  { name: 'followServices', isUrgent: false, apply: followServices },
  { name: 'refuse', isUrgent: false, apply: refuse },
  { name: 'suspend', isUrgent: false, apply: suspend },
  { name: 'obey', isUrgent: false, apply: obey },
  { name: 'phase', isUrgent: false, apply: byPhase },
];

/** The decision of a tick. */
export function decide(observation: Observation): Decision {
  const facts = factsOf(observation);
  const decision = firstOf(facts, RULES);
  if (!decision) throw new Error('the phase rule is total');
  const isStill = decision.actions.length === 0 && decision.measure === undefined;
  const reportMs = isStill ? untilReport(facts) : undefined;
  if (reportMs === undefined) return decision;
  if (reportMs > 0) return { ...decision, nextTickMs: Math.min(decision.nextTickMs ?? reportMs, reportMs) };
  return report(facts);
}

/** What must not wait for a tick: undefined when nothing is urgent. Reads no judgement. */
export function decideUrgent(observation: Observation): Decision | undefined {
  const facts = factsOf({ ...observation, judgement: undefined });
  const decision = firstOf(facts, RULES);
  const rule = RULES.find(one => one.name === decision?.rule);
  return rule?.isUrgent && decision && decision.actions.length > 0 ? decision : undefined;
}

function firstOf(facts: Facts, rules: readonly Rule[]): Decision | undefined {
  for (const rule of rules) {
    const answer = rule.apply(facts);
    if (answer) return { rule: rule.name, ...answer };
  }
  return undefined;
}

/** An object that is not accepted: nothing starts and nothing rises; what takes traffic away has been asked before. */
function refuse(f: Facts): Unnamed | undefined {
  const isUnderWay = f.run !== undefined && f.status.phase !== undefined && isRunning(f.status.phase);
  const problem = f.o.problems.find(one => !(isUnderWay && one.sparesRun));
  if (!problem) return undefined;
  if (f.o.command && f.status.phase !== undefined)
    return refused(
      f,
      f.o.command.id,
      `${f.o.command.verb} does not apply while the object is not accepted: ${problem.message}.`,
    );
  return hold(
    f,
    problem.reason as 'InvalidSpec',
    `${problem.field ? `${problem.field}: ` : ''}${problem.message}`,
    undefined,
  );
}

/** Milliseconds until what people read is brought up to date; undefined when it is true. */
function untilReport(f: Facts): number | undefined {
  if (isNew(f) || f.o.canary.isDeleting || !isSettled(f)) return undefined;
  const since = outOfDateSince(f);
  return since === undefined ? undefined : Math.max(0, since - f.o.now);
}

/** People read the status: it is brought up to date when nothing else would write it. */
function report(f: Facts): Decision {
  const before = f.status.conditions?.find(one => one.type === 'Accepted')?.status;
  const refused = refusal(f);
  const said: Said[] = [];
  if (before === 'False' && !refused)
    said.push(say('Accepted', 'info', 'What kept the canary back is mended.'));
  // Nothing else of an idle canary would tell of an autoscaler that was made after the adoption.
  if (before === 'True' && refused?.reason === 'TargetHasAutoscaler')
    said.push(say('TargetHasAutoscaler', 'warn', refused.message));
  const { refused: service } = f.o.objects;
  const isTold = f.status.transitions?.some(one => one.message === service?.message);
  if (service && !isTold) said.push(say(service.reason as 'ServiceRefused', 'warn', service.message));
  return { rule: 'report', ...write(f, {}, said) };
}

function suspend(f: Facts): Unnamed | undefined {
  if (!f.o.settings.suspend) return undefined;
  // Whoever waits for an answer gets one: an abort that applies has been carried out before.
  const answer = obey(f);
  if (answer) return answer;
  return hold(f, 'Suspended', 'spec.suspend is set: nothing starts, rises or is judged.', undefined);
}

function byPhase(f: Facts): Unnamed {
  switch (f.status.phase) {
    case undefined:
    case 'Initializing':
      return adopt(f);
    case 'Waiting':
    case 'Progressing':
    case 'WaitingPromotion':
      return progress(f);
    case 'Promoting':
      return promote(f);
    case 'Finalising':
      return finalise(f);
    case 'Initialized':
    case 'Succeeded':
    case 'Failed':
      return idle(f);
    case 'Terminating':
      // The deletion was not observed (a cache behind): nothing is done on it.
      return act([], 1_000);
    default:
      return f.status.phase satisfies never;
  }
}

/** Whether a canary needs a pending tick at all. Resync asks this of the cache and arms a job only where it is true. */
export function needsTick(observation: Observation): boolean {
  const decision = decide(observation);
  return decision.actions.length > 0 || decision.measure !== undefined || decision.nextTickMs !== undefined;
}
