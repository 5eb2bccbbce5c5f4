/**
 * Asks the API server once more before a canary is taken for lost. Watches of different kinds do not keep each other's
 * order: a replica that has just connected again may know of the traffic and not yet of the pods that it is for. It reads
 * what the decision rests on, only where the cache of it is older than the route, and never stands in the way for long.
 */
import type { Decision } from '../core/decision.ts';
import * as resources from '../kubernetes/resources.ts';
import { ApiError, type KubernetesObject } from '../kubernetes/types.ts';
import type { Sighting } from './observe.ts';
import type { World } from './world.ts';

/** A canary that is lost keeps its traffic for as long as this at most when the API server does not answer. */
const CONFIRM_MS = 2_000;

/** What this decision rests on and may have been looked up before the traffic came; undefined: it stands. */
function doubtOf(world: World, sighting: Sighting, decision: Decision): 'endpoints' | 'pods' | undefined {
  const [first] = decision.actions;
  const { route } = sighting.observation;
  if (first?.kind !== 'route' || !route || route.canaryWeight === 0) return undefined;
  const { namespace, canary } = sighting.names;
  // Versions of one API server rise together over all kinds. What is no number proves nothing, and is asked about.
  const isOlder = (objects: readonly KubernetesObject[]) =>
    !objects.some(({ metadata }) => Number(metadata.resourceVersion) > Number(route.resourceVersion));
  if (first.stamp.end === 'unready')
    return isOlder(world.stores.endpointSlices.find(namespace, canary)) ? 'endpoints' : undefined;
  const uid = sighting.target?.metadata.uid ?? '';
  if (decision.rule !== 'unpinned' || !sighting.target) return undefined;
  return isOlder([sighting.target, ...world.stores.replicaSets.find(namespace, uid)]) ? 'pods' : undefined;
}

/** True when the cache was brought up to date and has to be looked at again; false when the decision stands. */
export async function hasLookedAgain(world: World, sighting: Sighting, decision: Decision): Promise<boolean> {
  const doubt = doubtOf(world, sighting, decision);
  if (!doubt) return false;
  const deadline = new AbortController();
  const timer = world.clock.setTimer(() => deadline.abort(), CONFIRM_MS);
  try {
    await (doubt === 'endpoints' ? lookAtEndpoints : lookAtPods)(world, sighting, deadline.signal);
    return true;
  } catch (error) {
    // Nobody can tell: traffic that may go to nothing, or to what was never judged, is taken away.
    if (error instanceof ApiError) return false;
    throw error;
  } finally {
    timer.cancel();
  }
}

async function lookAtEndpoints(world: World, { names }: Sighting, signal: AbortSignal): Promise<void> {
  const labelSelector = `kubernetes.io/service-name=${names.canary}`;
  const { items } = await world.urgentClient.list(resources.endpointSlices, names.namespace, {
    labelSelector,
    signal,
  });
  for (const slice of items) world.stores.endpointSlices.absorb(slice);
}

/** The target and the ReplicaSets that tell of which revision its pods are. */
async function lookAtPods(world: World, { names, target }: Sighting, signal: AbortSignal): Promise<void> {
  const { namespace } = names;
  const labels: Record<string, string> = target?.spec?.selector?.matchLabels ?? {};
  const labelSelector = Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
  const { urgentClient: client, stores } = world;
  // Listed by its name: the engine needs no right to get it.
  const fieldSelector = `metadata.name=${names.target}`;
  const [targets, replicaSets] = await Promise.all([
    client.list(resources.deployments, namespace, { fieldSelector, signal }),
    client.list(resources.replicaSets, namespace, { labelSelector, signal }),
  ]);
  for (const deployment of targets.items) stores.deployments.absorb(deployment);
  for (const replicaSet of replicaSets.items) stores.replicaSets.absorb(replicaSet);
}
