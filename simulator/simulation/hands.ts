/**
 * Whose hand is on the API server at this moment. Writes in memory are synchronous, so that a checker that hears of a
 * change can be told who made it, and from which knowledge.
 */
export interface Hand {
  who: 'engine' | 'user' | 'gitops' | 'stranger' | 'cluster';
  /** Index of the engine. */
  engine?: number;
  /** When the engine asked for it; the write may land much later. */
  askedAtMs: number;
  /** The engine's caches showed everything that had happened up to here when it asked for the first of the chain. */
  knewAtMs: number;
  /** Up to here of what a raise rests on (canaries, routes, workloads, pods, endpoints) when it asked for this one. */
  sawAtMs?: number;
  /** Writes that were asked one upon the other, as those of one decision are, have the same. */
  chain?: string;
  /** Of a status: the version that it is written over, and the newest that this process had been answered with. */
  over?: { version: number; answered: number };
}

export interface Hands {
  current(): Hand;
  as<Result>(hand: Hand, work: () => Result): Result;
  /** By somebody who acts at once and knows everything. */
  by<Result>(who: Hand['who'], work: () => Result): Result;
}

export function createHands(now: () => number): Hands {
  let hand: Hand | undefined;
  function as<Result>(next: Hand, work: () => Result): Result {
    const before = hand;
    hand = next;
    try {
      return work();
    } finally {
      hand = before;
    }
  }
  const at = (who: Hand['who']): Hand => ({ who, askedAtMs: now(), knewAtMs: now() });
  return {
    current: () => hand ?? at('cluster'),
    as,
    by: (who, work) => as(at(who), work),
  };
}
