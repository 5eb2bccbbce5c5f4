/**
 * A controller's queue of object keys on a clock: one pending entry a key, the earliest time wins, a key that was
 * refused is tried again with growing delays. Nothing is polled.
 */
import type { Clock, Timer } from '../../engine/clock.ts';
import { StatusError } from '../api/status.ts';

export interface KeyQueue {
  /** Makes sure that the key is processed no later than `delayMs` from now. */
  add(key: string, delayMs?: number): void;
  stop(): void;
}

const FIRST_RETRY_MS = 100;
/** Real controllers back off to minutes; a simulated world that is repaired should notice sooner. */
const MAX_RETRY_MS = 30_000;

/** `latencyMs` is what a real controller needs from an event to its work: never 0, so that time passes in any loop. */
export function createKeyQueue(clock: Clock, latencyMs: number, process: (key: string) => void): KeyQueue {
  const pending = new Map<string, { dueMs: number; timer: Timer }>();
  const failures = new Map<string, number>();
  let isStopped = false;

  function run(key: string): void {
    pending.delete(key);
    if (isStopped) return;
    try {
      process(key);
      failures.delete(key);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      const count = (failures.get(key) ?? 0) + 1;
      failures.set(key, count);
      add(key, Math.min(FIRST_RETRY_MS * 2 ** (count - 1), MAX_RETRY_MS));
    }
  }

  function add(key: string, delayMs = latencyMs): void {
    if (isStopped) return;
    const dueMs = clock.now() + delayMs;
    const waiting = pending.get(key);
    if (waiting && waiting.dueMs <= dueMs) return;
    waiting?.timer.cancel();
    pending.set(key, { dueMs, timer: clock.setTimer(() => run(key), delayMs) });
  }

  return {
    add,
    stop() {
      isStopped = true;
      for (const { timer } of pending.values()) timer.cancel();
      pending.clear();
    },
  };
}
