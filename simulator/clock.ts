/**
 * A clock that stands still until it is told to advance, so that hours of engine time pass in milliseconds and in one
 * order only: timers fire by due time, then by age. It never looks at the real time.
 */
import type { Clock, Timer } from '../engine/clock.ts';

export interface VirtualClock extends Clock {
  /** Runs every timer due within the next `ms`, in order, letting promises settle before, between and after. */
  advance(ms: number): Promise<void>;
  /** Timers that wait. */
  pending(): number;
}

interface Entry {
  dueMs: number;
  sequence: number;
  callback: () => void;
  cancelled: boolean;
}

/** All microtasks run before the next turn of the event loop; one turn is enough for any depth of promises. */
function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve));
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.sequence < b.sequence);
}

/** @param startMs milliseconds since the Unix epoch */
export function createVirtualClock(startMs: number): VirtualClock {
  const heap: Entry[] = [];
  let nowMs = startMs;
  let sequence = 0;
  let waiting = 0;

  function push(entry: Entry): void {
    heap.push(entry);
    let index = heap.length - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(entry, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
  }

  function pop(): void {
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }

  function nextDue(untilMs: number): Entry | undefined {
    for (;;) {
      const first = heap[0];
      if (!first || (!first.cancelled && first.dueMs > untilMs)) return undefined;
      pop();
      if (!first.cancelled) return first;
    }
  }

  function setTimer(callback: () => void, delayMs: number): Timer {
    const entry: Entry = {
      dueMs: nowMs + Math.max(0, delayMs),
      sequence: sequence++,
      callback,
      cancelled: false,
    };
    push(entry);
    waiting++;
    return {
      cancel() {
        if (entry.cancelled) return;
        entry.cancelled = true;
        waiting--;
      },
    };
  }

  return {
    now: () => nowMs,
    setTimer,
    sleep(delayMs, signal) {
      return new Promise(resolve => {
        if (signal?.aborted) return resolve();
        const done = () => {
          timer.cancel();
          signal?.removeEventListener('abort', done);
          resolve();
        };
        const timer = setTimer(done, delayMs);
        signal?.addEventListener('abort', done);
      });
    },
    async advance(ms) {
      const untilMs = nowMs + ms;
      await settle();
      for (let entry = nextDue(untilMs); entry; entry = nextDue(untilMs)) {
        nowMs = Math.max(nowMs, entry.dueMs);
        entry.cancelled = true; // A fired timer is spent: cancelling it later changes no count.
        waiting--;
        entry.callback();
        await settle();
      }
      nowMs = untilMs;
    },
    pending: () => waiting,
  };
}
