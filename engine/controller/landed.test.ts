/** Transitions in doubt: found when they stand in the status, and forgotten when it went past without them. */
import { expect, test } from 'vitest';
import type { Transition } from '../api/status.ts';
import { createLanded } from './landed.ts';

const transition = (number: number, message = 'm'): Transition => ({
  number,
  at: '2026-01-01T00:00:00.000Z',
  severity: 'info',
  reason: 'Started',
  message,
});

test('those that landed are handed out once, the others never', () => {
  const landed = createLanded();
  landed.doubt('u', [transition(4), transition(5)]);
  expect(landed.of('u', { transitions: [transition(3)] })).toEqual([]);
  expect(landed.of('other', { transitions: [transition(4), transition(5)] })).toEqual([]);
  expect(landed.of('u', { transitions: [transition(4)] })).toEqual([transition(4)]);
  expect(landed.of('u', { transitions: [transition(4), transition(5, 'of another replica')] })).toEqual([]);
  expect(landed.of('u', { transitions: [transition(4), transition(5)] })).toEqual([]);
});

test('of several tries with one number the one that was written counts', () => {
  const landed = createLanded();
  for (const message of ['first', 'second', 'third']) landed.doubt('u', [transition(4, message)]);
  expect(landed.of('u', { transitions: [transition(4, 'second')] })).toEqual([transition(4, 'second')]);
});

test('tries that never land are bounded', () => {
  const landed = createLanded();
  for (let attempt = 0; attempt < 1_000; attempt++) landed.doubt('u', [transition(4, String(attempt))]);
  expect(landed.of('u', { transitions: [transition(4, '0')] })).toEqual([]);
  landed.doubt('u', []);
  expect(landed.of('u', {})).toEqual([]);
});
