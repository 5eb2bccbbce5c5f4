/** The status of an object as it was, but for the condition that says whether it can be used, and if not why. Pure. */
import type { Problem } from '../core/observation.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';

/** What an `Accepted` condition says. */
export interface Accepted {
  status: 'True' | 'False';
  reason: string;
  message: string;
}

interface AnyCondition {
  type: string;
  status?: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
  observedGeneration?: number;
}

export function conditionsIn(object: KubernetesObject): AnyCondition[] {
  return object.status?.conditions ?? [];
}

export function acceptedIn(object: KubernetesObject): AnyCondition | undefined {
  return conditionsIn(object).find(one => one.type === 'Accepted');
}

/** @param observed whether the verdict is on the object itself, so that it stands for this generation of it */
export function withAccepted(
  object: KubernetesObject,
  accepted: Accepted,
  at: string,
  observed = true,
): object {
  const { generation = 0 } = object.metadata;
  const before = acceptedIn(object);
  const condition = {
    type: 'Accepted',
    ...accepted,
    lastTransitionTime: (before?.status === accepted.status && before.lastTransitionTime) || at,
    lastUpdateTime: at,
    ...(observed ? { observedGeneration: generation } : {}),
  };
  const others = conditionsIn(object).filter(one => one.type !== 'Accepted');
  return {
    ...object.status,
    ...(observed ? { observedGeneration: generation } : {}),
    conditions: [...others, condition],
  };
}

/** The status of an object that nothing is done with. */
export function refusedStatus(
  object: KubernetesObject,
  { reason, message }: Pick<Problem, 'reason' | 'message'>,
  at: string,
  observed: boolean,
): object {
  return withAccepted(object, { status: 'False', reason, message }, at, observed);
}
