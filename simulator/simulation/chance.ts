/**
 * The one seeded stream of chance that a simulation draws from, and its forks: a fork is named, so that one more draw
 * in one part of the simulation does not change what another part draws. It never looks at a clock or at real entropy.
 */
import { createHash } from 'node:crypto';
import { createRandom } from '../api/random.ts';

export interface Chance {
  /** Uniform in [0, 1). */
  next(): number;
  /** A whole number from `least` to `most`, both included. */
  whole(least: number, most: number): number;
  /** Like `whole`, but small values are as likely as large ones: uniform in the logarithm. `least` is at least 1. */
  spread(least: number, most: number): number;
  happens(probability: number): boolean;
  pick<Value>(values: readonly Value[]): Value;
  /** An independent stream that depends on this one's seed and on the name only. */
  fork(name: string): Chance;
}

function seedOf(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32LE(0);
}

export function createChance(name: string): Chance {
  const random = createRandom(seedOf(name));
  const { next } = random;
  return {
    next,
    whole: (least, most) => least + Math.floor(next() * (most - least + 1)),
    spread: (least, most) => Math.round(least * (most / least) ** next()),
    happens: probability => next() < probability,
    pick(values) {
      const value = values[Math.floor(next() * values.length)];
      if (value === undefined) throw new Error('nothing to pick from');
      return value;
    },
    fork: part => createChance(`${name}/${part}`),
  };
}
