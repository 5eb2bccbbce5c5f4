/** The played ReplicaSet controller: creates and deletes pods until their number is the wanted one, and counts them. */
import type { KubernetesObject, ObjectMeta } from '../../engine/kubernetes/types.ts';
import { timestamp } from '../api/context.ts';
import { draft } from '../api/inprocess.ts';
import { equal } from '../api/json.ts';
import type { Json } from '../api/json.ts';
import { StatusError } from '../api/status.ts';
import {
  controlledBy,
  controllerOf,
  controllerReference,
  isActive,
  isFinished,
  keyOf,
  MANAGER,
  POD,
  readySince,
  REPLICA_SET,
  splitKey,
} from './objects.ts';
import type { ControllerContext } from './objects.ts';
import { createKeyQueue } from './queue.ts';

export function startReplicaSets(context: ControllerContext): () => void {
  const { store } = context;
  const queue = createKeyQueue(context.clock, context.latencyMs, key => {
    const [namespace, name] = splitKey(key);
    const set = store.get(REPLICA_SET, namespace, name);
    if (set) reconcile(context, set, delayMs => queue.add(key, delayMs));
  });
  const stop = store.subscribe(({ object, type }) => {
    if (object.kind === 'ReplicaSet' && type !== 'DELETED') queue.add(keyOf(object));
    if (object.kind !== 'Pod') return;
    const owner = controllerOf(object);
    if (owner?.kind === 'ReplicaSet') queue.add(`${object.metadata.namespace}/${owner.name}`);
  });
  for (const set of store.list(REPLICA_SET)) queue.add(keyOf(set));
  return () => {
    stop();
    queue.stop();
  };
}

function reconcile(
  context: ControllerContext,
  set: KubernetesObject,
  again: (delayMs: number) => void,
): void {
  const pods = controlledBy(context.store, POD, set);
  const active = pods.filter(isActive);
  let failure: StatusError | undefined;
  if (set.metadata.deletionTimestamp === undefined) failure = scale(context, set, active);
  const now = controlledBy(context.store, POD, set);
  writeStatus(context, set, now, failure, again);
  if (failure) throw failure;
}

/** Answers why pods could not be created, if they could not. */
function scale(
  context: ControllerContext,
  set: KubernetesObject,
  active: KubernetesObject[],
): StatusError | undefined {
  const missing = set.spec.replicas - active.length;
  try {
    for (let count = 0; count < missing; count += 1) context.store.create(newPod(set), MANAGER);
  } catch (error) {
    if (error instanceof StatusError) return error;
    throw error;
  }
  if (missing < 0)
    for (const pod of active.toSorted(byDeletionRank).slice(0, -missing)) context.store.delete(pod);
  return undefined;
}

function newPod(set: KubernetesObject): KubernetesObject {
  const { metadata, spec } = set.spec.template;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: '',
      generateName: `${set.metadata.name}-`,
      namespace: set.metadata.namespace ?? '',
      labels: { ...metadata?.labels },
      ...(metadata?.annotations ? { annotations: { ...metadata.annotations } } : {}),
      ownerReferences: [controllerReference(set)],
    } as ObjectMeta,
    spec,
  };
}

/** Pods that serve least go first: unbound, not running, not ready, then the youngest. */
function byDeletionRank(left: KubernetesObject, right: KubernetesObject): number {
  const rank = (pod: KubernetesObject) => [
    pod.spec.nodeName ? 1 : 0,
    pod.status?.phase === 'Running' ? 1 : 0,
    readySince(pod) === undefined ? 0 : 1,
    -(readySince(pod) ?? 0),
    -Date.parse(pod.metadata.creationTimestamp ?? ''),
    // Of pods that are the same in everything else the one that was stored last goes.
    -Number(pod.metadata.resourceVersion),
  ];
  const [a, b] = [rank(left), rank(right)];
  for (const [index, value] of a.entries()) if (value !== b[index]) return value - (b[index] ?? 0);
  return 0;
}

function writeStatus(
  context: ControllerContext,
  set: KubernetesObject,
  pods: KubernetesObject[],
  failure: StatusError | undefined,
  again: (delayMs: number) => void,
): void {
  const current = context.store.get(REPLICA_SET, set.metadata.namespace, set.metadata.name);
  if (!current || current.metadata.uid !== set.metadata.uid) return;
  const active = pods.filter(isActive);
  const minReadyMs = (set.spec.minReadySeconds ?? 0) * 1000;
  const labels = Object.entries(set.spec.template.metadata?.labels ?? {});
  const ready = active.filter(pod => readySince(pod) !== undefined);
  const waits = ready.map(pod => (readySince(pod) ?? 0) + minReadyMs - context.clock.now());
  const counts = {
    fullyLabeledReplicas: active.filter(pod =>
      labels.every(([key, value]) => pod.metadata.labels?.[key] === value),
    ).length,
    readyReplicas: ready.length,
    availableReplicas: minReadyMs === 0 ? ready.length : waits.filter(waitMs => waitMs <= 0).length,
    observedGeneration: set.metadata.generation ?? 0,
  };
  const shown = Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
  const leaving = pods.filter(pod => !isFinished(pod) && pod.metadata.deletionTimestamp !== undefined).length;
  const conditions = failureConditions(context, current, failure);
  const status = {
    replicas: active.length,
    terminatingReplicas: leaving,
    ...shown,
    ...(conditions.length > 0 ? { conditions } : {}),
  };
  if (!equal(current.status, status)) context.store.update({ ...draft(current), status }, MANAGER, 'status');
  const next = minReadyMs === 0 ? [] : waits.filter(waitMs => waitMs > 0);
  if (next.length > 0) again(Math.min(...next));
}

function failureConditions(
  context: ControllerContext,
  set: KubernetesObject,
  failure: StatusError | undefined,
): Json[] {
  const all: Json[] = set.status?.conditions ?? [];
  const others = all.filter(entry => entry.type !== 'ReplicaFailure');
  if (!failure) return others;
  const known = all.find(entry => entry.type === 'ReplicaFailure');
  const condition = {
    type: 'ReplicaFailure',
    status: 'True',
    lastTransitionTime: known?.lastTransitionTime ?? timestamp(context.clock),
    reason: 'FailedCreate',
    message: failure.message,
  };
  return [...others, condition];
}
