/** The status of an object that nothing is done with: as it was, but for the condition that says why. Pure. */
import type { Problem } from '../core/observation.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';

interface AnyCondition {
  type: string;
  reason?: string;
  message?: string;
  observedGeneration?: number;
}

export function conditionsIn(object: KubernetesObject): AnyCondition[] {
  return object.status?.conditions ?? [];
}

/** @param observed whether the problem is the object's own, so that it stands for this generation of it */
export function refusedStatus(
  object: KubernetesObject,
  problem: Pick<Problem, 'reason' | 'message'>,
  at: string,
  observed: boolean,
): object {
  const { generation = 0 } = object.metadata;
  const accepted = {
    type: 'Accepted',
    status: 'False',
    ...problem,
    lastTransitionTime: at,
    lastUpdateTime: at,
    ...(observed ? { observedGeneration: generation } : {}),
  };
  const others = conditionsIn(object).filter(one => one.type !== 'Accepted');
  return {
    ...object.status,
    ...(observed ? { observedGeneration: generation } : {}),
    conditions: [...others, accepted],
  };
}
