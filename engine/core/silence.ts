/**
 * Deciding while the shared clock is silent: whoever holds the Lease looks after the canaries that carry traffic, and
 * because other replicas may be alive and as blind, nothing rises, starts or is promoted: traffic is lowered or held.
 */
import { decide } from './decide.ts';
import type { Action, Decision } from './decision.ts';
import { factsOf, type Facts } from './facts.ts';
import type { Observation } from './observation.ts';
import { hold } from './write.ts';

export function decideInSilence(observation: Observation): Decision {
  // Services follow when the clock is back: until then nothing stands before what lowers.
  const { objects } = observation;
  const decision = decide({ ...observation, objects: { ...objects, services: 'asAsked' } });
  const facts = factsOf(observation);
  if (decision.actions.every(action => lowersOrHolds(facts, action))) return decision;
  const message =
    'The scheduler has been silent for too long: traffic is only held or taken away until it is back.';
  return { rule: 'silence', ...hold(facts, 'SchedulerSilent', message, observation.settings.intervalMs) };
}

function lowersOrHolds(f: Facts, action: Action): boolean {
  if (action.kind === 'route') return action.mode === 'lower';
  if (action.kind !== 'status') return false;
  const { canaryWeight = 0, phase } = action.status;
  const isStarting = phase !== f.status.phase && (phase === 'Progressing' || phase === 'Promoting');
  return canaryWeight <= f.routeWeight && !isStarting;
}
