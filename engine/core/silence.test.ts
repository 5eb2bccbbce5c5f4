/** While the scheduler is silent: takes away and holds, never raises, starts or promotes, whatever would be due. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { adopted, phaseIs, runUntil } from './abstractLife.ts';
import type { AbstractWorld } from './abstractWorld.ts';
import { decideInSilence } from './silence.ts';

function running(nature: 'good' | 'bad' = 'good'): AbstractWorld {
  const world = adopted();
  world.release('r2', nature);
  runUntil(world, () => world.route?.canaryWeight === 20);
  return world;
}

/** What the holder of the Lease does until nothing changes. */
function watchOver(world: AbstractWorld, steps: number): void {
  for (let step = 0; step < steps; step++) {
    const seen = world.observe();
    const decision = decideInSilence(seen);
    if (decision.measure) {
      world.measure(decision.measure);
      const again = world.observe();
      world.execute(decideInSilence(again), again);
      world.forgetJudgement();
    } else world.execute(decision, seen);
    world.settleWorkloads();
    world.advance(1_000);
  }
}

test('a run that fails its checks is rolled back', () => {
  const world = running('bad');
  watchOver(world, 40);
  expect([world.route?.canaryWeight, world.status.phase]).toEqual([0, 'Failed']);
});

test('a run that passes them holds, and says why', () => {
  const world = running();
  watchOver(world, 60);
  expect([world.route?.canaryWeight, world.status.phase]).toEqual([20, 'Progressing']);
  expect(world.status.conditions?.find(one => one.type === 'Progressing')?.reason).toBe('SchedulerSilent');
  runUntil(world, phaseIs(world, 'Succeeded'));
});

test('no release starts and no primary is written, wherever the silence begins', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 60 }), steps => {
      const world = adopted();
      world.release('r2');
      let step = 0;
      runUntil(world, () => step++ >= steps || world.status.phase === 'Succeeded');
      const before = { weight: world.route?.canaryWeight ?? 0, primary: world.primary?.template };
      watchOver(world, 30);
      expect(world.route?.canaryWeight).toBeLessThanOrEqual(before.weight);
      expect(world.primary?.template).toBe(before.primary);
    }),
  );
});
