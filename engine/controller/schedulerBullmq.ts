/**
 * The scheduler of many active replicas: one BullMQ job for each canary that has something to do, whose id is the
 * canary's key and which re-arms itself. Redis holds the clock and never the truth: a job that is lost is set again by
 * `ensure`, and the lock on a job is no fence (a frozen worker may finish its tick beside the one that took over).
 */
import { DelayedError, type Job, Queue, Worker } from 'bullmq';
import type { Clock } from '../clock.ts';
import type { Scheduler, TickHandler } from './scheduler.ts';
import type { SharedTold } from './tell.ts';
import { createHealer } from './schedulerHeal.ts';
import { openRedisLink, type RedisLink } from './schedulerRedis.ts';
import { codeOf, createWakes, JOB_MISSING } from './schedulerWakes.ts';
import { createToldInRedis } from './toldRedis.ts';
import { DEFAULT_CONCURRENCY, runTick, type SchedulerLog } from './schedulerTick.ts';

export interface BullmqOptions {
  /** `redis://` or `rediss://`; its password is never logged. */
  redisUrl: string;
  /** PEM certificates of whom Redis's own is signed by; absent: the well-known. */
  redisCa?: string | undefined;
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
/**
 * A tick of a replica that dies is taken over within 10 s: its lock runs out, and one check of the survivors has seen it
 * by then, so that the next one frees it. A lock that is lost while its replica is only slow costs a tick too many.
 */
const LOCK_MS = 5_000;
const STALLED_MS = 1_000;
/** BullMQ counts stalls over the whole life of a job, and ours live as long as a rollout: it must never give up. */
const MOST_STALLS = 1e9;
/** A job whose tick still runs here although its lock was lost: tried again when that tick may have ended. */
const OVERLAP_DELAY_MS = 1_000;
/** After the grace: how long to wait for the worker to close before its connections are cut. */
const CLOSE_MS = 2_000;
/** Long enough for a connection that has just broken to come back. */
const REOPEN_MS = 1_000;
/** Events of jobs are read by nobody. */
const MOST_EVENTS = 100;

/** Resolves when the promise has settled, or after `limitMs`. */
async function within(clock: Clock, limitMs: number, promise: Promise<unknown>): Promise<void> {
  const settled = new AbortController();
  const end = () => settled.abort();
  promise.then(end, end);
  await clock.sleep(limitMs, settled.signal);
}

function openWorker(
  options: BullmqOptions & { queueName: string; prefix: string },
  link: RedisLink,
  process: (job: Job, token: string | undefined, signal: AbortSignal | undefined) => Promise<void>,
): Worker {
  // Three named parameters: BullMQ counts them to know that the signal is wanted.
  const worker = new Worker(options.queueName, (job, token, signal) => process(job, token, signal), {
    connection: link.consumer,
    prefix: options.prefix,
    concurrency: options.concurrency ?? DEFAULT_CONCURRENCY,
    lockDuration: options.lockDurationMs ?? LOCK_MS,
    stalledInterval: options.stalledIntervalMs ?? STALLED_MS,
    maxStalledCount: MOST_STALLS,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 0 },
  });
  worker.on('error', link.onError);
  worker.on('lockRenewalFailed', keys => {
    for (const key of keys) worker.cancelJob(key, 'the lock was lost');
  });
  return worker;
}

function openQueue(queueName: string, prefix: string, link: RedisLink): Queue {
  const queue = new Queue(queueName, {
    connection: link.producer,
    prefix,
    defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
    streams: { events: { maxLen: MOST_EVENTS } },
  });
  queue.on('error', link.onError);
  return queue;
}

export interface BullmqScheduler extends Scheduler {
  /** On the same connection: what the replicas of this queue let each other know about notifications. */
  told: SharedTold;
}

export function createBullmqScheduler(options: BullmqOptions): BullmqScheduler {
  const { clock, log, queueName = 'serin-ticks', prefix = 'serin' } = options;
  const running = new Set<string>();
  const stopping = new AbortController();
  let handler: TickHandler | undefined;
  let worker: Worker | undefined;
  let queue: Queue;
  let onIdle: (() => void) | undefined;
  let isStopped = false;

  const link = openRedisLink({
    redisUrl: options.redisUrl,
    redisCa: options.redisCa,
    clock,
    log,
    onHeartbeat() {
      void wakes.send();
      void healer.retry();
    },
  });
  keepQueue();
  const addJob = (key: string, delayMs = 0) => queue.add(JOB_NAME, {}, { jobId: key, delay: delayMs });
  const wakes = createWakes(link, queue!.toKey('woken'), key => addJob(key));
  const healer = createHealer({ queue: () => queue, link, wakes, clock, log, jobName: JOB_NAME, running });

  /** A connection that breaks while BullMQ asks for the version leaves its object dead for good: it is made again. */
  function keepQueue(): void {
    if (isStopped) return;
    queue = openQueue(queueName, prefix, link);
    queue.waitUntilReady().catch(() => clock.setTimer(keepQueue, REOPEN_MS));
  }

  function keepWorker(): void {
    if (isStopped) return;
    const started = openWorker({ ...options, queueName, prefix }, link, tick);
    // A wake that came between the tick's end and the removal of its job.
    started.on('completed', job => void wakeIfMarked(job.id!));
    started.waitUntilReady().catch(() => {
      if (isStopped) return;
      void started.close(true).catch(link.onError);
      clock.setTimer(keepWorker, REOPEN_MS);
    });
    worker = started;
  }

  async function wakeIfMarked(key: string): Promise<void> {
    if (await wakes.isMarked(key)) wakes.wake(key);
  }

  async function tick(job: Job, token: string | undefined, signal: AbortSignal | undefined): Promise<void> {
    const key = job.id!;
    if (isStopped || running.has(key)) {
      await rearm(job, token, isStopped ? 0 : OVERLAP_DELAY_MS);
      throw new DelayedError();
    }
    running.add(key);
    try {
      await wakes.begin(key);
      const signals = signal ? [signal, stopping.signal] : [stopping.signal];
      const delayMs = await runTick(handler!, key, AbortSignal.any(signals), log);
      if (delayMs === undefined) return; // The job is completed, and thereby removed.
      await rearm(job, token, delayMs);
      await wakeIfMarked(key);
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
      if (codeOf(error) === JOB_MISSING && !isStopped) await addJob(job.id!, delayMs).catch(link.onError);
    }
  }

  return {
    told: createToldInRedis(link, queue!.toKey('told'), clock),
    async start(given) {
      if (handler) throw new Error('the scheduler was started before');
      handler = given;
      keepWorker();
    },
    wake: key => wakes.wake(key),
    ensure: due => healer.ensure(due),
    async stop(graceMs) {
      if (isStopped) return;
      isStopped = true;
      wakes.stop();
      healer.stop();
      await worker?.pause(true);
      if (running.size > 0) await within(clock, graceMs, new Promise<void>(resolve => (onIdle = resolve)));
      stopping.abort();
      const isForced = running.size > 0 || !link.isReady();
      const close = async () => {
        await worker?.close(isForced);
        await queue.close();
      };
      await within(clock, CLOSE_MS, close());
      link.disconnect();
    },
    isHealthy: () => !isStopped && link.isAlive(),
  };
}
