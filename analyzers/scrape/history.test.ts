/** Windows cut from what an arm counted: whatever comes, goes or is silent, they hold what was really counted in them. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PodCounters } from './counters.ts';
import { createArmHistory, MARKS_MAX, PODS_MAX, type PodLook } from './history.ts';

const look = (pod: string, ok: number, failed = 0, startedAt?: number): PodLook => ({
  pod,
  counters: counters(ok, failed, startedAt),
});

function counters(ok: number, failed: number, startedAt?: number): PodCounters {
  return {
    startedAt,
    requests: new Map([
      ['ok', { isFailure: false, count: ok }],
      ['failed', { isFailure: true, count: failed }],
    ]),
    durations: new Map(),
  };
}

function historyOf(windowsMs: number[]) {
  const history = createArmHistory();
  history.keepFor(windowsMs);
  return history;
}

test('the first look only begins to count', () => {
  const history = historyOf([5_000]);
  expect(history.window(5_000)).toBeUndefined();
  history.add(10_000, [look('a', 100)], true);
  expect(history.window(5_000)).toBeUndefined();
  expect(history.markedAt()).toBe(10_000);
  history.add(12_000, [look('a', 130, 5)], true);
  expect(history.window(5_000)).toMatchObject({ lengthMs: 2_000, increments: { requests: 35, failures: 5 } });
});

test('a window begins at the youngest look that is old enough', () => {
  const history = historyOf([4_000]);
  for (const [second, count] of [
    [0, 0],
    [2, 20],
    [4, 40],
    [6, 60],
    [8, 80],
  ] as const)
    history.add(second * 1_000, [look('a', count)], true);
  expect(history.window(4_000)).toMatchObject({ lengthMs: 4_000, increments: { requests: 40 } });
  expect(history.window(5_000)).toMatchObject({ lengthMs: 6_000, increments: { requests: 60 } });
  expect(history.window(2_000)).toMatchObject({ lengthMs: 2_000, increments: { requests: 20 } });
});

test('what is long past is not judged: after a gap it begins anew', () => {
  const history = historyOf([2_000]);
  history.add(0, [look('a', 0)], true);
  history.add(60_000, [look('a', 5_000, 5_000)], true);
  expect(history.window(2_000)).toBeUndefined();
  history.add(62_000, [look('a', 5_010, 5_000)], true);
  expect(history.window(2_000)).toMatchObject({ increments: { requests: 10, failures: 0 } });
});

test('a pod that was born meanwhile counts in full, any other new one from now on', () => {
  const history = historyOf([10_000]);
  history.add(100_000, [look('a', 10)], true);
  history.add(
    102_000,
    [look('a', 10), look('born', 7, 3, 101_000), look('back', 900, 0, 50_000), look('unknown', 800)],
    true,
  );
  expect(history.window(10_000)).toMatchObject({ increments: { requests: 10, failures: 3 } });
  history.add(104_000, [look('back', 901, 0, 50_000), look('unknown', 802)], true);
  expect(history.window(10_000)).toMatchObject({ increments: { requests: 13 } });
});

test('what a vanished pod counted in the window stays in it', () => {
  const history = historyOf([4_000]);
  history.add(0, [look('a', 0), look('dies', 0)], true);
  history.add(2_000, [look('a', 10), look('dies', 1, 9)], true);
  history.add(4_000, [look('a', 20)], true);
  expect(history.window(4_000)).toMatchObject({ increments: { requests: 30, failures: 9 } });
});

test('what pods counted while too few answered comes with their next answer', () => {
  const history = historyOf([2_000]);
  history.add(0, [look('a', 0), look('b', 0)], true);
  history.add(2_000, [look('a', 10)], false);
  expect(history.markedAt()).toBe(0);
  history.add(4_000, [look('a', 20), look('b', 7, 1)], true);
  expect(history.window(2_000)).toMatchObject({ lengthMs: 4_000, increments: { requests: 28, failures: 1 } });
});

test('a clock that is set back begins anew', () => {
  const history = historyOf([2_000]);
  history.add(10_000, [look('a', 0)], true);
  history.add(5_000, [look('a', 10)], true);
  expect(history.window(2_000)).toBeUndefined();
  history.add(7_000, [look('a', 30)], true);
  expect(history.window(2_000)).toMatchObject({ increments: { requests: 20 } });
});

test('a pod that was forgotten does not count twice', () => {
  const history = historyOf([10_000]);
  history.add(1_000, [look('first', 0)], true);
  history.add(2_000, [look('old', 50, 0, 1_500)], true);
  const others = Array.from({ length: PODS_MAX }, (_, index) => look(`p${index}`, 0));
  history.add(3_000, others, true);
  expect(history.pods().size).toBe(PODS_MAX);
  expect(history.pods().has('old')).toBe(false);
  history.add(4_000, [look('old', 60, 0, 1_500)], true);
  expect(history.window(10_000)).toMatchObject({ increments: { requests: 50 } });
});

test('marks stay few and close enough, from the shortest window to the longest', () => {
  const [shortMs, longMs] = [1_000, 24 * 60 * 60_000];
  const history = historyOf([shortMs, longMs]);
  let at = 0;
  for (let index = 0; index < 3 * 86_400; index += 1) history.add((at += 1_000), [look('a', at / 100)], true);
  expect(history.marks()).toBeLessThan(MARKS_MAX);
  for (const windowMs of [shortMs, 5_000, 60_000, 3_600_000, longMs]) {
    const window = history.window(windowMs)!;
    expect(window.lengthMs).toBeGreaterThanOrEqual(windowMs * 0.9);
    expect(window.lengthMs).toBeLessThanOrEqual(windowMs * 1.3);
    expect(window.increments.requests).toBe(window.lengthMs / 100);
  }
});

const arbitraryRound = fc.record({
  gapMs: fc.integer({ min: 200, max: 4_000 }),
  /** For each of four pods: what it counted since, whether it answers. */
  pods: fc.array(fc.record({ ok: fc.nat(30), failed: fc.nat(5), answers: fc.boolean() }), {
    minLength: 4,
    maxLength: 4,
  }),
});

test('over any rounds, a window of complete rounds holds exactly what was counted in it', () => {
  fc.assert(
    fc.property(
      fc.array(arbitraryRound, { minLength: 2, maxLength: 20 }),
      fc.integer({ min: 500, max: 6_000 }),
      (rounds, windowMs) => {
        const history = historyOf([windowMs]);
        let at = 1_000_000;
        const held = rounds[0]!.pods.map(() => ({ ok: 0, failed: 0 }));
        const marks: { at: number; requests: number; failures: number }[] = [];
        for (const { gapMs, pods } of rounds) {
          at += gapMs;
          pods.forEach((pod, index) => {
            held[index]!.ok += pod.ok;
            held[index]!.failed += pod.failed;
          });
          const isComplete = marks.length === 0 || pods.every(pod => pod.answers);
          const looks = held.flatMap((one, index) =>
            isComplete || pods[index]!.answers ? [look(`pod${index}`, one.ok, one.failed)] : [],
          );
          history.add(at, looks, isComplete);
          if (isComplete) {
            const failures = held.reduce((sum, one) => sum + one.failed, 0);
            marks.push({ at, failures, requests: failures + held.reduce((sum, one) => sum + one.ok, 0) });
          }
          const window = history.window(windowMs);
          const last = marks.at(-1)!;
          if (!window) continue;
          const first = marks.find(mark => mark.at === last.at - window.lengthMs)!;
          expect(window.increments).toMatchObject({
            requests: last.requests - first.requests,
            failures: last.failures - first.failures,
          });
        }
      },
    ),
  );
});
