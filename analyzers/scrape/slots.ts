/** How many things may be under way at once; the others wait in the order in which they came. */

export interface Slots {
  /** Runs `work` when a slot is free. Never queues more than its callers have under way, so they bound the queue. */
  run<T>(work: () => Promise<T>): Promise<T>;
}

export function createSlots(count: number): Slots {
  let free = count;
  const waiting: (() => void)[] = [];
  return {
    async run(work) {
      if (free > 0) free--;
      else await new Promise<void>(resolve => waiting.push(resolve));
      try {
        return await work();
      } finally {
        const next = waiting.shift();
        // The slot goes from hand to hand, so that nobody slips in between.
        if (next) next();
        else free++;
      }
    },
  };
}
