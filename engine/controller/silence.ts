/**
 * Looks after the canaries that carry traffic while the scheduler is silent (Redis gone): the replica that holds the
 * Lease ticks them by its own clock, in the mode that only lowers or holds. It ends by itself when ticks can come again.
 */
import type { Clock } from '../clock.ts';
import type { Controller } from './controller.ts';
import type { Scheduler } from './scheduler.ts';

export interface SilenceParts {
  clock: Clock;
  scheduler: Pick<Scheduler, 'isHealthy'>;
  controller: Pick<Controller, 'carrying' | 'tick'>;
  isLeader(): boolean;
  log: { warn(fields: object, message: string): void; info(fields: object, message: string): void };
}

export interface SilenceWatch {
  /** Runs until the signal aborts. Never throws. */
  run(signal: AbortSignal): Promise<void>;
  /** Milliseconds for which the scheduler has been silent; 0 while it is not. */
  silentMs(): number;
}

const LOOK_MS = 1_000;
/** A restart of Redis takes seconds; a canary whose interval is long can wait for two of them. */
const SILENCE_MS = 30_000;
const INTERVALS = 2;

export function createSilenceWatch(parts: SilenceParts): SilenceWatch {
  const { clock, scheduler, controller, log } = parts;
  let since: number | undefined;
  const dueAt = new Map<string, number>();
  const running = new Set<string>();
  const silentMs = () => (since === undefined ? 0 : clock.now() - since);

  async function tick(key: string, signal: AbortSignal): Promise<void> {
    running.add(key);
    try {
      const delayMs = await controller.tick(key, signal, 'lowerOnly');
      dueAt.set(key, clock.now() + Math.max(LOOK_MS, delayMs ?? SILENCE_MS));
    } catch (error) {
      log.warn({ canary: key, error: String(error) }, 'a tick in silence failed');
      dueAt.set(key, clock.now() + SILENCE_MS);
    } finally {
      running.delete(key);
    }
  }

  function look(signal: AbortSignal): void {
    if (scheduler.isHealthy()) {
      if (silentMs() >= SILENCE_MS) log.info({}, 'the scheduler answers again');
      since = undefined;
      dueAt.clear();
      return;
    }
    since ??= clock.now();
    if (silentMs() < SILENCE_MS || !parts.isLeader()) return;
    for (const { key, intervalMs } of controller.carrying()) {
      const isDue = silentMs() >= INTERVALS * intervalMs && (dueAt.get(key) ?? 0) <= clock.now();
      if (!isDue || running.has(key)) continue;
      if (!dueAt.has(key))
        log.warn(
          { canary: key, silentMs: silentMs() },
          'the scheduler is silent; traffic is only lowered or held',
        );
      void tick(key, signal);
    }
  }

  return {
    silentMs,
    async run(signal) {
      while (!signal.aborted) {
        look(signal);
        await clock.sleep(LOOK_MS, signal);
      }
    },
  };
}
