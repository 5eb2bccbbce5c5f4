/**
 * The scheduler of a single active replica: timers in memory and nothing else. It forgets everything when the process
 * ends, which is no loss, because resync asks for what is needed. It never runs two ticks of one canary at once.
 */
import type { Clock, Timer } from '../clock.ts';
import type { Scheduler, TickHandler } from './scheduler.ts';
import { DEFAULT_CONCURRENCY, runTick, type SchedulerLog } from './schedulerTick.ts';

export interface InProcessOptions {
  clock: Clock;
  log: SchedulerLog;
  /** Ticks that run at once. */
  concurrency?: number;
}

interface Waiting {
  dueMs: number;
  timer: Timer;
}

interface Running {
  controller: AbortController;
  /** A wake came while the tick was running: another tick has to follow at once. */
  isDirty: boolean;
}

/** Longer than any delay that a decision answers, and far below the longest timer of Node (2^31 - 1 ms), which would cut it short. */
const LONGEST_TIMER_MS = 24 * 60 * 60 * 1000;

/** A key is in at most one of `waiting`, `ready` and `running`: that is what bounds them by the number of canaries. */
interface State {
  waiting: Map<string, Waiting>;
  ready: Set<string>;
  running: Map<string, Running>;
  handler: TickHandler | undefined;
  isStopped: boolean;
  /** Called when the last running tick has ended. */
  onIdle: (() => void) | undefined;
}

export function createInProcessScheduler(options: InProcessOptions): Scheduler {
  const { clock, log, concurrency = DEFAULT_CONCURRENCY } = options;
  const state: State = {
    waiting: new Map(),
    ready: new Set(),
    running: new Map(),
    handler: undefined,
    isStopped: false,
    onIdle: undefined,
  };
  const { waiting, ready, running } = state;
  let isPumpPending = false;

  function unschedule(key: string): void {
    waiting.get(key)?.timer.cancel();
    waiting.delete(key);
  }

  function schedule(key: string, delayMs: number): void {
    unschedule(key);
    const dueMs = clock.now() + delayMs;
    const wait = (restMs: number): void => {
      const timer = clock.setTimer(
        () => (restMs > LONGEST_TIMER_MS ? wait(restMs - LONGEST_TIMER_MS) : makeReady(key)),
        Math.min(restMs, LONGEST_TIMER_MS),
      );
      waiting.set(key, { dueMs, timer });
    };
    wait(delayMs);
  }

  function makeReady(key: string): void {
    unschedule(key);
    ready.add(key);
    pumpSoon();
  }

  /** Never inside the caller's stack: who wakes a canary must not find its tick running before the call returns. */
  function pumpSoon(): void {
    if (isPumpPending) return;
    isPumpPending = true;
    queueMicrotask(() => {
      isPumpPending = false;
      for (const key of ready) {
        if (!state.handler || state.isStopped || running.size >= concurrency) return;
        ready.delete(key);
        void run(state.handler, key);
      }
    });
  }

  async function run(handler: TickHandler, key: string): Promise<void> {
    const current: Running = { controller: new AbortController(), isDirty: false };
    running.set(key, current);
    const delayMs = await runTick(handler, key, current.controller.signal, log);
    running.delete(key);
    if (state.isStopped) {
      if (running.size === 0) state.onIdle?.();
      return;
    }
    if (current.isDirty || delayMs === 0) ready.add(key);
    else if (delayMs !== undefined) schedule(key, delayMs);
    pumpSoon();
  }

  return {
    async start(tick) {
      if (state.handler) throw new Error('the scheduler was started before');
      state.handler = tick;
      pumpSoon();
    },
    wake(key) {
      if (state.isStopped) return;
      const current = running.get(key);
      if (current) current.isDirty = true;
      else makeReady(key);
    },
    async ensure(due) {
      if (state.isStopped) return;
      // A woken key stays even if it is not listed: the list may be older than the wake, and a tick too many is harmless.
      for (const key of waiting.keys()) if (!due.has(key)) unschedule(key);
      const nowMs = clock.now();
      for (const [key, dueMs] of due) {
        if (running.has(key) || ready.has(key)) continue;
        const pending = waiting.get(key);
        if (pending && pending.dueMs <= dueMs) continue;
        if (dueMs <= nowMs) makeReady(key);
        else schedule(key, dueMs - nowMs);
      }
    },
    async stop(graceMs) {
      if (state.isStopped) return;
      state.isStopped = true;
      for (const key of waiting.keys()) unschedule(key);
      ready.clear();
      if (running.size === 0) return;
      const graceEnd = new AbortController();
      state.onIdle = () => graceEnd.abort();
      await clock.sleep(graceMs, graceEnd.signal);
      for (const { controller } of running.values()) controller.abort();
    },
    isHealthy: () => !state.isStopped,
  };
}
