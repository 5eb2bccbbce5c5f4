/**
 * What the controller holds of the cluster: one store for each watched kind, the client, and the stepper of the
 * provider. Built once by `main`; observe reads the stores, act writes through the client and absorbs the answers.
 */
import type { Canary } from '../api/decode.ts';
import type { CanaryStatus } from '../api/status.ts';
import type { Clock } from '../clock.ts';
import type { Problem } from '../core/observation.ts';
import type { StatusMemory } from './memory.ts';
import type { EngineDefaults } from '../core/settings.ts';
import type { ApiClient, KubernetesObject, ResourceType, Store } from '../kubernetes/types.ts';
import type { ServedVersions } from '../../steppers/registry.ts';
import type { Stepper } from '../../steppers/stepper.ts';

/** How `find` of a store finds what belongs to one canary, without a walk through its namespace. */
export const INDEXES = {
  /** By the target that is named. */
  canaries: (object: KubernetesObject): string | undefined => object.spec?.targetRef?.name,
  /** By the uid of the Deployment. */
  replicaSets: (object: KubernetesObject): string | undefined =>
    object.metadata.ownerReferences?.find(owner => owner.controller)?.uid,
  /** By the name of the Service. */
  endpointSlices: (object: KubernetesObject): string | undefined =>
    object.metadata.labels?.['kubernetes.io/service-name'],
  /** By the uid of the Canary. */
  controllerRevisions: (object: KubernetesObject): string | undefined =>
    object.metadata.labels?.[OWNER_LABEL],
};

/** `canaries`, `replicaSets`, `endpointSlices` and `controllerRevisions` have the index of `INDEXES`. */
export interface Stores {
  canaries: Store;
  metricTemplates: Store;
  alertProviders: Store;
  deployments: Store;
  replicaSets: Store;
  services: Store;
  endpointSlices: Store;
  controllerRevisions: Store;
  routes: Store;
}

export interface World {
  clock: Clock;
  client: ApiClient;
  /** The same client without the client-side limit: for take-aways. */
  urgentClient: ApiClient;
  stores: Stores;
  stepper: Stepper;
  memory: Pick<StatusMemory, 'isLost'>;
  /** What the engine itself lacks in this namespace: no rollout goes on there. */
  lacks(namespace: string): readonly Problem[];
  /** What the API server serves of the groups that steppers write. */
  served(): ServedVersions;
  types: { canaries: ResourceType };
  selectorLabels: readonly string[];
  defaults: EngineDefaults;
  /** Whether a Canary may name MetricTemplates and AlertProviders of other namespaces. */
  allowsCrossNamespaceRefs: boolean;
  /** Number of the last transition of a canary of which no message is on its way (see `tell.ts`). */
  notified(canary: Canary, status: CanaryStatus): number;
}

/** On every object that the engine creates; the watch of our own objects selects by it. */
export const OWNER_LABEL = 'serin.dev/canary-uid';
export const FINALIZER = 'serin.dev/release';
/** A cache without an event or a bookmark for this long may not raise anybody's traffic. */
export const CACHE_LIVE_MS = 90_000;

/** Whether the engine made an object for this Canary: a write for an earlier one of that name may have changed the label. */
export function isOwnedBy({ metadata }: KubernetesObject, canaryUid: string): boolean {
  return (
    metadata.labels?.[OWNER_LABEL] === canaryUid ||
    (metadata.ownerReferences ?? []).some(owner => owner.controller === true && owner.uid === canaryUid)
  );
}

export function ownLabels(canary: KubernetesObject): Record<string, string> {
  return { [OWNER_LABEL]: canary.metadata.uid ?? '', 'app.kubernetes.io/managed-by': 'serin' };
}

export function ownerReferenceOf(canary: KubernetesObject) {
  return {
    apiVersion: canary.apiVersion,
    kind: canary.kind,
    name: canary.metadata.name,
    uid: canary.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}
