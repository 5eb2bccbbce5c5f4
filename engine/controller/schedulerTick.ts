/**
 * What both schedulers do with one tick: run the handler, and turn whatever it does wrong into a delay. It never throws.
 */
import { RETRY_DELAY_MS, type TickHandler } from './scheduler.ts';

/** The part of a pino logger that the schedulers use: constant messages with fields. */
export interface SchedulerLog {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}

/** Ticks that run at once in one process, unless told otherwise: they mostly wait for the API server and for metrics. */
export const DEFAULT_CONCURRENCY = 50;

/** Milliseconds until the next tick, or undefined for none. */
export async function runTick(
  handler: TickHandler,
  key: string,
  signal: AbortSignal,
  log: SchedulerLog,
): Promise<number | undefined> {
  try {
    const delayMs = await handler(key, signal);
    if (delayMs === undefined) return undefined;
    if (Number.isNaN(delayMs)) throw new Error('the handler answered a delay that is not a number');
    return Math.max(0, delayMs);
  } catch (error) {
    log.error({ canary: key, error: error instanceof Error ? error.stack : String(error) }, 'tick failed');
    return RETRY_DELAY_MS;
  }
}
