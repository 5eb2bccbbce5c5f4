/**
 * The arithmetic of a Deployment's rolling update: how many pods each ReplicaSet should have next. The rules are those
 * of the real Deployment controller (docs "Deployments", sections rolling update and proportional scaling). Pure.
 */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { sum } from './objects.ts';

export const DESIRED_ANNOTATION = 'deployment.kubernetes.io/desired-replicas';
export const MAX_ANNOTATION = 'deployment.kubernetes.io/max-replicas';

export interface Bounds {
  maxSurge: number;
  maxUnavailable: number;
}

function resolve(
  value: number | string | undefined,
  total: number,
  round: (value: number) => number,
): number {
  if (typeof value === 'number') return value;
  const percent = Number.parseInt(value ?? '0', 10);
  return round((percent * total) / 100);
}

/** Surge rounds up, unavailability down; both 0 would never move, so one pod may then be missing. */
export function boundsOf(deployment: KubernetesObject): Bounds {
  const { replicas, strategy } = deployment.spec;
  if (strategy.type !== 'RollingUpdate') return { maxSurge: 0, maxUnavailable: 0 };
  const maxSurge = resolve(strategy.rollingUpdate?.maxSurge, replicas, Math.ceil);
  const unavailable = resolve(strategy.rollingUpdate?.maxUnavailable, replicas, Math.floor);
  const maxUnavailable = maxSurge === 0 && unavailable === 0 ? 1 : unavailable;
  return { maxSurge, maxUnavailable: Math.min(maxUnavailable, replicas) };
}

const wanted = (set: KubernetesObject): number => set.spec.replicas;
const available = (set: KubernetesObject): number => set.status?.availableReplicas ?? 0;

/** Replicas of the new set: as many as surge allows. `current` is what it has now. */
export function newSetReplicas(
  deployment: KubernetesObject,
  all: KubernetesObject[],
  current: number,
): number {
  const { replicas, strategy } = deployment.spec;
  if (strategy.type !== 'RollingUpdate') return replicas;
  if (current > replicas) return replicas;
  const room = replicas + boundsOf(deployment).maxSurge - sum(all, wanted);
  return room <= 0 ? current : current + Math.min(room, replicas - current);
}

/** Old sets that may shrink now and to what: first pods that are not available, then as many as availability allows. */
export function shrinkOldSets(
  deployment: KubernetesObject,
  newSet: KubernetesObject,
  oldSets: KubernetesObject[],
): Map<KubernetesObject, number> {
  const result = new Map<KubernetesObject, number>();
  const all = [...oldSets, newSet];
  const minAvailable = deployment.spec.replicas - boundsOf(deployment).maxUnavailable;
  const newUnavailable = wanted(newSet) - available(newSet);
  let cleanup = sum(all, wanted) - minAvailable - newUnavailable;
  if (cleanup <= 0 || sum(oldSets, wanted) === 0) return result;
  const size = (set: KubernetesObject) => result.get(set) ?? wanted(set);
  for (const set of oldSets) {
    const unhealthy = Math.min(Math.max(0, wanted(set) - available(set)), cleanup);
    if (unhealthy === 0) continue;
    result.set(set, wanted(set) - unhealthy);
    cleanup -= unhealthy;
  }
  let spare = sum(all, available) - minAvailable;
  for (const set of oldSets) {
    const taken = Math.min(size(set), Math.max(0, spare));
    if (taken === 0) continue;
    result.set(set, size(set) - taken);
    spare -= taken;
  }
  return result;
}

/** Sizes after a scaling while several sets are active: each gets its share, the rest goes to the largest. */
export function proportionalSizes(
  deployment: KubernetesObject,
  active: KubernetesObject[],
): Map<KubernetesObject, number> {
  const { replicas } = deployment.spec;
  const limit = replicas > 0 ? replicas + boundsOf(deployment).maxSurge : 0;
  const toAdd = limit - sum(active, wanted);
  const order = active.toSorted((a, b) => wanted(b) - wanted(a) || compareAge(a, b) * (toAdd > 0 ? -1 : 1));
  const result = new Map<KubernetesObject, number>();
  let added = 0;
  for (const set of order) {
    const share = toAdd === 0 ? 0 : shareOf(set, limit, toAdd, added);
    result.set(set, wanted(set) + share);
    added += share;
  }
  const first = order[0];
  if (first && toAdd !== added) result.set(first, Math.max(0, (result.get(first) ?? 0) + toAdd - added));
  return result;
}

/** The set's part of the change, measured by the size that the Deployment was allowed before. */
function shareOf(set: KubernetesObject, limit: number, toAdd: number, added: number): number {
  if (wanted(set) === 0) return 0;
  const before = Number(set.metadata.annotations?.[MAX_ANNOTATION]) || limit;
  const share = Math.round((wanted(set) * limit) / before) - wanted(set);
  const allowed = toAdd - added;
  return toAdd > 0 ? Math.min(share, allowed) : Math.max(share, allowed);
}

export function compareAge(left: KubernetesObject, right: KubernetesObject): number {
  const [a, b] = [left.metadata.creationTimestamp ?? '', right.metadata.creationTimestamp ?? ''];
  if (a !== b) return a < b ? -1 : 1;
  return left.metadata.name < right.metadata.name ? -1 : 1;
}
