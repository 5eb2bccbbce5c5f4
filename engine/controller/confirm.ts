/**
 * Asks the API server once more before a decision is carried out that rests on what somebody lacks: ready endpoints, ready
 * pods, a route without traffic. Watches of different kinds do not keep each other's order: a replica may know of the
 * traffic, or of a stage that another has reached, and not yet of the pods that it is for. It reads what the decision
 * rests on, only where the cache of it may be too old, and never stands in the way for long.
 */
import { type Decision, isTakeAway } from '../core/decision.ts';
import * as resources from '../kubernetes/resources.ts';
import { ApiError, type KubernetesObject } from '../kubernetes/types.ts';
import type { Sighting } from './observe.ts';
import type { World } from './world.ts';

/** A list of a few objects takes milliseconds; one that hangs is asked for anew. */
const CONFIRM_MS = 2_000;
/**
 * What may be lost keeps its traffic for as long as this, and one look more, when the API server does not answer: it
 * takes no write then either, and one that has just come back answers all within seconds.
 */
const UNSURE_MS_MAX = 8_000;
const RETRY_MS = 250;

type Arm = 'canary' | 'primary';
type Doubt = { kind: 'route' } | { kind: 'endpoints' | 'pods'; arm: Arm };

const NONE: readonly Doubt[] = [];

/** What this decision rests on and may have been looked up too early; empty: it stands. */
function doubtsOf(world: World, sighting: Sighting, decision: Decision): readonly Doubt[] {
  const [first] = decision.actions;
  if (first?.kind === 'route' && first.mode === 'lower')
    return doubtsOfTakeAway(world, sighting, decision.rule, first.stamp.end);
  if (first?.kind === 'status' && restsOnLostPrimary(sighting, decision)) {
    const since = sighting.object.metadata.resourceVersion;
    return olderThan(world, sighting, 'primary', ['endpoints', 'pods'], since);
  }
  return NONE;
}

function doubtsOfTakeAway(world: World, sighting: Sighting, rule: string, end: string): readonly Doubt[] {
  const { route, status } = sighting.observation;
  if (!route) return NONE;
  if (route.canaryWeight > 0 && route.stamp.epoch < (status.routeEpoch ?? 0)) return [{ kind: 'route' }];
  const since = route.resourceVersion;
  // A deadline has passed: whoever was asleep for long knows the time before anything else.
  if (end === 'unready' && rule === 'phase')
    return olderThan(world, sighting, 'canary', ['endpoints', 'pods']);
  if (route.canaryWeight === 0) return NONE;
  if (end === 'unready') return olderThan(world, sighting, 'canary', ['endpoints'], since);
  return rule === 'unpinned' ? olderThan(world, sighting, 'canary', ['pods'], since) : NONE;
}

/** The way back, or traffic to the canary on it, because the primary was not seen ready; a person's wish is none of it. */
function restsOnLostPrimary({ observation }: Sighting, { rule, actions }: Decision): boolean {
  const [first] = actions;
  if (rule !== 'phase' || first?.kind !== 'status' || observation.status.phase !== 'Promoting') return false;
  const { stage, run } = first.status;
  if (stage === 'back' && observation.status.stage !== 'back') return true;
  const isRaise = actions.some(action => action.kind === 'route' && action.mode === 'raise');
  return isRaise && (run?.cause === 'return' || run?.cause === 'takeover');
}

/**
 * Which of these are not known to be newer than this version: each kind has a watch of its own. Versions of one API
 * server rise together over all kinds. What is no number proves nothing, and is asked about.
 */
function olderThan(
  world: World,
  { names, target, primary }: Sighting,
  arm: Arm,
  kinds: readonly ('endpoints' | 'pods')[],
  since?: string,
): readonly Doubt[] {
  const { stores } = world;
  const isNewer = (objects: readonly (KubernetesObject | undefined)[]) =>
    objects.some(one => Number(one?.metadata.resourceVersion) > Number(since));
  const workload = arm === 'canary' ? target : primary;
  return kinds
    .filter(kind => {
      if (kind === 'endpoints') return !isNewer(stores.endpointSlices.find(names.namespace, names[arm]));
      const uid = workload?.metadata.uid ?? '';
      return !isNewer([workload]) || !isNewer(stores.replicaSets.find(names.namespace, uid));
    })
    .map(kind => ({ kind, arm }));
}

/**
 * `changed`: the caches were brought up to date, and have to be looked at again. `unknown`: nobody can say now, and
 * nothing is lost by waiting until somebody can.
 */
export type Confirmation = 'stands' | 'changed' | 'unknown';

export async function lookAgain(world: World, sighting: Sighting, decision: Decision): Promise<Confirmation> {
  const doubts = doubtsOf(world, sighting, decision);
  if (doubts.length === 0) return 'stands';
  // Traffic that may go to nothing, or to what was never judged, is taken away in the end. Nothing else ends on a guess.
  const untilMs = world.clock.now() + (isTakeAway(sighting.observation, decision) ? UNSURE_MS_MAX : 0);
  for (;;) {
    if (await haveLooked(doubts, world, sighting)) return 'changed';
    if (world.clock.now() >= untilMs)
      return isTakeAway(sighting.observation, decision) ? 'stands' : 'unknown';
    await world.clock.sleep(RETRY_MS);
  }
}

/** False when the API server did not answer all of it in time. */
async function haveLooked(doubts: readonly Doubt[], world: World, sighting: Sighting): Promise<boolean> {
  const deadline = new AbortController();
  const timer = world.clock.setTimer(() => deadline.abort(), CONFIRM_MS);
  try {
    await Promise.all(doubts.map(doubt => lookAt(doubt, world, sighting, deadline.signal)));
    return true;
  } catch (error) {
    // One that has just started refuses everybody until it has read who may do what.
    if (error instanceof ApiError) return false;
    throw error;
  } finally {
    timer.cancel();
  }
}

async function lookAt(doubt: Doubt, world: World, sighting: Sighting, signal: AbortSignal): Promise<void> {
  switch (doubt.kind) {
    case 'route':
      return await lookAtRoute(world, sighting, signal);
    case 'endpoints':
      return await lookAtEndpoints(world, sighting, doubt.arm, signal);
    case 'pods':
      return await lookAtPods(world, sighting, doubt.arm, signal);
    default:
      return doubt satisfies never;
  }
}

async function lookAtRoute(world: World, { names }: Sighting, signal: AbortSignal): Promise<void> {
  const { urgentClient, stepper, stores } = world;
  const route = await urgentClient.get(stepper.routeType, names.namespace, names.apex, { signal });
  if (route) stores.routes.absorb(route);
}

async function lookAtEndpoints(
  world: World,
  { names }: Sighting,
  arm: Arm,
  signal: AbortSignal,
): Promise<void> {
  const labelSelector = `kubernetes.io/service-name=${names[arm]}`;
  const { items } = await world.urgentClient.list(resources.endpointSlices, names.namespace, {
    labelSelector,
    signal,
  });
  for (const slice of items) world.stores.endpointSlices.absorb(slice);
}

/** The Deployment and the ReplicaSets that tell of which revision its pods are. */
async function lookAtPods(
  world: World,
  { names, target, primary }: Sighting,
  arm: Arm,
  signal: AbortSignal,
): Promise<void> {
  const { namespace } = names;
  const [name, known] = arm === 'canary' ? [names.target, target] : [names.primaryWorkload, primary];
  const labels: Record<string, string> = known?.spec?.selector?.matchLabels ?? {};
  const labelSelector = Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
  const { urgentClient: client, stores } = world;
  // A list of one: the engine has no right to `get` Deployments, and no other use for it.
  const [deployments, replicaSets] = await Promise.all([
    client.list(resources.deployments, namespace, { fieldSelector: `metadata.name=${name}`, signal }),
    client.list(resources.replicaSets, namespace, { labelSelector, signal }),
  ]);
  for (const deployment of deployments.items) stores.deployments.absorb(deployment);
  for (const replicaSet of replicaSets.items) stores.replicaSets.absorb(replicaSet);
}
