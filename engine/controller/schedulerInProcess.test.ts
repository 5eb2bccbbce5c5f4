/** The in-process scheduler: the contract on a virtual clock and on the real one, and what only memory has. */
import { describe, expect, test } from 'vitest';
import { createVirtualClock } from '../../simulator/clock.ts';
import { systemClock } from '../clock.ts';
import { describeSchedulerContract, recordingLog } from './schedulerContract.ts';
import { createInProcessScheduler } from './schedulerInProcess.ts';

const CONCURRENCY = 8;

describeSchedulerContract('in process, virtual clock', async () => {
  const clock = createVirtualClock(Date.UTC(2030, 0, 1));
  return {
    scheduler: createInProcessScheduler({ clock, log: recordingLog(), concurrency: CONCURRENCY }),
    clock,
    concurrency: CONCURRENCY,
    pass: ms => clock.advance(ms),
    close: async () => {},
  };
});

describeSchedulerContract('in process, real clock', async () => ({
  scheduler: createInProcessScheduler({
    clock: systemClock,
    log: recordingLog(),
    concurrency: CONCURRENCY,
  }),
  clock: systemClock,
  concurrency: CONCURRENCY,
  pass: ms => systemClock.sleep(ms),
  close: async () => {},
}));

describe('in-process scheduler', () => {
  test('a delay longer than one timer of Node is not cut short', async () => {
    const clock = createVirtualClock(0);
    const dayMs = 24 * 60 * 60 * 1000;
    const startedMs: number[] = [];
    const scheduler = createInProcessScheduler({ clock, log: recordingLog() });
    await scheduler.start(async () => {
      startedMs.push(clock.now());
      return 40 * dayMs;
    });
    scheduler.wake('n/a');
    await clock.advance(85 * dayMs);
    expect(startedMs).toEqual([0, 40 * dayMs, 80 * dayMs]);
    await scheduler.stop(0);
    expect(clock.pending()).toBe(0);
  });

  test('a canary that answered undefined leaves no timer behind', async () => {
    const clock = createVirtualClock(0);
    const scheduler = createInProcessScheduler({ clock, log: recordingLog() });
    await scheduler.start(async () => undefined);
    for (let index = 0; index < 100; index++) scheduler.wake(`n/${index}`);
    await clock.advance(1);
    expect(clock.pending()).toBe(0);
  });

  test('a canary that is always due does not keep others from their turn', async () => {
    const clock = createVirtualClock(0);
    const ticks: string[] = [];
    const scheduler = createInProcessScheduler({ clock, log: recordingLog(), concurrency: 1 });
    await scheduler.start(async key => {
      ticks.push(key);
      return ticks.length < 100 ? 0 : undefined;
    });
    for (const key of ['n/a', 'n/b', 'n/c']) scheduler.wake(key);
    await clock.advance(1);
    expect(ticks.slice(0, 6)).toEqual(['n/a', 'n/b', 'n/c', 'n/a', 'n/b', 'n/c']);
  });

  test('what a handler threw is logged with its canary', async () => {
    const clock = createVirtualClock(0);
    const log = recordingLog();
    const scheduler = createInProcessScheduler({ clock, log });
    await scheduler.start(async () => Number.NaN);
    scheduler.wake('n/a');
    await clock.advance(1);
    expect(log.lines).toMatchObject([{ level: 'error', message: 'tick failed', fields: { canary: 'n/a' } }]);
    await expect(scheduler.start(async () => undefined)).rejects.toThrow('started before');
  });
});
