/**
 * Turns at a provider that all canaries share: so many a second, in the order in which they were asked for. Whoever has
 * to wait keeps his place and comes back. It holds times only.
 */

/** One place in the row; whoever asks keeps it. */
export interface Turn {
  /** Milliseconds since the epoch; undefined: none is kept. */
  at: number | undefined;
}

export interface Turns {
  /** Milliseconds until it is this one's turn; 0: now, and the place is given up. `count`: how many it takes at once. */
  waitMs(turn: Turn, count?: number): number;
  /** Nobody waits. */
  isFree(): boolean;
}

/** A row that is longer was made by a clock that has been set back. */
const ROW_MS_MAX = 120_000;

export function createTurns(now: () => number, perSecond: number): Turns {
  let nextAt = 0;
  return {
    waitMs(turn, count = 1) {
      const at = now();
      if (turn.at === undefined) {
        if (nextAt - at > ROW_MS_MAX) nextAt = at;
        turn.at = Math.max(at, nextAt);
        nextAt = turn.at + (count * 1_000) / perSecond;
      }
      const leftMs = turn.at - at;
      if (leftMs > 0 && leftMs <= ROW_MS_MAX) return leftMs;
      turn.at = undefined;
      return 0;
    },
    isFree: () => nextAt <= now(),
  };
}
