/**
 * The one way in which the engine learns the time and waits. Nothing in the engine calls `Date.now` or
 * `setTimeout` by itself, so that a simulation can run the whole engine on a virtual clock.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch. May step (NTP); never used to order writes. */
  now(): number;
  /** Runs `callback` once, after at least `delayMs`. */
  setTimer(callback: () => void, delayMs: number): Timer;
  /** Resolves after at least `delayMs`, or at once when `signal` aborts (it then resolves too; look at the signal). */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

export interface Timer {
  cancel(): void;
}

/** Node cannot wait longer than 2^31-1 ms in one timer; longer waits would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  setTimer(callback, delayMs) {
    const handle = setTimeout(callback, Math.min(Math.max(0, delayMs), LONGEST_TIMER_MS));
    return { cancel: () => clearTimeout(handle) };
  },
  sleep(delayMs, signal) {
    return new Promise(resolve => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(handle);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const handle = setTimeout(done, Math.min(Math.max(0, delayMs), LONGEST_TIMER_MS));
      signal?.addEventListener('abort', done);
    });
  },
};
