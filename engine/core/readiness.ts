/**
 * Which arm may be given traffic and which may keep it (design, invariant 2). Counts come from the owners of the pods
 * and from EndpointSlices; thresholds round up, and zero pods are never ready.
 */
import type { Observation, Workload } from './observation.ts';

/** `max(1, ceil(percent * desired))`: one of two at 50 %, one of one at 1 %. */
export function requiredPods(desired: number, percent: number): number {
  return Math.max(1, Math.ceil((desired * percent) / 100));
}

export function availableOf(workload: Workload, revision: string): number {
  return workload.pods.find(pods => pods.revision === revision)?.available ?? 0;
}

/** Some pod is there, and every one is of this revision. */
export function runsOnly(workload: Workload, revision: string): boolean {
  const present = workload.pods.filter(pods => pods.total > 0);
  return present.length === 1 && present[0]?.revision === revision;
}

/** Every pod that the spec asks for is there, of this revision, and available. */
export function isAllReady(workload: Workload | undefined, revision: string): boolean {
  if (!workload || workload.replicas < 1 || workload.observedGeneration < workload.generation) return false;
  // Its controller still has a status to write: a patch under the version that is cached would be in vain.
  if (workload.reportedAvailable < workload.replicas) return false;
  const pods = workload.pods.find(entry => entry.revision === revision);
  return (
    runsOnly(workload, revision) &&
    pods !== undefined &&
    pods.total === workload.replicas &&
    pods.available >= workload.replicas
  );
}

/** What `isAllReady` or a ready endpoint is missing, for people: half a sentence. */
export function lackOf(workload: Workload | undefined, revision: string, endpoints: number): string {
  if (!workload) return 'its Deployment is gone';
  if (workload.observedGeneration < workload.generation) return 'its controller has not taken up its spec';
  const others = workload.pods.filter(pods => pods.revision !== revision);
  const foreign = others.reduce((sum, pods) => sum + pods.total, 0);
  if (foreign > 0) return `${foreign} pods are of another revision`;
  const available = Math.min(availableOf(workload, revision), workload.reportedAvailable);
  if (available < workload.replicas) return `${available} of ${workload.replicas} pods are available`;
  return endpoints > 0 ? 'pods are being replaced' : 'its Service has no ready endpoint';
}

export function primaryHasEndpoint(o: Observation): boolean {
  return o.endpoints.primary > 0;
}

export function canaryHasEndpoint(o: Observation): boolean {
  return o.endpoints.canary > 0;
}

/** The primary is ready enough to raise the canary beside it, or to be handed traffic in steps. */
export function isPrimaryReady(o: Observation): boolean {
  const { primary, settings } = o;
  if (!primary || !primaryHasEndpoint(o)) return false;
  const available = primary.pods.reduce((sum, pods) => sum + pods.available, 0);
  return available >= requiredPods(primary.replicas, settings.primaryReadyPercent);
}

/** The canary is pinned by the engine to this revision, runs nothing else, and can serve this share of the traffic. */
export function mayCarry(o: Observation, revision: string, weight: number): boolean {
  const { target, primary, settings } = o;
  if (!target || !canaryHasEndpoint(o) || !isPinned(o, revision)) return false;
  const available = availableOf(target, revision);
  if (available < requiredPods(target.replicas, settings.canaryReadyPercent)) return false;
  // Capacity for the share: as many pods as the primary would need for it, but never more than the canary was given.
  const share = Math.ceil(((primary?.replicas ?? 1) * weight) / 100);
  return available >= Math.min(share, target.replicas);
}

/** Serin's own pause holds the target on this revision and every pod is of it. */
export function isPinned(o: Observation, revision: string): boolean {
  return o.target !== undefined && o.target.pausedBy === 'engine' && runsOnly(o.target, revision);
}
