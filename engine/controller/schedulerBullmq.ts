/**
 * The scheduler of many active replicas: one BullMQ job for each canary that has something to do, whose id is the
 * canary's key and which re-arms itself. Redis holds the clock and never the truth: a job that is lost is set again by
 * `ensure`, and the lock on a job is no fence (a frozen worker may finish its tick beside the one that took over).
 */
import { DelayedError, type Job, Queue, Worker } from 'bullmq';
import type { Clock } from '../clock.ts';
import type { Scheduler, TickHandler } from './scheduler.ts';
import { healQueue } from './schedulerHeal.ts';
import { openRedisLink } from './schedulerRedis.ts';
import { DEFAULT_CONCURRENCY, runTick, type SchedulerLog } from './schedulerTick.ts';

export interface BullmqOptions {
  /** `redis://` or `rediss://`; its password is never logged. */
  redisUrl: string;
  clock: Clock;
  log: SchedulerLog;
  /** Replicas with the same queue name and prefix share the work. */
  queueName?: string;
  /** Begins every key in Redis; tells apart engines of different clusters on one Redis. */
  prefix?: string;
  /** Ticks that run at once in this process. */
  concurrency?: number;
  /** A tick whose worker has been dead for this long is taken over at the next check for stalled jobs. */
  lockDurationMs?: number;
  stalledIntervalMs?: number;
}

const JOB_NAME = 'tick';
/** BullMQ counts stalls over the whole life of a job, and ours live as long as a rollout: it must never give up. */
const MOST_STALLS = 1e9;
/** A job whose tick still runs here although its lock was lost: tried again when that tick may have ended. */
const OVERLAP_DELAY_MS = 1_000;
/** More canaries than one engine serves; wakes beyond it are left to resync. */
const MOST_UNSENT_WAKES = 10_000;
/** Wakes that are sent at once: enough to hide the round trip, few enough to keep one command's wait short. */
const WAKE_BATCH = 64;
/** After the grace: how long to wait for the worker to close before its connections are cut. */
const CLOSE_MS = 2_000;
/** Long enough for a connection that has just broken to come back. */
const REOPEN_MS = 1_000;
/** Events of jobs are read by nobody. */
const MOST_EVENTS = 100;
/** Codes of BullMQ's scripts. */
const JOB_MISSING = -1;
const JOB_NOT_DELAYED = -3;

function codeOf(error: unknown): number | undefined {
  return (error as { code?: number }).code;
}

/** The keys of the later list, each with the earlier of its times. */
function soonest(
  earlier: ReadonlyMap<string, number>,
  later: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  return new Map([...later].map(([key, dueMs]) => [key, Math.min(dueMs, earlier.get(key) ?? dueMs)]));
}

export function createBullmqScheduler(options: BullmqOptions): Scheduler {
  const { clock, log, queueName = 'serin-ticks', prefix = 'serin' } = options;
  const running = new Set<string>();
  /** Wakes that Redis was not told yet. */
  const unsent = new Set<string>();
  /** What was ensured and Redis was not told yet. */
  let unmet: ReadonlyMap<string, number> | undefined;
  let isMeeting = false;
  const stopping = new AbortController();
  let handler: TickHandler | undefined;
  let worker: Worker | undefined;
  let onIdle: (() => void) | undefined;
  let isStopped = false;
  let isSending = false;
  let isSendPending = false;

  const link = openRedisLink({ redisUrl: options.redisUrl, clock, log, onHeartbeat });
  let queue = openQueue();
  /** Keys that were woken since their last tick began: how a wake reaches a tick that runs in another replica. */
  const wokenKey = queue.toKey('woken');

  function onHeartbeat(): void {
    void sendWakes();
    void meet();
  }

  /** A connection that breaks while BullMQ asks for the version leaves its object dead for good: it is made again. */
  function openQueue(): Queue {
    const opened = new Queue(queueName, {
      connection: link.producer,
      prefix,
      defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
      streams: { events: { maxLen: MOST_EVENTS } },
    });
    opened.on('error', link.onError);
    opened.waitUntilReady().catch(() => {
      if (!isStopped) clock.setTimer(() => (queue = openQueue()), REOPEN_MS);
    });
    return opened;
  }

  function wake(key: string): void {
    if (isStopped) return;
    if (unsent.size >= MOST_UNSENT_WAKES && !unsent.has(key)) {
      link.onError(
        new Error(`more than ${MOST_UNSENT_WAKES} wakes wait for redis; the rest is left to resync`),
      );
      return;
    }
    unsent.add(key);
    if (isSendPending) return;
    isSendPending = true;
    queueMicrotask(() => {
      isSendPending = false;
      void sendWakes();
    });
  }

  async function sendWakes(): Promise<void> {
    if (isSending) return;
    isSending = true;
    try {
      while (unsent.size > 0 && link.isReady() && !isStopped) {
        const batch = [...unsent].slice(0, WAKE_BATCH);
        for (const key of batch) unsent.delete(key);
        const results = await Promise.allSettled(batch.map(sendWake));
        const failures = results.flatMap((result, index) =>
          result.status === 'rejected' ? [{ key: batch[index]!, reason: result.reason as unknown }] : [],
        );
        for (const { key } of failures) unsent.add(key);
        if (failures.length > 0) {
          link.onError(failures[0]!.reason);
          return; // The next heartbeat tries again.
        }
      }
    } finally {
      isSending = false;
    }
  }

  /**
   * Marks, adds, promotes, in this order. Whoever runs the tick clears the mark before it begins and looks at it after it
   * has re-armed: so whichever comes first, either the promotion finds the job delayed, or the runner finds the mark.
   */
  async function sendWake(key: string): Promise<void> {
    const marked = link.producer.sadd(wokenKey, key);
    marked.catch(() => {}); // Awaited below; the add may fail first.
    const job = await queue.add(JOB_NAME, {}, { jobId: key });
    await marked;
    try {
      await job.promote();
    } catch (error) {
      const code = codeOf(error);
      if (code !== JOB_NOT_DELAYED && code !== JOB_MISSING) throw error;
    }
  }

  /** Without an answer from Redis it says yes: a tick too many is harmless. */
  async function wasWoken(key: string): Promise<boolean> {
    try {
      return (await link.producer.sismember(wokenKey, key)) === 1;
    } catch (error) {
      link.onError(error);
      return true;
    }
  }

  async function tick(job: Job, token: string | undefined, signal: AbortSignal | undefined): Promise<void> {
    const key = job.id!;
    if (isStopped || running.has(key)) {
      await rearm(job, token, isStopped ? 0 : OVERLAP_DELAY_MS);
      throw new DelayedError();
    }
    running.add(key);
    try {
      await link.producer.srem(wokenKey, key).catch(link.onError);
      const signals = signal ? [signal, stopping.signal] : [stopping.signal];
      const delayMs = await runTick(handler!, key, AbortSignal.any(signals), log);
      if (delayMs === undefined) return; // The job is completed, and thereby removed.
      await rearm(job, token, delayMs);
      if (await wasWoken(key)) wake(key);
    } finally {
      running.delete(key);
      if (running.size === 0) onIdle?.();
    }
    throw new DelayedError();
  }

  /** Never throws: another error than DelayedError would fail the job and remove it. */
  async function rearm(job: Job, token: string | undefined, delayMs: number): Promise<void> {
    try {
      await job.moveToDelayed(clock.now() + delayMs, token);
    } catch (error) {
      link.onError(error);
      // Redis was flushed under the tick: the clock is set again at once. A lost lock means that another worker has the job.
      if (codeOf(error) === JOB_MISSING && !isStopped) {
        await queue.add(JOB_NAME, {}, { jobId: job.id!, delay: delayMs }).catch(link.onError);
      }
    }
  }

  /** What `ensure` asked for and Redis did not take stays asked for. Never throws. */
  async function meet(): Promise<void> {
    if (!unmet || isMeeting || isStopped) return;
    if (!link.isReady()) {
      log.warn({ canaries: unmet.size }, 'redis is not connected; ticks are ensured later');
      return;
    }
    isMeeting = true;
    const due = unmet;
    unmet = undefined;
    try {
      const redis = link.producer;
      await healQueue({ queue, redis, jobName: JOB_NAME, due, running, clock, wasWoken, wake });
    } catch (error) {
      link.onError(error);
      unmet = unmet ? soonest(due, unmet) : due;
    } finally {
      isMeeting = false;
    }
  }

  function startWorker(): void {
    if (isStopped) return;
    const started = new Worker(queueName, (job, token, signal) => tick(job, token, signal), {
      connection: link.consumer,
      prefix,
      concurrency: options.concurrency ?? DEFAULT_CONCURRENCY,
      lockDuration: options.lockDurationMs ?? 10_000,
      stalledInterval: options.stalledIntervalMs ?? 5_000,
      maxStalledCount: MOST_STALLS,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    });
    started.on('error', link.onError);
    started.on('lockRenewalFailed', keys => {
      for (const key of keys) started.cancelJob(key, 'the lock was lost');
    });
    // A wake that came between the tick's end and the removal of its job.
    started.on('completed', job => void wasWoken(job.id!).then(isWoken => isWoken && wake(job.id!)));
    started.waitUntilReady().catch(() => {
      if (isStopped) return;
      void started.close(true).catch(link.onError);
      clock.setTimer(startWorker, REOPEN_MS);
    });
    worker = started;
  }

  return {
    async start(given) {
      if (handler) throw new Error('the scheduler was started before');
      if (isStopped) return;
      handler = given;
      startWorker();
    },
    wake,
    async ensure(due) {
      if (isStopped) return;
      unmet = unmet ? soonest(unmet, due) : due;
      await meet();
    },
    async stop(graceMs) {
      if (isStopped) return;
      isStopped = true;
      await worker?.pause(true);
      if (running.size > 0) {
        const graceEnd = new AbortController();
        onIdle = () => graceEnd.abort();
        await clock.sleep(graceMs, graceEnd.signal);
      }
      stopping.abort();
      const isForced = running.size > 0 || !link.isReady();
      const closed = (async () => {
        await worker?.close(isForced);
        await queue.close();
      })();
      const timeout = new AbortController();
      const end = () => timeout.abort();
      closed.then(end, end);
      await clock.sleep(CLOSE_MS, timeout.signal);
      link.disconnect();
    },
    isHealthy: () => !isStopped && link.isAlive(),
  };
}
