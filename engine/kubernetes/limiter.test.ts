import { expect, test } from 'vitest';
import { createVirtualClock } from '../../simulator/clock.ts';
import { createLimiter } from './limiter.ts';

test('a burst passes at once, what is beyond it at the sustained rate, and each delay is told', async () => {
  const clock = createVirtualClock(0);
  const limited: number[] = [];
  const limiter = createLimiter({ clock, perSecond: 10, burst: 5, onLimited: ms => limited.push(ms) });
  const passed: number[] = [];
  for (let index = 0; index < 8; index++) void limiter.acquire(false).then(() => passed.push(clock.now()));
  await clock.advance(1_000);
  expect(passed).toEqual([0, 0, 0, 0, 0, 100, 200, 300]);
  expect(limited).toEqual([100, 200, 300]);
});

test('the bucket fills again, but never beyond its size, also after the wall clock stepped', async () => {
  const inner = createVirtualClock(0);
  let stepMs = 0;
  const clock = { ...inner, now: () => inner.now() + stepMs };
  const limited: number[] = [];
  const limiter = createLimiter({ clock, perSecond: 10, burst: 2, onLimited: ms => limited.push(ms) });
  await inner.advance(3_600_000);
  await limiter.acquire(false);
  await limiter.acquire(false);
  stepMs = -60_000;
  const third = limiter.acquire(false);
  await inner.advance(100);
  await third;
  expect(limited).toEqual([100]);
});

test('urgent requests are never delayed, and what they use is missing for others', async () => {
  const clock = createVirtualClock(0);
  const limited: number[] = [];
  const limiter = createLimiter({ clock, perSecond: 10, burst: 2, onLimited: ms => limited.push(ms) });
  for (let index = 0; index < 1_000; index++) await limiter.acquire(true);
  expect(limited).toEqual([]);
  void limiter.acquire(false);
  expect(limited).toEqual([300]);
  await clock.advance(300);
});

test('a wait ends when its signal aborts; one that would be too long is refused and nothing is sent', async () => {
  const clock = createVirtualClock(0);
  const limiter = createLimiter({ clock, perSecond: 1, burst: 1 });
  await limiter.acquire(false);
  const controller = new AbortController();
  const waiting = limiter.acquire(false, controller.signal);
  controller.abort();
  await expect(waiting).rejects.toMatchObject({ kind: 'aborted' });
  const others = Array.from({ length: 40 }, () =>
    limiter.acquire(false).then(
      () => 'passed',
      error => error.kind,
    ),
  );
  await clock.advance(60_000);
  const ends = await Promise.all(others);
  expect(new Set(ends)).toEqual(new Set(['passed', 'tooManyRequests']));
});
