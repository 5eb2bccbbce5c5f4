/**
 * What no cache holds and is read now and then: why a target cannot be adopted, who scales it, why its pods do not become
 * ready. What was found is remembered for a while and handed to the observation; nothing here decides.
 */
import type { Clock } from '../clock.ts';
import { parseTime } from '../core/facts.ts';
import type { Observation, Problem } from '../core/observation.ts';
import { isAllReady } from '../core/readiness.ts';
import { ApiError } from '../kubernetes/types.ts';
import type { Sighting } from './observe.ts';
import { createScalers } from './scalers.ts';

export interface InspectionOptions {
  clock: Clock;
  inspect(sighting: Sighting): Promise<Problem[]>;
  inspectAutoscalers(sighting: Sighting): Promise<Problem[]>;
  inspectPods(sighting: Sighting): Promise<Problem[]>;
  onFailed(key: string, message: string): void;
  /** Something was found behind the back of a tick. */
  wake(key: string): void;
}

export interface Inspections {
  of(key: string): { obstacles: Problem[]; troubles: readonly Problem[] };
  ofNew(key: string, sighting: Sighting | undefined): Promise<ApiError | undefined>;
  ofWaiting(key: string, sighting: Sighting | undefined): void;
  /** As if an inspection had found it: said in the condition now, and tried again after the next inspection. */
  refused(key: string, problem: Problem): void;
  /** Milliseconds until autoscalers are looked at again; undefined: not before somebody else looks. */
  againMs(key: string): number | undefined;
  forget(key: string): void;
}

/** How long the answers of an inspection hold while a canary waits to be adopted. */
const INSPECTION_TTL_MS = 10_000;

interface Inspection {
  at: number;
  problems: Problem[];
}

export function createInspections(options: InspectionOptions): Inspections {
  const { clock } = options;
  const inspections = new Map<string, Inspection>();
  const troubles = new Map<string, Inspection>();
  const scalers = createScalers({
    now: () => clock.now(),
    read: sighting => options.inspectAutoscalers(sighting),
    onFailed: (key, error) => options.onFailed(key, `looking for autoscalers: ${String(error)}`),
  });

  /** The answer is why it could not be read, when it could not: a tick is put off then, and does not throw. */
  async function ofNew(key: string, sighting: Sighting | undefined): Promise<ApiError | undefined> {
    if (!sighting) return undefined;
    const { phase } = sighting.observation.status;
    if (phase !== undefined && phase !== 'Initializing') {
      // What kept it from being adopted is over.
      inspections.delete(key);
      await scalers.look(key, sighting);
      return undefined;
    }
    const known = inspections.get(key);
    if (known && clock.now() - known.at < INSPECTION_TTL_MS) return undefined;
    try {
      inspections.set(key, { at: clock.now(), problems: await options.inspect(sighting) });
      return undefined;
    } catch (error) {
      if (error instanceof ApiError) return error;
      throw error;
    }
  }

  /**
   * Pods that were waited for long enough are looked at, behind the tick's back: no decision waits for it, and what was
   * found is forgotten when the pods are ready.
   */
  function ofWaiting(key: string, sighting: Sighting | undefined): void {
    const since = sighting && waitingSince(sighting.observation);
    if (!sighting || since === undefined || clock.now() - since < INSPECTION_TTL_MS) {
      troubles.delete(key);
      return;
    }
    const known = troubles.get(key);
    if (known && clock.now() - known.at < INSPECTION_TTL_MS) return;
    troubles.set(key, { at: clock.now(), problems: known?.problems ?? [] });
    options.inspectPods(sighting).then(
      problems => {
        if (!troubles.has(key)) return;
        troubles.set(key, { at: clock.now(), problems });
        if (problems.length > 0) options.wake(key);
      },
      (error: unknown) => options.onFailed(key, `looking at pods: ${String(error)}`),
    );
  }

  return {
    of: key => ({
      obstacles: [...(inspections.get(key)?.problems ?? []), ...scalers.problemsOf(key)],
      troubles: troubles.get(key)?.problems ?? [],
    }),
    ofNew,
    ofWaiting,
    refused: (key, problem) => void inspections.set(key, { at: clock.now(), problems: [problem] }),
    againMs: key => scalers.againMs(key),
    forget(key) {
      inspections.delete(key);
      troubles.delete(key);
      scalers.forget(key);
    },
  };
}

/** Since when the pods of a rollout are waited for; undefined when they are not. Milliseconds since the epoch. */
function waitingSince({ status, target, primary }: Observation): number | undefined {
  if (status.phase === 'Progressing' && target && !isAllReady(target, status.run?.revision ?? ''))
    return parseTime(status.run?.steppedAt ?? status.run?.startedAt);
  if (status.phase === 'Promoting' && primary && !isAllReady(primary, primary.revision))
    return parseTime(status.stageSince);
  return undefined;
}
