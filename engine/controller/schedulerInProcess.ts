/**
 * The scheduler without Redis: one timer for each canary that has something to wait for, one queue for those that are
 * due, a bounded number of ticks at a time. A canary that needs nothing has no entry at all.
 */
import type { Clock, Timer } from '../clock.ts';
import { RETRY_DELAY_MS, type Scheduler, type TickHandler } from './scheduler.ts';

export interface InProcessOptions {
  clock: Clock;
  /** Ticks that may run at the same time; they mostly wait for the API server. */
  concurrency?: number;
  onError: (key: string, error: unknown) => void;
}

interface Entry {
  dueAt: number;
  timer: Timer | undefined;
  isRunning: boolean;
  /** A wake came while the tick ran: run once more. */
  isDirty: boolean;
}

export function createInProcessScheduler(options: InProcessOptions): Scheduler {
  const { clock, concurrency = 50 } = options;
  const entries = new Map<string, Entry>();
  const ready = new Set<string>();
  const stopping = new AbortController();
  let handler: TickHandler | undefined;
  let runningCount = 0;
  const idleWaiters: (() => void)[] = [];

  function arm(key: string, dueAt: number): void {
    const entry = entries.get(key) ?? {
      dueAt: Number.POSITIVE_INFINITY,
      timer: undefined,
      isRunning: false,
      isDirty: false,
    };
    entries.set(key, entry);
    entry.timer?.cancel();
    entry.dueAt = dueAt;
    const delayMs = dueAt - clock.now();
    if (delayMs <= 0) {
      entry.timer = undefined;
      ready.add(key);
      pump();
    } else {
      entry.timer = clock.setTimer(() => {
        ready.add(key);
        pump();
      }, delayMs);
    }
  }

  function pump(): void {
    if (!handler || stopping.signal.aborted) return;
    for (const key of ready) {
      if (runningCount >= concurrency) return;
      const entry = entries.get(key);
      ready.delete(key);
      if (!entry) continue;
      if (entry.isRunning) entry.isDirty = true;
      else void run(key, entry, handler);
    }
  }

  async function run(key: string, entry: Entry, tick: TickHandler): Promise<void> {
    entry.isRunning = true;
    entry.timer?.cancel();
    entry.timer = undefined;
    entry.dueAt = Number.POSITIVE_INFINITY;
    runningCount++;
    let delayMs: number | undefined;
    try {
      delayMs = await tick(key, stopping.signal);
    } catch (error) {
      options.onError(key, error);
      delayMs = RETRY_DELAY_MS;
    }
    entry.isRunning = false;
    runningCount--;
    if (entry.isDirty) {
      entry.isDirty = false;
      arm(key, clock.now());
    } else if (delayMs !== undefined && !stopping.signal.aborted) {
      arm(key, clock.now() + delayMs);
    } else if (entries.get(key) === entry) {
      entries.delete(key);
    }
    if (runningCount === 0) for (const wake of idleWaiters.splice(0)) wake();
    pump();
  }

  return {
    async start(tick) {
      handler = tick;
      pump();
    },
    wake(key) {
      if (stopping.signal.aborted) return;
      const entry = entries.get(key);
      if (entry?.isRunning) entry.isDirty = true;
      else arm(key, clock.now());
    },
    async ensure(due) {
      for (const [key, entry] of entries) {
        if (due.has(key) || entry.isRunning) continue;
        entry.timer?.cancel();
        ready.delete(key);
        entries.delete(key);
      }
      for (const [key, dueAt] of due) {
        const entry = entries.get(key);
        if (entry?.isRunning || (entry && entry.dueAt <= dueAt)) continue;
        arm(key, dueAt);
      }
    },
    async stop(graceMs) {
      stopping.abort();
      for (const entry of entries.values()) entry.timer?.cancel();
      if (runningCount === 0) return;
      const done = new Promise<void>(resolve => idleWaiters.push(resolve));
      await Promise.race([done, clock.sleep(graceMs)]);
    },
    isHealthy: () => !stopping.signal.aborted,
  };
}
