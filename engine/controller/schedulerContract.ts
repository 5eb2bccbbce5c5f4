/**
 * What every scheduler promises, as a suite of tests that each of them runs, on a virtual or on the real clock. Tests
 * wait for conditions; that something does not happen is shown by something later that does.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../clock.ts';
import { RETRY_DELAY_MS, type Scheduler, type TickHandler } from './scheduler.ts';
import type { SchedulerLog } from './schedulerTick.ts';

export interface SchedulerFixture {
  scheduler: Scheduler;
  clock: Clock;
  /** Lets at least this much time pass. */
  pass(ms: number): Promise<void>;
  /** Ticks that may run at once; at least 4. */
  concurrency: number;
  /** Releases what the fixture opened; the scheduler has been stopped before. */
  close(): Promise<void>;
}

/** Messages by level, for tests that look at what was logged. */
export function recordingLog(): SchedulerLog & {
  lines: { level: string; message: string; fields: unknown }[];
} {
  const lines: { level: string; message: string; fields: unknown }[] = [];
  const at = (level: string) => (fields: Record<string, unknown>, message: string) => {
    lines.push({ level, message, fields });
  };
  return { lines, info: at('info'), warn: at('warn'), error: at('error') };
}

interface Tick {
  key: string;
  startedMs: number;
  endedMs: number | undefined;
}

/** A handler that records its ticks and asserts that no two of one key overlap. `answer` says what each of them does. */
function recorder(clock: Clock, answer: (key: string, count: number, signal: AbortSignal) => unknown) {
  const ticks: Tick[] = [];
  const running = new Set<string>();
  const state = { overlaps: 0, mostAtOnce: 0 };
  const count = (key: string) => ticks.filter(tick => tick.key === key).length;
  const handler: TickHandler = async (key, signal) => {
    if (running.has(key)) state.overlaps++;
    running.add(key);
    state.mostAtOnce = Math.max(state.mostAtOnce, running.size);
    const tick: Tick = { key, startedMs: clock.now(), endedMs: undefined };
    ticks.push(tick);
    try {
      return (await answer(key, count(key), signal)) as number | undefined;
    } finally {
      tick.endedMs = clock.now();
      running.delete(key);
    }
  };
  return { ticks, running, state, count, handler };
}

/** Real clocks count whole milliseconds at both ends. */
const ROUNDING_MS = 1;
/** Longer than anything in this suite takes on a busy machine. */
const LIMIT_MS = 20_000;

export function describeSchedulerContract(name: string, create: () => Promise<SchedulerFixture>): void {
  describe(`scheduler contract: ${name}`, () => {
    let fixture: SchedulerFixture;
    let scheduler: Scheduler;
    let clock: Clock;

    beforeEach(async () => {
      fixture = await create();
      ({ scheduler, clock } = fixture);
    });
    afterEach(async () => {
      const stopped = scheduler.stop(0);
      await fixture.pass(0);
      await stopped;
      await fixture.close();
    });

    async function until(condition: () => boolean): Promise<void> {
      for (let passedMs = 0; !condition(); passedMs += 20) {
        if (passedMs > LIMIT_MS) throw new Error(`not within ${LIMIT_MS} ms: ${String(condition)}`);
        await fixture.pass(20);
      }
    }

    /** Until a tick that was due later than anything before it has run. */
    async function afterAll(record: { count(key: string): number }, marker: string): Promise<void> {
      const before = record.count(marker);
      scheduler.wake(marker);
      await until(() => record.count(marker) > before);
    }

    test('a woken canary ticks, and one that answers undefined does not tick again', async () => {
      // The marker waits for longer than an undefined that was taken for 0 would have.
      const record = recorder(clock, (key, count) => (key === 'n/marker' && count < 3 ? 100 : undefined));
      await scheduler.start(record.handler);
      scheduler.wake('n/a');
      await until(() => record.count('n/a') === 1 && record.running.size === 0);
      scheduler.wake('n/marker');
      await until(() => record.count('n/marker') === 3);
      expect(record.count('n/a')).toBe(1);
      expect(scheduler.isHealthy()).toBe(true);
    });

    test('a wake before the start is kept', async () => {
      const record = recorder(clock, () => undefined);
      scheduler.wake('n/a');
      await scheduler.start(record.handler);
      await until(() => record.count('n/a') === 1);
    });

    test('a wake never runs the handler inside the call', async () => {
      const record = recorder(clock, () => undefined);
      await scheduler.start(record.handler);
      scheduler.wake('n/a');
      expect(record.count('n/a')).toBe(0);
      await until(() => record.count('n/a') === 1);
    });

    test('delays are kept: never early', async () => {
      const record = recorder(clock, (_, count) => (count <= 4 ? 150 : undefined));
      await scheduler.start(record.handler);
      for (const key of ['n/a', 'n/b', 'n/c']) scheduler.wake(key);
      await until(() => ['n/a', 'n/b', 'n/c'].every(key => record.count(key) === 5));
      for (const key of ['n/a', 'n/b', 'n/c']) {
        const ticks = record.ticks.filter(tick => tick.key === key);
        ticks.slice(1).forEach((tick, index) => {
          expect(tick.startedMs - ticks[index]!.endedMs!).toBeGreaterThanOrEqual(150 - ROUNDING_MS);
        });
      }
    });

    test('a wake while the tick runs is followed by one more tick, whatever the tick answers', async () => {
      const handlers = new Map<string, TickHandler>();
      for (const [key, answer] of [
        ['n/never', undefined],
        ['n/later', 3_600_000],
      ] as const) {
        const releases: (() => void)[] = [];
        const record = recorder(clock, (_, count) =>
          count === 1 ? new Promise(resolve => releases.push(() => resolve(answer))) : undefined,
        );
        handlers.set(key, record.handler);
        if (key === 'n/never') await scheduler.start((woken, signal) => handlers.get(woken)!(woken, signal));
        scheduler.wake(key);
        await until(() => record.running.has(key));
        for (let wakes = 0; wakes < 5; wakes++) scheduler.wake(key);
        await fixture.pass(100); // Lets wakes that travel arrive while the tick is running.
        expect(record.count(key)).toBe(1);
        releases[0]!();
        await until(() => record.count(key) === 2 && record.running.size === 0);
        expect(record.state.overlaps).toBe(0);
      }
    });

    test('a wake of a waiting canary runs it now', async () => {
      const record = recorder(clock, (_, count) => (count === 1 ? 3_600_000 : undefined));
      await scheduler.start(record.handler);
      scheduler.wake('n/a');
      await until(() => record.count('n/a') === 1 && record.running.size === 0);
      await fixture.pass(50);
      scheduler.wake('n/a');
      await until(() => record.count('n/a') === 2);
      expect(record.state.overlaps).toBe(0);
    });

    test('ensure sets what is missing, brings forward what is late, keeps what is early', async () => {
      const record = recorder(clock, (_, count) => (count === 1 ? 3_600_000 : undefined));
      await scheduler.start(record.handler);
      const startMs = clock.now();
      await scheduler.ensure(
        new Map([
          ['n/missing', startMs + 200],
          ['n/late', startMs + 3_600_000],
          ['n/early', startMs + 200],
          ['n/now', startMs],
        ]),
      );
      await scheduler.ensure(
        new Map([
          ['n/missing', startMs + 200],
          ['n/late', startMs + 200],
          ['n/early', startMs + 3_600_000],
          ['n/now', startMs],
        ]),
      );
      await until(() => ['n/missing', 'n/late', 'n/early', 'n/now'].every(key => record.count(key) === 1));
      for (const tick of record.ticks) {
        const dueMs = tick.key === 'n/now' ? startMs : startMs + 200;
        expect(tick.startedMs).toBeGreaterThanOrEqual(dueMs - ROUNDING_MS);
      }
    });

    test('ensure drops what is not listed', async () => {
      const record = recorder(clock, () => undefined);
      await scheduler.start(record.handler);
      const startMs = clock.now();
      await scheduler.ensure(
        new Map([
          ['n/dropped', startMs + 1_000],
          ['n/kept', startMs + 1_500],
        ]),
      );
      await scheduler.ensure(new Map([['n/kept', startMs + 1_500]]));
      await until(() => record.count('n/kept') === 1);
      await afterAll(record, 'n/marker');
      expect(record.count('n/dropped')).toBe(0);
    });

    test('a handler that throws ticks again after RETRY_DELAY_MS', async () => {
      const record = recorder(clock, (_, count) => {
        if (count === 1) throw new Error('a bug');
        return undefined;
      });
      await scheduler.start(record.handler);
      scheduler.wake('n/a');
      await until(() => record.count('n/a') === 2);
      const [first, second] = record.ticks;
      expect(second!.startedMs - first!.endedMs!).toBeGreaterThanOrEqual(RETRY_DELAY_MS - ROUNDING_MS);
    });

    test('1,000 canaries each tick once, and never more at once than allowed', async () => {
      const record = recorder(clock, () => clock.sleep(5));
      await scheduler.start(record.handler);
      const keys = Array.from({ length: 1_000 }, (_, index) => `shop-${index % 10}/app-${index}`);
      await scheduler.ensure(new Map(keys.map(key => [key, clock.now()])));
      await until(() => new Set(record.ticks.map(tick => tick.key)).size === 1_000);
      await until(() => record.running.size === 0);
      expect(record.ticks).toHaveLength(1_000);
      expect(record.state).toMatchObject({ overlaps: 0 });
      expect(record.state.mostAtOnce).toBeLessThanOrEqual(fixture.concurrency);
      expect(record.state.mostAtOnce).toBeGreaterThan(1);
    });

    test('under wakes at any time no key overlaps, and each wake is followed by a tick', async () => {
      const record = recorder(clock, async (_, count) => {
        await clock.sleep(count % 7);
        return count % 3 === 0 ? undefined : (count * 13) % 40;
      });
      let isOver = false;
      await scheduler.start(async (key, signal) =>
        isOver ? void (await record.handler(key, signal)) : record.handler(key, signal),
      );
      const keys = Array.from({ length: 12 }, (_, index) => `n/${index}`);
      const lastWakeMs = new Map<string, number>();
      for (let round = 0; round < 60; round++) {
        keys.forEach((key, index) => {
          if ((round * 31 + index * 17) % 5 > 1) return;
          lastWakeMs.set(key, clock.now());
          scheduler.wake(key);
        });
        await fixture.pass((round * 7) % 20);
      }
      isOver = true;
      await until(() =>
        keys.every(key =>
          record.ticks.some(tick => tick.key === key && tick.startedMs >= lastWakeMs.get(key)!),
        ),
      );
      expect(record.state.overlaps).toBe(0);
    });

    test('stop waits for running ticks, then returns; a wake after it is ignored', async () => {
      let release: (() => void) | undefined;
      const record = recorder(clock, key =>
        key === 'n/slow' ? new Promise<void>(resolve => (release = resolve)) : 100,
      );
      await scheduler.start(record.handler);
      scheduler.wake('n/slow');
      scheduler.wake('n/waiting');
      await until(() => record.running.has('n/slow') && record.count('n/waiting') >= 1);
      let isStopped = false;
      const stopped = scheduler.stop(LIMIT_MS).then(() => (isStopped = true));
      await fixture.pass(100);
      expect(isStopped).toBe(false);
      release!();
      await until(() => isStopped);
      await stopped;
      const ticks = record.ticks.length;
      scheduler.wake('n/slow');
      scheduler.wake('n/other');
      await scheduler.ensure(new Map([['n/other', clock.now()]]));
      await fixture.pass(500);
      expect(record.ticks).toHaveLength(ticks);
      expect(scheduler.isHealthy()).toBe(false);
    });

    test('stop gives up on a tick that does not end, and aborts it', async () => {
      let signal: AbortSignal | undefined;
      const record = recorder(clock, (_, __, given) => {
        signal = given;
        return new Promise<void>(() => {});
      });
      await scheduler.start(record.handler);
      scheduler.wake('n/stuck');
      await until(() => record.running.has('n/stuck'));
      expect(signal!.aborted).toBe(false);
      let isStopped = false;
      const stopped = scheduler.stop(200).then(() => (isStopped = true));
      await until(() => isStopped);
      await stopped;
      expect(signal!.aborted).toBe(true);
    });
  });
}
