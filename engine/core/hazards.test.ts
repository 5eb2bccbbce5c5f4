/**
 * What happens to a canary engine that was never attacked, one test for each hazard that is decided in the core. H1, H6,
 * H11, H13 to H17, H28 and H35 stand beside the rules that they are about (decide, pinning, promote); H22 and H32 in
 * steppers and analyzers, H23 among the rules of the API, H25 and H29 in controller/references. Hooks (H20, H27), config copies (H5, H30) and DaemonSets (H26, H33) do not exist yet.
 */
import { describe, expect, test } from 'vitest';
import { adopted, phaseIs, runUntil, tick } from './abstractLife.ts';
import { type AbstractWorld, createAbstractWorld, testSettings } from './abstractWorld.ts';
import { decide, decideUrgent, needsTick } from './decide.ts';
import { requiredPods } from './readiness.ts';
import { decideInSilence } from './silence.ts';

/** Lives on, the process dying after `actions` actions in every tick until `isDone`, then undisturbed. */
function crashingUntil(world: AbstractWorld, actions: number, isDone: () => boolean): void {
  for (let step = 0; step < 400 && !isDone(); step++) {
    tick(world, step % 2 === 0 ? actions : undefined);
    world.settleWorkloads();
    world.advance(1_000);
  }
}

test('H2 a crash at the start of a run never loses the revision', () => {
  for (const actions of [0, 1]) {
    const world = adopted();
    world.release('r2');
    tick(world, actions);
    runUntil(world, phaseIs(world, 'Succeeded'));
    expect(world.status.promoted?.hash).toBe('r2');
  }
});

test('H3 H9 every step survives a crash between any two of its writes', () => {
  for (const nature of ['good', 'bad', 'deadPrimary'] as const) {
    for (const actions of [0, 1]) {
      const world = adopted({ ...testSettings, stepWeightPromotion: 20 });
      world.release('r2', nature);
      const isOver = () => ['Succeeded', 'Failed'].includes(world.status.phase ?? '');
      crashingUntil(world, actions, isOver);
      runUntil(world, isOver);
      expect([nature, world.status.phase]).toEqual([nature, nature === 'good' ? 'Succeeded' : 'Failed']);
      expect(world.primary?.template).toBe(nature === 'good' ? 'r2' : 'r1');
    }
  }
});

test('H9 a run whose rollback was written to the route only is over: it never starts again by itself', () => {
  const world = adopted();
  world.release('r2');
  runUntil(world, () => world.route?.canaryWeight === 20);
  world.command('abort', 'r2', 'c1');
  tick(world, 1);
  expect([world.route?.canaryWeight, world.status.phase]).toEqual([0, 'Progressing']);
  world.command('pause', 'r9', 'c2');
  for (let step = 0; step < 60; step++) {
    tick(world);
    world.settleWorkloads();
    world.advance(1_000);
  }
  expect([world.status.phase, world.route?.canaryWeight]).toEqual(['Failed', 0]);
});

test('H4 H31 the status says the weight that the route has', () => {
  const world = adopted();
  world.release('r2');
  const pairs = new Set<string>();
  runUntil(world, () => {
    if (decide(world.observe()).actions.length === 0)
      pairs.add(`${world.status.canaryWeight}/${world.route?.canaryWeight}`);
    return world.status.phase === 'Succeeded';
  });
  for (const pair of pairs) expect(new Set(pair.split('/')).size).toBe(1);
});

test('H7 nothing that is told stands before the route', () => {
  const world = adopted();
  world.release('r2');
  runUntil(world, () => world.route?.canaryWeight === 20);
  world.flap('target', true);
  const decision = decideUrgent(world.observe());
  expect(decision?.actions[0]?.kind).toBe('route');
  expect(decision?.transitions.map(one => one.reason)).toEqual(['CanaryLost']);
});

test('H8 pods run on for the drain time after a rollback', () => {
  const world = adopted();
  world.release('r2');
  runUntil(world, () => world.route?.canaryWeight === 20);
  world.command('abort', 'r2', 'c1');
  tick(world);
  expect(world.route?.canaryWeight).toBe(0);
  world.advance(testSettings.drainMs - 1);
  for (let step = 0; step < 5; step++) tick(world);
  expect(world.target.replicas).toBe(2);
  world.advance(1);
  runUntil(world, () => world.target.replicas === 0, 5);
});

test('H10 skipAnalysis skips analysis, never readiness', () => {
  const world = adopted({ ...testSettings, skipAnalysis: true });
  world.release('r2', 'deadPrimary');
  world.allowUnjudged('r2');
  runUntil(world, phaseIs(world, 'Failed'));
  expect(world.primary?.template).toBe('r1');
  const dead = adopted({ ...testSettings, skipAnalysis: true });
  dead.release('r2', 'dead');
  runUntil(dead, phaseIs(dead, 'Failed'));
  expect(dead.primary?.template).toBe('r1');
});

test('H12 what is promoted is the stored revision of the run, whatever the target holds by then', () => {
  const world = adopted();
  world.release('r2');
  runUntil(world, phaseIs(world, 'Promoting'));
  world.release('r3', 'bad');
  tick(world);
  expect(world.primary?.template).toBe('r2');
});

test('H18 a primary that cannot come up leaves the target alone', () => {
  const world = createAbstractWorld();
  world.flap('primary', true);
  for (let step = 0; step < 100; step++) {
    tick(world);
    world.settleWorkloads();
    world.advance(10_000);
  }
  expect(world.status.phase).toBe('Initializing');
  expect([world.target.replicas, world.apexSelects, world.route]).toEqual([2, 'target', undefined]);
});

describe('H19 H21 readiness', () => {
  test('rounds up, and zero pods are never ready', () => {
    expect(requiredPods(1, 1)).toBe(1);
    expect(requiredPods(1, 50)).toBe(1);
    expect(requiredPods(3, 50)).toBe(2);
    expect(requiredPods(0, 100)).toBe(1);
  });

  test('a canary that is scaled to zero mid-run gets no more, and loses what it has', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    world.scale(0);
    world.settleWorkloads();
    tick(world);
    expect([world.route?.canaryWeight, world.status.phase]).toEqual([0, 'Failed']);
  });
});

test('H24 an edit of the weights snaps to nothing: the run goes on, one step at a time', () => {
  const world = adopted();
  world.release('r2');
  runUntil(world, () => world.route?.canaryWeight === 20);
  world.editRoute(0);
  // The status follows; no pod is moved and no weight is written for it.
  expect(decide(world.observe()).actions).toMatchObject([
    { kind: 'status', status: { phase: 'Progressing', canaryWeight: 0 } },
  ]);
  runUntil(world, () => world.route?.canaryWeight === 50);
  runUntil(world, phaseIs(world, 'Succeeded'));
});

test('H34 objects of the same name that belong to somebody else stop adoption', () => {
  const world = createAbstractWorld();
  runUntil(world, () => world.status.phase === 'Initializing');
  const seen = world.observe();
  seen.obstacles = [{ reason: 'FieldOwnedByOther', message: 'Deployment app-primary belongs to another.' }];
  const decision = decide(seen);
  expect(decision.hold?.reason).toBe('FieldOwnedByOther');
  expect(decision.actions.map(one => one.kind)).toEqual(['status']);
});

test('H35 any other trouble of the canary leaves its rollback alone', () => {
  const world = adopted();
  world.release('r2', 'bad');
  runUntil(world, () => world.route?.canaryWeight === 20);
  world.deleteServices();
  world.flap('primary', false);
  runUntil(world, phaseIs(world, 'Failed'));
  expect(world.route?.canaryWeight).toBe(0);
});

describe('H35 Services that are not as asked', () => {
  const objects = { hasServices: true, apexSelects: 'primary', services: 'outdated' } as const;
  const forbidden = { reason: 'ServiceRefused', message: 'A Service is left as it is: no.' };
  const refused = { ...objects, held: ['applyServices'], refused: forbidden } as const;

  function atWeight20(): AbstractWorld {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    world.settleWorkloads();
    return world;
  }

  test('wait for every take-away, and are followed before anything else is done', () => {
    const world = atWeight20();
    const after = (change: () => void) => {
      change();
      return decide({ ...world.observe(), objects }).rule;
    };
    const rules = [
      after(() => {}),
      after(() => world.command('abort', 'r2', 'c1')),
      after(() => world.release('r3')),
      after(() => world.release('r1')),
    ];
    expect(rules).toEqual(['followServices', 'abort', 'abort', 'revert']);
  });

  test('are no urgent matter, and none while the scheduler is silent', () => {
    const world = atWeight20();
    const seen = { ...world.observe(), objects };
    expect(decideUrgent(seen)).toBeUndefined();
    world.advance(60_000);
    expect(decideInSilence({ ...world.observe(), objects }).measure).toBe('canary');
  });

  test('are judged on when the API server refuses them, and it is said', () => {
    const world = atWeight20();
    world.advance(60_000);
    expect(decide({ ...world.observe(), objects: refused }).measure).toBe('canary');
    const paused = { ...world.observe(), objects: { ...refused, apexSelects: 'target' as const } };
    expect(
      decide({ ...paused, objects: { ...paused.objects, held: ['applyServices', 'pointApex'] } }).measure,
    ).toBe('canary');
    runUntil(world, phaseIs(world, 'Succeeded'));
    runUntil(world, () => !needsTick(world.observe()), 5);
    world.advance(60_000);
    const told = decide({ ...world.observe(), objects: refused });
    expect(told).toMatchObject({ rule: 'report', transitions: [{ reason: 'ServiceRefused' }] });
    world.execute(told, world.observe());
    expect(world.status.conditions?.find(one => one.type === 'Accepted')).toMatchObject({
      status: 'False',
      ...forbidden,
    });
    world.advance(60_000);
    expect(decide({ ...world.observe(), objects: refused }).actions).toEqual([]);
  });

  test('that somebody else keeps on changing are left alone after three times', () => {
    const world = adopted();
    const drifted = { ...objects, services: 'drifted' } as const;
    for (let times = 0; times < 5; times++) {
      const seen = { ...world.observe(), objects: drifted };
      world.execute(decide(seen), seen);
      world.advance(1_000);
    }
    expect(world.status.takenBack?.map(one => one.field)).toEqual(Array(3).fill('Service spec.ports'));
    world.advance(11 * 60_000);
    expect(decide({ ...world.observe(), objects: drifted }).rule).toBe('followServices');
  });
});
