/**
 * Writes of Services that the API server refused, or that met somebody else's: they are tried again after a while, and
 * everything else of the canary goes on meanwhile. It decides nothing, and keeps one entry for each canary and write.
 */
import type { Action } from '../core/decision.ts';
import type { Problem } from '../core/observation.ts';
import type { ApiError } from '../kubernetes/types.ts';
import { refusedService } from '../workloads/inspect.ts';

/** Writes without which traffic can still be judged and taken away. */
export type HoldableAction = Extract<Action['kind'], 'applyServices' | 'pointApex'>;

export interface HeldWrite {
  action: HoldableAction;
  /** What was asked for: another wish is tried at once. */
  asked: string;
  untilMs: number;
  /** In the words of the API server, when it was a refusal. */
  problem: Problem | undefined;
}

export interface HeldWrites {
  of(key: string): readonly HeldWrite[];
  /** True when the write is held back from now on. @param error absent: a conflict */
  failed(key: string, action: Action['kind'], asked: string, error?: ApiError): boolean;
  landed(key: string, actions: readonly Action[]): void;
  forget(key: string): void;
}

/** Who has to mend a policy, a quota or a name takes longer than that. */
const REFUSED_MS = 60_000;
const FAILED_MS = 2_000;
/** The event of whoever was faster comes before that. */
const CONFLICT_MS = 1_000;

const HOLDABLE: readonly Action['kind'][] = ['applyServices', 'pointApex'] satisfies HoldableAction[];

function isHoldable(action: Action['kind']): action is HoldableAction {
  return HOLDABLE.includes(action);
}

/** @param now the replica's clock, milliseconds */
export function createHeldWrites(now: () => number): HeldWrites {
  const held = new Map<string, Map<HoldableAction, HeldWrite>>();

  function release(key: string, action: HoldableAction): void {
    const writes = held.get(key);
    if (writes?.delete(action) && writes.size === 0) held.delete(key);
  }

  return {
    of: key => [...(held.get(key)?.values() ?? [])],
    failed(key, action, asked, error) {
      if (!isHoldable(action)) return false;
      const problem = error && refusedService(error);
      const waitMs = problem ? REFUSED_MS : error ? (error.retryAfterMs ?? FAILED_MS) : CONFLICT_MS;
      const writes = held.get(key) ?? new Map<HoldableAction, HeldWrite>();
      // A lost connection in between does not take back what the API server has said.
      const said = problem ?? (writes.get(action)?.asked === asked ? writes.get(action)?.problem : undefined);
      writes.set(action, { action, asked, untilMs: now() + waitMs, problem: said });
      held.set(key, writes);
      return true;
    },
    landed(key, actions) {
      for (const { kind } of actions) if (isHoldable(kind)) release(key, kind);
    },
    forget: key => void held.delete(key),
  };
}
