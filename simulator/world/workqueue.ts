/**
 * Runs work by key: each key by one worker at a time, a key that is added while it runs is run once more afterwards,
 * and no more workers at once than told. A later run of a key can be asked for in advance; the soonest wins.
 */

export interface WorkQueue {
  add(key: string): void;
  /** Adds the key after `delayMs`, in place of an earlier appointment that is later. */
  addAfter(key: string, delayMs: number): void;
  /** Drops a key's appointment, e.g. because what it names is gone. */
  forget(key: string): void;
  /** Starts nothing more, and resolves when what runs has ended. */
  close(): Promise<void>;
}

/** Node cannot wait longer than 2^31-1 ms in one timer; what is due later is looked at then and put off again. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** `run` must not reject. */
export function createWorkQueue(concurrency: number, run: (key: string) => Promise<void>): WorkQueue {
  const waiting = new Set<string>();
  const running = new Map<string, Promise<void>>();
  const appointments = new Map<string, { timer: NodeJS.Timeout; dueAt: number }>();
  let isClosed = false;

  const start = (): void => {
    if (isClosed) return;
    for (const key of waiting) {
      if (running.size >= concurrency) return;
      if (running.has(key)) continue;
      waiting.delete(key);
      const work = run(key).finally(() => {
        running.delete(key);
        start();
      });
      running.set(key, work);
    }
  };
  const forget = (key: string): void => {
    clearTimeout(appointments.get(key)?.timer);
    appointments.delete(key);
  };
  const add = (key: string): void => {
    waiting.add(key);
    start();
  };
  return {
    add,
    addAfter(key, delayMs) {
      if (isClosed) return;
      const dueAt = performance.now() + delayMs;
      const known = appointments.get(key);
      if (known !== undefined && known.dueAt <= dueAt) return;
      forget(key);
      const timer = setTimeout(
        () => {
          appointments.delete(key);
          add(key);
        },
        Math.min(Math.max(0, delayMs), LONGEST_TIMER_MS),
      );
      appointments.set(key, { timer, dueAt });
    },
    forget,
    async close() {
      isClosed = true;
      for (const key of appointments.keys()) forget(key);
      waiting.clear();
      await Promise.all(running.values());
    },
  };
}
