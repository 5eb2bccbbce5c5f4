/** How many requests clients have sent to one apex Service by a given moment. Pure; bursts come in a fixed rhythm. */
import type { TrafficKind } from './plan.ts';

export const STEADY_PER_SECOND = 20;
/** One request in half a minute: fewer than checks. */
const SPARSE_PER_SECOND = 1 / 30;
const BURST_PER_SECOND = 80;
const BURST_MS = 20_000;
const BURST_EVERY_MS = 90_000;

/** Requests between two moments, milliseconds from the start; not a whole number. */
export function requestsBetween(kind: TrafficKind, fromMs: number, toMs: number): number {
  switch (kind) {
    case 'zero':
      return 0;
    case 'steady':
      return ((toMs - fromMs) / 1_000) * STEADY_PER_SECOND;
    case 'sparse':
      return ((toMs - fromMs) / 1_000) * SPARSE_PER_SECOND;
    case 'bursty':
      return ((burstMs(toMs) - burstMs(fromMs)) / 1_000) * BURST_PER_SECOND;
  }
}

/** Time spent in bursts up to this moment. */
function burstMs(atMs: number): number {
  const whole = Math.floor(atMs / BURST_EVERY_MS);
  return whole * BURST_MS + Math.min(BURST_MS, atMs - whole * BURST_EVERY_MS);
}
