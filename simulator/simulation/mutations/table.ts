/** Plays broken engines until a checker notices, and prints who did, and at which seed. It mends nothing and hides nothing. */
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
  /** Only at the seed at which each was noticed before. Otherwise from seed 1 on, and what is found is kept. */
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
  const known = new Map(seedsThatNoticed());
  const all = Array.from({ length: SEEDS_MAX }, (_unused, index) => index + 1);
  // A quick look trusts the fixed seeds, which are played right before it; what is looked for anew is played whole.
  const skipped = isQuick ? new Set<number>() : await unfit(all);
  const fit = all.filter(seed => !skipped.has(seed));
  const survivors: string[] = [];
  let latest = 0;
  const left = [...chosen];
  say(line('mutation', 'seed', 'noticed by', 'what it does, and what was noticed'));
  const serve = async (): Promise<void> => {
    for (let mutation = left.shift(); mutation; mutation = left.shift()) {
      const { name, says } = mutation;
      const before = known.get(name);
      const seeds = isQuick ? all.filter(seed => seed === before) : fit;
      const answered = await notice(mutation, seeds);
      const { checker = 'NOBODY', message = '' } = answered?.violation ?? {};
      say(line(name, String(answered?.seed ?? '-'), checker, says));
      if (answered) {
        say(line('', '', '', message.slice(0, 160)));
        latest = Math.max(latest, answered.seed);
        known.set(name, answered.seed);
      } else {
        survivors.push(`${name} (${isQuick && before ? `seed ${before}` : `${seeds.length} seeds`})`);
        known.delete(name);
      }
      if (!isQuick) keepNoticed(known);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, serve));
  say(
    `${chosen.length - survivors.length} of ${chosen.length} broken engines were noticed, ` +
      `the last of them at seed ${latest} of ${SEEDS_MAX}`,
  );
  if (survivors.length > 0) say(`NOT NOTICED: ${survivors.join(', ')}`);
  if (survivors.length > 0 && isQuick)
    say('  look for seeds anew with: npm run simulate -- --mutations, or --mutation NAME for one');
  return survivors.length;
}
