/**
 * How a wake reaches a job in Redis, whichever replica runs it and whether or not Redis answers now. A wake is never
 * lost while this process lives, but may cause a tick too many.
 */
import type { Job } from 'bullmq';
import type { RedisLink } from './schedulerRedis.ts';

/** More canaries than one engine serves; wakes beyond it are left to resync. */
const MOST_UNSENT = 10_000;
/** Wakes that are sent at once: enough to hide the round trip, few enough to keep one command's wait short. */
const BATCH = 64;
/** Codes of BullMQ's scripts. */
export const JOB_MISSING = -1;
const JOB_NOT_DELAYED = -3;

export function codeOf(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'number' ? code : undefined;
}

export interface Wakes {
  /** Remembers the wake and sends it soon, not before the call returns. */
  wake(key: string): void;
  /** Sends what is remembered; called when Redis answers. */
  send(): Promise<void>;
  /** Clears the mark: the tick that begins now sees whatever the wakes until now were about. Never throws. */
  begin(key: string): Promise<void>;
  /** Whether a wake came since `begin`. Yes when Redis does not answer. */
  isMarked(key: string): Promise<boolean>;
  /** Forgets all and takes no more. */
  stop(): void;
}

/** @param addJob makes sure that the key has a job; the job, new or not */
export function createWakes(link: RedisLink, markKey: string, addJob: (key: string) => Promise<Job>): Wakes {
  const unsent = new Set<string>();
  let isStopped = false;
  let isSending = false;
  let isSendPending = false;

  /**
   * Marks, adds, promotes, in this order. Whoever runs the tick clears the mark before it begins and looks at it after it
   * has re-armed: so whichever comes first, either the promotion finds the job delayed, or the runner finds the mark.
   */
  async function sendOne(key: string): Promise<void> {
    const marked = link.producer.sadd(markKey, key);
    marked.catch(() => {}); // Awaited below; the add may fail first.
    const job = await addJob(key);
    await marked;
    try {
      await job.promote();
    } catch (error) {
      const code = codeOf(error);
      if (code !== JOB_NOT_DELAYED && code !== JOB_MISSING) throw error;
    }
  }

  async function send(): Promise<void> {
    if (isSending) return;
    isSending = true;
    try {
      while (unsent.size > 0 && link.isReady()) {
        const batch = [...unsent].slice(0, BATCH);
        for (const key of batch) unsent.delete(key);
        const results = await Promise.allSettled(batch.map(sendOne));
        const reasons = results.flatMap((result, index) => {
          if (result.status === 'fulfilled') return [];
          if (!isStopped) unsent.add(batch[index]!);
          return [result.reason as unknown];
        });
        if (reasons.length > 0) {
          link.onError(reasons[0]);
          return; // The next heartbeat tries again.
        }
      }
    } finally {
      isSending = false;
    }
  }

  return {
    wake(key) {
      if (isStopped) return;
      if (unsent.size >= MOST_UNSENT && !unsent.has(key)) {
        link.onError(new Error(`more than ${MOST_UNSENT} wakes wait for redis; the rest is left to resync`));
        return;
      }
      unsent.add(key);
      if (isSendPending) return;
      isSendPending = true;
      queueMicrotask(() => {
        isSendPending = false;
        void send();
      });
    },
    send,
    async begin(key) {
      await link.producer.srem(markKey, key).catch(link.onError);
    },
    async isMarked(key) {
      try {
        return (await link.producer.sismember(markKey, key)) === 1;
      } catch (error) {
        link.onError(error);
        return true;
      }
    },
    stop() {
      isStopped = true;
      unsent.clear();
    },
  };
}
