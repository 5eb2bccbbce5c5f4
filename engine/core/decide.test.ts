/** The whole life of a canary through the real `decide`, on the abstract world. */
import { describe, expect, test } from 'vitest';
import { PHASES } from '../api/status.ts';
import { adopted, phaseIs, runUntil, tick } from './abstractLife.ts';
import { createAbstractWorld, testSettings } from './abstractWorld.ts';
import { decide, decideUrgent, needsTick } from './decide.ts';

test('the table of phases is total', () => {
  for (const phase of PHASES) {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    const seen = world.observe();
    seen.status = { ...seen.status, phase };
    expect(() => decide(seen)).not.toThrow();
  }
});

describe('adoption', () => {
  test('scales the target down last, and an idle canary needs no tick', () => {
    const world = adopted();
    expect(world.apexSelects).toBe('primary');
    expect(world.route).toMatchObject({ canaryWeight: 0, primaryWeight: 100 });
    tick(world);
    expect(needsTick(world.observe())).toBe(false);
  });
});

describe('a rollout', () => {
  test('good: every step, promotion, and the target at zero', () => {
    const world = adopted();
    world.release('r2');
    const weights = new Set<number>();
    runUntil(world, () => {
      weights.add(world.route?.canaryWeight ?? -1);
      return world.status.phase === 'Succeeded';
    });
    expect([...weights]).toEqual([0, 20, 50]);
    expect(world.primary?.template).toBe('r2');
    expect(world.status.promoted?.hash).toBe('r2');
    expect(world.target).toMatchObject({ replicas: 0, pausedBy: 'nobody' });
    expect(needsTick(world.observe())).toBe(false);
  });

  test('bad: rolled back in the tick in which the failed check reaches the threshold', () => {
    const world = adopted();
    world.release('r2', 'bad');
    runUntil(world, phaseIs(world, 'Failed'));
    expect(world.route).toMatchObject({ canaryWeight: 0, stamp: { end: 'failed' } });
    expect(world.status.failedChecks).toBe(2);
    expect(world.primary?.template).toBe('r1');
    runUntil(world, () => world.target.replicas === 0);
    runUntil(world, () => !needsTick(world.observe()), 3);
    expect(world.status.phase).toBe('Failed');
  });

  test('never ready: fails at the deadline and never had traffic', () => {
    const world = adopted();
    world.release('r2', 'dead');
    runUntil(world, phaseIs(world, 'Failed'));
    expect(world.status.transitions?.at(-1)?.reason).toBe('DeadlineExceeded');
  });

  test.each([0, 20])('ready once and not any more, at weight %d: fails at the deadline', weight => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.target.pausedBy === 'engine' && world.route?.canaryWeight === weight);
    const look = () => {
      const seen = world.observe();
      seen.target!.pods = seen.target!.pods.map(pods => ({ ...pods, available: 1 }));
      seen.target!.reportedAvailable = 1;
      return seen;
    };
    const wait = (seconds: number) => {
      for (let second = 0; second < seconds; second++) {
        const { measure } = decide(look());
        if (measure) world.measure(measure);
        const seen = look();
        world.execute(decide(seen), seen);
        world.forgetJudgement();
        world.advance(1_000);
      }
    };
    wait(50);
    expect([world.status.phase, world.route?.canaryWeight]).toEqual(['Progressing', weight]);
    wait(30);
    expect([world.status.phase, world.route?.canaryWeight]).toEqual(['Failed', 0]);
    expect(world.status.transitions?.map(one => one.reason)).toContain('DeadlineExceeded');
  });

  test('blue/green: passes its iterations at weight 0, then carries everything', () => {
    const world = adopted({ ...testSettings, iterations: 3, steps: [100] });
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 100);
    expect(world.status.iterations).toBe(3);
    runUntil(world, phaseIs(world, 'Succeeded'));
  });

  test('stepWeightPromotion: traffic returns in steps', () => {
    const world = adopted({ ...testSettings, stepWeightPromotion: 20 });
    world.release('r2');
    runUntil(world, phaseIs(world, 'Promoting'));
    const weights: number[] = [];
    runUntil(world, () => {
      const weight = world.route?.canaryWeight ?? -1;
      if (weights.at(-1) !== weight) weights.push(weight);
      return world.status.phase === 'Succeeded';
    });
    expect(weights).toEqual([50, 30, 10, 0]);
  });

  test('skipAnalysis still waits for readiness and gives the canary nothing', () => {
    const world = adopted({ ...testSettings, skipAnalysis: true });
    world.release('r2');
    world.allowUnjudged('r2');
    runUntil(world, phaseIs(world, 'Succeeded'));
    expect(world.primary?.template).toBe('r2');
  });

  test('a provider that is down holds, and never rolls back', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    world.metricsDown(true);
    for (let i = 0; i < 200; i++) {
      tick(world);
      world.advance(1_000);
    }
    expect(world.status.phase).toBe('Progressing');
    expect(world.route?.canaryWeight).toBe(20);
    expect(world.status.conditions?.find(one => one.type === 'Stalled')?.status).toBe('True');
    world.metricsDown(false);
    runUntil(world, phaseIs(world, 'Succeeded'));
  });
});

describe('urgent decisions', () => {
  test('a cache that still shows the template before the run is no revert', () => {
    const world = adopted();
    const { target: before } = world.observe();
    world.release('r2');
    runUntil(world, () => (world.route?.canaryWeight ?? 0) > 0);
    expect(decideUrgent({ ...world.observe(), target: before })?.rule).not.toBe('revert');
  });
  test('H6 a revert aborts at once', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    world.release('r1');
    const seen = world.observe();
    const decision = decideUrgent(seen);
    expect(decision?.rule).toBe('revert');
    expect(decision?.actions[0]?.kind).toBe('route');
    if (decision) world.execute(decision, seen);
    expect(world.status.phase).toBe('Failed');
    expect(world.route?.canaryWeight).toBe(0);
  });

  test('a target that is older in the cache than the run is no revert and no loss', () => {
    const world = adopted();
    const before = world.observe().target!;
    world.release('r2');
    tick(world);
    expect(world.status.phase).toBe('Progressing');
    // Another replica has seen the Canary change, and not yet the Deployment.
    const early = { ...world.observe(), target: before };
    expect(decideUrgent(early)).toBeUndefined();
    runUntil(world, () => decide(world.observe()).actions.some(one => one.kind === 'route'));
    const unpaused = { ...world.observe().target!, pausedBy: 'nobody' as const };
    runUntil(world, () => world.route?.canaryWeight === 20);
    const late = world.observe();
    late.target = { ...unpaused, generation: late.target!.generation - 1 };
    expect(decideUrgent(late)).toBeUndefined();
    late.target = { ...before };
    expect(decideUrgent(late)).toBeUndefined();
  });

  test('H14 H15 a new revision mid-run restarts from weight 0', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    world.release('r3');
    const seen = world.observe();
    const decision = decideUrgent(seen);
    expect(decision?.rule).toBe('supersede');
    if (decision) world.execute(decision, seen);
    expect(world.route?.canaryWeight).toBe(0);
    runUntil(world, phaseIs(world, 'Succeeded'));
    expect(world.primary?.template).toBe('r3');
  });

  test('a canary without endpoints loses its traffic at once', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    world.flap('target', true);
    const seen = world.observe();
    const decision = decideUrgent(seen);
    expect(decision?.rule).toBe('unready');
    if (decision) world.execute(decision, seen);
    expect(world.status.phase).toBe('Failed');
  });

  test('H16 traffic never goes to a primary without endpoints', () => {
    const world = adopted();
    world.release('r2', 'bad');
    runUntil(world, () => world.route?.canaryWeight === 20);
    world.flap('primary', true);
    for (let i = 0; i < 60; i++) {
      tick(world);
      world.advance(1_000);
    }
    expect(world.route?.canaryWeight).toBe(20);
    world.flap('primary', false);
    runUntil(world, phaseIs(world, 'Failed'));
  });

  test('an edit of the weights by others is taken back', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    world.editRoute(90);
    tick(world);
    expect(world.route?.canaryWeight).toBe(20);
  });
});

describe('promotion', () => {
  test('H1 a primary that does not come up returns to the last good revision', () => {
    const world = adopted();
    world.release('r2', 'deadPrimary');
    runUntil(world, phaseIs(world, 'Failed'), 800);
    expect(world.primary?.template).toBe('r1');
    expect(world.route?.canaryWeight).toBe(0);
    expect(world.status.lastGood?.hash).toBe('r1');
  });

  test('H13 a revision that arrives while promoting waits its turn', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, phaseIs(world, 'Promoting'));
    world.release('r3');
    runUntil(world, () => world.status.promoted?.hash === 'r2');
    runUntil(world, () => world.status.phase === 'Succeeded' && world.status.promoted?.hash === 'r3', 800);
  });

  test('a revert while promoting goes back', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, phaseIs(world, 'Promoting'));
    world.release('r1');
    runUntil(world, phaseIs(world, 'Failed'));
    expect(world.primary?.template).toBe('r1');
  });

  test('a promoted primary that fails its watch goes back', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.status.stage === 'bake');
    world.flap('primary', true);
    tick(world);
    expect(world.status.stage).toBe('back');
    tick(world);
    expect(world.route?.canaryWeight).toBeGreaterThan(0);
    world.flap('primary', false);
    runUntil(world, phaseIs(world, 'Failed'));
    expect(world.primary?.template).toBe('r1');
  });
});

describe('commands', () => {
  test('pause holds the weight, judging goes on, resume lets it rise', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    world.command('pause', 'r2', 'c1');
    for (let i = 0; i < 60; i++) {
      tick(world);
      world.advance(1_000);
    }
    expect(world.route?.canaryWeight).toBe(20);
    world.command('resume', 'r2', 'c2');
    runUntil(world, phaseIs(world, 'Succeeded'));
  });

  test('the deadline for the pods stands still while the run is paused, and goes on after it', () => {
    const world = adopted();
    world.release('r2', 'dead');
    runUntil(world, () => world.target.replicas === 2);
    const wait = (seconds: number) => {
      for (let second = 0; second < seconds; second++) {
        tick(world);
        world.settleWorkloads();
        world.advance(1_000);
      }
    };
    wait(30);
    world.command('pause', 'r2', 'c1');
    wait(200);
    expect(world.status.phase).toBe('Progressing');
    world.command('resume', 'r2', 'c2');
    wait(20);
    expect(world.status.phase).toBe('Progressing');
    wait(20);
    expect(world.status.phase).toBe('Failed');
    expect(world.status.transitions?.map(one => one.reason)).toContain('DeadlineExceeded');
  });

  test('a paused run whose target its controller has not looked at yet waits for no deadline either', () => {
    const world = adopted();
    world.release('r2', 'dead');
    runUntil(world, () => world.target.replicas === 2);
    const look = () => {
      const seen = world.observe();
      seen.target!.observedGeneration = seen.target!.generation - 1;
      return decide(seen);
    };
    expect(look().nextTickMs).toBeGreaterThan(0);
    world.command('pause', 'r2', 'c1');
    tick(world);
    expect(look()).toMatchObject({ actions: [], hold: { reason: 'CanaryNotReady' }, nextTickMs: undefined });
  });

  test.each([
    ['pause', 'Progressing'],
    ['promote', 'Progressing'],
    ['resume', 'Progressing'],
  ] as const)('%s while spec.suspend is set is refused, and the run waits', (verb, phase) => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    world.command(verb, 'r2', 'c1');
    const seen = world.observe();
    seen.settings = { ...seen.settings, suspend: true };
    world.execute(decide(seen), seen);
    expect(world.status).toMatchObject({ phase, handledCommand: 'c1' });
    expect(world.status.transitions?.at(-1)).toMatchObject({
      reason: 'CommandRefused',
      message: `${verb} does not apply while spec.suspend is set; only abort does.`,
    });
    const after = world.observe();
    after.settings = { ...after.settings, suspend: true };
    expect(decide(after)).toMatchObject({ hold: { reason: 'Suspended' } });
  });

  test('abort acts while spec.suspend is set', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    world.command('abort', 'r2', 'c1');
    const seen = world.observe();
    seen.settings = { ...seen.settings, suspend: true };
    world.execute(decide(seen), seen);
    expect([world.route?.canaryWeight, world.status.phase]).toEqual([0, 'Failed']);
  });

  test('a command on an object that is not accepted is refused, once', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    world.command('promote', 'r2', 'c1');
    const look = () => {
      const seen = world.observe();
      seen.problems = [{ reason: 'InvalidSpec', field: 'spec.service.port', message: 'expected a port' }];
      return seen;
    };
    const seen = look();
    world.execute(decide(seen), seen);
    expect(world.status.transitions?.at(-1)).toMatchObject({
      reason: 'CommandRefused',
      message: expect.stringContaining('expected a port'),
    });
    expect(decide(look())).toMatchObject({ hold: { reason: 'InvalidSpec' } });
  });

  test('one that cannot be read is refused, once', () => {
    const world = adopted();
    const seen = world.observe();
    seen.unreadCommand = {
      id: 'unread-1',
      message: 'serin.dev/command: "abrt" is not one of promote, abort',
    };
    world.execute(decide(seen), seen);
    expect(world.status).toMatchObject({ handledCommand: 'unread-1' });
    expect(world.status.transitions?.at(-1)).toMatchObject({
      reason: 'CommandRefused',
      message: expect.stringContaining('abrt'),
    });
  });

  test('promote goes past the rest of the analysis; it is bound to one revision', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    world.command('promote', 'r9', 'c1');
    tick(world);
    expect(world.status.transitions?.at(-1)?.reason).toBe('CommandRefused');
    world.allowUnjudged('r2');
    world.command('promote', 'r2', 'c2');
    runUntil(world, phaseIs(world, 'Promoting'), 3);
    runUntil(world, phaseIs(world, 'Succeeded'));
  });

  test('abort, then retry is a new run of the same revision', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    const first = world.status.run?.id;
    world.command('abort', 'r2', 'c1');
    tick(world);
    expect(world.status.phase).toBe('Failed');
    world.command('retry', 'r2', 'c2');
    runUntil(world, phaseIs(world, 'Progressing'));
    expect(world.status.run?.id).not.toBe(first);
    runUntil(world, phaseIs(world, 'Succeeded'));
  });
});

describe('deletion', () => {
  test.each(['Initialized', 'Progressing', 'Promoting'])('gives the workload back from %s', phase => {
    const world = adopted();
    if (phase !== 'Initialized') world.release('r2');
    runUntil(
      world,
      () => world.status.phase === phase && (phase !== 'Progressing' || world.route?.canaryWeight === 20),
    );
    world.remove();
    runUntil(world, () => !world.hasFinalizer);
    expect(world.apexSelects).toBe('target');
    expect(world.target.replicas).toBeGreaterThan(0);
    expect(world.target.pausedBy).toBe('nobody');
  });
});

describe('what others change', () => {
  test('the apex Service is pointed back at the primary at once, and told', () => {
    const world = adopted();
    world.takeApex();
    const seen = world.observe();
    expect(decideUrgent(seen)?.actions.map(one => one.kind)).toEqual(['pointApex', 'status']);
    tick(world);
    expect(world.apexSelects).toBe('primary');
    expect(world.status.transitions?.at(-1)?.reason).toBe('ObjectRestored');
  });

  test('a contested apex: the target serves the last good revision, and nothing starts until it stops', () => {
    const world = adopted();
    for (let i = 0; i < 4; i++) {
      world.takeApex();
      tick(world);
      world.settleWorkloads();
    }
    runUntil(world, () => world.target.replicas === 2, 5);
    expect(world.status.conditions?.find(one => one.type === 'Contested')?.status).toBe('True');
    world.release('r2');
    for (let i = 0; i < 20; i++) {
      tick(world);
      world.settleWorkloads();
      world.advance(1_000);
    }
    expect(world.route?.canaryWeight).toBe(0);
    world.advance(11 * 60_000);
    runUntil(world, phaseIs(world, 'Succeeded'));
  });

  test('a contested field ends a run; its traffic goes back', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    for (let i = 0; i < 3; i++) {
      world.takeApex();
      tick(world);
    }
    tick(world);
    expect(world.status.phase).toBe('Failed');
    expect(world.status.history?.[0]?.reason).toBe('Contested');
    expect(world.apexSelects).toBe('primary');
  });

  test('replicas given to the target go to the primary, and the target back to zero', () => {
    const world = adopted();
    world.scale(5);
    runUntil(world, () => world.primary?.replicas === 5 && world.target.replicas === 0);
    tick(world);
    expect(needsTick(world.observe())).toBe(false);
  });

  test('replicas that a release brings along are no contest', () => {
    const world = adopted();
    for (const revision of ['r2', 'r3', 'r4', 'r5']) {
      world.scale(3);
      world.release(revision);
      runUntil(world, () => world.status.phase === 'Succeeded' && world.status.promoted?.hash === revision);
      runUntil(world, () => world.target.replicas === 0);
    }
    expect(world.primary?.replicas).toBe(3);
    expect(world.status.takenBack).toBeUndefined();
  });

  test('replicas that come back again and again are left alone, loudly', () => {
    const world = adopted();
    for (let i = 0; i < 6; i++) {
      world.scale(2);
      world.settleWorkloads();
      tick(world);
      tick(world);
      world.advance(3_000);
    }
    expect(world.target.replicas).toBe(2);
    expect(world.status.conditions?.find(one => one.type === 'Contested')?.status).toBe('True');
    expect(world.status.conditions?.find(one => one.type === 'Progressing')?.reason).toBe('Contested');
  });

  test('one act that is put right at the third try is one time, not three', () => {
    const world = adopted();
    world.scale(2);
    world.settleWorkloads();
    for (let attempt = 0; attempt < 3; attempt++) {
      const seen = world.observe();
      const { actions, ...decision } = decide(seen);
      // Its controller wrote first: the status lands, the write to the target does not.
      world.execute({ ...decision, actions: actions.filter(one => one.kind === 'status') }, seen);
      world.advance(250);
    }
    expect(world.status.takenBack).toHaveLength(1);
  });

  test('H35 deleted Services and a deleted primary come back', () => {
    const world = adopted();
    world.deleteServices();
    runUntil(world, () => world.observe().objects.hasServices, 3);
    world.deletePrimary();
    runUntil(world, () => (world.primary?.pods.get('r1')?.available ?? 0) === 2, 10);
    runUntil(world, () => !needsTick(world.observe()), 10);
    expect(world.status.conditions?.find(one => one.type === 'Ready')?.status).toBe('True');
  });

  test('a primary that is deleted mid-run comes back with the last good revision', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    world.deletePrimary();
    runUntil(world, phaseIs(world, 'Succeeded'));
  });

  test('stored templates that nothing refers to are forgotten', () => {
    const world = adopted();
    for (const revision of ['r2', 'r3', 'r4', 'r5', 'r6']) {
      world.release(revision);
      runUntil(world, () => world.status.phase === 'Succeeded' && world.status.promoted?.hash === revision);
    }
    runUntil(world, () => !needsTick(world.observe()), 20);
    expect([...world.stored].sort()).toEqual(['r5', 'r6']);
  });
});

describe('what the status says', () => {
  test('readiness of the primary while nothing runs, and an edited spec', () => {
    const world = adopted();
    tick(world);
    const ready = () => world.status.conditions?.find(one => one.type === 'Ready')?.status;
    expect(ready()).toBe('True');
    world.flap('primary', true);
    world.advance(10_000);
    tick(world);
    expect(ready()).toBe('False');
    world.flap('primary', false);
    tick(world);
    // Two engines that see different things would otherwise answer each other at once.
    expect([ready(), needsTick(world.observe())]).toEqual(['False', true]);
    world.advance(10_000);
    tick(world);
    expect(ready()).toBe('True');
    expect(needsTick(world.observe())).toBe(false);
  });

  test('an object that was refused and is mended', () => {
    const world = adopted();
    tick(world);
    const seen = world.observe();
    const refused = {
      ...seen,
      problems: [
        { reason: 'MetricTemplateNotFound', field: 'spec.analysis.metrics[0]', message: 'is not there' },
      ],
    };
    world.execute(decide(refused), refused);
    const accepted = () => world.status.conditions?.find(one => one.type === 'Accepted');
    expect(accepted()).toMatchObject({
      status: 'False',
      reason: 'MetricTemplateNotFound',
      message: 'spec.analysis.metrics[0]: is not there',
    });
    world.advance(10_000);
    tick(world);
    expect(accepted()).toMatchObject({ status: 'True', reason: 'Accepted' });
  });

  test.each([
    ['does not exist', 'TargetNotFound'],
    ['is paused by its user', 'TargetPausedByUser'],
  ])('a target that %s: %s', (_what, reason) => {
    const world = createAbstractWorld();
    runUntil(world, () => world.status.phase === 'Initializing');
    if (reason === 'TargetPausedByUser') world.pauseByUser(true);
    const seen = world.observe();
    if (reason === 'TargetNotFound') seen.target = undefined;
    world.execute(decide(seen), seen);
    expect(world.status.conditions?.find(one => one.type === 'Accepted')).toMatchObject({
      status: 'False',
      reason,
      message: expect.stringContaining('spec.targetRef.name'),
    });
  });
});
