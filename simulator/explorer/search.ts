/**
 * Breadth first through everything that may happen, so that the first trace to a violation is a shortest one. Every
 * state is kept once; the trace is found again by asking each state on the way for its successors.
 */
import { createActing } from './acting.ts';
import { createCluster } from './cluster.ts';
import { createDeciding } from './deciding.ts';
import { createFair } from './fair.ts';
import type { Emit, Model } from './model.ts';
import { WIDTH, WORKER } from './parts.ts';
import { createStateTable } from './pool.ts';
import { judgeState } from './properties.ts';
import { describeState } from './describe.ts';

export interface Found {
  violation: string;
  trace: string[];
  /** Steps from the start to the violation; those of the fault-free end of a liveness trace are not counted. */
  length: number;
}

export interface Report {
  name: string;
  states: number;
  transitions: number;
  depth: number;
  isComplete: boolean;
  elapsedMs: number;
  /** Quiescent states from which the fault-free future was followed to its end. */
  futures: number;
  found: Found | undefined;
}

const line = (position: number, label: string, state: string): string =>
  `${String(position).padStart(3)}. ${label.padEnd(78)} ${state}`.trimEnd();

const swapNames = (label: string): string =>
  label.replace(/\bW([01])\b/g, (_all, index) => (index === '0' ? 'W1' : 'W0'));

export function createSuccessors(model: Model) {
  const cluster = createCluster(model);
  const acting = createActing(model);
  const deciding = createDeciding(model);

  /** Everything that may happen next, one event at a time. */
  function successors(state: readonly number[], emit: Emit): void {
    if (cluster.isGone(state)) return;
    cluster.workloads(state, emit);
    cluster.flaps(state, emit);
    cluster.users(state, emit);
    cluster.time(state, emit);
    for (let index = 0; index < model.scenario.workers; index++) {
      if (model.worker(state, index).pending) acting.act(state, index, emit);
      else deciding.decide(state, index, emit);
      cluster.crash(state, index, emit);
    }
  }

  return { successors, cluster, acting, deciding };
}

export function explore(
  model: Model,
  starts: readonly number[][],
  limits: { statesMax: number; msMax: number; clock: () => number; ignored?: readonly string[] },
): Report {
  const parts = createSuccessors(model);
  const fair = createFair(model, parts);
  const table = createStateTable(WIDTH);
  const begun = limits.clock();
  let transitions = 0;
  let depth = 0;
  let found: Found | undefined;
  const counts = (problem: string | undefined): problem is string =>
    problem !== undefined && !limits.ignored?.some(start => problem.startsWith(start));

  /** Labels from the start to a state. Workers that are alike change places in canonical states: names do not. */
  function trace(index: number): { lines: string[]; isSwapped: boolean } {
    const path: number[] = [];
    for (let at = index; at >= 0; at = table.parentOf(at)) path.push(at);
    path.reverse();
    let isSwapped = false;
    const lines = path.map((at, position) => {
      const state = describeState(model, table.read(at));
      if (position === 0) return line(0, 'start', state);
      const { label, swaps } = moveTo(table.parentOf(at), table.moveOf(at));
      const named = isSwapped ? swapNames(label) : label;
      if (swaps) isSwapped = !isSwapped;
      return line(position, named, state);
    });
    return { lines, isSwapped };
  }

  function moveTo(parent: number, move: number): { label: string; swaps: boolean } {
    let count = 0;
    let answer = { label: '', swaps: false };
    parts.successors(table.read(parent), (next, label) => {
      if (count++ === move) answer = { label: label(), swaps: model.canonicalise(next) };
    });
    return answer;
  }

  function fail(index: number, last: string | undefined, future: readonly string[], violation: string): void {
    const { lines, isSwapped } = trace(index);
    const named = last && (isSwapped ? swapNames(last) : last);
    if (named) lines.push(line(lines.length, named, ''));
    found = { violation, trace: [...lines, ...future, `VIOLATION ${violation}`], length: lines.length - 1 };
  }

  for (const start of starts) {
    const state = [...start];
    model.canonicalise(state);
    table.add(state, -1, 0);
  }
  let levelEnd = table.size();
  for (let index = 0; index < table.size() && !found; index++) {
    if (index === levelEnd) {
      depth++;
      levelEnd = table.size();
    }
    if (table.size() >= limits.statesMax) break;
    if ((index & 1023) === 0 && limits.clock() - begun > limits.msMax) break;
    const state = table.read(index);
    let move = 0;
    parts.successors(state, (next, label, violation) => {
      transitions++;
      const number = move++;
      if (found) return;
      if (counts(violation)) {
        fail(index, label(), [], violation);
        return;
      }
      model.canonicalise(next);
      const added = table.add(next, index, number);
      if (!added.isNew) return;
      const problem = judgeState(model, next);
      if (counts(problem)) fail(added.index, undefined, [], problem);
    });
    if (!found && state[WORKER] === model.idle && state[WORKER + 1] === model.idle) {
      const stuck = fair.follow(state);
      if (stuck && counts(stuck.violation)) fail(index, undefined, stuck.trace, stuck.violation);
    }
  }
  return {
    name: model.scenario.name,
    states: table.size(),
    transitions,
    depth,
    isComplete: !found && table.size() < limits.statesMax && limits.clock() - begun <= limits.msMax,
    elapsedMs: limits.clock() - begun,
    futures: fair.count(),
    found,
  };
}
