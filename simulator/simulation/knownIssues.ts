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

export const KNOWN_ISSUES: readonly KnownIssue[] = [
  {
    name: 'conditions-ping-pong',
    says: 'two engines, one with a stalled watch, overwrite conditions of each other as fast as they can',
    seed: 9,
    is: ({ checker }, plan) => (checker === 'storm' || checker === 'cost') && plan.engines.length > 1,
  },
  {
    name: 'route-without-a-stamp',
    says: 'somebody strips the stamp from a route that gives the canary traffic, and the traffic stays there unjudged, for ever',
    seed: 78,
    is: violation => violation.message.includes('its route has no stamp that could be read'),
  },
];

export function knownIssueOf(violation: Violation, plan: Plan): KnownIssue | undefined {
  return KNOWN_ISSUES.find(issue => issue.is(violation, plan));
}
