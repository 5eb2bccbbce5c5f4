/** Plays broken engines until a checker notices, and prints who did after how many seeds. */
import { join } from 'node:path';
import { playSeeds } from '../pool.ts';
import type { Answered } from '../worker.ts';
import { MUTATIONS } from './list.ts';
import type { Mutation } from './mutation.ts';

/** Within so many seeds each broken engine has to be noticed. */
export const SEEDS_MAX = 60;

export interface Noticed {
  mutation: Mutation;
  /** Undefined: it survived. */
  checker: string | undefined;
  seeds: number;
  message: string;
}

/** Seeds that the engine as it is breaks a rule under: they say nothing about a broken one. */
async function unfit(): Promise<Set<number>> {
  const seeds = new Set<number>();
  let seed = 0;
  await playSeeds({
    next: () => (seed >= SEEDS_MAX ? undefined : ++seed),
    onAnswer: answered => void (answered.violation && seeds.add(answered.seed)),
  });
  return seeds;
}

async function notice(mutation: Mutation, skipped: ReadonlySet<number>): Promise<Noticed> {
  let seed = 0;
  const following = (): number | undefined => {
    do seed += 1;
    while (skipped.has(seed));
    return seed > SEEDS_MAX ? undefined : seed;
  };
  let first: Answered | undefined;
  await playSeeds({
    next: () => (first ? undefined : following()),
    onAnswer(answered) {
      if (answered.violation && !(first && first.seed < answered.seed)) first = answered;
    },
    execArgv: ['--import', join(import.meta.dirname, 'preload.ts')],
    environment: { MUTATION: mutation.name },
  });
  const message = first?.violation?.message ?? '';
  return { mutation, checker: first?.violation?.checker, seeds: first?.seed ?? SEEDS_MAX, message };
}

/** The number of mutations that nobody noticed. */
export async function printTable(names: readonly string[], say: (line: string) => void): Promise<number> {
  const chosen = MUTATIONS.filter(one => names.length === 0 || names.includes(one.name));
  const skipped = await unfit();
  let survivors = 0;
  say(`${'mutation'.padEnd(34)} ${'noticed by'.padEnd(12)} seeds  what it does`);
  for (const mutation of chosen) {
    const { checker, seeds, message } = await notice(mutation, skipped);
    if (!checker) survivors += 1;
    say(
      `${mutation.name.padEnd(34)} ${(checker ?? 'NOBODY').padEnd(12)} ${String(seeds).padStart(5)}  ${mutation.says}`,
    );
    if (checker) say(`${' '.repeat(34)} ${message.slice(0, 160)}`);
  }
  say(
    `${chosen.length - survivors} of ${chosen.length} broken engines were noticed, within ${SEEDS_MAX} seeds each`,
  );
  return survivors;
}
