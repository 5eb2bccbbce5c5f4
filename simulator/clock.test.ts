import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createVirtualClock } from './clock.ts';

test('timers fire in order of their time, then of their age, and see their own time', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(50), { maxLength: 40 }), async delays => {
      const clock = createVirtualClock(1_000);
      const fired: { at: number; index: number }[] = [];
      delays.forEach((delay, index) => clock.setTimer(() => fired.push({ at: clock.now(), index }), delay));
      await clock.advance(50);
      const expected = delays
        .map((delay, index) => ({ at: 1_000 + delay, index }))
        .toSorted((a, b) => a.at - b.at || a.index - b.index);
      expect(fired).toEqual(expected);
      expect(clock.pending()).toBe(0);
      expect(clock.now()).toBe(1_050);
    }),
  );
});

test('a chain of sleeps runs within one advance, and nothing runs beyond it', async () => {
  const clock = createVirtualClock(0);
  const woken: number[] = [];
  void (async () => {
    for (;;) {
      await clock.sleep(10);
      woken.push(clock.now());
    }
  })();
  await clock.advance(35);
  expect(woken).toEqual([10, 20, 30]);
  expect(clock.now()).toBe(35);
  expect(clock.pending()).toBe(1);
});

test('a cancelled timer never fires, and cancelling twice or after firing changes no count', async () => {
  const clock = createVirtualClock(0);
  let fired = 0;
  const cancelled = clock.setTimer(() => fired++, 5);
  const kept = clock.setTimer(() => fired++, 6);
  cancelled.cancel();
  cancelled.cancel();
  expect(clock.pending()).toBe(1);
  await clock.advance(10);
  kept.cancel();
  expect(fired).toBe(1);
  expect(clock.pending()).toBe(0);
});

test('a sleep ends when its signal aborts, and leaves no timer', async () => {
  const clock = createVirtualClock(0);
  const controller = new AbortController();
  let ended = false;
  void clock.sleep(1_000, controller.signal).then(() => {
    ended = true;
  });
  controller.abort();
  await clock.advance(0);
  expect(ended).toBe(true);
  expect(clock.pending()).toBe(0);
});
