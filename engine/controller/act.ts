/**
 * Carries out the ordered actions of a decision. Each write has the observed version as its precondition; the first
 * that fails ends the tick. Only a take-away reads the route afresh and writes again (fence rule 2). It decides nothing.
 */
import { type CanaryStatus, type JudgeStatus, STATUS_BYTES_MAX } from '../api/status.ts';
import type { Action } from '../core/decision.ts';
import { retakeAway } from '../core/fence.ts';
import * as resources from '../kubernetes/resources.ts';
import { ABSENT_VERSION, ApiError, type ApiClient } from '../kubernetes/types.ts';
import { primaryOf, targetPatch, unmarkPatch } from '../workloads/deployment.ts';
import { revisionName, storedRevision } from '../workloads/revisions.ts';
import { apexPatch, primarySelector, targetSelector } from '../workloads/service.ts';
import { stateOf } from '../workloads/servicePlan.ts';
import type { Stamp } from '../../steppers/stepper.ts';
import type { Sighting } from './observe.ts';
import { FINALIZER, isOwnedBy, ownerReferenceOf, ownLabels, type World } from './world.ts';

export type Outcome =
  | { kind: 'done' }
  | { kind: 'conflict'; action: Action['kind'] }
  | { kind: 'failed'; action: Action['kind']; error: ApiError };

/** When the stored template was needed again, milliseconds since the epoch; nobody reads it. */
const STORED_AGAIN_ANNOTATION = 'serin.dev/stored-again';
/** A take-away meets at most this many newer versions of the route before it gives up until the next tick. */
const LOWER_TRIES_MAX = 5;

export async function act(world: World, sighting: Sighting, actions: readonly Action[]): Promise<Outcome> {
  let lowered: Stamp | undefined;
  for (const action of actions) {
    try {
      if (action.kind === 'route' && action.mode === 'lower') {
        const stamp = await lowerRoute(world, sighting, action);
        if (!stamp) return { kind: 'conflict', action: action.kind };
        lowered = stamp;
      } else if (action.kind === 'status' && lowered && lowered.epoch !== action.status.routeEpoch) {
        const status = { ...action.status, epoch: lowered.epoch, routeEpoch: lowered.epoch };
        await perform(world, sighting, { kind: 'status', status });
      } else {
        await perform(world, sighting, action);
      }
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.kind === 'conflict' || error.kind === 'alreadyExists')
        return { kind: 'conflict', action: action.kind };
      return { kind: 'failed', action: action.kind, error };
    }
  }
  return { kind: 'done' };
}

async function perform(world: World, sighting: Sighting, action: Action): Promise<void> {
  const { client, stores } = world;
  const { canary, names } = sighting;
  switch (action.kind) {
    case 'status':
      return await writeStatus(world, sighting, action.status);
    case 'route':
      return await writeRoute(world, sighting, action, sighting.observation.route?.resourceVersion, client);
    case 'target': {
      if (!sighting.target) throw new ApiError('conflict', 'the target is gone');
      const isTouch = action.replicas === undefined && action.paused === undefined;
      const patch = targetPatch({
        resourceVersion: sighting.target.metadata.resourceVersion ?? '',
        // A touch has to move the version, and the last write may have had the same epoch.
        stamp: isTouch ? `${action.epoch}/touch` : String(action.epoch),
        ...(action.replicas === undefined ? {} : { replicas: action.replicas }),
        ...(action.paused === undefined ? {} : { paused: action.paused }),
      });
      return stores.deployments.absorb(
        await client.mergePatch(resources.deployments, names.namespace, names.target, patch),
      );
    }
    case 'primary':
      return await applyPrimary(world, sighting, action.revision, {
        surge: action.surge,
        stamp: String(action.epoch),
        ...(action.replicas === undefined ? {} : { replicas: action.replicas }),
      });
    case 'createPrimary':
      return await applyPrimary(world, sighting, action.revision, {
        surge: false,
        stamp: String(action.epoch),
        replicas: action.replicas,
      });
    case 'storeRevision':
      return await storeRevision(world, sighting, action.revision);
    case 'applyServices':
      return await applyServices(world, sighting);
    case 'pointApex':
      return await pointApex(world, sighting, action);
    case 'unmarkTarget': {
      if (!sighting.target) return;
      const patch = unmarkPatch(sighting.target.metadata.resourceVersion ?? '');
      return stores.deployments.absorb(
        await client.mergePatch(resources.deployments, names.namespace, names.target, patch),
      );
    }
    case 'deleteRoute':
      return await deleteRoute(world, sighting);
    case 'forgetRevision':
      return await forgetRevision(world, sighting, action.revision);
    case 'addFinalizer':
    case 'removeFinalizer': {
      const others = canary.finalizers.filter(finalizer => finalizer !== FINALIZER);
      const finalizers = action.kind === 'addFinalizer' ? [...others, FINALIZER] : others;
      const patch = { metadata: { resourceVersion: sighting.object.metadata.resourceVersion, finalizers } };
      try {
        const answer = await client.mergePatch(world.types.canaries, names.namespace, canary.name, patch);
        return stores.canaries.absorb(answer);
      } catch (error) {
        // Another decision has let it go already, and with it the object went.
        if (action.kind === 'removeFinalizer' && error instanceof ApiError && error.kind === 'notFound')
          return;
        throw error;
      }
    }
    default:
      return action satisfies never;
  }
}

async function writeStatus(world: World, sighting: Sighting, given: CanaryStatus): Promise<void> {
  const status = withinBounds(given);
  const answer = await world.client.replaceStatus(world.types.canaries, { ...sighting.object, status });
  world.stores.canaries.absorb(answer);
  // A later action of this decision may write the same object again.
  sighting.object = answer;
}

const bytesOf = (status: CanaryStatus) => Buffer.byteLength(JSON.stringify(status));

/**
 * What a judge remembers is worth less than everything else: without a checkpoint a restart begins to judge anew, without
 * its course a report has no chart.
 */
function withinBounds(status: CanaryStatus): CanaryStatus {
  if (bytesOf(status) <= STATUS_BYTES_MAX) return status;
  const { judge, ...rest } = status;
  const smaller: JudgeStatus[] = [];
  if (judge) {
    const { checkpoint: _checkpoint, ...forgetful } = judge;
    smaller.push({ ...judge, timeline: [] }, { ...forgetful, timeline: [] });
  }
  const fitting = [...smaller.map(one => ({ ...rest, judge: one })), rest].find(
    one => bytesOf(one) <= STATUS_BYTES_MAX,
  );
  if (!fitting) throw new Error(`status of ${bytesOf(rest)} bytes is larger than ${STATUS_BYTES_MAX}`);
  return fitting;
}

function routeContext(sighting: Sighting) {
  const { namespace, apex, primary, canary } = sighting.names;
  return {
    namespace,
    apex,
    primary,
    canary,
    labels: ownLabels(sighting.object),
    ownerReference: ownerReferenceOf(sighting.object),
  };
}

type RouteAction = Extract<Action, { kind: 'route' }>;

async function writeRoute(
  world: World,
  sighting: Sighting,
  action: RouteAction,
  resourceVersion: string | undefined,
  client: ApiClient,
): Promise<void> {
  const { stepper, stores } = world;
  for (const object of stepper.desired(routeContext(sighting), action.split, action.stamp)) {
    const isNew = action.mode === 'create' || resourceVersion === undefined;
    // An apply under a version creates an object that is gone; under a uid it is refused.
    const uid = stores.routes.get(sighting.names.namespace, sighting.names.apex)?.metadata.uid;
    const answer = isNew
      ? await client.create(stepper.routeType, object)
      : await client.apply(
          stepper.routeType,
          { ...object, metadata: { ...object.metadata, resourceVersion, ...(uid ? { uid } : {}) } },
          { force: true },
        );
    stores.routes.absorb(answer);
  }
}

/** The stamp that landed, or undefined when the take-away is void. */
async function lowerRoute(world: World, sighting: Sighting, action: RouteAction): Promise<Stamp | undefined> {
  const { stepper, urgentClient, stores } = world;
  const { names } = sighting;
  let { stamp } = action;
  let resourceVersion = sighting.observation.route?.resourceVersion;
  for (let attempt = 1; ; attempt++) {
    try {
      await writeRoute(world, sighting, { ...action, stamp }, resourceVersion, urgentClient);
      return stamp;
    } catch (error) {
      const isUnsure =
        error instanceof ApiError && ['conflict', 'timeout', 'network', 'alreadyExists'].includes(error.kind);
      if (!isUnsure || attempt >= LOWER_TRIES_MAX) throw error;
    }
    const object = await urgentClient.get(stepper.routeType, names.namespace, names.apex);
    if (object) stores.routes.absorb(object);
    // Made since by another Canary of that name: its traffic is none of this one's.
    if (object && !isOwnedBy(object, sighting.canary.uid)) return undefined;
    const answer = retakeAway(
      { stamp, canaryWeight: action.split.canaryWeight },
      stepper.observed(names, object),
    );
    if (answer.kind === 'landed') return stamp;
    if (answer.kind === 'void') return undefined;
    ({ stamp, resourceVersion } = answer);
  }
}

async function storeRevision(world: World, sighting: Sighting, revision: string): Promise<void> {
  const { target, canary, observation, object } = sighting;
  if (!target || observation.target?.revision !== revision)
    throw new ApiError('conflict', `the target is no longer of revision ${revision}`);
  const replicas = sighting.primary?.spec?.replicas ?? target.spec?.replicas ?? 1;
  const owner = ownerReferenceOf(object);
  const stored = storedRevision(canary, ownLabels(object), owner, revision, target, replicas);
  try {
    world.stores.controllerRevisions.absorb(await world.client.create(resources.controllerRevisions, stored));
  } catch (error) {
    // Stored before: its template is immutable, so it is the same. It is touched, so that an engine which decided to
    // forget it before this cannot do so any more.
    if (!(error instanceof ApiError) || error.kind !== 'alreadyExists') throw error;
    const touch = { metadata: { annotations: { [STORED_AGAIN_ANNOTATION]: String(observation.now) } } };
    const { namespace } = canary;
    const type = resources.controllerRevisions;
    const there = await world.client.mergePatch(type, namespace, stored.metadata.name, touch);
    world.stores.controllerRevisions.absorb(there);
  }
}

/** Only the very object that was observed: one that was made since belongs to another Canary. */
async function deleteRoute(world: World, { names }: Sighting): Promise<void> {
  const { routeType } = world.stepper;
  const { uid, resourceVersion } = world.stores.routes.get(names.namespace, names.apex)?.metadata ?? {};
  const preconditions = { ...(uid ? { uid } : {}), ...(resourceVersion ? { resourceVersion } : {}) };
  await world.client.delete(routeType, names.namespace, names.apex, preconditions);
  world.stores.routes.forget(names.namespace, names.apex);
}

async function forgetRevision(world: World, sighting: Sighting, revision: string): Promise<void> {
  const { namespace } = sighting.canary;
  const name = revisionName(sighting.canary.name, revision);
  const { uid, resourceVersion } = sighting.revisions.find(one => one.metadata.name === name)?.metadata ?? {};
  // Only what was observed: a run that began since has stored it anew.
  if (uid === undefined || resourceVersion === undefined) return;
  await world.client.delete(resources.controllerRevisions, namespace, name, { uid, resourceVersion });
  world.stores.controllerRevisions.forget(namespace, name);
}

async function applyPrimary(
  world: World,
  sighting: Sighting,
  revision: string,
  how: { surge: boolean; stamp: string; replicas?: number },
): Promise<void> {
  const { names, canary, label, target, primary, object } = sighting;
  const stored = world.stores.controllerRevisions
    .find(names.namespace, canary.uid)
    .find(
      one =>
        one.metadata.labels?.['serin.dev/revision'] === revision &&
        one.metadata.ownerReferences?.some(owner => owner.uid === canary.uid),
    );
  if (!stored || !label) throw new ApiError('conflict', `no stored template of revision ${revision}`);
  const { resourceVersion, uid } = primary?.metadata ?? {};
  const desired = primaryOf({
    namespace: names.namespace,
    targetName: names.target,
    target,
    stored,
    revision,
    label,
    labels: ownLabels(object),
    owner: ownerReferenceOf(object),
    replicas: how.replicas ?? primary?.spec?.replicas ?? 1,
    surge: how.surge,
    stamp: how.stamp,
    ...(resourceVersion && uid ? { present: { resourceVersion, uid } } : {}),
  });
  if (!primary) {
    desired.metadata.resourceVersion = ABSENT_VERSION;
    await world.client.apply(resources.deployments, desired, { force: true, dryRun: true });
  }
  world.stores.deployments.absorb(await world.client.apply(resources.deployments, desired, { force: true }));
}

/** Each alone: the first that is refused ends it, and those before it have been brought up to date. */
async function applyServices(world: World, sighting: Sighting): Promise<void> {
  for (const object of sighting.services.writes) {
    const answer = await world.client.apply(resources.services, object, { force: true });
    world.stores.services.absorb(answer);
    // It would be found to differ, and be written again, for ever.
    if (stateOf(answer, object) !== 'asAsked')
      throw new ApiError(
        'invalid',
        `Service "${object.metadata.name}" is stored otherwise than it was applied: something in the API server changes it`,
      );
  }
}

async function pointApex(
  world: World,
  sighting: Sighting,
  { at, epoch }: Extract<Action, { kind: 'pointApex' }>,
): Promise<void> {
  const { apex, label, names } = sighting;
  // Giving a Service back needs no target: what it selected before stands on itself.
  if (!label && (at === 'primary' || !apex)) throw new ApiError('conflict', 'the target is gone');
  const selector = !label ? {} : at === 'primary' ? primarySelector(label) : targetSelector(label);
  const { client, stores } = world;
  if (apex) {
    const patch = apexPatch(apex, selector, at, String(epoch));
    const { namespace } = names;
    return stores.services.absorb(await client.mergePatch(resources.services, namespace, names.apex, patch));
  }
  const { newApex } = sighting.services;
  if (!newApex) throw new ApiError('conflict', 'the target is gone');
  // Applied, not created: a field of it goes when it is no longer asked for.
  stores.services.absorb(await client.apply(resources.services, newApex, { force: true }));
}
