/**
 * One exploration: a scenario with the real engine, or a mutation in its scenarios until it is caught. Run in a worker
 * thread of its own by `main.ts`, or called by tests.
 */
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { withMutation } from './engine.ts';
import { createModel, type Scenario } from './model.ts';
import { MUTATIONS } from './mutations.ts';
import type { Budgets } from './parts.ts';
import { SCENARIOS } from './scenarios.ts';
import { explore, type Report } from './search.ts';
import { startState } from './starts.ts';

export interface Job {
  /** Exactly one of the two. */
  scenario: string | undefined;
  mutation: string | undefined;
  statesMax?: number;
  msMax: number;
  ignored: readonly string[];
}

export interface Result {
  job: Job;
  report: Report;
  budgets: Budgets;
  isHarmless: string | undefined;
}

function scenarioOf(name: string): Scenario {
  const scenario = SCENARIOS.find(one => one.name === name);
  if (!scenario)
    throw new Error(`scenario ${name}: expected one of ${SCENARIOS.map(one => one.name).join(', ')}`);
  return scenario;
}

export function runJob(job: Job): Result {
  const mutation = MUTATIONS.find(one => one.name === job.mutation);
  if (job.mutation !== undefined && !mutation) throw new Error(`there is no mutation ${job.mutation}`);
  const names = mutation?.scenarios ?? [job.scenario ?? ''];
  const scenarios = names.map(scenarioOf);
  // Starts are reached by the real engine; what a weakened one does on the way there is not the question.
  const starts = scenarios.map(scenario =>
    withMutation(mutation?.isFromStart ? mutation : undefined, engine => {
      const model = createModel(scenario, engine);
      return { model, states: scenario.from.map(start => startState(model, start)) };
    }),
  );
  return withMutation(mutation, engine => {
    let last: Result | undefined;
    for (const [index, scenario] of scenarios.entries()) {
      const start = starts[index];
      if (!start) continue;
      const model = createModel(scenario, engine, start.model.pools);
      const report = explore(model, start.states, {
        statesMax: job.statesMax ?? scenario.statesMax,
        msMax: job.msMax,
        clock: () => performance.now(),
        ignored: job.ignored,
      });
      last = { job, report, budgets: scenario.budgets, isHarmless: mutation?.isHarmless };
      if (report.found) break;
    }
    if (!last) throw new Error('a job has at least one scenario');
    return last;
  });
}

if (!isMainThread) parentPort?.postMessage(runJob(workerData as Job));
