/** Plays broken engines until a checker notices, and prints who did, and at which seed. */
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { playSeeds } from '../pool.ts';
import type { Answered } from '../worker.ts';
import { MUTATIONS } from './list.ts';
import type { Mutation } from './mutation.ts';
import { keepNoticed, seedsThatNoticed } from './noticed.ts';

/** Within so many seeds each broken engine has to be noticed. */
export const SEEDS_MAX = 60;

export interface TableOptions {
  /** Only these; empty: all. */
  names: readonly string[];
  /** Looks first where each was noticed before. Otherwise from seed 1 on, and what is found is kept. */
  isQuick: boolean;
  say(line: string): void;
}

/** Seeds that the engine as it is breaks a rule under: they say nothing about a broken one. */
async function unfit(seeds: Iterable<number>): Promise<Set<number>> {
  const found = new Set<number>();
  const left = [...seeds];
  await playSeeds({
    next: () => left.shift(),
    onAnswer: answered => void (answered.violation && found.add(answered.seed)),
  });
  return found;
}

/** The first of these seeds under which the broken engine breaks a rule. */
async function notice(mutation: Mutation, seeds: readonly number[]): Promise<Answered | undefined> {
  const left = [...seeds];
  let noticed: Answered | undefined;
  await playSeeds({
    next: () => (noticed ? undefined : left.shift()),
    onAnswer(answered) {
      if (answered.violation) noticed = answered;
    },
    execArgv: ['--import', join(import.meta.dirname, 'preload.ts')],
    // Each broken engine is a process of its own, and all but an edit of it has been compiled before.
    environment: { MUTATION: mutation.name, NODE_COMPILE_CACHE: join(tmpdir(), 'serin-simulate') },
    processes: 1,
  });
  return noticed;
}

const line = (name: string, seed: string, checker: string, says: string): string =>
  `${name.padEnd(34)} ${seed.padStart(4)}  ${checker.padEnd(10)} ${says}`;

/** The number of mutations that nobody noticed. */
export async function printTable(options: TableOptions): Promise<number> {
  const { names, isQuick, say } = options;
  const chosen = MUTATIONS.filter(one => names.length === 0 || names.includes(one.name));
  const before = isQuick ? seedsThatNoticed() : new Map<string, number>();
  const all = Array.from({ length: SEEDS_MAX }, (_unused, index) => index + 1);
  // A quick look trusts the fixed seeds, which are played right before it; what is looked for anew is played whole.
  const skipped = isQuick ? new Set<number>() : await unfit(all);
  const noticed = new Map<string, number>();
  const left = [...chosen];
  say(line('mutation', 'seed', 'noticed by', 'what it does, and what was noticed'));
  const serve = async (): Promise<void> => {
    for (let mutation = left.shift(); mutation; mutation = left.shift()) {
      const first = before.get(mutation.name);
      const seeds = all.filter(seed => !skipped.has(seed) && seed !== first);
      const answered = await notice(mutation, first === undefined ? seeds : [first, ...seeds]);
      if (answered) noticed.set(mutation.name, answered.seed);
      const { checker = 'NOBODY', message = '' } = answered?.violation ?? {};
      say(line(mutation.name, answered ? String(answered.seed) : '-', checker, mutation.says));
      if (answered) say(line('', '', '', message.slice(0, 160)));
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, serve));
  const survivors = chosen.length - noticed.size;
  say(
    `${noticed.size} of ${chosen.length} broken engines were noticed, each within ${SEEDS_MAX} seeds; ` +
      `the seed that took longest is ${Math.max(0, ...noticed.values())}`,
  );
  if (!isQuick) keepNoticed(new Map([...seedsThatNoticed(), ...noticed]));
  return survivors;
}
