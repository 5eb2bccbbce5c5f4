/**
 * Faults of the engine that the simulation has found and that are not mended yet. A violation that is one of them is
 * counted and printed, and fails nothing; whoever mends one deletes its entry, and the seeds hold the mend.
 */
import type { Violation } from './checkers/checker.ts';
import type { Plan } from './plan.ts';

export interface KnownIssue {
  name: string;
  says: string;
  /** A seed that shows it. */
  seed: number;
  is(violation: Violation, plan: Plan): boolean;
}

function hasDeed(plan: Plan, kind: string): boolean {
  return plan.items.some(item => item.kind === kind);
}

export const KNOWN_ISSUES: readonly KnownIssue[] = [
  {
    name: 'step-shorter-than-its-interval',
    says: 'a raise that lands late (crash, frozen process, lost reply) is followed by the next one after less than an interval',
    seed: 38,
    is: violation => violation.checker === 'pace',
  },
  {
    name: 'recreated-target-is-never-newer',
    says: 'after the target was deleted and made anew its generation begins at 1, and no release is newer than the last run',
    seed: 7,
    is: (violation, plan) =>
      violation.checker === 'settles' &&
      violation.message.includes('nothing was done about it') &&
      hasDeed(plan, 'deleteTarget'),
  },
  {
    name: 'unpause-beside-a-return',
    says: 'one engine un-pauses the target on the way back while another returns traffic to it',
    seed: 18,
    is: violation =>
      violation.checker === 'drained' && violation.message.includes('un-paused while the route gives it'),
  },
  {
    name: 'conditions-ping-pong',
    says: 'two engines, one with a stalled watch, overwrite conditions of each other as fast as they can',
    seed: 39,
    is: ({ checker }, plan) => (checker === 'storm' || checker === 'cost') && plan.engines.length > 1,
  },
  {
    name: 'run-ended-by-an-earlier-contest',
    says: 'a run that begins as a contest ends is ended at once by an engine whose clock is some milliseconds behind',
    seed: 60,
    is: violation => violation.checker === 'ending' && violation.message.includes('0 of'),
  },
];

export function knownIssueOf(violation: Violation, plan: Plan): KnownIssue | undefined {
  return KNOWN_ISSUES.find(issue => issue.is(violation, plan));
}
