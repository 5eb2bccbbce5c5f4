/**
 * The watch streams between one engine and the API server: they may stall, break or repeat themselves, and they know
 * up to which moment the engine has been told everything. They never change what an event says.
 */
import type { Clock } from '../../engine/clock.ts';
import { ApiError } from '../../engine/kubernetes/types.ts';
import type { Process } from './process.ts';

export interface Streams {
  /** Wraps the chunks of one watch. `cut` ends the stream at the server, `left` says that nobody reads it any more. */
  carry(
    resource: string,
    chunks: AsyncIterable<string>,
    cut: () => void,
    left: AbortSignal | undefined,
  ): AsyncIterable<string>;
  stall(resource: string, forMs: number): void;
  drop(resource: string): void;
  replay(resource: string): void;
  /** Something of this resource has changed now. */
  changed(resource: string): void;
  /** The engine has been told of everything that happened to these resources (to any) before this moment. */
  knownUpTo(of?: ReadonlySet<string>): number;
}

interface Stream {
  resource: string;
  cut: () => void;
  isDropped: boolean;
  /** When the engine asked for more last; undefined while a chunk is on its way to it. */
  waitingSinceMs: number | undefined;
  /** When what the engine has not been told yet happened, oldest first. */
  untoldMs: number[];
  recent: string[];
  replays: string[];
}

/** What a lagging API server might send again. */
const RECENT_CHUNKS = 4;

export interface StreamsOptions {
  clock: Clock;
  process: Process;
  lagMs: () => number;
}

export function createStreams(options: StreamsOptions): Streams {
  const { clock, process, lagMs } = options;
  const open = new Set<Stream>();
  /** For each resource, what a closed stream had not told: until a new one has caught up. */
  const closedAtMs = new Map<string, number>();
  const stalledUntilMs = new Map<string, number>();

  function wait(untilMs: number): Promise<void> {
    return new Promise(resolve => {
      clock.setTimer(() => process.deliver(resolve), Math.max(0, untilMs - clock.now()));
    });
  }

  /** Asked for more and got nothing since: there is nothing that it has not been told. */
  function isUpToDate(stream: Stream): boolean {
    return stream.waitingSinceMs !== undefined && clock.now() > stream.waitingSinceMs;
  }

  function knownBy(stream: Stream): number {
    return isUpToDate(stream) ? clock.now() : (stream.untoldMs[0] ?? clock.now());
  }

  async function* paced(stream: Stream, chunks: AsyncIterable<string>): AsyncGenerator<string> {
    const iterator = chunks[Symbol.asyncIterator]();
    try {
      for (;;) {
        stream.waitingSinceMs = clock.now();
        const result = await iterator.next().catch((error: unknown) => {
          throw stream.isDropped ? new ApiError('network', 'the connection was reset') : error;
        });
        const readAtMs = clock.now();
        stream.waitingSinceMs = undefined;
        if (result.done) return;
        let dueMs = readAtMs + lagMs();
        do {
          dueMs = Math.max(dueMs, stalledUntilMs.get(stream.resource) ?? 0);
          await wait(dueMs);
        } while ((stalledUntilMs.get(stream.resource) ?? 0) > clock.now());
        const again = stream.replays.splice(0);
        stream.recent = [...stream.recent, result.value].slice(-RECENT_CHUNKS);
        // A chunk holds all that had happened when it was read.
        stream.untoldMs = stream.untoldMs.filter(atMs => atMs > readAtMs);
        closedAtMs.delete(stream.resource);
        yield again.length > 0 ? [...again, result.value].join('') : result.value;
      }
    } finally {
      close(stream);
    }
  }

  function close(stream: Stream): void {
    if (!open.has(stream)) return;
    const knownMs = knownBy(stream);
    open.delete(stream);
    closedAtMs.set(stream.resource, Math.min(closedAtMs.get(stream.resource) ?? knownMs, knownMs));
    stream.cut();
  }

  const each = (resource: string, act: (stream: Stream) => void) => {
    for (const stream of open) if (stream.resource === resource) act(stream);
  };

  return {
    carry(resource, chunks, cut, left) {
      const stream: Stream = {
        resource,
        cut,
        isDropped: false,
        waitingSinceMs: undefined,
        // It takes up where the one before was cut off.
        untoldMs: closedAtMs.has(resource) ? [closedAtMs.get(resource)!] : [],
        recent: [],
        replays: [],
      };
      closedAtMs.delete(resource);
      open.add(stream);
      if (left?.aborted) close(stream);
      // Whoever leaves while a chunk is on its way never comes back for it.
      else left?.addEventListener('abort', () => close(stream), { once: true });
      return paced(stream, chunks);
    },
    stall(resource, forMs) {
      stalledUntilMs.set(resource, Math.max(stalledUntilMs.get(resource) ?? 0, clock.now() + forMs));
    },
    drop: resource =>
      each(resource, stream => {
        stream.isDropped = true;
        stream.cut();
      }),
    replay: resource =>
      each(resource, stream => {
        stream.replays = [...stream.recent];
      }),
    changed: resource =>
      each(resource, stream => {
        if (isUpToDate(stream)) stream.untoldMs = [];
        if (stream.untoldMs.at(-1) !== clock.now()) stream.untoldMs.push(clock.now());
      }),
    knownUpTo(of) {
      let knownMs = clock.now();
      for (const stream of open)
        if (!of || of.has(stream.resource)) knownMs = Math.min(knownMs, knownBy(stream));
      for (const [resource, atMs] of closedAtMs)
        if (!of || of.has(resource)) knownMs = Math.min(knownMs, atMs);
      return knownMs;
    },
  };
}
