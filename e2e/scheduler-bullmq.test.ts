/** The BullMQ scheduler on a real Redis: the contract, and what only a shared queue can do wrong. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../engine/clock.ts';
import type { Scheduler } from '../engine/controller/scheduler.ts';
import {
  type BullmqOptions,
  type BullmqScheduler,
  createBullmqScheduler,
} from '../engine/controller/schedulerBullmq.ts';
import { describeSchedulerContract, recordingLog } from '../engine/controller/schedulerContract.ts';
import { endProgram, waitFor } from './harness/controlplane.ts';
import { type RealRedis, startRedis } from './harness/redis.ts';

const CONCURRENCY = 8;
const LOCK_MS = 5_000;
const STALLED_MS = 1_000;
let redis: RealRedis;
let queues = 0;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis?.stop();
});

describeSchedulerContract('BullMQ', async () => ({
  scheduler: createBullmqScheduler({
    redisUrl: redis.url,
    clock: systemClock,
    log: recordingLog(),
    concurrency: CONCURRENCY,
    queueName: `contract-${queues++}`,
  }),
  clock: systemClock,
  concurrency: CONCURRENCY,
  pass: ms => systemClock.sleep(ms),
  close: async () => {},
}));

describe('a shared queue', () => {
  let queueName: string;
  let schedulers: BullmqScheduler[];
  let log: ReturnType<typeof recordingLog>;

  beforeEach(() => {
    queueName = `shared-${queues++}`;
    schedulers = [];
    log = recordingLog();
  });
  afterEach(async () => {
    await Promise.all(schedulers.map(scheduler => scheduler.stop(1_000)));
  });

  function open(options: Partial<BullmqOptions> = {}): BullmqScheduler {
    const scheduler = createBullmqScheduler({
      redisUrl: redis.url,
      clock: systemClock,
      log,
      queueName,
      ...options,
    });
    schedulers.push(scheduler);
    return scheduler;
  }

  const keys = Array.from({ length: 50 }, (_, index) => `shop/app-${index}`);
  const dueNow = () => new Map(keys.map(key => [key, Date.now()]));

  /** Counts ticks by key; each asks for another after `delayMs`. */
  async function counting(scheduler: Scheduler, delayMs: number): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    await scheduler.start(async key => {
      counts.set(key, (counts.get(key) ?? 0) + 1);
      return delayMs;
    });
    return counts;
  }

  const allAtLeast = (counts: Map<string, number>, least: number) =>
    keys.every(key => (counts.get(key) ?? 0) >= least);

  async function isConnected(scheduler: Scheduler): Promise<void> {
    await waitFor('the scheduler is connected', () => scheduler.isHealthy());
  }

  async function jobsIn(url: string): Promise<string[]> {
    const client = new Redis(url);
    const ids = await client.keys(`serin:${queueName}:shop/*`);
    client.disconnect();
    return ids;
  }

  test('two replicas never run one canary at once, and a wake by one reaches a tick that the other runs', async () => {
    const running = new Map<string, number>();
    const counts = [0, 0];
    let overlaps = 0;
    const startedMs = new Map<string, number>();
    let isOver = false;
    const replicas = [open(), open()];
    for (const [index, replica] of replicas.entries()) {
      await isConnected(replica);
      await replica.start(async key => {
        if (running.has(key)) overlaps++;
        running.set(key, index);
        startedMs.set(key, performance.now());
        counts[index]!++;
        await systemClock.sleep(Math.random() * 20);
        running.delete(key);
        return isOver || Math.random() < 0.3 ? undefined : Math.random() * 30;
      });
    }
    const wokenMs = new Map<string, number>();
    for (let round = 0; round < 300; round++) {
      for (const replica of replicas) {
        const key = keys[Math.floor(Math.random() * 20)]!;
        wokenMs.set(key, performance.now());
        replica.wake(key);
      }
      if (round % 50 === 0) await replicas[round % 2]!.ensure(dueNow());
      await systemClock.sleep(5);
    }
    isOver = true;
    await waitFor('each wake is followed by a tick', () =>
      [...wokenMs].every(([key, woken]) => (startedMs.get(key) ?? 0) > woken),
    );
    expect(overlaps).toBe(0);
    expect(Math.min(...counts)).toBeGreaterThan(0);
    await waitFor('no job is left', async () => (await jobsIn(redis.url)).length === 0);
  });

  test('an idle canary has no job at all', async () => {
    const scheduler = open();
    await isConnected(scheduler);
    const seen = new Set<string>();
    await scheduler.start(async key => {
      seen.add(key);
      return key === keys[0] ? 3_600_000 : undefined;
    });
    await scheduler.ensure(dueNow());
    await waitFor('every canary ticked', () => seen.size === keys.length);
    await waitFor('one job is left', async () => (await jobsIn(redis.url)).length === 1);
    expect(await jobsIn(redis.url)).toEqual([`serin:${queueName}:${keys[0]}`]);
  });

  test('flushed in mid-run: the next ensure brings every canary back, none is lost for good', async () => {
    const scheduler = open();
    await isConnected(scheduler);
    const counts = await counting(scheduler, 3_600_000);
    await scheduler.ensure(dueNow());
    await waitFor('every canary ticked once', () => allAtLeast(counts, 1));
    await redis.flush();
    await scheduler.ensure(dueNow());
    await waitFor('every canary ticked again', () => allAtLeast(counts, 2));
  });

  test('flushed under a running tick: the tick sets its own clock again', async () => {
    const scheduler = open();
    await isConnected(scheduler);
    let release: (() => void) | undefined;
    let count = 0;
    await scheduler.start(() => {
      count++;
      return count === 1 ? new Promise(resolve => (release = () => resolve(50))) : Promise.resolve(undefined);
    });
    scheduler.wake('shop/a');
    await waitFor('the tick runs', () => count === 1);
    await redis.flush();
    release!();
    await waitFor('it ticks again without an ensure', () => count === 2);
  });

  test('Redis killed and started again without its data: unhealthy meanwhile, healed by ensure; wakes are kept', async () => {
    const scheduler = open();
    await isConnected(scheduler);
    const counts = await counting(scheduler, 3_600_000);
    await scheduler.ensure(dueNow());
    await waitFor('every canary ticked once', () => allAtLeast(counts, 1));
    await redis.kill();
    scheduler.wake('shop/woken-meanwhile');
    await scheduler.ensure(dueNow()); // Redis is gone: it must neither throw nor hang.
    await waitFor('the scheduler says that Redis is silent', () => !scheduler.isHealthy());
    await redis.start();
    await waitFor('the scheduler says that Redis is back', () => scheduler.isHealthy());
    await waitFor('the wake was kept', () => counts.has('shop/woken-meanwhile'));
    await scheduler.ensure(dueNow());
    await waitFor('every canary ticked again', () => allAtLeast(counts, 2));
  });

  test('Redis frozen: unhealthy after 5 s, healthy when it answers again', async () => {
    const scheduler = open();
    await isConnected(scheduler);
    redis.freeze();
    try {
      await waitFor('the scheduler says that Redis is silent', () => !scheduler.isHealthy());
    } finally {
      redis.thaw();
    }
    await waitFor('the scheduler says that Redis answers', () => scheduler.isHealthy());
  });

  test('a worker that is killed in the middle of a tick: another takes its canary over', async () => {
    const module = JSON.stringify(join(import.meta.dirname, '../engine/controller/schedulerBullmq.ts'));
    const clock = JSON.stringify(join(import.meta.dirname, '../engine/clock.ts'));
    const child = spawn(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `const { createBullmqScheduler } = await import(${module});
         const { systemClock } = await import(${clock});
         const log = { info() {}, warn() {}, error() {} };
         const scheduler = createBullmqScheduler({ redisUrl: ${JSON.stringify(redis.url)}, clock: systemClock, log, queueName: ${JSON.stringify(queueName)} });
         await scheduler.start(key => { console.log('runs', key); return new Promise(() => {}); });
         scheduler.wake('shop/killed');`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    try {
      await waitFor('the child runs the tick', () => output.includes('runs shop/killed'));
      const survivor = open();
      const ticked: string[] = [];
      await survivor.start(async key => void ticked.push(key));
      await isConnected(survivor);
      expect(ticked).toEqual([]);
      await endProgram(child, 'SIGKILL');
      const killedMs = performance.now();
      await waitFor('the survivor takes over', () => ticked.length > 0, 2 * (LOCK_MS + STALLED_MS));
      // The lock has to run out, and then a check for stalled jobs has to come; one second for a busy machine.
      expect(performance.now() - killedMs).toBeLessThan(LOCK_MS + STALLED_MS + 1_000);
      expect(ticked).toEqual(['shop/killed']);
    } finally {
      await endProgram(child, 'SIGKILL');
    }
  });

  test('what one replica has told, the others know; while Redis is away nobody says anything', async () => {
    const own = await startRedis();
    const [one, two] = [open({ redisUrl: own.url }), open({ redisUrl: own.url })];
    await Promise.all([isConnected(one), isConnected(two)]);
    one.told.add('uid/1');
    const asked = ['uid/1', 'uid/2'];
    await waitFor('the other knows', async () => (await two.told.known(asked))?.has('uid/1'));
    expect(await two.told.known(asked)).toEqual(new Set(['uid/1']));
    await own.stop();
    await waitFor('nobody can say', async () => (await two.told.known(asked)) === undefined);
  });

  test('a tick whose lock was lost is told so, and is not started a second time beside itself', async () => {
    const scheduler = open({ lockDurationMs: 1_000, stalledIntervalMs: 500 });
    await isConnected(scheduler);
    let runningTicks = 0;
    let mostAtOnce = 0;
    let count = 0;
    let release: (() => void) | undefined;
    let signal: AbortSignal | undefined;
    await scheduler.start(async (_, given) => {
      count++;
      mostAtOnce = Math.max(mostAtOnce, ++runningTicks);
      if (count === 1) {
        signal = given;
        await new Promise<void>(resolve => (release = resolve));
      }
      runningTicks--;
      return undefined;
    });
    scheduler.wake('shop/a');
    await waitFor('the tick runs', () => count === 1);
    const client = new Redis(redis.url);
    await client.set(`serin:${queueName}:shop/a:lock`, 'stolen', 'PX', 700);
    await waitFor('the tick is told', () => signal!.aborted);
    await waitFor('the job came again and was put off, or ran beside the tick', async () => {
      return count > 1 || (await client.zscore(`serin:${queueName}:delayed`, 'shop/a')) !== null;
    });
    client.disconnect();
    expect(count).toBe(1);
    release!();
    await waitFor('the canary ticks again', () => count >= 2);
    expect(mostAtOnce).toBe(1);
  });

  test('two replicas that ensure the same do it once', async () => {
    const replicas = [open(), open()];
    for (const replica of replicas) await isConnected(replica);
    await Promise.all(replicas.map(replica => replica.ensure(dueNow())));
    const counts = await counting(replicas[0]!, 3_600_000);
    await waitFor('every canary ticked', () => allAtLeast(counts, 1));
    expect([...counts.values()].every(count => count === 1)).toBe(true);
  });

  test('10,000 canaries are ensured in one go, and again', async () => {
    const scheduler = open();
    await isConnected(scheduler);
    const many = new Map(
      Array.from({ length: 10_000 }, (_, index) => [`shop/app-${index}`, Date.now() + 3_600_000]),
    );
    await scheduler.ensure(many);
    expect(await jobsIn(redis.url)).toHaveLength(10_000);
    const before = await redis.commands();
    await scheduler.ensure(many);
    // Ten pages of ids, the heartbeat, and the two questions of this test: what is in order costs no write.
    expect((await redis.commands()) - before).toBeLessThan(50);
    await scheduler.ensure(new Map());
    expect(await jobsIn(redis.url)).toEqual([]);
  });
});

describe('a password', () => {
  test.each([
    ['wrong', 'wrong%21secret'],
    ['right', 'right-secret'],
  ])('%s: never in a log', async (which, password) => {
    const guarded = await startRedis({ password: 'right-secret' });
    const log = recordingLog();
    const url = new URL(guarded.url);
    url.password = password;
    const scheduler = createBullmqScheduler({ redisUrl: url.href, clock: systemClock, log });
    try {
      await scheduler.start(async () => undefined);
      if (which === 'right') {
        await waitFor('connected', () => scheduler.isHealthy());
        await guarded.kill();
      }
      await waitFor('the trouble is logged', () => log.lines.length > 0);
      expect(JSON.stringify(log.lines)).not.toMatch(/secret/);
      expect(which === 'wrong' && scheduler.isHealthy()).toBe(false);
    } finally {
      await scheduler.stop(0);
      await guarded.stop();
    }
  });
});
