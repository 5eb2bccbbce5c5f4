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

/** `incident`: what the pods of both arms call is down. `noEndpoint`: no ready pod behind the Service that was picked. `noAnswer`: the pod is still listed and does not answer. */
export type FailureCause = 'none' | 'release' | 'incident' | 'noEndpoint' | 'noAnswer' | 'noService';

/** Whose requests are followed. */
type Followed = Pick<CanaryPlan, 'namespace' | 'apex'> & Partial<Pick<CanaryPlan, 'target'>>;

export interface LegsOptions {
  store: ProcessStore;
  pods: Pods;
  /** Percent of a canary's requests that fail whoever answers them. Absent: none. */
  incidentOf?(namespace: string, target: string): number;
}

export function createLegs({ store, pods, incidentOf = () => 0 }: LegsOptions) {
  /** The pods behind one Service, each with an equal share. */
  function legsThrough(
    { namespace, target = '' }: Followed,
    service: string,
    arm: Leg['arm'],
    share: number,
  ): Leg[] {
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
      const { version, errorPercent: own, latencyMs } = behaviourOf(pod);
      const incident = incidentOf(namespace, target);
      const cause = incident > own ? 'incident' : own > 0 ? 'release' : 'none';
      return { ...part, version, failing: Math.max(own, incident) / 100, latencyMs, cause };
    });
  }

  return function follow(followed: Followed): Leg[] {
    const { namespace, apex } = followed;
    const split = store.get(SPLIT, namespace, apex);
    const backends: Json[] = split?.spec?.service === apex ? (split?.spec?.backends ?? []) : [];
    const sum = backends.reduce((total, one) => total + Number(one.weight ?? 0), 0);
    if (sum <= 0) return legsThrough(followed, apex, 'apex', 1);
    return backends
      .filter(one => Number(one.weight) > 0)
      .flatMap(one => {
        const arm = one.service === `${apex}-canary` ? 'canary' : 'primary';
        return legsThrough(followed, one.service, arm, Number(one.weight) / sum);
      });
  };
}
