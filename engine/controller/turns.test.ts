/** Who has to wait at a provider, and for how long. */
import { expect, test } from 'vitest';
import { createTurns, type Turn } from './turns.ts';

function row(perSecond: number) {
  let now = 1_000_000;
  return { turns: createTurns(() => now, perSecond), pass: (ms: number) => void (now += ms) };
}
const turn = (): Turn => ({ at: undefined });

test('nobody waits who comes alone', () => {
  const { turns, pass } = row(20);
  const one = turn();
  for (let count = 0; count < 5; count++) {
    expect(turns.waitMs(one)).toBe(0);
    pass(100);
  }
});

test('those who come together have their turn one after another, and keep their place', () => {
  const { turns, pass } = row(20);
  const all = Array.from({ length: 5 }, turn);
  expect(all.map(one => turns.waitMs(one))).toEqual([0, 50, 100, 150, 200]);
  expect(turns.isFree()).toBe(false);
  pass(100);
  expect(all.slice(1, 5).map(one => turns.waitMs(one))).toEqual([0, 0, 50, 100]);
  // Whoever has had a turn and wants another is behind them.
  expect(turns.waitMs(all[0] as Turn)).toBe(150);
  pass(1_000);
  expect(turns.isFree()).toBe(true);
});

test('who takes two at once keeps the next one waiting for both', () => {
  const { turns } = row(20);
  expect([turns.waitMs(turn(), 2), turns.waitMs(turn())]).toEqual([0, 100]);
});

test('a clock that is set back holds nobody', () => {
  const { turns, pass } = row(20);
  const one = turn();
  turns.waitMs(turn());
  turns.waitMs(one);
  pass(-3_600_000);
  expect([turns.waitMs(one), turns.waitMs(turn())]).toEqual([0, 0]);
});
