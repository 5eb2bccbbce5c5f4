/**
 * The watch streams between one engine and the API server: they may stall, break or repeat themselves, and they know
 * up to which moment the engine has been told everything. They never change what an event says.
 */
import type { Clock } from '../../engine/clock.ts';
import { ApiError } from '../../engine/kubernetes/types.ts';
import type { Process } from './process.ts';

export interface Streams {
  /** Wraps the chunks of one watch. `cut` ends the stream at the server. */
  carry(resource: string, chunks: AsyncIterable<string>, cut: () => void): AsyncIterable<string>;
  stall(resource: string, forMs: number): void;
  drop(resource: string): void;
  replay(resource: string): void;
  /** The engine has been told of everything that happened before this moment. */
  knownUpTo(): number;
}

interface Stream {
  resource: string;
  cut: () => void;
  isDropped: boolean;
  /** Nothing is under way: the engine knows everything up to now. */
  isIdle: boolean;
  knownMs: number;
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

  async function* paced(stream: Stream, chunks: AsyncIterable<string>): AsyncGenerator<string> {
    const iterator = chunks[Symbol.asyncIterator]();
    try {
      for (;;) {
        const pending = iterator.next();
        stream.isIdle = true;
        closedAtMs.delete(stream.resource);
        const result = await pending.catch((error: unknown) => {
          throw stream.isDropped ? new ApiError('network', 'the connection was reset') : error;
        });
        const readAtMs = clock.now();
        if (stream.isIdle) stream.knownMs = readAtMs;
        stream.isIdle = false;
        if (result.done) return;
        let dueMs = readAtMs + lagMs();
        do {
          dueMs = Math.max(dueMs, stalledUntilMs.get(stream.resource) ?? 0);
          await wait(dueMs);
        } while ((stalledUntilMs.get(stream.resource) ?? 0) > clock.now());
        const again = stream.replays.splice(0);
        stream.recent = [...stream.recent, result.value].slice(-RECENT_CHUNKS);
        yield again.length > 0 ? [...again, result.value].join('') : result.value;
      }
    } finally {
      open.delete(stream);
      const knownMs = stream.isIdle ? clock.now() : stream.knownMs;
      closedAtMs.set(stream.resource, Math.min(closedAtMs.get(stream.resource) ?? knownMs, knownMs));
      stream.cut();
    }
  }

  const each = (resource: string, act: (stream: Stream) => void) => {
    for (const stream of open) if (stream.resource === resource) act(stream);
  };

  return {
    carry(resource, chunks, cut) {
      const knownMs = closedAtMs.get(resource) ?? clock.now();
      const stream: Stream = {
        resource,
        cut,
        isDropped: false,
        isIdle: false,
        knownMs,
        recent: [],
        replays: [],
      };
      open.add(stream);
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
    knownUpTo() {
      let knownMs = clock.now();
      for (const stream of open) if (!stream.isIdle) knownMs = Math.min(knownMs, stream.knownMs);
      for (const atMs of closedAtMs.values()) knownMs = Math.min(knownMs, atMs);
      return knownMs;
    },
  };
}
