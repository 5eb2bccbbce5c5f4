/** What people are told by name, where other tests look only at what was done. */
import { expect, test } from 'vitest';
import { adopted, phaseIs, runUntil, tick } from './abstractLife.ts';
import { type AbstractWorld, testSettings } from './abstractWorld.ts';
import { decide } from './decide.ts';

function atFirstStep(): AbstractWorld {
  const world = adopted();
  world.release('r2');
  runUntil(world, () => world.route?.canaryWeight === 20);
  return world;
}

const LIVES: readonly [string, () => AbstractWorld][] = [
  [
    'Restarted',
    () => {
      const world = atFirstStep();
      world.release('r3');
      tick(world);
      return world;
    },
  ],
  [
    'Resumed',
    () => {
      const world = atFirstStep();
      world.command('pause', 'r2', 'c1');
      tick(world);
      world.command('resume', 'r2', 'c2');
      tick(world);
      return world;
    },
  ],
  [
    'Suspended',
    () => {
      const world = atFirstStep();
      const seen = world.observe();
      seen.settings = { ...testSettings, suspend: true };
      world.execute(decide(seen), seen);
      return world;
    },
  ],
  [
    'RouteRestored',
    () => {
      const world = atFirstStep();
      world.editRoute(70);
      tick(world);
      return world;
    },
  ],
  [
    'Scaled',
    () => {
      const world = adopted();
      world.scale(3);
      world.settleWorkloads();
      tick(world);
      return world;
    },
  ],
  [
    'TookOver',
    () => {
      const world = adopted();
      world.release('r2');
      runUntil(world, phaseIs(world, 'Promoting'));
      world.flap('primary', true);
      tick(world);
      return world;
    },
  ],
];

test.each(LIVES)('%s', (reason, live) => {
  const { transitions } = live().status;
  expect(transitions?.filter(one => one.reason === reason)).toHaveLength(1);
});
