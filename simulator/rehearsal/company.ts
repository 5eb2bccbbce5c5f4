/** Many rehearsals of some scenarios, each with a seed of its own, in as many processes as there are processors. */
import { join } from 'node:path';
import { playJobs } from '../processes.ts';
import type { Rehearsed, Scenario } from './scenario.ts';

/** What one process is asked for. */
export interface Rehearsal {
  index: number;
  scenario: Scenario;
  seed: string;
}

export interface Company {
  scenarios: readonly Scenario[];
  /** Of each scenario. */
  runs: number;
  seed: number;
  /** Default: one for each processor. */
  processes?: number;
}

/**
 * The n-th runs of all scenarios have the same seed, and so the same chance where they do the same.
 * @returns for each scenario its runs, in the order of their seeds; equal companies give equal answers
 */
export async function rehearseAll({ scenarios, runs, seed, processes }: Company): Promise<Rehearsed[][]> {
  const answers: Rehearsed[][] = scenarios.map(() => []);
  let next = 0;
  await playJobs<Rehearsal, { index: number; rehearsed: Rehearsed }>({
    worker: join(import.meta.dirname, 'worker.ts'),
    ...(processes === undefined ? {} : { processes }),
    next() {
      const index = next;
      const scenario = scenarios[index % scenarios.length];
      if (!scenario || index >= runs * scenarios.length) return undefined;
      next += 1;
      return { index, scenario, seed: `${seed}/${Math.floor(index / scenarios.length)}` };
    },
    onAnswer({ index, rehearsed }) {
      const of = answers[index % scenarios.length];
      if (of) of[Math.floor(index / scenarios.length)] = rehearsed;
    },
  });
  return answers;
}
