/**
 * Which notifications are over, for replicas on one Redis: a sorted set of their ids by the time at which they were. It
 * is asked only about what might be told again, and a loss of it costs a second telling, nothing else.
 */
import type { Redis } from 'ioredis';
import type { Clock } from '../clock.ts';
import type { SharedTold } from './tell.ts';

/** Older news are told by nobody again: an hour, and what clocks may differ by. */
const KEPT_MS = 2 * 60 * 60_000;
/** Ids of one question: a command of this size takes about a millisecond. */
const PAGE = 1_000;

interface ToldLink {
  producer: Pick<Redis, 'zadd' | 'zremrangebyscore' | 'zmscore'>;
  onError(error: unknown): void;
}

/** @param key of the sorted set */
export function createToldInRedis({ producer, onError }: ToldLink, key: string, clock: Clock): SharedTold {
  return {
    add(id) {
      const nowMs = clock.now();
      producer.zadd(key, nowMs, id).catch(onError);
      producer.zremrangebyscore(key, '-inf', nowMs - KEPT_MS).catch(onError);
    },
    async known(ids) {
      const known = new Set<string>();
      try {
        for (let start = 0; start < ids.length; start += PAGE) {
          const page = ids.slice(start, start + PAGE);
          const scores = await producer.zmscore(key, ...page);
          for (const [index, score] of scores.entries()) if (score !== null) known.add(page[index]!);
        }
        return known;
      } catch (error) {
        onError(error);
        return undefined;
      }
    },
  };
}
