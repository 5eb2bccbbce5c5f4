/**
 * Runs the benchmarks that are named, or all, and prints what was asked for beside what was reached. It fails only when
 * a figure could not be measured, never because one falls short: times depend on the machine. Start it by `npm run bench`.
 */
import { cpus } from 'node:os';
import { type Figure, tableOf } from './figures.ts';
import { loadAverage } from './processes.ts';
import { fleet } from './benchmarks/fleet.ts';
import { idle } from './benchmarks/idle.ts';
import { judge } from './benchmarks/judge.ts';
import { latency } from './benchmarks/latency.ts';
import { memory } from './benchmarks/memory.ts';
import { outage } from './benchmarks/outage.ts';
import { rollback } from './benchmarks/rollback.ts';
import { rollout } from './benchmarks/rollout.ts';
import { start } from './benchmarks/start.ts';
import { startFleet } from './benchmarks/startFleet.ts';

const BENCHMARKS: Readonly<Record<string, () => Promise<Figure[]>>> = {
  idle,
  rollout,
  rollback,
  latency,
  start,
  startFleet,
  memory,
  fleet,
  judge,
  outage,
};

async function main(names: readonly string[]): Promise<void> {
  const unknown = names.find(name => !(name in BENCHMARKS));
  if (unknown !== undefined) {
    console.error(`no benchmark ${unknown}: expected ${Object.keys(BENCHMARKS).join(', ')}`);
    process.exitCode = 2;
    return;
  }
  const figures: Figure[] = [];
  for (const name of names.length > 0 ? names : Object.keys(BENCHMARKS)) {
    console.error(`${name} … (load ${loadAverage()})`);
    try {
      const found = (await BENCHMARKS[name]?.()) ?? [];
      figures.push(...found);
      console.error(`${tableOf(found)}\n`);
    } catch (error) {
      console.error(`${name} could not be measured: ${(error as Error).stack}`);
      process.exitCode = 1;
    }
  }
  console.log(`Node ${process.version}, ${cpus().length} cores, load ${loadAverage()} at the end`);
  console.log(tableOf(figures));
}

await main(process.argv.slice(2));
