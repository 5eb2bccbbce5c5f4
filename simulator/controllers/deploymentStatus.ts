/** The status that the Deployment controller writes: counts, and the conditions Available, Progressing, ReplicaFailure. Pure. */
import type { Clock } from '../../engine/clock.ts';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { timestamp } from '../api/context.ts';
import { copy } from '../api/json.ts';
import type { Json } from '../api/json.ts';
import { sum, withoutZeros } from './objects.ts';
import { boundsOf } from './rollingUpdate.ts';

export function conditionOf(status: Json, type: string): Json {
  return (status?.conditions ?? []).find((entry: Json) => entry.type === type);
}

/** Sets a condition in place; one with the same status and reason stays as it is. */
export function setCondition(
  status: Json,
  clock: Clock,
  type: string,
  value: 'True' | 'False' | 'Unknown',
  reason: string,
  message: string,
): void {
  const current = conditionOf(status, type);
  if (current?.status === value && current.reason === reason) return;
  const now = timestamp(clock);
  const lastTransitionTime = current?.status === value ? current.lastTransitionTime : now;
  const condition = { type, status: value, lastUpdateTime: now, lastTransitionTime, reason, message };
  status.conditions = [...(status.conditions ?? []).filter((entry: Json) => entry.type !== type), condition];
}

/** Counts and Available; the other conditions are carried over. */
export function countedStatus(
  deployment: KubernetesObject,
  all: KubernetesObject[],
  newSet: KubernetesObject | undefined,
  clock: Clock,
): Json {
  const count = (field: string) => sum(all, set => set.status?.[field]);
  const availableReplicas = count('availableReplicas');
  const total = sum(all, set => set.spec.replicas);
  const status: Json = {
    ...withoutZeros({
      observedGeneration: deployment.metadata.generation ?? 0,
      replicas: count('replicas'),
      updatedReplicas: newSet?.status?.replicas ?? 0,
      readyReplicas: count('readyReplicas'),
      availableReplicas,
      unavailableReplicas: Math.max(0, total - availableReplicas),
      collisionCount: deployment.status?.collisionCount ?? 0,
    }),
    terminatingReplicas: count('terminatingReplicas'),
  };
  if (deployment.status?.conditions) status.conditions = copy(deployment.status.conditions);
  const needed = deployment.spec.replicas - boundsOf(deployment).maxUnavailable;
  if (availableReplicas >= needed)
    setCondition(
      status,
      clock,
      'Available',
      'True',
      'MinimumReplicasAvailable',
      'Deployment has minimum availability.',
    );
  else
    setCondition(
      status,
      clock,
      'Available',
      'False',
      'MinimumReplicasUnavailable',
      'Deployment does not have minimum availability.',
    );
  return status;
}

export function isDeploymentComplete(deployment: KubernetesObject, status: Json): boolean {
  const { replicas } = deployment.spec;
  return (
    (status.updatedReplicas ?? 0) === replicas &&
    (status.replicas ?? 0) === replicas &&
    (status.availableReplicas ?? 0) === replicas &&
    status.observedGeneration >= (deployment.metadata.generation ?? 0)
  );
}

function hasProgressed(before: Json, after: Json): boolean {
  const old = (status: Json) => (status?.replicas ?? 0) - (status?.updatedReplicas ?? 0);
  const grew = (field: string) => (after[field] ?? 0) > (before?.[field] ?? 0);
  return (
    grew('updatedReplicas') || old(after) < old(before) || grew('readyReplicas') || grew('availableReplicas')
  );
}

/** Milliseconds until the progress deadline passes (negative: passed), undefined when none runs. */
export function deadlineMs(deployment: KubernetesObject, status: Json, clock: Clock): number | undefined {
  const progressing = conditionOf(status, 'Progressing');
  const limitSeconds = deployment.spec.progressDeadlineSeconds;
  if (!progressing || limitSeconds === undefined || limitSeconds >= 2 ** 31 - 1) return undefined;
  if (['NewReplicaSetAvailable', 'ProgressDeadlineExceeded', 'DeploymentPaused'].includes(progressing.reason))
    return undefined;
  return Date.parse(progressing.lastUpdateTime) + limitSeconds * 1000 - clock.now();
}

/** The status of a Deployment that is being rolled out. */
export function rolloutStatus(
  deployment: KubernetesObject,
  all: KubernetesObject[],
  newSet: KubernetesObject | undefined,
  clock: Clock,
): Json {
  const status = countedStatus(deployment, all, newSet, clock);
  const subject = newSet
    ? `ReplicaSet ${JSON.stringify(newSet.metadata.name)}`
    : `Deployment ${JSON.stringify(deployment.metadata.name)}`;
  const current = conditionOf(deployment.status, 'Progressing');
  const wasComplete =
    status.replicas === status.updatedReplicas && current?.reason === 'NewReplicaSetAvailable';
  if (!wasComplete) {
    if (isDeploymentComplete(deployment, status))
      setCondition(
        status,
        clock,
        'Progressing',
        'True',
        'NewReplicaSetAvailable',
        `${subject} has successfully progressed.`,
      );
    else if (hasProgressed(deployment.status, status))
      renewProgress(status, clock, `${subject} is progressing.`);
    else if ((deadlineMs(deployment, status, clock) ?? 1) < 0)
      setCondition(
        status,
        clock,
        'Progressing',
        'False',
        'ProgressDeadlineExceeded',
        `${subject} has timed out progressing.`,
      );
  }
  const failure = all
    .map(set => conditionOf(set.status, 'ReplicaFailure'))
    .find(entry => entry !== undefined);
  if (failure) setCondition(status, clock, 'ReplicaFailure', failure.status, failure.reason, failure.message);
  else status.conditions = status.conditions.filter((entry: Json) => entry.type !== 'ReplicaFailure');
  return status;
}

/** Any progress restarts the deadline: the condition is written anew even if its reason stays. */
function renewProgress(status: Json, clock: Clock, message: string): void {
  const current = conditionOf(status, 'Progressing');
  const now = timestamp(clock);
  const condition = {
    type: 'Progressing',
    status: 'True',
    lastUpdateTime: now,
    lastTransitionTime: current?.status === 'True' ? current.lastTransitionTime : now,
    reason: 'ReplicaSetUpdated',
    message,
  };
  status.conditions = [
    ...(status.conditions ?? []).filter((entry: Json) => entry.type !== 'Progressing'),
    condition,
  ];
}
