/**
 * Whether an autoscaler that was made after the adoption acts on a target or a primary. Autoscalers are not watched: that
 * one acts is seen in who owns `spec.replicas` of the Deployments, which are, and only then autoscalers are read. A canary
 * that nobody scales causes no request, whether it is idle or rolls out.
 */
import type { Problem } from '../core/observation.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';
import type { Sighting } from './observe.ts';

export interface ScalersOptions {
  now(): number;
  /** Reads the autoscalers; may throw. */
  read(sighting: Sighting): Promise<Problem[]>;
  /** A read failed: what was known before still counts. */
  onFailed(key: string, error: unknown): void;
}

export interface Scalers {
  /** Reads if what the caches show asks for it. Never throws. */
  look(key: string, sighting: Sighting): Promise<void>;
  problemsOf(key: string): readonly Problem[];
  /** After how many milliseconds they are looked for again; undefined when nothing stands in the way. */
  againMs(key: string): number | undefined;
  forget(key: string): void;
}

interface Known {
  sign: string;
  at: number;
  problems: Problem[];
}

const REASON = 'TargetHasAutoscaler';
/** The sign of a read that failed. */
const UNREAD = 'unread';
/** How long an answer holds while an autoscaler stands in the way: somebody is about to remove it. */
const AGAIN_MS = 10_000;

/**
 * Who has scaled the Deployment through its scale subresource, and to what; empty: nobody whose number still stands. The
 * controller manager's HPA does it so, and so do KEDA and `kubectl scale`: one look too many after the latter. The API
 * server keeps no time in these entries, so the number tells one act from the next.
 */
function signOf(deployment: KubernetesObject | undefined): string {
  return (deployment?.metadata.managedFields ?? [])
    .filter(entry => entry.subresource === 'scale' && hasReplicas(entry.fieldsV1?.['f:spec']))
    .map(entry => `${deployment?.metadata.uid} ${entry.manager} ${deployment?.spec?.replicas}`)
    .join();
}

function hasReplicas(spec: unknown): boolean {
  return typeof spec === 'object' && spec !== null && 'f:replicas' in spec;
}

export function createScalers(options: ScalersOptions): Scalers {
  const known = new Map<string, Known>();
  return {
    async look(key, sighting) {
      const { status, canary } = sighting.observation;
      const sign = [signOf(sighting.target), signOf(sighting.primary)].filter(Boolean).join();
      const last = known.get(key);
      // What another replica has found stands in the status, and only a look takes it back.
      const isSaid =
        status.conditions?.some(one => one.type === 'Accepted' && one.reason === REASON) ?? false;
      const isHeld = isSaid || (last?.problems.length ?? 0) > 0;
      if (canary.isDeleting || (sign === '' && !isHeld)) return void known.delete(key);
      const isOld = options.now() - (last?.at ?? -Infinity) >= AGAIN_MS;
      if (last?.sign === sign && !(isHeld && isOld)) return;
      if (last?.sign === UNREAD && !isOld) return;
      const next: Known = { sign, at: options.now(), problems: last?.problems ?? [] };
      known.set(key, next);
      try {
        next.problems = (await options.read(sighting)).filter(problem => problem.reason === REASON);
      } catch (error) {
        next.sign = UNREAD;
        options.onFailed(key, error);
      }
    },
    problemsOf: key => known.get(key)?.problems ?? [],
    againMs(key) {
      const last = known.get(key);
      return last && (last.sign === UNREAD || last.problems.length > 0) ? AGAIN_MS : undefined;
    },
    forget: key => void known.delete(key),
  };
}
