/**
 * Watch streams: changes of one table from a revision on, filtered as the server filters them, with bookmarks, a
 * timeout and the 410 of a forgotten revision. Event driven: a stream that has nothing to say costs a timer.
 */
import type { Clock, Timer } from '../../engine/clock.ts';
import { ApiError } from '../../engine/kubernetes/types.ts';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { apiVersionOf } from './kinds.ts';
import type { Kind } from './kinds.ts';
import type { Matcher } from './selectors.ts';
import { expired } from './status.ts';
import type { Storage, StoredEvent } from './storage.ts';
import { eventLine, objectText } from './wire.ts';

/** A watcher that lets this many lines pile up is closed, as the real server closes slow ones. */
const MAX_PENDING_LINES = 100_000;

/** So long before a stream ends the server sends a last bookmark. */
const LAST_BOOKMARK_MS = 2_000;

export interface WatchRequest {
  kind: Kind;
  namespace: string | undefined;
  matches: Matcher;
  /** Undefined: start with what exists now. */
  since: number | undefined;
  wantsBookmarks: boolean;
  timeoutMs: number;
  signal: AbortSignal | undefined;
}

export interface WatchHub {
  open(request: WatchRequest): AsyncIterable<string>;
  /** Ends all streams (of one table), as a restarting server does. */
  closeAll(table?: string): void;
  /** Sends a bookmark now on every stream that asked for them. */
  sendBookmarks(): void;
  count(): number;
}

interface Stream {
  table: string;
  push(event: StoredEvent): void;
  bookmark(): void;
  end(error?: Error): void;
}

export function createWatchHub(clock: Clock, storage: Storage, bookmarkIntervalMs: () => number): WatchHub {
  const streams = new Set<Stream>();
  storage.subscribe(event => {
    for (const stream of streams) if (stream.table === event.table) stream.push(event);
  });
  return {
    open(request) {
      const queue = createQueue();
      const lines = lineMaker(request);
      const timers: Timer[] = [];
      const stream: Stream = {
        table: request.kind.table,
        push(event) {
          const line = lines(event);
          if (line !== undefined && !queue.push(line)) stream.end();
        },
        bookmark() {
          if (!request.wantsBookmarks) return;
          queue.push(eventLine('BOOKMARK', bookmarkText(request.kind, storage.revision())));
        },
        end(error) {
          streams.delete(stream);
          for (const timer of timers) timer.cancel();
          request.signal?.removeEventListener('abort', onAbort);
          queue.end(error);
        },
      };
      const onAbort = () => stream.end(new ApiError('aborted', 'the watch was aborted'));
      const missed = start(request, storage);
      if (!missed) {
        queue.push(eventLine('ERROR', JSON.stringify(tooOld(request, storage).status)));
        queue.end();
        return queue.lines(() => {});
      }
      for (const line of missed.lines) queue.push(line);
      for (const event of missed.events) stream.push(event);
      streams.add(stream);
      request.signal?.addEventListener('abort', onAbort);
      if (request.signal?.aborted) onAbort();
      timers.push(clock.setTimer(() => stream.end(), request.timeoutMs));
      const tick = () => {
        if (!streams.has(stream)) return;
        stream.bookmark();
        timers[1] = clock.setTimer(tick, bookmarkIntervalMs());
      };
      if (request.wantsBookmarks) {
        const lastMs = Math.max(0, request.timeoutMs - LAST_BOOKMARK_MS);
        timers.push(clock.setTimer(tick, bookmarkIntervalMs()));
        timers.push(clock.setTimer(() => stream.bookmark(), lastMs));
      }
      return queue.lines(() => stream.end());
    },
    closeAll(table) {
      for (const stream of streams) if (table === undefined || stream.table === table) stream.end();
    },
    sendBookmarks() {
      for (const stream of streams) stream.bookmark();
    },
    count: () => streams.size,
  };
}

function tooOld(request: WatchRequest, storage: Storage) {
  return expired(`too old resource version: ${request.since} (${storage.oldest(request.kind.table)})`);
}

/** What a new stream sends first, or undefined when its revision is forgotten. */
function start(
  request: WatchRequest,
  storage: Storage,
): { lines: string[]; events: StoredEvent[] } | undefined {
  const { kind, namespace, since } = request;
  if (since === undefined) {
    const objects = storage.list(kind.table, namespace).filter(request.matches);
    return { lines: objects.map(object => eventLine('ADDED', objectText(kind, object))), events: [] };
  }
  const events = storage.since(kind.table, since);
  return events && { lines: [], events };
}

/** Objects that come into or leave the selection are sent as added or deleted. */
function lineMaker(request: WatchRequest): (event: StoredEvent) => string | undefined {
  const { kind, namespace, matches } = request;
  const selected = (object: KubernetesObject | undefined) =>
    object !== undefined &&
    (namespace === undefined || object.metadata.namespace === namespace) &&
    matches(object);
  return event => {
    const isIn = event.type !== 'DELETED' && selected(event.object);
    const wasIn = selected(event.previous);
    if (!isIn && !wasIn) return undefined;
    if (isIn) return eventLine(wasIn ? 'MODIFIED' : 'ADDED', objectText(kind, event.object));
    if (event.type === 'DELETED') return eventLine('DELETED', objectText(kind, event.object));
    const last = event.previous ?? event.object;
    const metadata = { ...last.metadata, resourceVersion: String(event.revision) };
    return eventLine('DELETED', objectText(kind, { ...last, metadata }));
  };
}

function bookmarkText(kind: Kind, revision: number): string {
  return JSON.stringify({
    kind: kind.kind,
    apiVersion: apiVersionOf(kind),
    metadata: { resourceVersion: String(revision) },
  });
}

interface Queue {
  /** False when the reader is too slow. */
  push(line: string): boolean;
  end(error?: Error): void;
  lines(onLeave: () => void): AsyncIterable<string>;
}

/** One writer, one reader. What was pushed before a clean end is still read. */
function createQueue(): Queue {
  let pending: string[] = [];
  let isEnded = false;
  let failure: Error | undefined;
  let wake: (() => void) | undefined;
  const stir = () => {
    wake?.();
    wake = undefined;
  };
  async function* read(onLeave: () => void): AsyncGenerator<string> {
    try {
      for (;;) {
        if (failure) throw failure;
        if (pending.length > 0) {
          const chunk = pending.join('');
          pending = [];
          yield chunk;
        } else if (isEnded) return;
        else await new Promise<void>(resolve => (wake = resolve));
      }
    } finally {
      onLeave();
    }
  }
  return {
    push(line) {
      if (isEnded) return true;
      pending.push(line);
      stir();
      return pending.length < MAX_PENDING_LINES;
    },
    end(error) {
      if (isEnded) return;
      isEnded = true;
      failure = error;
      stir();
    },
    lines: onLeave => read(onLeave),
  };
}
