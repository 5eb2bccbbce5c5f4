/** Durations: what Go reads, in milliseconds, and nothing else. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DURATION_CHARACTERS_MAX, durationMs } from './duration.ts';

test.each([
  ['30s', 30_000],
  ['1m30s', 90_000],
  ['1.5h', 5_400_000],
  ['250ms', 250],
  ['0s', 0],
  ['1500us', 1.5],
  ['1h1m1s1ms', 3_661_001],
])('%s is %d ms', (text, ms) => {
  expect(durationMs(text)).toBe(ms);
});

test.each([
  '',
  '10',
  '1d',
  '-1m',
  '1 m',
  '30sec',
  's',
  '1.m',
  '1e3s',
  `${'1'.repeat(DURATION_CHARACTERS_MAX)}s`,
])('%j is not a duration', text => {
  expect(durationMs(text)).toBeUndefined();
});

test('parts add up', () => {
  const part = fc.nat({ max: 9_999 });
  fc.assert(
    fc.property(part, part, part, (hours, minutes, seconds) => {
      expect(durationMs(`${hours}h${minutes}m${seconds}s`)).toBe(
        ((hours * 60 + minutes) * 60 + seconds) * 1000,
      );
    }),
  );
});
