/**
 * The context of one exploration: settings, pools, and the two things that every part of the model does to a state:
 * writing an object anew (which puts caches behind and spoils preconditions) and bringing a state into its canonical form.
 */
import type { CanaryStatus } from '../../engine/api/status.ts';
import type { Verb } from '../../engine/core/commands.ts';
import type { Decision } from '../../engine/core/decision.ts';
import type { retakeAway } from '../../engine/core/fence.ts';
import type { Observation } from '../../engine/core/observation.ts';
import type { Settings } from '../../engine/core/settings.ts';
import {
  BEHIND,
  type Budgets,
  META,
  type Meta,
  OLD,
  type Owned,
  OWNED,
  type Pods,
  PRIMARY,
  PRIMARY_PODS,
  ROUTE,
  type Route,
  type Spec,
  STATUS,
  TARGET,
  TARGET_PODS,
  type Thing,
  thingBit,
  THINGS,
  type Worker,
  WORKER,
  WORDS_OF,
} from './parts.ts';
import { createPool, type Pool } from './pool.ts';
import { createReduce } from './reduce.ts';
import { createRenumber } from './renumber.ts';

const ALL_THINGS = (1 << THINGS.length) - 1;

/** What the explorer runs: the engine's own functions, or a mutation of them. */
export interface Engine {
  decide(observation: Observation): Decision;
  decideUrgent(observation: Observation): Decision | undefined;
  decideInSilence(observation: Observation): Decision;
  retakeAway: typeof retakeAway;
  /** Ways to weaken `act`; none in the real one. */
  slips: ReadonlySet<Slip>;
}

export type Slip =
  | 'statusWithoutVersion'
  | 'raiseWithoutVersion'
  | 'lowerWithoutVersion'
  | 'targetWithoutVersion'
  | 'raiseRetries'
  | 'lowerGivesUp';

export interface Scenario {
  name: string;
  settings: Settings;
  /** Where the lives begin: reached by the engine itself, without faults. */
  from: readonly Start[];
  budgets: Budgets;
  /** Whose former version a cache may show. */
  stale: readonly Thing[];
  /** Revisions that users may put into the target. */
  releases: readonly string[];
  verbs: readonly Verb[];
  workers: 1 | 2;
  /** The rule that brings conditions up to date is explored too; else they count as up to date. */
  reports?: boolean;
  /** The second worker looks after canaries while the scheduler is silent: `decideInSilence`. */
  isSecondSilent?: boolean;
  /** How far the second worker's clock is ahead, in units. */
  skew?: number;
  /** At most this many states; the rest is left out, and said to be. */
  statesMax: number;
}

/**
 * `first`: the first step is taken, `last`: the last one. `late…`: it is taken by a run whose predecessor has a take-away on its way still,
 * in a worker that froze before its first write.
 */
export type Start =
  | 'idle'
  | 'released'
  | 'ready'
  | 'first'
  | 'last'
  | 'promoting'
  | 'shifting'
  | 'baking'
  | 'finalising'
  | 'failed'
  | 'deleting'
  | 'lateTakeAway'
  | 'lateAbort';

export interface AllPools {
  status: Pool<CanaryStatus>;
  meta: Pool<Meta>;
  route: Pool<Route>;
  spec: Pool<Spec>;
  pods: Pool<Pods>;
  owned: Pool<Owned>;
  worker: Pool<Worker>;
}

export interface Model {
  engine: Engine;
  scenario: Scenario;
  settings: Settings;
  pools: AllPools;
  idle: number;
  status(state: readonly number[]): CanaryStatus;
  meta(state: readonly number[]): Meta;
  route(state: readonly number[]): Route;
  target(state: readonly number[]): Spec;
  targetPods(state: readonly number[]): Pods;
  primary(state: readonly number[]): Spec;
  primaryPods(state: readonly number[]): Pods;
  owned(state: readonly number[]): Owned;
  worker(state: readonly number[], index: number): Worker;
  setWorker(state: number[], index: number, worker: Worker): void;
  /** To be called before the words of a thing change. `by` is the worker that writes, -1 for everybody else. */
  renew(state: number[], thing: Thing, by: number, isReplyLost?: boolean): void;
  reduce(status: CanaryStatus, older?: number): CanaryStatus;
  olderRoute(id: number): number;
  /** The number of this status one unit of time later. */
  olderStatus(id: number): number;
  /** True when the two workers, which are alike, have changed places. */
  canonicalise(state: number[]): boolean;
}

/** Successors of a state are handed out one by one. The label is only made for traces. */
export type Emit = (state: number[], label: () => string, violation?: string) => void;

function createPools(): AllPools {
  return {
    status: createPool(),
    meta: createPool(),
    route: createPool(),
    spec: createPool(),
    pods: createPool(),
    owned: createPool(),
    worker: createPool(),
  };
}

export function createModel(scenario: Scenario, engine: Engine, pools: AllPools = createPools()): Model {
  const { settings } = scenario;
  const reduce = createReduce(settings, {
    reports: scenario.reports ?? false,
    target: scenario.reports === true || scenario.stale.includes('target'),
  });
  const renumber = createRenumber(pools);
  const idle = pools.worker.intern({ held: null, pending: null });
  const older: number[] = [];
  const spoilt = new Map<number, number>();
  const tracked = scenario.stale.reduce((bits, thing) => bits | thingBit(thing), 0);
  const isSymmetric = scenario.workers === 2 && !scenario.skew && !scenario.isSecondSilent;

  /** The same worker, with the precondition on this thing failing from now on. */
  function spoil(id: number, thing: Thing): number {
    if (id === idle) return id;
    const key = id * 8 + THINGS.indexOf(thing);
    const known = spoilt.get(key);
    if (known !== undefined) return known;
    const { held, pending } = pools.worker.get(id);
    const answer = pending
      ? pools.worker.intern({ held, pending: { ...pending, asSeen: pending.asSeen & ~thingBit(thing) } })
      : id;
    spoilt.set(key, answer);
    return answer;
  }

  function renew(state: number[], thing: Thing, by: number, isReplyLost = false): void {
    for (const word of WORDS_OF[thing]) state[OLD + word] = state[word] as number;
    for (let index = 0; index < 2; index++) {
      const bit = thingBit(thing) << (index * THINGS.length);
      const isAbsorbed = index === by && !isReplyLost;
      if (isAbsorbed || (tracked & thingBit(thing)) === 0) state[BEHIND] = (state[BEHIND] as number) & ~bit;
      else state[BEHIND] = (state[BEHIND] as number) | bit;
      if (index !== by) state[WORKER + index] = spoil(state[WORKER + index] as number, thing);
    }
  }

  function canonicalise(state: number[]): boolean {
    const behind = state[BEHIND] as number;
    const either = (behind | (behind >> THINGS.length)) & ALL_THINGS;
    for (const thing of THINGS) {
      if (either & thingBit(thing)) continue;
      for (const word of WORDS_OF[thing]) state[OLD + word] = 0;
    }
    renumber(state);
    if (!isSymmetric) return false;
    const first = state[WORKER] as number;
    const second = state[WORKER + 1] as number;
    const low = behind & ALL_THINGS;
    const high = behind >> THINGS.length;
    if (first < second || (first === second && low <= high)) return false;
    state[WORKER] = second;
    state[WORKER + 1] = first;
    state[BEHIND] = high | (low << THINGS.length);
    return true;
  }

  return {
    engine,
    scenario,
    settings,
    pools,
    idle,
    status: state => pools.status.get(state[STATUS] as number),
    meta: state => pools.meta.get(state[META] as number),
    route: state => pools.route.get(state[ROUTE] as number),
    target: state => pools.spec.get(state[TARGET] as number),
    targetPods: state => pools.pods.get(state[TARGET_PODS] as number),
    primary: state => pools.spec.get(state[PRIMARY] as number),
    primaryPods: state => pools.pods.get(state[PRIMARY_PODS] as number),
    owned: state => pools.owned.get(state[OWNED] as number),
    worker: (state, index) => pools.worker.get(state[WORKER + index] as number),
    setWorker(state, index, worker) {
      state[WORKER + index] = pools.worker.intern(worker);
    },
    renew,
    reduce,
    olderStatus(id) {
      older[id] ??= pools.status.intern(reduce(pools.status.get(id), 1));
      return older[id];
    },
    olderRoute(id) {
      const route = pools.route.get(id);
      return route.age >= 1 ? id : pools.route.intern({ ...route, age: 1 });
    },
    canonicalise,
  };
}
