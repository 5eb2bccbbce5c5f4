/**
 * Bounds one call in time on the engine's clock. It ends the wait even when the transport ignores the signal, so that
 * no caller ever hangs on one.
 */
import type { Clock } from '../clock.ts';
import { ApiError } from './types.ts';

export interface Deadline {
  /** Aborts at the deadline, when the caller's signal aborts, or by `abort`. */
  readonly signal: AbortSignal;
  /** `promise`, or an ApiError of kind `timeout` or `aborted`, whichever is first. */
  race<T>(promise: Promise<T>): Promise<T>;
  /** From now on only the caller's signal counts. */
  disarm(): void;
  /** Ends whatever still listens to `signal`, and lets go of the caller's. */
  abort(): void;
  /** Takes back the timer and the listeners; `signal` stays as it is. */
  release(): void;
}

export function createDeadline(
  clock: Clock,
  deadlineMs: number,
  what: string,
  outer?: AbortSignal,
): Deadline {
  const controller = new AbortController();
  let failure: ApiError | undefined;
  let rejectPending: ((error: ApiError) => void) | undefined;

  function fail(error: ApiError): void {
    if (failure) return;
    failure = error;
    controller.abort(error);
    rejectPending?.(error);
  }
  const onOuterAbort = () => fail(new ApiError('aborted', `${what}: aborted by the caller`));
  const timer = clock.setTimer(
    () => fail(new ApiError('timeout', `${what}: no answer within ${deadlineMs} ms`)),
    deadlineMs,
  );
  if (outer?.aborted) onOuterAbort();
  else outer?.addEventListener('abort', onOuterAbort);

  function release(): void {
    timer.cancel();
    outer?.removeEventListener('abort', onOuterAbort);
  }

  return {
    signal: controller.signal,
    race(promise) {
      return new Promise((resolve, reject) => {
        if (failure) {
          promise.catch(() => {});
          reject(failure);
          return;
        }
        rejectPending = reject;
        promise.then(resolve, error => reject(failure ?? error));
      });
    },
    disarm: () => timer.cancel(),
    abort() {
      release();
      fail(new ApiError('aborted', `${what}: ended`));
    },
    release,
  };
}
