/** A seeded source of numbers, uids and name suffixes: equal seeds give equal runs. Not for secrets. */

export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** A UUID of version 4. */
  uid(): string;
  /** `length` letters from the alphabet that Kubernetes uses for generated names. */
  suffix(length: number): string;
}

/** Without vowels and look-alikes, as in apimachinery's `rand`. */
export const SAFE_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

/** Mulberry32: small, fast, and good enough to spread names. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const hex = (length: number) => {
    let text = '';
    while (text.length < length) text += Math.floor(next() * 16).toString(16);
    return text;
  };
  return {
    next,
    uid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-${'89ab'.charAt(Math.floor(next() * 4))}${hex(3)}-${hex(12)}`,
    suffix(length) {
      let text = '';
      while (text.length < length) text += SAFE_ALPHABET.charAt(Math.floor(next() * SAFE_ALPHABET.length));
      return text;
    },
  };
}
