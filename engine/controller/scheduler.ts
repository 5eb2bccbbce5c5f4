/**
 * The clock of the engine: at most one pending tick for each canary, and never two running ticks of one canary in one
 * process. A scheduler holds times, never the truth: it may lose, repeat, delay or reorder ticks, and the engine must
 * still be right (resync heals what was lost).
 */
export interface Scheduler {
  /** Sets what runs on a tick. Called once, before `start`. The answer is when to tick next, or undefined for never (until woken). */
  start(tick: TickHandler): Promise<void>;
  /** Makes sure that a tick of this canary runs at once; one that is running now is followed by another. */
  wake(key: string): void;
  /**
   * Makes sure that a tick is pending for each of these canaries, no later than its time (milliseconds since the
   * epoch), and drops what is pending for canaries that are not listed here. Called by resync.
   */
  ensure(due: ReadonlyMap<string, number>): Promise<void>;
  /** Stops taking ticks, waits for running ones at most `graceMs`. */
  stop(graceMs: number): Promise<void>;
  /** False when ticks cannot be expected to arrive (Redis silent). */
  isHealthy(): boolean;
}

/**
 * `key` is `<namespace>/<name>` of a Canary and the only thing that a tick carries. Resolves to the delay in
 * milliseconds until the next tick, or undefined for none. Must not throw; if it does, the scheduler logs and ticks
 * again after `RETRY_DELAY_MS`.
 */
export type TickHandler = (key: string, signal: AbortSignal) => Promise<number | undefined>;

/** After a tick that threw (a programmer error that was logged): long enough not to spin, short enough not to lose a rollback. */
export const RETRY_DELAY_MS = 5_000;
