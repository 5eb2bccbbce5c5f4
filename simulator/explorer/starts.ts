/**
 * Where explorations begin. The engine itself gets there: adoption on the abstract world of the core's own tests, and
 * from there the fault-free future of the model.
 */
import { createAbstractWorld } from '../../engine/core/abstractWorld.ts';
import { decide } from '../../engine/core/decide.ts';
import type { Observation, Workload } from '../../engine/core/observation.ts';
import { createFair } from './fair.ts';
import { createModel, type Model, type Start } from './model.ts';
import {
  BEHIND,
  BUDGET,
  DRAINED,
  GHOST,
  META,
  NOW_MS,
  OWNED,
  packBudgets,
  PRIMARY,
  PRIMARY_PODS,
  ROUTE,
  type Spec,
  STATUS,
  TARGET,
  TARGET_PODS,
  UNIT_MS,
  WIDTH,
  WORKER,
} from './parts.ts';
import { createSuccessors } from './search.ts';

const STEPS_MAX = 500;

function adopted(model: Model): Observation {
  const world = createAbstractWorld(model.settings);
  for (let count = 0; count < STEPS_MAX; count++) {
    const seen = world.observe();
    if (seen.status.phase === 'Initialized' && seen.target?.replicas === 0 && seen.target.pods.length === 0)
      return seen;
    world.execute(decide(seen), seen);
    world.settleWorkloads();
    world.advance(1_000);
  }
  throw new Error('the abstract world was not adopted');
}

function specOf(workload: Workload, generation: number): Spec {
  return {
    generation,
    isObserved: true,
    replicas: Math.min(1, workload.replicas),
    pausedBy: 'nobody',
    template: workload.revision,
    reported: Math.min(1, workload.replicas),
    isSurging: false,
    written: generation === 0 ? null : 0,
  };
}

function idleState(model: Model): number[] {
  const { target, primary, route, status } = adopted(model);
  if (!target || !primary || !route) throw new Error('adoption makes target, primary and route');
  const { pools } = model;
  const state = Array.from({ length: WIDTH }, () => 0);
  const drained = new Date(NOW_MS - UNIT_MS).toISOString();
  state[STATUS] = pools.status.intern(model.reduce({ ...status, zeroSince: drained }));
  state[META] = pools.meta.intern({ deleting: 'no', command: null });
  const { epoch, run, end } = route.stamp;
  state[ROUTE] = pools.route.intern({ epoch, weight: 0, run, end, age: 1 });
  state[TARGET] = pools.spec.intern(specOf(target, 1));
  state[TARGET_PODS] = pools.pods.intern({ rolling: target.revision, pods: [] });
  state[PRIMARY] = pools.spec.intern(specOf(primary, 0));
  state[PRIMARY_PODS] = pools.pods.intern({
    rolling: primary.revision,
    pods: [{ revision: primary.revision, isReady: true }],
  });
  state[OWNED] = pools.owned.intern({
    stored: [primary.revision],
    apex: 'primary',
    hasFinalizer: true,
    hasRoute: true,
  });
  state[GHOST] = DRAINED;
  state[WORKER] = model.idle;
  state[WORKER + 1] = model.idle;
  state[BEHIND] = 0;
  return state;
}

function edited(model: Model, state: readonly number[], template: string): number[] {
  const next = [...state];
  const spec = model.target(state);
  next[TARGET] = model.pools.spec.intern({
    ...spec,
    template,
    generation: spec.generation + 1,
    isObserved: false,
  });
  return next;
}

function isAt(model: Model, state: readonly number[], start: Start): boolean {
  if (state[WORKER] !== model.idle) return false;
  const { phase, stage } = model.status(state);
  const { weight } = model.route(state);
  const { steps } = model.settings;
  switch (start) {
    case 'idle':
    case 'released':
    case 'deleting':
      return true;
    case 'ready':
      return phase === 'Progressing' && model.target(state).pausedBy === 'engine';
    case 'first':
    case 'lateTakeAway':
    case 'lateAbort':
      return phase === 'Progressing' && weight === steps[0];
    case 'last':
      return phase === 'Progressing' && weight === steps.at(-1);
    case 'promoting':
      return phase === 'Promoting';
    case 'shifting':
      return stage === 'shift';
    case 'baking':
      return stage === 'bake';
    case 'finalising':
      return phase === 'Finalising';
    case 'failed':
      return phase === 'Failed';
    default:
      return start satisfies never;
  }
}

/** The engine's own way from one state to the next that `isThere`, without faults. */
function follow(
  model: Model,
  from: number[],
  future: 'pass' | 'fail',
  isThere: (state: number[]) => boolean,
): number[] {
  const fair = createFair(model, createSuccessors(model));
  const mind = { isDue: true, isArmed: false, goesOn: false };
  let state = from;
  for (let count = 0; !isThere(state); count++) {
    const next = fair.step(state, future, mind);
    if (!next || count > STEPS_MAX) throw new Error('a start was not reached');
    if (next.violation) throw new Error(`on the way to a start: ${next.violation}`);
    model.canonicalise(next.state);
    state = next.state;
  }
  return state;
}

function commanded(model: Model, state: readonly number[], verb: 'abort' | 'retry', id: string): number[] {
  const next = [...state];
  const revision = model.status(state).run?.revision ?? '';
  model.renew(next, 'canary', -1);
  next[META] = model.pools.meta.intern({
    ...model.meta(state),
    command: { verb, revision, id, reason: '', by: 'ann' },
  });
  return next;
}

/** The second worker decides, and freezes before its first write. */
function frozen(model: Model, state: readonly number[]): number[] {
  let next: number[] | undefined;
  createSuccessors(model).deciding.decide(state, 1, decided => {
    next ??= decided;
  });
  if (!next) throw new Error('the second worker has nothing to decide');
  model.canonicalise(next);
  return next;
}

/** A take-away that was decided on one run, while another of the same canary has been given traffic since. */
function late(model: Model, start: 'lateTakeAway' | 'lateAbort', first: number[]): number[] {
  const isFirstAgain = (id: string | undefined) => (state: number[]) =>
    isAt(model, state, 'first') && model.status(state).run?.id !== id;
  const cause =
    start === 'lateTakeAway' ? edited(model, first, 'r3') : commanded(model, first, 'abort', 'late1');
  const waiting = frozen(model, cause);
  if (start === 'lateTakeAway')
    return follow(model, waiting, 'pass', isFirstAgain(model.status(first).run?.id));
  const failed = follow(model, waiting, 'pass', state => isAt(model, state, 'failed'));
  const retried = commanded(model, failed, 'retry', 'late2');
  return follow(model, retried, 'pass', state => isAt(model, state, 'first'));
}

/** The state in which this scenario begins, with its budgets. */
export function startState(model: Model, start: Start): number[] {
  // One worker acts, so that the two never change places.
  const alone = createModel({ ...model.scenario, workers: 1 }, model.engine, model.pools);
  let state = idleState(alone);
  if (start === 'deleting') state[META] = alone.pools.meta.intern({ deleting: 'yes', command: null });
  if (start !== 'idle' && start !== 'deleting') state = edited(alone, state, 'r2');
  const future = start === 'failed' ? 'fail' : 'pass';
  state = follow(alone, state, future, reached => isAt(alone, reached, start));
  if (start === 'lateTakeAway' || start === 'lateAbort') state = late(alone, start, state);
  [state[BUDGET], state[BUDGET + 1]] = packBudgets(model.scenario.budgets);
  return state;
}
