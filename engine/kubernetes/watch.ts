/**
 * Keeps one list-and-watch alive for ever, as a state machine: list, then watch from the list's version, resume from
 * the last version that was seen whatever ends the watch, list again only when the server says that the version is
 * gone. Every error is a state; none ends it. It keeps no objects.
 */
import type { Clock, Timer } from '../clock.ts';
import {
  type ApiClient,
  ApiError,
  type ListOptions,
  type ObjectList,
  type ResourceType,
  type WatchEvent,
} from './types.ts';

/**
 * - `listing`, `watching`: in order.
 * - `backingOff`: the server or the network failed; tried again after `retryAfterMs`.
 * - `forbidden`, `unauthorized`, `missing` (the type is not served): somebody must act; tried again at a slow pace.
 */
export type WatchState =
  | { phase: 'stopped' | 'listing' | 'watching' }
  | { phase: 'backingOff' | 'forbidden' | 'unauthorized' | 'missing'; error: ApiError; retryAfterMs: number };

/** Receives what the watch learns, synchronously and in order. Must not throw. */
export interface WatchSink {
  /** The complete set of objects at `list.resourceVersion`. */
  listed(list: ObjectList): void;
  event(event: WatchEvent): void;
}

export interface WatcherOptions {
  clock: Clock;
  /** Uniform in [0, 1). */
  random: () => number;
  namespace?: string;
  labelSelector?: string;
  onState?: (state: WatchState) => void;
}

export interface Watcher {
  start(): void;
  /** Resolves when no request is in flight any more. The sink is not called after `stop` was called. */
  stop(): Promise<void>;
  state(): WatchState;
}

/** The server ends the watch after this long; jittered, so that the watches of a process do not renew together. */
const WATCH_LEAST_SECONDS = 280;
const WATCH_JITTER_SECONDS = 20;
/** Bookmarks come about every 60 s: silence longer than this is a dead connection, noticed before the cache counts as stale (90 s). */
const IDLE_MS = 80_000;
const FIRST_BACKOFF_MS = 500;
const LONGEST_BACKOFF_MS = 30_000;
/** For errors that only a person can mend. */
const SLOW_RETRY_MS = 10_000;
/** An API server that has just started refuses everybody for a second or two, until it has read who may do what. */
const QUICK_REFUSALS = 3;
/** One that broke after as long as this was whole before: a quiet one shows no event by which to tell. */
const HEALTHY_WATCH_MS = 5_000;
/** A watch that the server closes sooner than this without an event is a failure, or it would spin. */
const SHORTEST_HEALTHY_WATCH_MS = 1_000;

const slowPhases: Partial<Record<string, 'forbidden' | 'unauthorized' | 'missing'>> = {
  forbidden: 'forbidden',
  unauthorized: 'unauthorized',
  notFound: 'missing',
};

type Ending = 'closed' | 'closedEarly' | 'idle';

export function createWatcher(
  client: ApiClient,
  type: ResourceType,
  sink: WatchSink,
  options: WatcherOptions,
): Watcher {
  const { clock, random, namespace, labelSelector, onState } = options;
  let state: WatchState = { phase: 'stopped' };
  let running: { controller: AbortController; done: Promise<void> } | undefined;

  function become(next: WatchState): void {
    state = next;
    onState?.(next);
  }

  const selector: ListOptions = labelSelector ? { labelSelector } : {};

  async function run(signal: AbortSignal): Promise<void> {
    let version: string | undefined;
    let failures = 0;
    let refusals = 0;
    let idleInARow = 0;

    /** One watch request. Moves `version` with each event. */
    async function watchOnce(from: string): Promise<Ending> {
      const controller = new AbortController();
      const onStop = () => controller.abort();
      signal.addEventListener('abort', onStop);
      let isIdle = false;
      let eventCount = 0;
      let idleTimer: Timer;
      const armIdle = () => {
        idleTimer = clock.setTimer(() => {
          isIdle = true;
          controller.abort();
        }, IDLE_MS);
      };
      armIdle();
      const openedAtMs = clock.now();
      const timeoutSeconds = WATCH_LEAST_SECONDS + Math.floor(random() * WATCH_JITTER_SECONDS);
      try {
        const stream = client.watch(type, namespace, from, {
          ...selector,
          timeoutSeconds,
          signal: controller.signal,
        });
        for await (const event of stream) {
          if (signal.aborted || isIdle) break;
          idleTimer!.cancel();
          armIdle();
          eventCount++;
          failures = 0;
          idleInARow = 0;
          sink.event(event);
          version =
            event.type === 'BOOKMARK'
              ? event.resourceVersion
              : (event.object.metadata.resourceVersion ?? version);
        }
      } catch (error) {
        if (clock.now() - openedAtMs >= HEALTHY_WATCH_MS) failures = 0;
        if (!isIdle) throw error;
      } finally {
        idleTimer!.cancel();
        signal.removeEventListener('abort', onStop);
        controller.abort();
      }
      if (isIdle) return 'idle';
      const isEarly = eventCount === 0 && clock.now() - openedAtMs < SHORTEST_HEALTHY_WATCH_MS;
      if (isEarly) return 'closedEarly';
      failures = 0;
      return 'closed';
    }

    function backoffMs(error: ApiError): number {
      const ceiling = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(failures, 10));
      failures++;
      const asked = Math.min(error.retryAfterMs ?? 0, LONGEST_BACKOFF_MS);
      return Math.max(asked, random() * ceiling);
    }

    async function recover(thrown: unknown): Promise<void> {
      const error = thrown instanceof ApiError ? thrown : new ApiError('network', String(thrown));
      if (error.kind === 'gone') {
        version = undefined;
        // The first time the list follows at once; a server that keeps saying so is backed off from.
        if (failures++ === 0) return;
      }
      const slowPhase = slowPhases[error.kind];
      refusals = error.kind === 'forbidden' ? refusals + 1 : 0;
      const isSlow = slowPhase !== undefined && (refusals === 0 || refusals > QUICK_REFUSALS);
      const retryAfterMs = isSlow ? SLOW_RETRY_MS * (0.9 + 0.2 * random()) : backoffMs(error);
      // A type that came back may have lost everything; the old version means nothing there.
      if (slowPhase === 'missing') version = undefined;
      become({ phase: slowPhase ?? 'backingOff', error, retryAfterMs });
      await clock.sleep(retryAfterMs, signal);
    }

    while (!signal.aborted) {
      try {
        if (version === undefined) {
          become({ phase: 'listing' });
          const list = await client.list(type, namespace, { ...selector, signal });
          if (signal.aborted) break;
          sink.listed(list);
          version = list.resourceVersion;
        }
        become({ phase: 'watching' });
        const ending = await watchOnce(version);
        if (signal.aborted) break;
        if (ending === 'closedEarly') throw new ApiError('server', 'the server closed the watch at once');
        // A silent watch is resumed once; silent again, only a list can tell whether the server still knows of changes.
        if (ending === 'idle' && ++idleInARow >= 2) {
          idleInARow = 0;
          version = undefined;
        }
      } catch (error) {
        if (signal.aborted) break;
        await recover(error);
      }
    }
  }

  return {
    start() {
      if (running) return;
      const controller = new AbortController();
      running = { controller, done: run(controller.signal) };
    },
    async stop() {
      if (!running) return;
      const { controller, done } = running;
      running = undefined;
      controller.abort();
      await done;
      if (!running) become({ phase: 'stopped' });
    },
    state: () => state,
  };
}
