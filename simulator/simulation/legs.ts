/**
 * Where requests to an apex Service end at this moment: through the TrafficSplit and the endpoints to the pods, as all of
 * them are in the store now. It looks and books nothing, and shares no code with the engine.
 */
import type { ProcessStore } from '../api/inprocess.ts';
import type { Json } from '../api/json.ts';
import { ENDPOINT_SLICE, POD, SERVICE } from '../controllers/objects.ts';
import { SPLIT } from './cluster.ts';
import type { CanaryPlan } from './plan.ts';
import { behaviourOf, type Pods } from './pods.ts';

/** Where a share of the requests ends. */
export interface Leg {
  share: number;
  /** The Service that was picked: the apex itself, or an arm. */
  arm: 'apex' | 'primary' | 'canary';
  /** Name of the Deployment whose pods answered, or would have. */
  workload: string;
  /** Name of the ReplicaSet of the pod that answers. */
  replicaSet: string;
  /** Name of that pod; empty where none is listed. */
  pod: string;
  /** Empty where nobody answers. */
  version: string;
  /** Share of these requests that fails, 0 to 1. */
  failing: number;
  latencyMs: number;
  cause: FailureCause;
}

/** `noEndpoint`: no ready pod behind the Service that was picked. `noAnswer`: the pod is still listed and does not answer. */
export type FailureCause = 'none' | 'release' | 'noEndpoint' | 'noAnswer' | 'noService';

export function createLegs({ store, pods }: { store: ProcessStore; pods: Pods }) {
  /** The pods behind one Service, each with an equal share. */
  function legsThrough(namespace: string, service: string, arm: Leg['arm'], share: number): Leg[] {
    const object = store.get(SERVICE, namespace, service);
    const workload = object?.spec.selector?.app ?? '';
    const lost = { share, arm, workload, replicaSet: '', pod: '', version: '', failing: 1, latencyMs: 0 };
    if (!object) return [{ ...lost, cause: 'noService' }];
    const listed = new Map<string, Json>();
    for (const slice of store.list(ENDPOINT_SLICE, namespace)) {
      if (slice.metadata.labels?.['kubernetes.io/service-name'] !== service) continue;
      for (const endpoint of slice['endpoints'] ?? [])
        if (endpoint.conditions?.ready === true && endpoint.targetRef)
          listed.set(endpoint.targetRef.uid, endpoint.targetRef);
    }
    if (listed.size === 0) return [{ ...lost, cause: 'noEndpoint' }];
    return [...listed].map(([uid, reference]) => {
      const name = String(reference.name);
      const pod = store.get(POD, namespace, name);
      const replicaSet = name.replace(/-[a-z0-9]+$/, '');
      const part = { share: share / listed.size, arm, workload, replicaSet, pod: name };
      if (!pod || !pods.isAnswering(uid))
        return { ...part, version: '', failing: 1, latencyMs: 0, cause: 'noAnswer' as const };
      const { version, errorPercent, latencyMs } = behaviourOf(pod);
      const cause = errorPercent > 0 ? ('release' as const) : ('none' as const);
      return { ...part, version, failing: errorPercent / 100, latencyMs, cause };
    });
  }

  return function follow({ namespace, apex }: Pick<CanaryPlan, 'namespace' | 'apex'>): Leg[] {
    const split = store.get(SPLIT, namespace, apex);
    const backends: Json[] = split?.spec?.service === apex ? (split?.spec?.backends ?? []) : [];
    const sum = backends.reduce((total, one) => total + Number(one.weight ?? 0), 0);
    if (sum <= 0) return legsThrough(namespace, apex, 'apex', 1);
    return backends
      .filter(one => Number(one.weight) > 0)
      .flatMap(one => {
        const arm = one.service === `${apex}-canary` ? 'canary' : 'primary';
        return legsThrough(namespace, one.service, arm, Number(one.weight) / sum);
      });
  };
}
