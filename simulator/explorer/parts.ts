/**
 * What a state of the abstract cluster is made of: the objects of the API server, each with the version before it for
 * the caches that are behind, two workers, and what is left of the faults. A state is a row of small numbers; this
 * file says which word is what. It holds no rule of the engine.
 */
import type { CanaryStatus } from '../../engine/api/status.ts';
import type { Command } from '../../engine/core/commands.ts';
import type { Stamp } from '../../steppers/stepper.ts';

/** Milliseconds between two instants of the model: interval, drain and bake take one, the progress deadline two. */
export const UNIT_MS = 10_000;
/** The model's clock stands still; what lies in the past moves away from it. */
export const NOW_MS = Date.parse('2026-01-01T00:00:00Z');

export interface Meta {
  /** `long`: for more than the five minutes after which a deletion is let go. */
  deleting: 'no' | 'yes' | 'long';
  command: Command | null;
}

export interface Route {
  epoch: number;
  weight: number;
  run: string;
  end: Stamp['end'];
  /** Units since the engine wrote it, as the API server notes; more than one is one. */
  age: number;
}

/** A Deployment without its pods. */
export interface Spec {
  generation: number;
  /** Its controller has looked at this generation. */
  isObserved: boolean;
  replicas: number;
  pausedBy: 'nobody' | 'engine' | 'user';
  template: string;
  /** Available pods as its own status says. */
  reported: number;
  isSurging: boolean;
  /** What the engine last wrote to spec.replicas; null where it never did. */
  written: number | null;
}

/** Its ReplicaSets and endpoints: one pod of each revision at most. */
export interface Pods {
  /** The revision that its controller rolls out. */
  rolling: string;
  pods: { revision: string; isReady: boolean }[];
}

/** The engine's own objects that no fence is about. */
export interface Owned {
  stored: string[];
  apex: 'primary' | 'target';
  hasFinalizer: boolean;
  hasRoute: boolean;
}

export type Outcome = 'pass' | 'fail' | 'none';

/** What a query answered, held by the tick that asked. */
export interface Held {
  run: string;
  epoch: number;
  arm: 'canary' | 'primary';
  outcome: Outcome;
}

export type Step =
  | { kind: 'status'; status: number }
  | { kind: 'route'; mode: 'raise' | 'lower' | 'create'; route: Route }
  | { kind: 'target'; replicas: number | null; pausedBy: 'engine' | 'nobody' | null }
  | { kind: 'primary'; revision: string; isSurging: boolean }
  | { kind: 'store'; revision: string }
  | { kind: 'forget'; revision: string }
  | { kind: 'unmark' }
  | { kind: 'apex'; at: 'primary' | 'target' }
  | { kind: 'deleteRoute' }
  | { kind: 'release' };

/** The rest of a decision that is being carried out. */
export interface Pending {
  rule: string;
  steps: Step[];
  /** Objects that are still as they were seen, as bits of `Thing`: the preconditions of the writes. */
  asSeen: number;
  /** Route writes of a take-away that are left after conflicts. */
  tries: number;
  /** Ghosts, read by properties only. `lowered`: a take-away has landed since the route was seen. */
  lowered: boolean;
  /** Another run has been started since the decision. */
  isOld: boolean;
  /** The judgement that the decision was made with. */
  held: Held | null;
  /** The canary's weight on the route that was seen. */
  weight: number;
  /** Outcome of the last check that was recorded for this step when the decision was made. */
  lastOutcome: number;
  /** The status was a version behind when it was seen. */
  isBehind: boolean;
  verb: string;
}

export interface Worker {
  held: Held | null;
  pending: Pending | null;
}

/** Objects with a version of their own. */
export const THINGS = [
  'canary',
  'route',
  'target',
  'targetPods',
  'primary',
  'primaryPods',
  'stored',
] as const;
export type Thing = (typeof THINGS)[number];
export const thingBit = (thing: Thing): number => 1 << THINGS.indexOf(thing);

/** Words of a state. The words of the canary are two: its status, and its metadata. */
export const STATUS = 0;
export const META = 1;
export const ROUTE = 2;
export const TARGET = 3;
export const TARGET_PODS = 4;
export const PRIMARY = 5;
export const PRIMARY_PODS = 6;
/** How many of the words above there are, and where their former versions begin. */
export const OLD = 7;
export const OWNED = 14;
export const GHOST = 15;
export const WORKER = 16;
/** Seven bits for each worker: which things its cache may still show in the former version. */
export const BEHIND = 18;
export const BUDGET = 19;
export const WIDTH = 21;

export const WORDS_OF: Readonly<Record<Thing, readonly number[]>> = {
  canary: [STATUS, META],
  route: [ROUTE],
  target: [TARGET],
  /** Seen as it is by everybody; only its version is of interest. */
  stored: [],
  targetPods: [TARGET_PODS],
  primary: [PRIMARY],
  primaryPods: [PRIMARY_PODS],
};

/** Faults and events that are bounded, four bits each. */
export const BUDGETS = [
  'crash',
  'lost',
  'stale',
  'flap',
  'release',
  'revert',
  'command',
  'edit',
  'delete',
  'userPause',
  'fail',
  'noData',
  'limit',
  'scale',
] as const;
export type BudgetName = (typeof BUDGETS)[number];
export type Budgets = Partial<Record<BudgetName, number>>;
const PER_WORD = 7;

export function budgetOf(state: readonly number[], name: BudgetName): number {
  const index = BUDGETS.indexOf(name);
  return ((state[BUDGET + Math.floor(index / PER_WORD)] as number) >> ((index % PER_WORD) * 4)) & 15;
}

export function spend(state: number[], name: BudgetName): void {
  const index = BUDGETS.indexOf(name);
  const word = BUDGET + Math.floor(index / PER_WORD);
  state[word] = (state[word] as number) - (1 << ((index % PER_WORD) * 4));
}

export function packBudgets(budgets: Budgets): [number, number] {
  const words: [number, number] = [0, 0];
  for (const [name, count] of Object.entries(budgets)) {
    const index = BUDGETS.indexOf(name as BudgetName);
    if (count < 0 || count > 15) throw new Error(`budget ${name}: expected 0 to 15, got ${count}`);
    words[Math.floor(index / PER_WORD)]! |= count << ((index % PER_WORD) * 4);
  }
  return words;
}

/** Ghosts: what properties remember and no engine sees. Flags in one word. */
export const CAUSE_OPEN = 1;
export const CAUSE_USED = 2;
/** A take-away has landed since the open cause was recorded. */
export const CAUSE_OVERTAKEN = 4;
/** The status's own run has been ended by a take-away on the route. */
export const RUN_ENDED = 8;
/** The route has sent the canary nothing for the drain time. */
export const DRAINED = 16;
/** The run of the status passed what it has to pass. */
export const JUDGED = 32;
/** Somebody else edited the route, or resumed the target and the engine has not paused it since: what follows is theirs. */
export const TAMPERED = 64;
/** Two bits: outcome of the last recorded check of this step (0 none, 1 pass, 2 fail, 3 neither). */
export const LAST_OUTCOME_SHIFT = 7;

export type Status = CanaryStatus;
