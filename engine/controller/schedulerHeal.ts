/**
 * Brings a BullMQ queue in line with what resync says is due: adds what is missing (after a flush: everything), brings
 * forward what is late, drops what nobody needs. It relies on nothing that Redis says: each step may be repeated, and
 * several replicas may do it at once.
 */
import type { Queue } from 'bullmq';
import type { Clock } from '../clock.ts';
import type { RedisLink } from './schedulerRedis.ts';
import type { SchedulerLog } from './schedulerTick.ts';
import { codeOf, type Wakes } from './schedulerWakes.ts';

export interface HealParts {
  /** Asked anew each time: a queue that died is replaced. */
  queue: () => Queue;
  link: RedisLink;
  wakes: Wakes;
  clock: Clock;
  log: SchedulerLog;
  jobName: string;
  /** Ticks that run in this process: they say themselves when to tick next. */
  running: ReadonlySet<string>;
}

export interface Healer {
  /** When each canary has to tick at the latest, milliseconds since the epoch. Never throws; what Redis did not take is kept. */
  ensure(due: ReadonlyMap<string, number>): Promise<void>;
  /** Does what was kept; called when Redis answers. */
  retry(): Promise<void>;
  stop(): void;
}

interface HealInput extends HealParts {
  due: ReadonlyMap<string, number>;
}

/** Ids of one read, and jobs of one write: a script of this size takes a few tens of milliseconds, which no other client notices. */
const PAGE = 1_000;
/** Jobs that are looked at one by one, at once. */
const PARALLEL = 50;
/**
 * A job that ran so lately is not dropped: the replica that ran it may know of a change that has not reached this one's
 * caches. A tick that turns out not to be needed answers that no other is.
 */
const RAN_LATELY_MS = 5_000;
/** Less than this is the time that a command took to reach Redis, and not worth another one. */
const LATE_MS = 100;
/** BullMQ keeps the time of a delayed job in the upper bits of its score, above twelve bits that keep the order. */
const SCORE_PER_MS = 0x1000;

/** The keys of the later list, each with the earlier of its times. */
function soonest(
  earlier: ReadonlyMap<string, number> | undefined,
  later: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  if (!earlier) return later;
  return new Map([...later].map(([key, dueMs]) => [key, Math.min(dueMs, earlier.get(key) ?? dueMs)]));
}

export function createHealer(parts: HealParts): Healer {
  const { link, log } = parts;
  let unmet: ReadonlyMap<string, number> | undefined;
  let isHealing = false;
  let isStopped = false;

  async function retry(): Promise<void> {
    if (!unmet || isHealing || isStopped) return;
    if (!link.isReady()) {
      log.warn({ canaries: unmet.size }, 'redis is not connected; ticks are ensured later');
      return;
    }
    isHealing = true;
    const due = unmet;
    unmet = undefined;
    try {
      await heal({ ...parts, due });
    } catch (error) {
      link.onError(error);
      unmet = unmet ? soonest(due, unmet) : due;
    } finally {
      isHealing = false;
    }
  }

  return {
    async ensure(due) {
      if (isStopped) return;
      unmet = soonest(unmet, due);
      await retry();
    },
    retry,
    stop() {
      isStopped = true;
    },
  };
}

/** When each delayed job is due. Read by id and score: the jobs themselves are empty. */
async function delayedTimes({ queue, link }: HealInput): Promise<Map<string, number>> {
  const times = new Map<string, number>();
  for (let start = 0; ; start += PAGE) {
    const page = await link.producer.zrange(
      queue().toKey('delayed'),
      start,
      String(start + PAGE - 1),
      'WITHSCORES',
    );
    for (let index = 0; index + 1 < page.length; index += 2) {
      times.set(page[index]!, Math.floor(Number(page[index + 1]) / SCORE_PER_MS));
    }
    if (page.length < 2 * PAGE) return times;
  }
}

async function inParallel(keys: readonly string[], run: (key: string) => Promise<void>): Promise<void> {
  for (let start = 0; start < keys.length; start += PARALLEL) {
    await Promise.all(keys.slice(start, start + PARALLEL).map(run));
  }
}

/** Throws when Redis does not answer; what was done until then stays and does no harm. */
async function heal(input: HealInput): Promise<void> {
  const { queue, due, running } = input;
  const nowMs = input.clock.now();
  const delayed = await delayedTimes(input);
  const missing: { key: string; dueMs: number }[] = [];
  const late: string[] = [];
  for (const [key, dueMs] of due) {
    const pendingMs = delayed.get(key);
    if (running.has(key)) continue;
    if (pendingMs === undefined) missing.push({ key, dueMs });
    else if (pendingMs > dueMs + LATE_MS) late.push(key);
  }
  // Ids that exist (waiting, or running in another replica) are left alone by Redis.
  for (let start = 0; start < missing.length; start += PAGE) {
    await queue().addBulk(
      missing.slice(start, start + PAGE).map(({ key, dueMs }) => ({
        name: input.jobName,
        data: {},
        opts: { jobId: key, timestamp: nowMs, delay: Math.max(0, dueMs - nowMs) },
      })),
    );
  }
  await inParallel(late, key => bringForward(input, key));
  const unwanted = [...delayed.keys()].filter(key => !due.has(key) && !running.has(key));
  await inParallel(unwanted, key => drop(input, key));
}

async function bringForward(input: HealInput, key: string): Promise<void> {
  const job = await input.queue().getJob(key);
  try {
    await job?.changeDelay(Math.max(0, input.due.get(key)! - input.clock.now()));
  } catch (error) {
    // It began, or ended, since it was read: nothing to bring forward.
    if (codeOf(error) === undefined) throw error;
  }
}

async function drop(input: HealInput, key: string): Promise<void> {
  const { queue, clock } = input;
  const job = await queue().getJob(key);
  if (!job || (job.processedOn !== undefined && clock.now() - job.processedOn < RAN_LATELY_MS)) return;
  const removed = await queue().remove(key);
  // A wake marks its key before it looks for the job: one that lost its job to this removal is seen here.
  if (removed === 1 && (await input.wakes.isMarked(key))) input.wakes.wake(key);
}
