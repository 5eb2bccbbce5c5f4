/** What the played controllers share: names of kinds, controller references, readiness of pods, conditions. */
import type { Clock } from '../../engine/clock.ts';
import type { KubernetesObject, OwnerReference } from '../../engine/kubernetes/types.ts';
import type { KindName, ProcessStore } from '../api/inprocess.ts';
import type { Json } from '../api/json.ts';

export const MANAGER = 'kube-controller-manager';

export const DEPLOYMENT: KindName = { apiVersion: 'apps/v1', kind: 'Deployment' };
export const REPLICA_SET: KindName = { apiVersion: 'apps/v1', kind: 'ReplicaSet' };
export const POD: KindName = { apiVersion: 'v1', kind: 'Pod' };
export const SERVICE: KindName = { apiVersion: 'v1', kind: 'Service' };
export const ENDPOINT_SLICE: KindName = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' };
export const NODE: KindName = { apiVersion: 'v1', kind: 'Node' };
export const NAMESPACE: KindName = { apiVersion: 'v1', kind: 'Namespace' };

/** What every controller works with. */
export interface ControllerContext {
  store: ProcessStore;
  clock: Clock;
  /** From an event to the work that it causes, in milliseconds. */
  latencyMs: number;
}

/** `namespace/name`, the key of a namespaced object. */
export function keyOf(object: KubernetesObject): string {
  return `${object.metadata.namespace}/${object.metadata.name}`;
}

export function splitKey(key: string): [string, string] {
  const slash = key.indexOf('/');
  return [key.slice(0, slash), key.slice(slash + 1)];
}

export function controllerReference(owner: KubernetesObject): OwnerReference {
  return {
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

export function controllerOf(object: KubernetesObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find(reference => reference.controller === true);
}

/** The objects of a kind that this object controls. */
export function controlledBy(
  store: ProcessStore,
  kind: KindName,
  owner: KubernetesObject,
): KubernetesObject[] {
  return store
    .list(kind, owner.metadata.namespace)
    .filter(object => controllerOf(object)?.uid === owner.metadata.uid);
}

export function isFinished(pod: KubernetesObject): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

export function isActive(pod: KubernetesObject): boolean {
  return !isFinished(pod) && pod.metadata.deletionTimestamp === undefined;
}

export function readySince(pod: KubernetesObject): number | undefined {
  const condition = (pod.status?.conditions ?? []).find((entry: Json) => entry.type === 'Ready');
  if (condition?.status !== 'True') return undefined;
  return Date.parse(condition.lastTransitionTime ?? pod.metadata.creationTimestamp ?? '') || 0;
}

/** The object without members that are 0, as the server's `omitempty` leaves them out. */
export function withoutZeros(counts: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== 0));
}

export function sum(
  objects: KubernetesObject[],
  count: (object: KubernetesObject) => number | undefined,
): number {
  return objects.reduce((total, object) => total + (count(object) ?? 0), 0);
}
