/**
 * Decisions whose writes ended in doubt: a lost reply, or a route write that met a newer route after the status had been
 * written. Their transitions may stand in the status all the same, and are handed out once an observation shows them.
 */
import type { CanaryStatus, Transition } from '../api/status.ts';

export interface Landed {
  /** The writes of a decision with these transitions did not all succeed. */
  doubt(canaryUid: string, transitions: readonly Transition[]): void;
  /** Those in doubt that this status holds. They are forgotten, and so are those that it has gone past without. */
  of(canaryUid: string, status: CanaryStatus): Transition[];
}

/** Canaries at once whose writes are in doubt: an API server that answers nobody leaves one for each of them. */
const CANARIES_MAX = 10_000;
/** Tries of one canary that are remembered; each is made on the same or a newer status than the one before. */
const DOUBTS_MAX = 24;

export function createLanded(): Landed {
  const doubts = new Map<string, Transition[]>();

  return {
    doubt(uid, transitions) {
      if (transitions.length === 0) return;
      const known = doubts.get(uid) ?? [];
      doubts.set(uid, [...known, ...transitions].slice(-DOUBTS_MAX));
      if (doubts.size > CANARIES_MAX) doubts.delete(doubts.keys().next().value!);
    },
    of(uid, status) {
      const known = doubts.get(uid);
      if (!known) return [];
      const last = status.transitions?.at(-1)?.number ?? 0;
      const open = known.filter(one => one.number > last);
      if (open.length > 0) doubts.set(uid, open);
      else doubts.delete(uid);
      return known.filter(one => status.transitions?.some(written => isSame(written, one)));
    },
  };
}

/** Two replicas may give the same number to different transitions; only one of them is written. */
function isSame(a: Transition, b: Transition): boolean {
  return a.number === b.number && a.at === b.at && a.reason === b.reason && a.message === b.message;
}
