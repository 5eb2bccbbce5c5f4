/** When the silence begins and ends, for whom, and how often it ticks: on a virtual clock. */
import { expect, test } from 'vitest';
import { createVirtualClock } from '../../simulator/clock.ts';
import { createSilenceWatch } from './silence.ts';

function setUp(carrying: { key: string; intervalMs: number }[]) {
  const clock = createVirtualClock(1_000_000);
  const state = { isHealthy: true, isLeader: true };
  const ticks: [string, number, string | undefined][] = [];
  const stopping = new AbortController();
  const watch = createSilenceWatch({
    clock,
    scheduler: { isHealthy: () => state.isHealthy },
    controller: {
      carrying: () => carrying,
      async tick(key, _signal, mode) {
        ticks.push([key, (clock.now() - 1_000_000) / 1_000, mode]);
        return 10_000;
      },
    },
    isLeader: () => state.isLeader,
    log: { warn() {}, info() {} },
  });
  void watch.run(stopping.signal);
  return { clock, state, ticks, watch, stop: () => stopping.abort() };
}

test('after 30 s, or two intervals, the holder of the Lease ticks what carries traffic, and only to lower it', async () => {
  const { clock, state, ticks, watch, stop } = setUp([
    { key: 'a/quick', intervalMs: 10_000 },
    { key: 'a/slow', intervalMs: 40_000 },
  ]);
  await clock.advance(5_000);
  expect(watch.silentMs()).toBe(0);
  state.isHealthy = false;
  await clock.advance(30_000);
  expect(ticks).toEqual([]);
  await clock.advance(60_000);
  expect(ticks.filter(([key]) => key === 'a/quick').map(([, at]) => at)).toEqual([36, 46, 56, 66, 76, 86]);
  expect(ticks.filter(([key]) => key === 'a/slow').map(([, at]) => at)).toEqual([86]);
  expect(new Set(ticks.map(([, , mode]) => mode))).toEqual(new Set(['lowerOnly']));
  state.isHealthy = true;
  await clock.advance(60_000);
  expect(ticks).toHaveLength(7);
  expect(watch.silentMs()).toBe(0);
  stop();
});

test('a replica without the Lease does nothing, and takes over with it', async () => {
  const { clock, state, ticks, stop } = setUp([{ key: 'a/web', intervalMs: 1_000 }]);
  Object.assign(state, { isHealthy: false, isLeader: false });
  await clock.advance(120_000);
  expect(ticks).toEqual([]);
  state.isLeader = true;
  await clock.advance(2_000);
  expect(ticks).toHaveLength(1);
  stop();
});
