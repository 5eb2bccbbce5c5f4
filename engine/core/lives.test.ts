/** Random lives of a canary through the real `decide`, with crashes, flaps and other people's edits between any two steps. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { adopted, runUntil, tick } from './abstractLife.ts';
import type { Nature } from './abstractWorld.ts';
import { needsTick } from './decide.ts';

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('tick' as const),
      crashAfter: fc.option(fc.nat(2), { nil: undefined }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('roll' as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('advance' as const),
      ms: fc.constantFrom(500, 3_000, 11_000, 70_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('release' as const),
      revision: fc.constantFrom('r1', 'r2', 'r3', 'r4'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('flap' as const),
      arm: fc.constantFrom('target' as const, 'primary' as const),
      isDown: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('metrics' as const), isDown: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('edit' as const), weight: fc.constantFrom(0, 10, 100) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('command' as const),
      verb: fc.constantFrom('pause' as const, 'resume' as const, 'abort' as const, 'retry' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('userPause' as const), isPaused: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('meddle' as const),
      how: fc.constantFrom('takeApex' as const, 'deleteServices' as const, 'deletePrimary' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('scale' as const), replicas: fc.nat(3) }) },
);
const natures = fc.record({
  r2: fc.constantFrom<Nature>('good', 'bad', 'dead', 'deadPrimary'),
  r3: fc.constantFrom<Nature>('good', 'bad', 'dead'),
  r4: fc.constantFrom<Nature>('good', 'bad'),
});

describe('any life', () => {
  test('keeps the invariants under crashes, flaps and edits, and settles when they stop', () => {
    let commands = 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), natures, (steps, natureOf) => {
        const world = adopted();
        for (const one of steps) {
          if (one.kind === 'tick') tick(world, one.crashAfter);
          else if (one.kind === 'roll') world.settleWorkloads();
          else if (one.kind === 'advance') world.advance(one.ms);
          else if (one.kind === 'release')
            world.release(one.revision, one.revision === 'r1' ? 'good' : natureOf[one.revision as 'r2']);
          else if (one.kind === 'flap') world.flap(one.arm, one.isDown);
          else if (one.kind === 'metrics') world.metricsDown(one.isDown);
          else if (one.kind === 'edit') world.editRoute(one.weight);
          else if (one.kind === 'userPause') world.pauseByUser(one.isPaused);
          else if (one.kind === 'meddle') world[one.how]();
          else if (one.kind === 'scale') world.scale(one.replicas);
          else world.command(one.verb, world.status.run?.revision ?? 'r2', `c${++commands}`);
        }
        world.flap('target', false);
        world.flap('primary', false);
        world.metricsDown(false);
        world.pauseByUser(false);
        world.command('resume', world.status.run?.revision ?? 'r2', `c${++commands}`);
        runUntil(
          world,
          () =>
            ['Initialized', 'Succeeded', 'Failed'].includes(world.status.phase ?? '') &&
            world.route?.canaryWeight === 0 &&
            !needsTick(world.observe()),
          900,
        );
        expect(world.target.pausedBy).not.toBe('engine');
      }),
      { numRuns: 400 },
    );
  });
});
