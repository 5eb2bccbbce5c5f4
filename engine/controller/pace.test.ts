/** What one replica writes about one canary is bounded, and traffic is taken away all the same. */
import { describe, expect, test } from 'vitest';
import { adopted, runUntil } from '../core/abstractLife.ts';
import { decide } from '../core/decide.ts';
import type { Decision } from '../core/decision.ts';
import type { Observation } from '../core/observation.ts';
import { createPace } from './pace.ts';

/** A status write under the epoch that follows. */
function next(observation: Observation): Decision {
  const status = { ...observation.status, epoch: (observation.status.epoch ?? 0) + 1 };
  return { rule: 'report', actions: [{ kind: 'status', status }], transitions: [], nextTickMs: 0 };
}

/** How many decisions are carried out in this time; `others`: another replica answers each of them. */
function carriedOut(forMs: number, others: boolean): number {
  let now = 0;
  let carried = 0;
  const pace = createPace(() => now);
  let seen = adopted().observe();
  while (now < forMs) {
    const decision = next(seen);
    const waitMs = pace.waitMs('shop/web', seen, decision);
    if (waitMs > 0) now += waitMs;
    else {
      carried += 1;
      now += 10;
      const epoch = (seen.status.epoch ?? 0) + (others ? 2 : 1);
      seen = { ...seen, status: { ...seen.status, epoch } };
    }
  }
  return carried;
}

describe('in a minute', () => {
  test('one replica alone: a burst and one a second', () => {
    expect(carriedOut(60_000, false)).toBeGreaterThan(85);
    expect(carriedOut(60_000, false)).toBeLessThanOrEqual(92);
  });
  test('two that undo each other: no more than that together', () => {
    expect(2 * carriedOut(60_000, true)).toBeLessThanOrEqual(92);
  });
});

test('a decision without actions costs nothing', () => {
  const pace = createPace(() => 0);
  const seen = adopted().observe();
  const idle: Decision = { rule: 'phase', actions: [], transitions: [], nextTickMs: undefined };
  for (let count = 0; count < 1_000; count++) expect(pace.waitMs('shop/web', seen, idle)).toBe(0);
  expect(pace.waitMs('shop/web', seen, next(seen))).toBe(0);
});

test('what takes traffic away never waits', () => {
  const world = adopted();
  world.release('r2');
  runUntil(world, () => world.route?.canaryWeight === 20);
  const pace = createPace(() => 0);
  const seen = world.observe();
  while (pace.waitMs('shop/web', seen, next(seen)) === 0);
  seen.endpoints = { ...seen.endpoints, canary: 0 };
  const lost = decide(seen);
  expect(lost.rule).toBe('unready');
  expect(pace.waitMs('shop/web', seen, lost)).toBe(0);
});

test('a canary that comes back under its name goes on where it was, and another has its own', () => {
  const pace = createPace(() => 0);
  const seen = adopted().observe();
  while (pace.waitMs('shop/web', seen, next(seen)) === 0);
  const anew = { ...seen, canary: { ...seen.canary, uid: 'another' }, status: {} };
  expect(pace.waitMs('shop/web', anew, next(anew))).toBeGreaterThan(0);
  expect(pace.waitMs('shop/cart', seen, next(seen))).toBe(0);
});
