/**
 * `npm run explore`: every scenario and every mutation, shared among worker processes, with a report of what was
 * explored and the shortest trace of whatever was found. Ends with 1 when a property is violated, when a mutation is not
 * caught, or when fewer states were explored than are promised.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { parseArgs } from 'node:util';
import { MUTATIONS } from './mutations.ts';
import type { Job, Result } from './job.ts';
import { SCENARIOS } from './scenarios.ts';

/** CI has two cores; more processes would only share them. */
const PROCESSES_MAX = 2;
const STATES_MIN = 1_000_000;

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', multiple: true },
    mutation: { type: 'string', multiple: true },
    /** States of each scenario at most, instead of its own bound. */
    states: { type: 'string' },
    minutes: { type: 'string', default: '10' },
    'without-mutations': { type: 'boolean', default: false },
    /** Begins of violations that are to be passed over, to see what comes after them. */
    ignore: { type: 'string', multiple: true, default: [] },
    traces: { type: 'boolean', default: false },
  },
});

function jobsOf(): Job[] {
  const isChosen = values.scenario !== undefined || values.mutation !== undefined;
  const names = values.scenario ?? (isChosen ? [] : SCENARIOS.map(one => one.name));
  const mutations =
    values.mutation ?? (isChosen || values['without-mutations'] ? [] : MUTATIONS.map(one => one.name));
  const common = {
    ...(values.states ? { statesMax: Number(values.states) } : {}),
    msMax: Number(values.minutes) * 60_000,
    ignored: values.ignore,
  };
  return [
    ...names.map(scenario => ({ ...common, scenario, mutation: undefined })),
    ...mutations.map(mutation => ({ ...common, scenario: undefined, mutation })),
  ];
}

/** Gives the jobs to workers one by one, in order. */
async function runAll(jobs: readonly Job[], report: (result: Result) => void): Promise<void> {
  const waiting = [...jobs];
  const file = fileURLToPath(new URL('job.ts', import.meta.url));
  const serve = async (): Promise<void> => {
    for (let job = waiting.shift(); job; job = waiting.shift()) {
      // One thread for each job: what it has learned of states is given back with it.
      const worker = new Worker(file, { workerData: job });
      report(
        await new Promise<Result>((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
      );
      await worker.terminate();
    }
  };
  const count = Math.min(PROCESSES_MAX, availableParallelism());
  await Promise.all(Array.from({ length: count }, serve));
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

function describe(result: Result): string {
  const { job, report } = result;
  const budgets = Object.entries(result.budgets).map(([name, count]) => `${name} ${count}`);
  const name = (job.mutation ?? job.scenario ?? '').padEnd(24);
  const size = `${String(report.states).padStart(8)} states, depth ${String(report.depth).padStart(3)}, ${seconds(report.elapsedMs)}`;
  if (job.mutation === undefined)
    return `${name} ${size}, ${report.isComplete ? 'complete' : 'cut'}: ${budgets.join(', ')}`;
  const found = report.found
    ? `${report.found.violation} (${report.found.length} steps, in ${report.name})`
    : '-';
  return `${name} ${size}: ${found}${result.isHarmless ? ` [harmless: ${result.isHarmless}]` : ''}`;
}

async function main(): Promise<number> {
  const begun = performance.now();
  let states = 0;
  let failures = 0;
  const jobs = jobsOf();
  await runAll(jobs, result => {
    const { job, report } = result;
    console.log(describe(result));
    if (job.mutation === undefined) states += report.states;
    const isMissed =
      job.mutation !== undefined && (report.found === undefined) !== (result.isHarmless !== undefined);
    const isViolated = job.mutation === undefined && report.found !== undefined;
    if (isMissed) console.log('     NOT AS EXPECTED');
    if (isViolated || (values.traces && report.found)) console.log(report.found?.trace.join('\n'));
    if (isMissed || isViolated) failures++;
  });
  const isWhole =
    values.scenario === undefined && values.mutation === undefined && values.states === undefined;
  const megabytes = Math.round(process.resourceUsage().maxRSS / 1_024);
  console.log(
    `${states} states in ${seconds(performance.now() - begun)}, at most ${megabytes} MB, ${failures} failures`,
  );
  if (isWhole && states < STATES_MIN) {
    console.log(`fewer than ${STATES_MIN} states were explored`);
    return 1;
  }
  return failures === 0 ? 0 : 1;
}

process.exitCode = await main();
