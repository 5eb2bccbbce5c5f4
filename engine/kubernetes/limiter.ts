/**
 * A token bucket in front of the API server: a safety net against a runaway loop, not a throttle. It never delays a
 * request that is marked urgent, and it tells whenever it delays another.
 */
import type { Clock } from '../clock.ts';
import { ApiError } from './types.ts';

export interface Limiter {
  /**
   * Resolves when a request may be sent. Urgent requests pass at once and still use a token.
   * Throws ApiError `aborted` when `signal` aborts, `tooManyRequests` when the wait would exceed the bound; in both cases nothing was sent.
   */
  acquire(urgent: boolean, signal?: AbortSignal): Promise<void>;
}

export interface LimiterOptions {
  clock: Clock;
  /** Sustained requests a second. */
  perSecond?: number;
  /** Requests that may go at once after a quiet time. */
  burst?: number;
  /** Called each time that a request is delayed or refused, with the wait. */
  onLimited?: (delayMs: number) => void;
}

/**
 * A step of 200 canaries that were released at once is 400 writes in one moment, and delays none of them; a loop without
 * backoff meets the limit within seconds.
 */
const DEFAULT_PER_SECOND = 500;
const DEFAULT_BURST = 2_000;
/** A longer queue than this only holds work that is out of date when its turn comes. */
const LONGEST_WAIT_MS = 30_000;

export function createLimiter(options: LimiterOptions): Limiter {
  const { clock, perSecond = DEFAULT_PER_SECOND, burst = DEFAULT_BURST, onLimited } = options;
  let tokens = burst;
  let filledAtMs = clock.now();

  function refill(): void {
    const nowMs = clock.now();
    // A clock that steps back gives nothing; it must not take tokens away.
    const elapsedMs = Math.max(0, nowMs - filledAtMs);
    tokens = Math.min(burst, tokens + (elapsedMs * perSecond) / 1000);
    filledAtMs = nowMs;
  }

  return {
    async acquire(urgent, signal) {
      refill();
      if (urgent) {
        tokens = Math.max(tokens - 1, -burst);
        return;
      }
      const delayMs = Math.max(0, ((1 - tokens) * 1000) / perSecond);
      if (delayMs > 0) onLimited?.(delayMs);
      if (delayMs > LONGEST_WAIT_MS) {
        throw new ApiError(
          'tooManyRequests',
          'the client-side limit on requests is exceeded; nothing was sent',
          {
            retryAfterMs: LONGEST_WAIT_MS,
          },
        );
      }
      tokens -= 1;
      if (delayMs === 0) return;
      await clock.sleep(delayMs, signal);
      if (signal?.aborted) throw new ApiError('aborted', 'aborted while waiting for the client-side limit');
    },
  };
}
