/**
 * Notices that a status has lost what the engine remembers in it. The CRD was then replaced by one that knows fewer
 * fields: whatever is written now is stored without them, and gone for ever. Such a canary is not acted on until somebody
 * has looked at the CRD. It keeps which canaries have had a memory, and never what was in it.
 */
import type { KubernetesObject } from '../kubernetes/types.ts';

export interface StatusMemory {
  /** True when this object's status has had an epoch and has none now. */
  isLost(object: KubernetesObject): boolean;
  /** The object is gone. */
  forget(object: KubernetesObject): void;
  /** The CRD is as it should be: somebody has cleared the status, and may. */
  forgive(): void;
}

/** @param onLost called for the first loss after the start or after `forgive` */
export function createStatusMemory(onLost: () => void): StatusMemory {
  const remembering = new Set<string>();
  let isTold = false;
  return {
    isLost({ metadata, status }) {
      const { uid = '' } = metadata;
      if (status?.epoch !== undefined) {
        remembering.add(uid);
        return false;
      }
      if (!remembering.has(uid)) return false;
      if (!isTold) onLost();
      isTold = true;
      return true;
    },
    forget: ({ metadata }) => void remembering.delete(metadata.uid ?? ''),
    forgive() {
      remembering.clear();
      isTold = false;
    },
  };
}
