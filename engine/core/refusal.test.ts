/** Objects that are refused, and accepted again; and the cursor of the notifications, which rides on every status write. */
import { describe, expect, test } from 'vitest';
import { type AbstractWorld, createAbstractWorld } from './abstractWorld.ts';
import { decide } from './decide.ts';
import type { Observation, Problem } from './observation.ts';

const missing: Problem = {
  reason: 'AlertProviderNotFound',
  field: 'spec.analysis.alerts[0].providerRef',
  message: 'AlertProvider shop/on-call does not exist',
  sparesRun: true,
};
const invalid: Problem = { reason: 'TargetTaken', field: 'spec.targetRef', message: 'taken' };

function tick(world: AbstractWorld, changed: Partial<Observation> = {}): void {
  const seen = { ...world.observe(), ...changed };
  const decision = decide(seen);
  if (!decision.measure) return world.execute(decision, seen);
  world.measure(decision.measure);
  const again = { ...world.observe(), ...changed };
  world.execute(decide(again), again);
  world.forgetJudgement();
}

function until(world: AbstractWorld, isDone: () => boolean, changed: Partial<Observation> = {}): void {
  for (let step = 0; step < 300 && !isDone(); step++) {
    tick(world, changed);
    world.settleWorkloads();
    world.advance(1_000);
  }
  expect(isDone(), world.log.slice(-10).join('\n')).toBe(true);
}

function adopted(): AbstractWorld {
  const world = createAbstractWorld();
  until(world, () => world.status.phase === 'Initialized' && world.target.replicas === 0);
  // What the last writes changed is reported.
  for (let step = 0; step < 3; step++) tick(world);
  return world;
}

const accepted = (world: AbstractWorld) => world.status.conditions?.find(one => one.type === 'Accepted');

describe('a refused object', () => {
  test('starts nothing, and says why with the field; accepted again it says so once and goes on', () => {
    const world = adopted();
    world.release('r2');
    until(world, () => accepted(world)?.status === 'False', { problems: [missing] });
    const message = 'spec.analysis.alerts[0].providerRef: AlertProvider shop/on-call does not exist';
    expect(accepted(world)).toMatchObject({ reason: 'AlertProviderNotFound', message });
    expect(world.status.transitions?.at(-1)).toMatchObject({
      reason: 'AlertProviderNotFound',
      message,
    });
    const before = structuredClone(world.status);
    for (let step = 0; step < 10; step++) tick(world, { problems: [missing] });
    expect(world.status).toEqual(before);
    until(world, () => world.status.phase === 'Succeeded');
    expect(accepted(world)).toMatchObject({ status: 'True', reason: 'Accepted' });
    expect(world.status.promoted?.hash).toBe('r2');
  });

  test('is accepted again also when nothing is to be rolled out', () => {
    const world = adopted();
    until(world, () => accepted(world)?.status === 'False', { problems: [missing] });
    world.advance(10_000);
    tick(world);
    expect(accepted(world)).toMatchObject({ status: 'True' });
    const { transitions = [] } = structuredClone(world.status);
    expect(transitions.at(-1)?.reason).toBe('Accepted');
    tick(world);
    expect(world.status.transitions).toEqual(transitions);
  });

  test.each([
    ['goes on', missing, 'Failed'],
    ['holds', invalid, 'Progressing'],
  ] as const)('a run that is under way %s under %o', (_what, problem, phase) => {
    const world = adopted();
    world.release('r2', 'bad');
    until(world, () => world.route?.canaryWeight === 20);
    for (let step = 0; step < 100; step++) {
      tick(world, { problems: [problem] });
      world.settleWorkloads();
      world.advance(1_000);
    }
    expect(world.status.phase).toBe(phase);
    expect(accepted(world)).toMatchObject({ status: 'False', reason: problem.reason });
    expect(world.route?.canaryWeight).toBe(phase === 'Failed' ? 0 : 20);
  });
});

describe('the cursor of the notifications', () => {
  test('rides on the next status write, makes none of its own, and never goes back', () => {
    const world = adopted();
    const before = structuredClone(world.status);
    expect(before.notified).toBeUndefined();
    tick(world, { notified: 2 });
    expect(world.status).toEqual(before);
    world.release('r2');
    until(world, () => world.route?.canaryWeight === 20, { notified: 2 });
    expect(world.status.notified).toBe(2);
    until(world, () => world.status.phase === 'Succeeded');
    expect(world.status.notified).toBe(2);
  });
});

test('a pause before the first step is said once', () => {
  const world = adopted();
  world.release('r2');
  until(world, () => world.status.phase === 'Progressing');
  world.command('pause', 'r2', 'c1');
  for (let step = 0; step < 60; step++) {
    tick(world);
    world.settleWorkloads();
    world.advance(1_000);
  }
  expect(world.route?.canaryWeight).toBe(0);
  expect(world.status.transitions?.filter(one => one.reason === 'Paused')).toHaveLength(1);
});
