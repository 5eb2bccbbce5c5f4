/**
 * Asks the API server once more before a canary is taken for lost. Watches of different kinds do not keep each other's
 * order: a replica that has just connected again may know of the traffic and not yet of the pods that it is for. It reads
 * one list, only when the cached EndpointSlices are older than the route, and never stands in the way for long.
 */
import type { Decision } from '../core/decision.ts';
import * as resources from '../kubernetes/resources.ts';
import { ApiError } from '../kubernetes/types.ts';
import type { Sighting } from './observe.ts';
import type { World } from './world.ts';

/** A canary that is lost keeps its traffic for as long as this at most when the API server does not answer. */
const CONFIRM_MS = 2_000;

/** Whether this decision rests on endpoints that may have been looked up before the traffic came. */
function isDoubtful(world: World, sighting: Sighting, decision: Decision): boolean {
  const [first] = decision.actions;
  const { route } = sighting.observation;
  if (first?.kind !== 'route' || first.stamp.end !== 'unready' || !route || route.canaryWeight === 0)
    return false;
  const { namespace, canary } = sighting.names;
  const versions = world.stores.endpointSlices
    .find(namespace, canary)
    .map(slice => Number(slice.metadata.resourceVersion));
  // Versions of one API server rise together over all kinds. What is no number proves nothing, and is asked about.
  return !versions.some(version => version > Number(route.resourceVersion));
}

/** True when the cache was brought up to date and has to be looked at again; false when the decision stands. */
export async function hasLookedAgain(world: World, sighting: Sighting, decision: Decision): Promise<boolean> {
  if (!isDoubtful(world, sighting, decision)) return false;
  const { namespace, canary } = sighting.names;
  const deadline = new AbortController();
  const timer = world.clock.setTimer(() => deadline.abort(), CONFIRM_MS);
  try {
    const labelSelector = `kubernetes.io/service-name=${canary}`;
    const { items } = await world.urgentClient.list(resources.endpointSlices, namespace, {
      labelSelector,
      signal: deadline.signal,
    });
    for (const slice of items) world.stores.endpointSlices.absorb(slice);
    return true;
  } catch (error) {
    // Nobody can tell: traffic that may go to nothing is taken away.
    if (error instanceof ApiError) return false;
    throw error;
  } finally {
    timer.cancel();
  }
}
