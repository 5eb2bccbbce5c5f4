/**
 * What a decision asks the shell to do: ordered actions, events for people, and when to look again. Actions carry the
 * observed versions as preconditions; the first that fails ends the tick, and the next tick observes again.
 */
import type { CanaryStatus, Transition } from '../api/status.ts';
import type { Split, Stamp } from '../../steppers/stepper.ts';
import type { Reason } from '../api/reasons.ts';
import type { Observation } from './observation.ts';

export type Action =
  /** Creates the finalizer, before anything else of the world is touched. */
  | { kind: 'addFinalizer' }
  | { kind: 'removeFinalizer' }
  /** Takes the engine's annotations off the target. */
  | { kind: 'unmarkTarget' }
  /** Stores the target's template of this revision as an immutable ControllerRevision. */
  | { kind: 'storeRevision'; revision: string }
  /** Creates the primary from the stored template, after a dry run. */
  | { kind: 'createPrimary'; revision: string; replicas: number; epoch: number }
  /** Creates or repairs the Services of both arms. */
  | { kind: 'applyServices' }
  /** Points the apex Service at the pods of this arm. */
  | { kind: 'pointApex'; at: 'primary' | 'target'; epoch: number }
  /** Deletes the stored template of a revision that nothing refers to any more. */
  | { kind: 'forgetRevision'; revision: string }
  | { kind: 'status'; status: CanaryStatus }
  /** `lower` reads the route afresh on a conflict (fence.ts); `raise` never does. */
  | { kind: 'route'; mode: 'raise' | 'lower' | 'create'; split: Split; stamp: Stamp }
  /** Deletes the route object; clients then get what the apex Service selects. */
  | { kind: 'deleteRoute' }
  /** With neither, it is touched: its version moves, so that what was decided on it before does not land any more. */
  | { kind: 'target'; replicas?: number; paused?: boolean; epoch: number }
  /**
   * Writes a stored template to the primary; `surge` keeps every old pod until a new one is ready. Without `replicas`
   * it keeps as many as it has.
   */
  | { kind: 'primary'; revision: string; surge: boolean; replicas?: number; epoch: number };

export interface Decision {
  /** Which rule decided, for logs and tests. */
  rule: string;
  actions: Action[];
  /** New transitions, in order; they are also in the status that is written. */
  transitions: Transition[];
  /** Which arm's metrics the shell shall query before it decides again. */
  measure?: 'canary' | 'primary';
  /** Beside `measure`: only the counters of judge or guard, no checks. */
  isEvidenceOnly?: boolean;
  /** Nothing moves, for this reason. */
  hold?: { reason: Reason; message: string };
  /** Milliseconds until the next look; undefined: only when woken. */
  nextTickMs: number | undefined;
}

/** It takes traffic off a canary that has some. */
export function isTakeAway({ route }: Observation, { actions }: Decision): boolean {
  const [first] = actions;
  return first?.kind === 'route' && first.mode !== 'raise' && (route?.canaryWeight ?? 0) > 0;
}
