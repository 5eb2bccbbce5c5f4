/** Promotion and the one way back, sentence by sentence (design, "Promotion"). */
import { describe, expect, test } from 'vitest';
import { adopted, phaseIs, runUntil, tick } from './abstractLife.ts';
import { type AbstractWorld, type Nature, testSettings } from './abstractWorld.ts';
import { decide } from './decide.ts';
import type { Observation } from './observation.ts';

function promoting(nature: Nature = 'good', settings = testSettings): AbstractWorld {
  const world = adopted(settings);
  world.release('r2', nature);
  runUntil(world, phaseIs(world, 'Promoting'));
  return world;
}

const isAt = (world: AbstractWorld, stage: string) => () => world.status.stage === stage;
const stageAfter = (seen: Observation) => {
  const status = decide(seen).actions.find(one => one.kind === 'status');
  return status?.kind === 'status' ? status.status.stage : undefined;
};

describe('forward', () => {
  test('(1) to (3): the split stays until every pod of the primary is of the revision and ready', () => {
    const world = promoting();
    expect(world.route?.canaryWeight).toBe(50);
    expect(world.primary).toMatchObject({ template: 'r2', isSurging: true });
    const seen = world.observe();
    seen.primary = {
      ...seen.primary!,
      observedGeneration: seen.primary!.generation,
      pods: [
        { revision: 'r2', total: 2, available: 2 },
        { revision: 'r1', total: 1, available: 1 },
      ],
    };
    expect(decide(seen)).toMatchObject({ actions: [], hold: { reason: 'Promoting' } });
  });

  test('(4) the move is recorded before the first traffic returns', () => {
    const world = promoting();
    runUntil(world, isAt(world, 'shift'));
    expect(world.route?.canaryWeight).toBe(50);
    expect(world.status.run?.peakWeight).toBe(50);
  });

  test('(4) judging goes on, and a canary that fails goes the way back', () => {
    const world = promoting();
    tick(world);
    world.advance(11_000);
    const seen = world.observe();
    seen.primary = { ...seen.primary!, pods: [{ revision: 'r2', total: 2, available: 0 }] };
    expect(decide(seen).measure).toBe('canary');
    const run = seen.status.run!;
    seen.status = { ...seen.status, failedChecks: 1 };
    seen.judgement = {
      runId: run.id,
      epoch: seen.route!.stamp.epoch,
      arm: 'canary',
      at: seen.now,
      checks: [{ metric: 'request-success-rate', outcome: 'fail', value: 50, min: 99 }],
    };
    expect(stageAfter(seen)).toBe('back');
  });

  test('(5) the last good revision changes only after the watch, in one status write', () => {
    const world = promoting();
    runUntil(world, isAt(world, 'bake'));
    expect(world.status.lastGood?.hash).toBe('r1');
    expect(world.status.promoted?.hash).toBe('r1');
    world.advance(5_000);
    expect(decide(world.observe()).actions).toEqual([]);
    runUntil(world, phaseIs(world, 'Finalising'));
    expect([world.status.lastGood?.hash, world.status.promoted?.hash]).toEqual(['r2', 'r2']);
  });

  test('(5) a failed check of the primary goes the way back', () => {
    const world = promoting();
    runUntil(world, isAt(world, 'bake'));
    world.advance(11_000);
    const seen = world.observe();
    expect(decide(seen).measure).toBe('primary');
    seen.judgement = {
      runId: seen.status.run!.id,
      epoch: seen.route!.stamp.epoch,
      arm: 'primary',
      at: seen.now,
      checks: [{ metric: 'request-success-rate', outcome: 'fail', value: 50, min: 99 }],
    };
    expect(stageAfter(seen)).toBe('back');
    expect(decide(seen).actions.at(-1)).toMatchObject({ kind: 'route', split: { canaryWeight: 50 } });
  });

  describe('(5) a primary of which nothing is known', () => {
    /** Baking, and nobody answers any more. */
    function unknown(settings = testSettings): AbstractWorld {
      const world = promoting('good', settings);
      runUntil(world, isAt(world, 'bake'));
      world.metricsDown(true);
      return world;
    }
    function wait(world: AbstractWorld, seconds: number): void {
      for (let second = 0; second < seconds; second++) {
        tick(world);
        world.settleWorkloads();
        world.advance(1_000);
      }
    }
    const isStalled = (world: AbstractWorld) =>
      world.status.conditions?.find(one => one.type === 'Stalled')?.status === 'True';

    test('is watched on, loud when the budget is spent, and promoted when it passes', () => {
      const world = unknown();
      wait(world, 50);
      expect([world.status.stage, world.status.lastGood?.hash, isStalled(world)]).toEqual([
        'bake',
        'r1',
        false,
      ]);
      wait(world, 80);
      expect([world.status.stage, isStalled(world)]).toEqual(['bake', true]);
      expect(world.target.replicas).toBe(2);
      const told = world.status.transitions!.map(one => one.reason);
      expect(told.filter(reason => reason === 'ProviderError')).toHaveLength(1);
      expect(told.filter(reason => reason === 'Stalled')).toHaveLength(1);
      world.metricsDown(false);
      runUntil(world, phaseIs(world, 'Succeeded'));
      expect(isStalled(world)).toBe(false);
    });

    test('follows onError and onStalled', () => {
      const passing = unknown({ ...testSettings, onError: 'pass' });
      runUntil(passing, phaseIs(passing, 'Succeeded'), 40);
      const failing = unknown({ ...testSettings, onError: 'fail' });
      runUntil(failing, phaseIs(failing, 'Failed'), 40);
      const stalling = unknown({ ...testSettings, errorBudget: 2, onStalled: 'rollback' });
      runUntil(stalling, phaseIs(stalling, 'Failed'), 60);
      expect(stalling.primary?.template).toBe('r1');
    });

    test('a person ends the watch by promote, and the history of the revision says so', () => {
      const world = unknown();
      wait(world, 30);
      world.command('promote', 'r2', 'c7');
      runUntil(world, phaseIs(world, 'Succeeded'), 30);
      expect(world.status.handledCommand).toBe('c7');
      expect(world.status.transitions?.find(one => one.reason === 'Finalising')?.message).toContain(
        'ended the watch',
      );
    });

    test('promoted by command: who did that has decided without them already', () => {
      const world = adopted();
      world.release('r2');
      runUntil(world, () => world.route?.canaryWeight === 20);
      world.metricsDown(true);
      world.allowUnjudged('r2');
      world.command('promote', 'r2', 'c1');
      runUntil(world, phaseIs(world, 'Succeeded'), 60);
      expect(world.status.transitions?.find(one => one.reason === 'Finalising')?.message).toContain(
        'was not judged as primary',
      );
    });

    test('promote is refused before the watch has begun', () => {
      const world = promoting();
      world.command('promote', 'r2', 'c1');
      tick(world);
      expect(world.status.transitions?.at(-1)).toMatchObject({
        reason: 'CommandRefused',
        message: expect.stringContaining('has not begun'),
      });
    });
  });

  test('(6) (7) drained, un-paused, and scaled down only while the primary is ready', () => {
    const world = promoting();
    runUntil(world, phaseIs(world, 'Finalising'));
    world.flap('primary', true);
    world.advance(60_000);
    for (const action of decide(world.observe()).actions) expect(action).not.toHaveProperty('replicas', 0);
    world.flap('primary', false);
    runUntil(world, phaseIs(world, 'Succeeded'));
    expect(world.target.replicas).toBe(0);
  });
});

describe('the one way back', () => {
  test.each([
    ['an abort', (world: AbstractWorld) => world.command('abort', 'r2', 'c1')],
    ['a revert', (world: AbstractWorld) => world.release('r1')],
    ['the deadline', (world: AbstractWorld) => world.advance(61_000)],
  ])(
    '%s: the last good template, the canary keeps its share until it is ready, then route 0',
    (_why, cause) => {
      const world = promoting('deadPrimary');
      tick(world);
      cause(world);
      runUntil(world, isAt(world, 'back'), 5);
      expect(world.route?.canaryWeight).toBeGreaterThan(0);
      tick(world);
      expect(world.primary?.template).toBe('r1');
      expect(world.route?.canaryWeight).toBeGreaterThan(0);
      runUntil(world, phaseIs(world, 'Failed'));
      expect(world.route).toMatchObject({ canaryWeight: 0, stamp: { end: 'failed' } });
      runUntil(world, () => world.target.replicas === 0 && world.target.pausedBy === 'nobody');
    },
  );

  test('(a) traffic has left a canary that is pinned and ready, and the primary fails: the last split, cause return', () => {
    const world = promoting();
    runUntil(world, isAt(world, 'bake'));
    const seen = world.observe();
    seen.status = { ...seen.status, stage: 'back', stageSince: new Date(seen.now).toISOString() };
    seen.primary = { ...seen.primary!, pods: [{ revision: 'r2', total: 2, available: 1 }] };
    const decision = decide(seen);
    expect(decision.actions).toMatchObject([
      { kind: 'status', status: { canaryWeight: 50, run: { cause: 'return' } } },
      { kind: 'target' },
      { kind: 'route', mode: 'raise', split: { canaryWeight: 50 } },
    ]);
  });

  test('the target is un-paused only when no late return can reach it: stamped, recorded, then un-paused', () => {
    const world = promoting('deadPrimary');
    tick(world);
    world.flap('target', true);
    tick(world);
    expect([world.route?.canaryWeight, world.status.stage]).toEqual([0, 'back']);
    runUntil(world, () => world.primary?.template === 'r1', 20);
    world.flap('primary', true);
    world.advance(60_000);
    const order: string[] = [];
    for (let step = 0; step < 4; step++) {
      const seen = world.observe();
      const decision = decide(seen);
      order.push(...decision.actions.map(one => one.kind));
      world.execute(decision, seen);
    }
    expect(order.filter(kind => kind === 'target')).toEqual(['target']);
    expect(order.indexOf('target')).toBeGreaterThan(order.indexOf('status'));
    expect(world.status.run?.peakWeight).toBe(0);
  });

  test('(a) not on old knowledge', () => {
    const world = promoting();
    runUntil(world, isAt(world, 'bake'));
    const seen = world.observe();
    seen.status = { ...seen.status, stage: 'back', stageSince: new Date(seen.now).toISOString() };
    seen.primary = { ...seen.primary!, pods: [{ revision: 'r2', total: 2, available: 1 }] };
    seen.staleCaches = ['endpointslices'];
    expect(decide(seen).actions.some(one => one.kind === 'route')).toBe(false);
  });

  test('if the last good does not come by the deadline: PrimaryNotReady, the target stays, (c) is awaited', () => {
    const world = promoting('deadPrimary');
    tick(world);
    world.command('abort', 'r2', 'c1');
    runUntil(world, () => world.status.stage === 'back' && world.primary?.template === 'r1', 5);
    world.flap('primary', true);
    world.advance(61_000);
    for (let step = 0; step < 5; step++) tick(world);
    expect(decide(world.observe()).hold?.reason).toBe('PrimaryNotReady');
    expect(world.target.replicas).toBe(2);
    world.flap('primary', false);
    runUntil(world, phaseIs(world, 'Failed'));
    expect(world.route?.canaryWeight).toBe(0);
  });
});

describe('a dead primary', () => {
  test('H17 while promoting: a pinned, ready canary that passed every step takes over, intent first', () => {
    const world = promoting();
    tick(world);
    world.flap('primary', true);
    const decision = decide(world.observe());
    expect(decision.actions.map(one => one.kind)).toEqual(['status', 'route']);
    expect(decision.actions[1]).toMatchObject({ split: { canaryWeight: 100 } });
    const seen = world.observe();
    world.execute(decision, seen);
    expect(world.status.run?.cause).toBe('takeover');
    world.flap('primary', false);
    runUntil(world, phaseIs(world, 'Succeeded'));
  });

  test('one that did not pass every step does not', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    world.allowUnjudged('r2');
    world.command('promote', 'r2', 'c1');
    runUntil(world, phaseIs(world, 'Promoting'), 3);
    world.flap('primary', true);
    expect(decide(world.observe()).actions.some(one => one.kind === 'route')).toBe(false);
  });

  test('while Progressing the canary is unjudged: hold', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    world.flap('primary', true);
    world.advance(11_000);
    world.measure('canary');
    const decision = decide(world.observe());
    expect(decision.actions.some(one => one.kind === 'route')).toBe(false);
    expect(decision.hold?.reason).toBe('PrimaryNotReady');
  });

  test('a canary without an endpoint while promoting: route 0, then the way back', () => {
    const world = promoting();
    tick(world);
    world.flap('target', true);
    tick(world);
    expect(world.route?.canaryWeight).toBe(0);
    expect(world.status.stage).toBe('back');
  });

  test('neither has one: the route stays as it is', () => {
    const world = promoting();
    world.flap('target', true);
    world.flap('primary', true);
    for (let step = 0; step < 10; step++) tick(world);
    expect(world.route?.canaryWeight).toBe(50);
  });
});

describe('the command skip', () => {
  /** r2 was being promoted and is on the way back; r1 does not come up either, and r3 is queued. */
  function stalled(): AbstractWorld {
    const world = promoting('deadPrimary');
    tick(world);
    world.command('abort', 'r2', 'c1');
    runUntil(world, () => world.status.stage === 'back' && world.primary?.template === 'r1', 5);
    world.release('r3');
    world.flap('primary', true);
    world.advance(61_000);
    for (let step = 0; step < 5; step++) tick(world);
    return world;
  }

  test('the queued revision is Stalled until somebody skips; the canary keeps the traffic meanwhile', () => {
    const world = stalled();
    expect(decide(world.observe()).hold?.reason).toBe('Stalled');
    world.command('skip', 'r3', 'c2');
    tick(world);
    tick(world);
    expect(world.status.stage).toBe('skip');
    runUntil(world, () => world.primary?.template === 'r3', 5);
    expect(world.route?.canaryWeight).toBeGreaterThan(0);
    world.flap('primary', false);
    runUntil(world, () => world.route?.canaryWeight === 0);
    // Served alone for the watch before it becomes the last good one.
    expect(world.status.lastGood?.hash).toBe('r1');
    runUntil(world, phaseIs(world, 'Succeeded'));
    expect(world.status.lastGood?.hash).toBe('r3');
  });

  test('failing is the way back', () => {
    const world = stalled();
    world.command('skip', 'r3', 'c2');
    runUntil(world, () => world.primary?.template === 'r3', 5);
    world.advance(61_000);
    tick(world);
    expect(world.status.stage).toBe('back');
  });

  test('is refused while the primary has an endpoint', () => {
    const world = promoting();
    world.command('skip', 'r2', 'c1');
    tick(world);
    expect(world.status.transitions?.at(-1)?.reason).toBe('CommandRefused');
  });
});

test('the watch over the primary begins when the traffic came, however long ago that was decided', () => {
  const world = promoting();
  runUntil(world, () => world.status.stage === 'bake');
  const seen = world.observe();
  const decidedAt = Date.parse(seen.status.stageSince ?? '');
  const now = decidedAt + testSettings.bakeMs;
  const landed = { ...seen, now, route: { ...seen.route!, writtenAt: now - 1_000 } };
  expect(decide(landed)).toMatchObject({ actions: [], nextTickMs: testSettings.bakeMs - 1_000 });
  expect(decide({ ...landed, route: { ...seen.route!, writtenAt: decidedAt } })).not.toMatchObject({
    nextTickMs: testSettings.bakeMs - 1_000,
  });
});
