/**
 * Makes states equal that differ only in how large their epochs and generations have grown. Rules compare epochs by
 * order and equality and take the highest plus one, so the lowest may be called 1, and a gap that no chain of "plus
 * one" bridges within the faults of a scenario may be shortened. Generations are only compared: their ranks are enough.
 */
import type { CanaryStatus } from '../../engine/api/status.ts';
import { formatRunId, parseRunId } from '../../engine/core/run.ts';
import {
  OLD,
  type Held,
  type Pending,
  PRIMARY,
  ROUTE,
  type Route,
  type Spec,
  STATUS,
  TARGET,
  type Worker,
  WORKER,
} from './parts.ts';
import type { Pool } from './pool.ts';

/** A longer gap counts as this long. */
const GAP_MAX = 3;
/** Epochs and generations are bits of one word. */
const NUMBER_MAX = 30;

export interface Pools {
  status: Pool<CanaryStatus>;
  route: Pool<Route>;
  spec: Pool<Spec>;
  worker: Pool<Worker>;
}

/** Bits: which epochs order matters for, which are only compared for equality, which generations. */
interface Numbers {
  epochs: number;
  marks: number;
  generations: number;
}

function bit(value: number | undefined): number {
  if (value === undefined || value === 0) return 0;
  if (value > NUMBER_MAX) throw new Error(`epoch or generation ${value}: expected at most ${NUMBER_MAX}`);
  return 1 << value;
}

const generationOf = (run: string): number => parseRunId(run)?.generation ?? 0;

function ofStatus(status: CanaryStatus): Numbers {
  return {
    epochs: bit(status.epoch) | bit(status.routeEpoch),
    marks: bit(status.run?.passedEpoch),
    generations: bit(status.run?.generation) | bit(status.target?.generation),
  };
}

/** New number of each old one; undefined when nothing changes. */
type Table = readonly number[] | undefined;

const tables = new Map<number, Table>();

/** Bits to numbers that start at 1, with no gap above `gapMax`. */
function tableOf(mask: number, gapMax: number): Table {
  const key = mask * 4 + gapMax;
  if (tables.has(key)) return tables.get(key);
  const table: number[] = [];
  let last = 0;
  let next = 0;
  let isSame = true;
  for (let value = 1; value <= NUMBER_MAX; value++) {
    if ((mask & (1 << value)) === 0) continue;
    next = last === 0 ? 1 : next + Math.min(gapMax, value - last);
    last = value;
    table[value] = next;
    if (next !== value) isSame = false;
  }
  const answer = isSame ? undefined : table;
  tables.set(key, answer);
  return answer;
}

export function createRenumber(pools: Pools) {
  const numbersOf = {
    status: new Map<number, Numbers>(),
    route: new Map<number, Numbers>(),
    spec: new Map<number, Numbers>(),
    worker: new Map<number, Numbers>(),
  };
  const memos = {
    status: new Map<string, number>(),
    route: new Map<string, number>(),
    spec: new Map<string, number>(),
    worker: new Map<string, number>(),
  };
  type Kind = keyof typeof memos;

  function ofWorker(worker: Worker): Numbers {
    const sum: Numbers = { epochs: 0, marks: 0, generations: 0 };
    const held = [worker.held, worker.pending?.held ?? null];
    for (const one of held) {
      if (!one) continue;
      sum.marks |= bit(one.epoch);
      sum.generations |= bit(generationOf(one.run));
    }
    for (const step of worker.pending?.steps ?? []) {
      if (step.kind === 'route') {
        sum.epochs |= bit(step.route.epoch);
        sum.generations |= bit(generationOf(step.route.run));
      } else if (step.kind === 'status') add(sum, numbers('status', step.status));
    }
    return sum;
  }

  function compute(kind: Kind, id: number): Numbers {
    if (kind === 'status') return ofStatus(pools.status.get(id));
    if (kind === 'worker') return ofWorker(pools.worker.get(id));
    if (kind === 'spec') return { epochs: 0, marks: 0, generations: bit(pools.spec.get(id).generation) };
    const route = pools.route.get(id);
    return { epochs: bit(route.epoch), marks: 0, generations: bit(generationOf(route.run)) };
  }

  function numbers(kind: Kind, id: number): Numbers {
    const known = numbersOf[kind].get(id);
    if (known) return known;
    const computed = compute(kind, id);
    numbersOf[kind].set(id, computed);
    return computed;
  }

  function add(sum: Numbers, one: Numbers): void {
    sum.epochs |= one.epochs;
    sum.marks |= one.marks;
    sum.generations |= one.generations;
  }

  function rename(run: string, generations: Table): string {
    const identity = parseRunId(run);
    if (!identity || !generations) return run;
    return formatRunId({ ...identity, generation: generations[identity.generation] ?? 0 });
  }

  function changed(kind: Kind, id: number, total: Numbers): number {
    const key = `${id},${total.epochs},${total.generations}`;
    const known = memos[kind].get(key);
    if (known !== undefined) return known;
    const epochs = tableOf(total.epochs, GAP_MAX);
    const generations = tableOf(total.generations, 1);
    const answer = change(kind, id, total, epochs, generations);
    memos[kind].set(key, answer);
    return answer;
  }

  function change(kind: Kind, id: number, total: Numbers, epochs: Table, generations: Table): number {
    const order = (epoch: number) => (epochs ? (epochs[epoch] ?? 0) : epoch);
    /** An epoch that is not among the ordered ones equals none of them any more. */
    const mark = (epoch: number) => (total.epochs & bit(epoch) ? order(epoch) : 0);
    const age = (generation: number) => (generations ? (generations[generation] ?? 0) : generation);
    const routeOf = (route: Route): Route => ({
      ...route,
      epoch: order(route.epoch),
      run: rename(route.run, generations),
    });
    const heldOf = (held: Held | null): Held | null =>
      held && { ...held, epoch: mark(held.epoch), run: rename(held.run, generations) };
    const pendingOf = (pending: Pending): Pending => ({
      ...pending,
      steps: pending.steps.map(step => {
        if (step.kind === 'route') return { ...step, route: routeOf(step.route) };
        return step.kind === 'status' ? { ...step, status: changed('status', step.status, total) } : step;
      }),
      held: heldOf(pending.held),
    });
    if (kind === 'route') return pools.route.intern(routeOf(pools.route.get(id)));
    if (kind === 'spec') {
      const spec = pools.spec.get(id);
      return pools.spec.intern({ ...spec, generation: age(spec.generation) });
    }
    if (kind === 'worker') {
      const { held, pending } = pools.worker.get(id);
      return pools.worker.intern({ held: heldOf(held), pending: pending && pendingOf(pending) });
    }
    const status = pools.status.get(id);
    const next = { ...status };
    if (status.epoch !== undefined) next.epoch = order(status.epoch);
    if (status.routeEpoch !== undefined) next.routeEpoch = order(status.routeEpoch);
    if (status.run) {
      const run = { ...status.run };
      run.generation = age(run.generation);
      run.id = rename(run.id, generations);
      if (run.passedEpoch !== undefined) {
        run.passedEpoch = mark(run.passedEpoch);
        if (run.passedEpoch === 0) delete run.passedEpoch;
      }
      next.run = run;
    }
    if (status.target) next.target = { ...status.target, generation: age(status.target.generation) };
    return pools.status.intern(next);
  }

  const places: readonly [number, Kind][] = [
    [STATUS, 'status'],
    [ROUTE, 'route'],
    [TARGET, 'spec'],
    [PRIMARY, 'spec'],
    [OLD + STATUS, 'status'],
    [OLD + ROUTE, 'route'],
    [OLD + TARGET, 'spec'],
    [OLD + PRIMARY, 'spec'],
    [WORKER, 'worker'],
    [WORKER + 1, 'worker'],
  ];

  /** Changes the row in place. */
  return function renumber(state: number[]): void {
    const total: Numbers = { epochs: 0, marks: 0, generations: 0 };
    for (const [word, kind] of places) {
      const id = state[word] as number;
      if (id !== 0) add(total, numbers(kind, id));
    }
    const isSame =
      (total.marks & ~total.epochs) === 0 &&
      tableOf(total.epochs, GAP_MAX) === undefined &&
      tableOf(total.generations, 1) === undefined;
    if (isSame) return;
    for (const [word, kind] of places) {
      const id = state[word] as number;
      if (id !== 0) state[word] = changed(kind, id, total);
    }
  };
}
