/**
 * The weakest scheduler that the contract in `engine/controller/scheduler.ts` allows: it loses, delays, repeats and
 * reorders ticks, and runs one canary on two workers at once. It is not a model of BullMQ, which is proved by the
 * contract's own suite; an engine that is right under this one is right under either of the real ones.
 */
import type { Clock, Timer } from '../../engine/clock.ts';
import type { Scheduler, TickHandler } from '../../engine/controller/scheduler.ts';
import { RETRY_DELAY_MS } from '../../engine/controller/scheduler.ts';
import type { TickFault, WakeFault } from './strikes.ts';

export interface WeakSchedulerOptions {
  clock: Clock;
  onTick(): TickFault | undefined;
  onWake(): WakeFault | undefined;
  /** A tick threw: a mistake in the program. */
  onBroken(key: string, error: unknown): void;
}

export function createWeakScheduler(options: WeakSchedulerOptions): Scheduler {
  const { clock } = options;
  const pending = new Map<string, { dueMs: number; timer: Timer }>();
  const running = new Map<string, number>();
  const dirty = new Set<string>();
  let handler: TickHandler | undefined;
  let stopping: AbortController | undefined;

  function schedule(key: string, delayMs: number): void {
    const dueMs = clock.now() + delayMs;
    pending.get(key)?.timer.cancel();
    const timer = clock.setTimer(() => {
      pending.delete(key);
      due(key);
    }, delayMs);
    pending.set(key, { dueMs, timer });
  }

  function due(key: string): void {
    if (!handler || !stopping || stopping.signal.aborted) return;
    const fault = options.onTick();
    switch (fault?.how) {
      case 'lost':
        return;
      case 'late':
        return schedule(key, fault.forMs);
      case 'twice':
        return void run(key, handler, stopping.signal).then(() => schedule(key, 0));
      case 'parallel':
        void run(key, handler, stopping.signal);
        return void run(key, handler, stopping.signal);
      case undefined:
        if ((running.get(key) ?? 0) > 0) {
          dirty.add(key);
          return;
        }
        void run(key, handler, stopping.signal);
    }
  }

  async function run(key: string, tick: TickHandler, signal: AbortSignal): Promise<void> {
    running.set(key, (running.get(key) ?? 0) + 1);
    const delayMs = await tick(key, signal).catch((error: unknown) => {
      options.onBroken(key, error);
      return RETRY_DELAY_MS;
    });
    const left = (running.get(key) ?? 1) - 1;
    if (left > 0) running.set(key, left);
    else running.delete(key);
    if (signal.aborted) return;
    if (dirty.delete(key)) schedule(key, 0);
    else if (delayMs !== undefined) schedule(key, Math.max(0, delayMs));
  }

  return {
    async start(tick) {
      handler = tick;
      stopping = new AbortController();
      for (const [key, { dueMs }] of pending) schedule(key, Math.max(0, dueMs - clock.now()));
    },
    wake(key) {
      const fault = options.onWake();
      if (fault?.how === 'lost') return;
      if ((running.get(key) ?? 0) > 0 && !fault) dirty.add(key);
      else schedule(key, fault ? fault.forMs : 0);
    },
    async ensure(wanted) {
      for (const [key, { timer }] of pending) {
        if (wanted.has(key)) continue;
        timer.cancel();
        pending.delete(key);
      }
      for (const [key, dueMs] of wanted) {
        const known = pending.get(key);
        if (running.has(key) || (known && known.dueMs <= dueMs)) continue;
        schedule(key, Math.max(0, dueMs - clock.now()));
      }
    },
    async stop() {
      stopping?.abort();
      for (const { timer } of pending.values()) timer.cancel();
      pending.clear();
    },
    isHealthy: () => true,
  };
}
