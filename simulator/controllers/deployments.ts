/**
 * The played Deployment controller: rolling update and recreate, scaling, pausing, revisions, history. A paused
 * Deployment makes no new ReplicaSet, but its existing ones are scaled. It sees ReplicaSets only, never pods (but for
 * recreate, which waits for old ones to end).
 */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { draft } from '../api/inprocess.ts';
import { equal } from '../api/json.ts';
import {
  conditionOf,
  countedStatus,
  deadlineMs,
  isDeploymentComplete,
  rolloutStatus,
  setCondition,
} from './deploymentStatus.ts';
import {
  controlledBy,
  controllerOf,
  DEPLOYMENT,
  isFinished,
  keyOf,
  MANAGER,
  POD,
  REPLICA_SET,
  splitKey,
} from './objects.ts';
import type { ControllerContext } from './objects.ts';
import { createKeyQueue } from './queue.ts';
import {
  adoptRevision,
  findNewSet,
  newReplicaSet,
  resized,
  revisionOf,
  REVISION_ANNOTATION,
} from './revisions.ts';
import {
  compareAge,
  DESIRED_ANNOTATION,
  newSetReplicas,
  proportionalSizes,
  shrinkOldSets,
} from './rollingUpdate.ts';

export function startDeployments(context: ControllerContext): () => void {
  const { store } = context;
  const queue = createKeyQueue(context.clock, context.latencyMs, key => {
    const [namespace, name] = splitKey(key);
    const deployment = store.get(DEPLOYMENT, namespace, name);
    if (!deployment) return;
    reconcile(context, deployment);
    const current = store.get(DEPLOYMENT, namespace, name);
    const waitMs = current && deadlineMs(current, current.status, context.clock);
    if (waitMs !== undefined) queue.add(key, Math.max(context.latencyMs, waitMs + 1000));
  });
  const stop = store.subscribe(({ object, type }) => {
    if (object.kind === 'Deployment' && type !== 'DELETED') queue.add(keyOf(object));
    const owner = object.kind === 'ReplicaSet' ? controllerOf(object) : undefined;
    if (owner?.kind === 'Deployment') queue.add(`${object.metadata.namespace}/${owner.name}`);
    if (object.kind === 'Pod' && type === 'DELETED') wakeByPod(context, object, key => queue.add(key));
  });
  for (const deployment of store.list(DEPLOYMENT)) queue.add(keyOf(deployment));
  return () => {
    stop();
    queue.stop();
  };
}

/** Recreate waits for the last old pod, of which no ReplicaSet event tells. */
function wakeByPod(context: ControllerContext, pod: KubernetesObject, wake: (key: string) => void): void {
  const reference = controllerOf(pod);
  if (reference?.kind !== 'ReplicaSet') return;
  const set = context.store.get(REPLICA_SET, pod.metadata.namespace, reference.name);
  const owner = set && controllerOf(set);
  if (owner?.kind === 'Deployment') wake(`${pod.metadata.namespace}/${owner.name}`);
}

function setsOf(context: ControllerContext, deployment: KubernetesObject): KubernetesObject[] {
  return controlledBy(context.store, REPLICA_SET, deployment).toSorted(compareAge);
}

function reconcile(context: ControllerContext, found: KubernetesObject): void {
  if (found.metadata.deletionTimestamp !== undefined) return writeCounts(context, found);
  const deployment = markPaused(context, found);
  if (deployment.spec.paused || isScaled(context, deployment)) return scaleExisting(context, deployment);
  if (deployment.spec.strategy.type === 'Recreate') return recreate(context, deployment);
  rollingUpdate(context, deployment);
}

function writeStatus(
  context: ControllerContext,
  deployment: KubernetesObject,
  status: object,
): KubernetesObject {
  if (equal(deployment.status, status)) return deployment;
  return context.store.update({ ...draft(deployment), status }, MANAGER, 'status');
}

function writeCounts(context: ControllerContext, deployment: KubernetesObject): void {
  const all = setsOf(context, deployment);
  writeStatus(
    context,
    deployment,
    countedStatus(deployment, all, findNewSet(deployment, all), context.clock),
  );
}

/** Pausing and resuming show in the condition, so that the deadline does not run on. */
function markPaused(context: ControllerContext, deployment: KubernetesObject): KubernetesObject {
  const current = conditionOf(deployment.status, 'Progressing');
  if (current?.reason === 'ProgressDeadlineExceeded') return deployment;
  const isMarked = current?.reason === 'DeploymentPaused';
  const isPaused = deployment.spec.paused === true;
  if (isMarked === isPaused) return deployment;
  const { status } = draft(deployment);
  if (isPaused)
    setCondition(status, context.clock, 'Progressing', 'Unknown', 'DeploymentPaused', 'Deployment is paused');
  else
    setCondition(
      status,
      context.clock,
      'Progressing',
      'Unknown',
      'DeploymentResumed',
      'Deployment is resumed',
    );
  return writeStatus(context, deployment, status);
}

/** True when an active set was last sized for another number of replicas. */
function isScaled(context: ControllerContext, deployment: KubernetesObject): boolean {
  return setsOf(context, deployment).some(
    set =>
      set.spec.replicas > 0 &&
      set.metadata.annotations?.[DESIRED_ANNOTATION] !== undefined &&
      set.metadata.annotations[DESIRED_ANNOTATION] !== String(deployment.spec.replicas),
  );
}

function resize(
  context: ControllerContext,
  deployment: KubernetesObject,
  set: KubernetesObject,
  replicas: number,
): boolean {
  const next = resized(deployment, set, replicas);
  if (equal(next.spec, set.spec) && equal(next.metadata.annotations, set.metadata.annotations)) return false;
  context.store.update(next, MANAGER);
  return set.spec.replicas !== replicas;
}

/** Paused or scaled: sets are resized, and none is created. */
function scaleExisting(context: ControllerContext, deployment: KubernetesObject): void {
  const sets = setsOf(context, deployment);
  const newSet = adoptExisting(context, deployment, sets);
  const current = setsOf(context, deployment);
  const active = current.filter(set => set.spec.replicas > 0);
  const latest = newSet ?? current.at(-1);
  const only = active.length === 1 ? active[0] : active.length === 0 ? latest : undefined;
  if (only) resize(context, deployment, refreshed(context, only), deployment.spec.replicas);
  else if (newSet && isSaturated(deployment, newSet)) {
    for (const set of active)
      if (set.metadata.uid !== newSet.metadata.uid) resize(context, deployment, set, 0);
  } else if (deployment.spec.strategy.type === 'RollingUpdate') {
    for (const [set, replicas] of proportionalSizes(deployment, active))
      resize(context, deployment, set, replicas);
  }
  const live = context.store.get(DEPLOYMENT, deployment.metadata.namespace, deployment.metadata.name);
  if (live) writeCounts(context, live);
}

function refreshed(context: ControllerContext, set: KubernetesObject): KubernetesObject {
  return context.store.get(REPLICA_SET, set.metadata.namespace, set.metadata.name) ?? set;
}

function isSaturated(deployment: KubernetesObject, set: KubernetesObject): boolean {
  const { replicas } = deployment.spec;
  return (
    Number(set.metadata.annotations?.[DESIRED_ANNOTATION]) === replicas &&
    set.spec.replicas === replicas &&
    (set.status?.availableReplicas ?? 0) === replicas
  );
}

/** Brings the revision and annotations of the set that has the template up to date, if there is one. */
function adoptExisting(
  context: ControllerContext,
  deployment: KubernetesObject,
  sets: KubernetesObject[],
): KubernetesObject | undefined {
  const existing = findNewSet(deployment, sets);
  if (!existing) return undefined;
  const next = adoptRevision(deployment, existing, sets);
  const set = equal(next, existing) ? existing : context.store.update(next, MANAGER);
  const live = context.store.get(DEPLOYMENT, deployment.metadata.namespace, deployment.metadata.name);
  if (!live) return set;
  const marked = draft(live);
  const revision = set.metadata.annotations?.[REVISION_ANNOTATION] ?? '';
  marked.metadata.annotations = { ...marked.metadata.annotations, [REVISION_ANNOTATION]: revision };
  if (!conditionOf(marked.status, 'Progressing'))
    setCondition(
      marked.status,
      context.clock,
      'Progressing',
      'True',
      'FoundNewReplicaSet',
      `Found new replica set ${JSON.stringify(set.metadata.name)}`,
    );
  if (!equal(marked, live)) context.store.update(marked, MANAGER, 'status');
  return set;
}

function createNewSet(
  context: ControllerContext,
  deployment: KubernetesObject,
  sets: KubernetesObject[],
): KubernetesObject {
  const set = context.store.create(newReplicaSet(deployment, sets), MANAGER);
  const live =
    context.store.get(DEPLOYMENT, deployment.metadata.namespace, deployment.metadata.name) ?? deployment;
  const marked = draft(live);
  const revision = set.metadata.annotations?.[REVISION_ANNOTATION] ?? '';
  marked.metadata.annotations = { ...marked.metadata.annotations, [REVISION_ANNOTATION]: revision };
  setCondition(
    marked.status,
    context.clock,
    'Progressing',
    'True',
    'NewReplicaSetCreated',
    `Created new replica set ${JSON.stringify(set.metadata.name)}`,
  );
  context.store.update(marked, MANAGER, 'status');
  return set;
}

function writeRollout(context: ControllerContext, deployment: KubernetesObject): void {
  const live = context.store.get(DEPLOYMENT, deployment.metadata.namespace, deployment.metadata.name);
  if (!live || live.metadata.uid !== deployment.metadata.uid) return;
  const all = setsOf(context, live);
  const written = writeStatus(context, live, rolloutStatus(live, all, findNewSet(live, all), context.clock));
  if (isDeploymentComplete(written, written.status)) dropHistory(context, written, all);
}

function rollingUpdate(context: ControllerContext, deployment: KubernetesObject): void {
  const before = setsOf(context, deployment);
  const newSet = adoptExisting(context, deployment, before) ?? createNewSet(context, deployment, before);
  const all = setsOf(context, deployment);
  const size = newSetReplicas(deployment, all, newSet.spec.replicas);
  if (!resize(context, deployment, newSet, size)) {
    const old = all.filter(set => set.metadata.uid !== newSet.metadata.uid);
    for (const [set, replicas] of shrinkOldSets(deployment, refreshed(context, newSet), old))
      resize(context, deployment, set, replicas);
  }
  writeRollout(context, deployment);
}

function recreate(context: ControllerContext, deployment: KubernetesObject): void {
  const before = setsOf(context, deployment);
  const existing = adoptExisting(context, deployment, before);
  const old = setsOf(context, deployment).filter(set => set.metadata.uid !== existing?.metadata.uid);
  let hasShrunk = false;
  for (const set of old)
    if (set.spec.replicas > 0) hasShrunk = resize(context, deployment, set, 0) || hasShrunk;
  const isOldRunning = old.some(set => controlledBy(context.store, POD, set).some(pod => !isFinished(pod)));
  if (!hasShrunk && !isOldRunning) {
    const newSet = existing ?? createNewSet(context, deployment, before);
    resize(context, deployment, newSet, deployment.spec.replicas);
  }
  writeRollout(context, deployment);
}

/** Old sets beyond the history limit that have nothing left go, the oldest revision first. */
function dropHistory(
  context: ControllerContext,
  deployment: KubernetesObject,
  all: KubernetesObject[],
): void {
  const current = findNewSet(deployment, all);
  const old = all
    .filter(set => set.metadata.uid !== current?.metadata.uid && set.metadata.deletionTimestamp === undefined)
    .sort((a, b) => revisionOf(a) - revisionOf(b));
  const excess = old.length - (deployment.spec.revisionHistoryLimit ?? 10);
  for (const set of old.slice(0, Math.max(0, excess))) {
    const isIdle = (set.status?.replicas ?? 0) === 0 && set.spec.replicas === 0;
    if (isIdle && set.metadata.generation === set.status?.observedGeneration) context.store.delete(set);
  }
}
