/**
 * Bounds what one replica writes about one canary. Two replicas whose caches differ may undo each other's decisions, each
 * write of one waking the other: what is carried out over a decision of somebody else counts double. It never holds back
 * what takes traffic away, decides nothing, and keeps only numbers.
 */
import { type Decision, isTakeAway } from '../core/decision.ts';
import type { Observation } from '../core/observation.ts';

export interface Pace {
  /** Milliseconds until this decision may be carried out; 0: now, and it is counted. */
  waitMs(key: string, observation: Observation, decision: Decision): number;
}

/** Decisions at once: an adoption, or a whole promotion. */
const BURST_MAX = 30;
/** The busiest run that a spec allows makes a check, and a step after it, every 2 s. */
const REFILL_MS = 1_000;
const OWN_COST = 1;
/** Two replicas that argue make together no more than one alone may. */
const OTHERS_COST = 2;
/** One that is gone may come back under its name at once, and is kept; the one that did nothing for longest goes. */
const CANARIES_MAX = 10_000;

interface Bucket {
  left: number;
  atMs: number;
  /** The highest epoch of this replica's last decision. */
  epoch: number;
}

/** @param now the replica's clock, milliseconds */
export function createPace(now: () => number): Pace {
  const buckets = new Map<string, Bucket>();

  function keep(key: string, bucket: Bucket): void {
    buckets.delete(key);
    buckets.set(key, bucket);
    if (buckets.size > CANARIES_MAX) buckets.delete(buckets.keys().next().value!);
  }

  return {
    waitMs(key, observation, decision) {
      if (decision.actions.length === 0) return 0;
      const atMs = now();
      const seen = Math.max(observation.status.epoch ?? 0, observation.route?.stamp.epoch ?? 0);
      const before = buckets.get(key) ?? { left: BURST_MAX, atMs, epoch: seen };
      const passedMs = Math.max(0, atMs - before.atMs);
      const left = Math.min(BURST_MAX, before.left + passedMs / REFILL_MS);
      const cost = seen === before.epoch ? OWN_COST : OTHERS_COST;
      if (left < cost && !isTakeAway(observation, decision)) {
        keep(key, { ...before, left, atMs });
        return Math.ceil((cost - left) * REFILL_MS);
      }
      keep(key, { left: Math.max(0, left - cost), atMs, epoch: Math.max(seen, epochOf(decision)) });
      return 0;
    },
  };
}

function epochOf({ actions }: Decision): number {
  return Math.max(
    0,
    ...actions.map(one =>
      one.kind === 'status' ? (one.status.epoch ?? 0) : one.kind === 'route' ? one.stamp.epoch : 0,
    ),
  );
}
