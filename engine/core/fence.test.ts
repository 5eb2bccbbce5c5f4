/** The fences, sentence by sentence (docs/architecture.md; design, "Which write may land"). */
import { describe, expect, test } from 'vitest';
import type { ObservedRoute, Stamp } from '../../steppers/stepper.ts';
import { adopted, phaseIs, runUntil, tick } from './abstractLife.ts';
import type { AbstractWorld } from './abstractWorld.ts';
import { decide, decideUrgent } from './decide.ts';
import type { Action } from './decision.ts';
import { retakeAway } from './fence.ts';
import type { Observation } from './observation.ts';

const routeOf = (actions: readonly Action[]) =>
  actions.find((one): one is Extract<Action, { kind: 'route' }> => one.kind === 'route');
const statusOf = (actions: readonly Action[]) =>
  actions.find((one): one is Extract<Action, { kind: 'status' }> => one.kind === 'status');
const kinds = (actions: readonly Action[]) => actions.map(one => one.kind);

/** A run of r2 that has 20 % and whose next check is due. */
function running(settings?: Parameters<typeof adopted>[0]): AbstractWorld {
  const world = adopted(settings);
  world.release('r2');
  runUntil(world, () => world.route?.canaryWeight === 20);
  return world;
}

/** The observation in which the due check has been answered. */
function judged(world: AbstractWorld): Observation {
  world.advance(11_000);
  world.measure('canary');
  const seen = world.observe();
  world.forgetJudgement();
  return seen;
}

describe('epoch and stamp', () => {
  test('a decision takes one more than the greater of both epochs that it observed', () => {
    const world = running();
    for (const [status, route] of [
      [40, 3],
      [40, 40],
    ] as const) {
      const seen = judged(world);
      seen.status = { ...seen.status, epoch: status, routeEpoch: route };
      if (seen.route) seen.route.stamp.epoch = route;
      seen.judgement = { ...seen.judgement!, epoch: route };
      expect(routeOf(decide(seen).actions)?.stamp.epoch).toBe(Math.max(status, route) + 1);
    }
  });

  test('a raise has no end, and the run of revision, generation and command', () => {
    const world = running();
    expect(world.route?.stamp).toMatchObject({ end: '', run: `r2.${world.status.run?.generation}` });
    world.command('abort', 'r2', 'c1');
    tick(world);
    expect(world.route?.stamp.end).toBe('aborted');
    world.command('retry', 'r2', 'c2');
    runUntil(world, () => world.route?.canaryWeight === 20);
    expect(world.route?.stamp.run).toBe(`r2.${world.status.run?.generation}.c2`);
  });

  test.each([
    ['failed', (world: AbstractWorld) => world.release('r2', 'bad')],
    ['aborted', (world: AbstractWorld) => world.command('abort', 'r2', 'c1')],
    ['aborted', (world: AbstractWorld) => world.release('r1')],
    ['unready', (world: AbstractWorld) => world.flap('target', true)],
    ['superseded', (world: AbstractWorld) => world.release('r3')],
  ])('a run that ends is stamped %s', (end, cause) => {
    const world = adopted();
    world.release('r2', end === 'failed' ? 'bad' : 'good');
    runUntil(world, () => world.route?.canaryWeight === 20);
    cause(world);
    runUntil(world, () => world.route?.canaryWeight === 0);
    expect(world.route?.stamp).toMatchObject({ end, run: expect.stringMatching(/^r2\./) });
  });

  test('status records the epoch of the route that it was decided on', () => {
    const world = running();
    const seen = judged(world);
    expect(statusOf(decide(seen).actions)?.status.routeEpoch).toBe(seen.route?.stamp.epoch);
  });
});

describe('more: the status first; less: the route first', () => {
  test('a raise writes its intent, then the route with the same weight and epoch', () => {
    const { actions } = decide(judged(running()));
    expect(kinds(actions)).toEqual(['status', 'route']);
    expect(statusOf(actions)?.status).toMatchObject({
      canaryWeight: 50,
      epoch: routeOf(actions)?.stamp.epoch,
      run: { cause: 'verdict' },
    });
    expect(routeOf(actions)).toMatchObject({ mode: 'raise', split: { canaryWeight: 50, primaryWeight: 50 } });
  });

  test('a take-away writes the route, then the status', () => {
    const world = running();
    world.flap('target', true);
    const { actions } = decide(world.observe());
    expect(kinds(actions)).toEqual(['route', 'status']);
    expect(routeOf(actions)).toMatchObject({ mode: 'lower', split: { canaryWeight: 0 } });
  });

  test('a take-away is stamped even when the weight is 0 already', () => {
    const world = adopted();
    world.release('r2', 'dead');
    runUntil(world, phaseIs(world, 'Failed'));
    expect(world.route?.stamp).toMatchObject({ end: 'unready', run: expect.stringMatching(/^r2\./) });
  });

  test('while the route carries another run than the status speaks of, only the route is written', () => {
    const world = running();
    const seen = world.observe();
    // The status cache is behind: it still speaks of the first run.
    seen.status = { ...seen.status, run: { ...seen.status.run!, id: 'r1.1', revision: 'r1', generation: 1 } };
    seen.target = { ...seen.target!, revision: 'r3', generation: seen.target!.generation + 1 };
    const { actions } = decide(seen);
    expect(kinds(actions)).toEqual(['route']);
    expect(routeOf(actions)?.stamp).toMatchObject({ end: 'superseded', run: seen.route?.stamp.run });
    const calm = world.observe();
    calm.status = seen.status;
    expect(decide(calm)).toMatchObject({ actions: [], hold: { reason: 'CacheStale' } });
  });

  test.each([
    ['Progressing', 'Progressing', undefined],
    ['Promoting', 'Promoting', 'back'],
  ] as const)('%s: traffic under a stamp of no run is taken away at once', (_what, phase, stage) => {
    const world = running();
    if (phase === 'Promoting') runUntil(world, phaseIs(world, 'Promoting'));
    const seen = world.observe();
    const carried = seen.route!.canaryWeight;
    seen.route = { ...seen.route!, stamp: { epoch: 0, run: '', end: '' }, isIntact: false };
    const { actions } = decide(seen);
    expect(decideUrgent(seen)?.actions).toEqual(actions);
    expect(kinds(actions)).toEqual(['route', 'status']);
    const epoch = (seen.status.epoch ?? 0) + 1;
    expect(routeOf(actions)).toMatchObject({
      mode: 'lower',
      split: { canaryWeight: 0 },
      stamp: { epoch, run: seen.status.run!.id, end: '' },
    });
    // The run has not ended by it, and whoever edits routes again and again contests them.
    expect(statusOf(actions)?.status).toMatchObject({ phase, canaryWeight: 0, routeEpoch: epoch });
    expect(statusOf(actions)?.status.stage).toBe(stage);
    expect(statusOf(actions)?.status.takenBack).toMatchObject([{ field: 'the weights of the route' }]);
    expect(carried).toBeGreaterThan(0);
  });

  test('a status that is older than the route leaves its traffic alone: a deletion may have given it', () => {
    const world = running();
    world.command('abort', 'r2', 'c1');
    tick(world);
    const seen = world.observe();
    const stamp = { ...seen.route!.stamp, epoch: (seen.status.epoch ?? 0) + 1, end: '' as const };
    seen.route = { ...seen.route!, canaryWeight: 100, primaryWeight: 0, stamp };
    expect(decideUrgent(seen)).toBeUndefined();
    // Whether it is older is found out by writing it.
    const { rule, actions } = decide(seen);
    expect([rule, kinds(actions)]).toEqual(['followRoute', ['status']]);
    // Then nobody has asked for it; and a canary without an endpoint loses it at once.
    seen.status = { ...seen.status, epoch: stamp.epoch + 1, routeEpoch: stamp.epoch, canaryWeight: 100 };
    expect(decideUrgent(seen)).toMatchObject({ rule: 'stray' });
    seen.status = world.status;
    seen.endpoints.canary = 0;
    expect(decideUrgent(seen)).toMatchObject({ rule: 'unready' });
  });

  test('a template at a generation that is not above the run is no new revision', () => {
    const world = running();
    const seen = world.observe();
    seen.target = { ...seen.target!, revision: 'r0', generation: seen.status.run!.generation };
    expect(decideUrgent(seen)?.rule).not.toBe('supersede');
  });

  test('a rollback needs the route object and nothing else', () => {
    const world = running();
    const seen = world.observe();
    seen.endpoints.canary = 0;
    seen.problems = [{ reason: 'InvalidSpec', message: 'x' }];
    seen.obstacles = [{ reason: 'TargetHasAutoscaler', message: 'x' }];
    seen.staleCaches = ['canaries', 'deployments'];
    seen.settings = { ...seen.settings, suspend: true };
    expect(decide(seen).actions[0]).toMatchObject({ kind: 'route', mode: 'lower' });
    expect(decideUrgent({ ...seen, judgement: undefined })?.actions[0]).toMatchObject({ kind: 'route' });
  });
});

describe('a take-away after a conflict or a lost reply', () => {
  const stamp: Stamp = { epoch: 7, run: 'r2.3', end: 'failed' };
  const wanted = { stamp, canaryWeight: 0 };
  const route = (over: Partial<Stamp>, canaryWeight = 20): ObservedRoute => ({
    canaryWeight,
    primaryWeight: 100 - canaryWeight,
    stamp: { ...stamp, ...over },
    resourceVersion: '9',
    isIntact: true,
  });

  test('its own stamp: landed', () => {
    expect(retakeAway(wanted, route({}, 0))).toEqual({ kind: 'landed' });
  });
  test("another run's stamp, or no route: void", () => {
    expect(retakeAway(wanted, route({ run: 'r3.4', end: '' }))).toEqual({ kind: 'void' });
    expect(retakeAway(wanted, undefined)).toEqual({ kind: 'void' });
  });
  test('otherwise again, at least one above the epoch of the route', () => {
    const again = retakeAway(wanted, route({ epoch: 11, end: '' }));
    expect(again).toEqual({ kind: 'again', stamp: { ...stamp, epoch: 12 }, resourceVersion: '9' });
    expect(retakeAway(wanted, route({ epoch: 3, end: '' }))).toMatchObject({ stamp: { epoch: 7 } });
  });
  test('a partial lowering is void over a route that gives the canary less: written again it would be a raise', () => {
    const step = { stamp: { ...stamp, end: '' as const }, canaryWeight: 70 };
    expect(retakeAway(step, route({ epoch: 9, end: '' }, 10))).toEqual({ kind: 'void' });
    expect(retakeAway(step, route({ epoch: 9, end: '' }, 85))).toMatchObject({ stamp: { epoch: 10 } });
  });
  test('somebody ended the same run already: their reason stands', () => {
    expect(retakeAway(wanted, route({ epoch: 8, end: 'aborted' }, 0))).toEqual({ kind: 'void' });
  });
});

describe('repair', () => {
  test('lower: the cached route is older than the status, and only a take-away may act', () => {
    const world = running();
    const seen = judged(world);
    seen.status = { ...seen.status, routeEpoch: seen.route!.stamp.epoch + 2, canaryWeight: 20 };
    expect(decide(seen)).toMatchObject({ actions: [], hold: { reason: 'CacheStale' } });
    seen.endpoints.canary = 0;
    expect(decide(seen).actions[0]).toMatchObject({ kind: 'route', mode: 'lower' });
  });

  /** The status recorded a raise to 50 % and the process died before the route. */
  function unfinished(): AbstractWorld {
    const world = running();
    const seen = judged(world);
    world.execute(decide(seen), seen, 1);
    expect(world.status.canaryWeight).toBe(50);
    expect(world.route?.canaryWeight).toBe(20);
    return world;
  }

  test('equal, status weight higher, pass still fresh: finished with the epoch of the status', () => {
    const world = unfinished();
    const { actions } = decide(world.observe());
    expect(kinds(actions)).toEqual(['route']);
    expect(routeOf(actions)).toMatchObject({
      split: { canaryWeight: 50 },
      stamp: { epoch: world.status.epoch },
    });
  });

  test('… an interval later, or without readiness: judged again, or held', () => {
    const world = unfinished();
    world.flap('primary', true);
    expect(decide(world.observe()).actions).toEqual([]);
    world.flap('primary', false);
    world.advance(11_000);
    expect(decide(world.observe())).toMatchObject({ measure: 'canary', actions: [] });
  });

  test.each([
    ['failed', (world: AbstractWorld) => world.release('r2', 'bad')],
    ['was not answered', (world: AbstractWorld) => world.metricsDown(true)],
  ])('… and a check that %s meanwhile: the recorded raise never reaches the route', (_what, cause) => {
    const world = unfinished();
    cause(world);
    world.advance(11_000);
    // The check is written down; within an interval of it the raise is looked at again.
    tick(world);
    world.advance(1_000);
    tick(world);
    expect(world.status.phase).toBe('Progressing');
    expect(world.route?.canaryWeight).toBe(20);
  });

  test('… and a person who paused the run meanwhile: it waits', () => {
    const world = unfinished();
    world.command('pause', 'r2', 'c1');
    tick(world);
    tick(world);
    expect(world.route?.canaryWeight).toBe(20);
  });

  test('… of a first step: readiness alone', () => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () => decide(world.observe()).actions.some(one => one.kind === 'route'));
    tick(world, 1);
    expect([world.status.canaryWeight, world.route?.canaryWeight]).toEqual([20, 0]);
    world.advance(60_000);
    expect(routeOf(decide(world.observe()).actions)?.split.canaryWeight).toBe(20);
  });

  test('higher with the weight and epoch of the status: the raise landed, settled', () => {
    const world = running();
    expect(world.route?.stamp.epoch).toBe(world.status.epoch);
    expect(world.status.routeEpoch).toBeLessThan(world.status.epoch ?? 0);
    expect(decide(world.observe())).toMatchObject({ actions: [] });
  });

  test.each([
    ['failed', 'RolledBack'],
    ['aborted', 'Aborted'],
    ['unready', 'CanaryLost'],
  ] as const)(
    'higher, ended as %s: the status follows in one write and never resumes the run',
    (end, reason) => {
      const world = running();
      const seen = world.observe();
      const epoch = seen.route!.stamp.epoch + 1;
      seen.route = {
        ...seen.route!,
        canaryWeight: 0,
        primaryWeight: 100,
        stamp: { ...seen.route!.stamp, epoch, end },
      };
      const { actions } = decide(seen);
      expect(kinds(actions)).toEqual(['status']);
      expect(statusOf(actions)?.status).toMatchObject({
        phase: 'Failed',
        canaryWeight: 0,
        routeEpoch: epoch,
        history: [{ revision: 'r2', reason }],
      });
      // In a tick only: beside whoever ended it, and is about to write why, another replica would win half of the time.
      expect(decideUrgent(seen)).toBeUndefined();
    },
  );

  test('higher without an end: the weight is followed and the run goes on', () => {
    const world = running({ ...world0().settings, stepWeightPromotion: 10 });
    const seen = world.observe();
    const stamp = { ...seen.route!.stamp, epoch: seen.route!.stamp.epoch + 1 };
    seen.route = { ...seen.route!, canaryWeight: 10, primaryWeight: 90, stamp };
    expect(statusOf(decide(seen).actions)?.status).toMatchObject({ phase: 'Progressing', canaryWeight: 10 });
  });

  test('a take-away that is due on a weight above 0 comes before following', () => {
    const world = running();
    const seen = world.observe();
    const stamp = { ...seen.route!.stamp, epoch: seen.route!.stamp.epoch + 1 };
    seen.route = { ...seen.route!, canaryWeight: 10, primaryWeight: 90, stamp };
    seen.endpoints.canary = 0;
    expect(decide(seen).rule).toBe('unready');
  });

  test('a checkpoint of the judge is written only when settled', () => {
    const world = unfinished();
    world.metricsDown(true);
    const seen = judged(world);
    const { actions } = decide(seen);
    expect(actions.filter(one => one.kind === 'route')).toEqual([]);
  });
});

describe('a verdict is keyed by run, step and route epoch', () => {
  test.each([
    ['run', { runId: 'r9.1' }],
    ['epoch', { epoch: 1 }],
    ['arm', { arm: 'primary' as const }],
  ])('one of another %s does not count', (_what, over) => {
    const seen = judged(running());
    seen.judgement = { ...seen.judgement!, ...over };
    expect(decide(seen)).toMatchObject({ actions: [], measure: 'canary' });
  });

  test('decideUrgent reads none', () => {
    const world = adopted();
    world.release('r2', 'bad');
    runUntil(world, () => world.route?.canaryWeight === 20);
    const seen = judged(world);
    expect(decideUrgent(seen)).toBeUndefined();
  });
});

function world0(): Observation {
  return adopted().observe();
}

test('a raise that lands late has its whole interval all the same', () => {
  const world = running();
  const seen = judged(world);
  seen.judgement = undefined;
  expect(decide(seen).measure).toBe('canary');
  seen.route = { ...seen.route!, writtenAt: seen.now - 3_000 };
  expect(decide(seen)).toMatchObject({ actions: [], nextTickMs: 7_000 });
});
