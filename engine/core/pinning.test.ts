/** How a revision is pinned and how a workload is given back, sentence by sentence (design, "The revision is pinned"). */
import { describe, expect, test } from 'vitest';
import { adopted, phaseIs, runUntil, tick } from './abstractLife.ts';
import type { AbstractWorld } from './abstractWorld.ts';
import { decide, decideUrgent } from './decide.ts';
import type { Action } from './decision.ts';

function running(): AbstractWorld {
  const world = adopted();
  world.release('r2');
  runUntil(world, () => world.route?.canaryWeight === 20);
  return world;
}

const kinds = (actions: readonly Action[]) => actions.map(one => one.kind);
const holdsWith = (world: AbstractWorld) => decide(world.observe()).hold?.reason;

/** Every action up to the first traffic, in order, as they are carried out. */
function actionsUntilTraffic(world: AbstractWorld): Action[] {
  const seen: Action[] = [];
  for (let step = 0; step < 60 && (world.route?.canaryWeight ?? 0) === 0; step++) {
    const observation = world.observe();
    const decision = decide(observation);
    seen.push(...decision.actions);
    world.execute(decision, observation);
    world.settleWorkloads();
    world.advance(500);
  }
  return seen;
}

describe('the order', () => {
  test('stored, status, scaled up un-paused, paused, intent, touched, first raise', () => {
    const world = adopted();
    world.release('r2');
    const actions = actionsUntilTraffic(world);
    expect(kinds(actions)).toEqual([
      'storeRevision',
      'status',
      'target',
      'target',
      'status',
      'target',
      'route',
    ]);
    expect(actions[2]).toMatchObject({ replicas: 2 });
    expect(actions[2]).not.toHaveProperty('paused', true);
    expect(actions[3]).toMatchObject({ paused: true });
  });

  test.each([
    ['its controller has not seen the generation', { observedGeneration: 0 }],
    ['one pod is not ready', { pods: [{ revision: 'r2', total: 2, available: 1 }] }],
    [
      'an old pod is there',
      {
        pods: [
          { revision: 'r2', total: 2, available: 2 },
          { revision: 'r1', total: 1, available: 1 },
        ],
      },
    ],
    ['ready pods are of the old revision only', { pods: [{ revision: 'r1', total: 2, available: 2 }] }],
  ])('it is not paused while %s', (_why, over) => {
    const world = adopted();
    world.release('r2');
    runUntil(world, () =>
      decide(world.observe()).actions.some(one => one.kind === 'target' && one.paused === true),
    );
    const seen = world.observe();
    seen.target = { ...seen.target!, ...over };
    expect(decide(seen)).toMatchObject({ actions: [], hold: { reason: 'CanaryNotReady' } });
  });

  test.each([
    ["without Serin's own pause", { pausedBy: 'user' as const }],
    ['with a pod of another revision', { pods: [{ revision: 'r3', total: 2, available: 2 }] }],
    [
      'with fewer ready pods than the threshold asks for',
      { pods: [{ revision: 'r2', total: 2, available: 1 }] },
    ],
  ])('nothing rises %s', (_why, over) => {
    const world = running();
    world.advance(11_000);
    world.measure('canary');
    const seen = world.observe();
    expect(decide(seen).actions.some(one => one.kind === 'route' && one.mode === 'raise')).toBe(true);
    seen.target = { ...seen.target!, ...over };
    expect(decide(seen).actions.some(one => one.kind === 'route' && one.mode === 'raise')).toBe(false);
  });
});

test('why pods do not become ready is told in the words of the API, and in the end as well', () => {
  const world = adopted();
  world.release('r2', 'dead');
  runUntil(world, () => world.target.replicas === 2);
  const troubles = [{ reason: 'ImagePullFailed', message: 'Pod p1 cannot get image web:2: no such image.' }];
  const seen = { ...world.observe(), troubles };
  expect(decide({ ...seen, troubles: [] }).actions).toEqual([]);
  const decision = decide(seen);
  expect(decision.hold).toEqual({
    reason: 'ImagePullFailed',
    message: '0 of 2 pods of revision r2 are ready. Pod p1 cannot get image web:2: no such image.',
  });
  world.execute(decision, seen);
  world.advance(61_000);
  const last = decide({ ...world.observe(), troubles });
  expect(last.transitions[0]).toMatchObject({
    reason: 'DeadlineExceeded',
    message: expect.stringContaining('no such image'),
  });
});

describe('which revision', () => {
  test('another template while Progressing: route 0, drain, un-pause, and the same order again', () => {
    const world = running();
    world.release('r3');
    const seen = world.observe();
    const taken = decideUrgent(seen);
    expect(kinds(taken?.actions ?? [])).toEqual(['route', 'status']);
    if (taken) world.execute(taken, seen);
    expect(world.status.run?.revision).toBe('r3');
    tick(world);
    // Until it has drained the old pods keep their pin.
    expect(decide(world.observe()).hold?.reason).toBe('CanaryNotReady');
    expect(world.target.pausedBy).toBe('engine');
    world.advance(3_000);
    expect(kinds(actionsUntilTraffic(world))).toEqual([
      'status',
      'target',
      'target',
      'status',
      'target',
      'route',
    ]);
  });

  test('while promoting, or going back, it is queued', () => {
    const world = adopted();
    world.release('r2', 'deadPrimary');
    runUntil(world, () => world.status.stage === 'primary');
    world.release('r3');
    tick(world);
    expect(world.status.run?.revision).toBe('r2');
    runUntil(world, () => world.status.stage === 'back', 200);
    // The last good revision is on its way: the newer one is named as waiting.
    const seen = world.observe();
    seen.primary = { ...seen.primary!, revision: 'r1', pods: [{ revision: 'r1', total: 2, available: 0 }] };
    seen.endpoints.primary = 1;
    expect(decide(seen).hold?.reason).toBe('RevisionQueued');
  });

  test('a hash that differs at the same generation is re-baselined, never a release', () => {
    const world = adopted();
    tick(world);
    const seen = world.observe();
    seen.target = { ...seen.target!, revision: 'a2-r1' };
    const decision = decide(seen);
    expect(kinds(decision.actions)).toEqual(['storeRevision', 'status']);
    expect(decision.actions[1]).toMatchObject({
      status: { lastGood: { hash: 'a2-r1' }, promoted: { hash: 'a2-r1' }, phase: 'Initialized' },
    });
  });
});

test('a target that was deleted and made anew counts its generations from 1, and is a new revision all the same', () => {
  const world = adopted();
  world.release('r2');
  runUntil(world, phaseIs(world, 'Succeeded'));
  const seen = world.observe();
  seen.target = { ...seen.target!, uid: 'another', generation: 1, observedGeneration: 1, revision: 'r3' };
  expect(kinds(decide(seen).actions)).toEqual(['storeRevision', 'status']);
});

describe('un-paused', () => {
  test.each([
    ['a rollback', (world: AbstractWorld) => world.command('abort', 'r2', 'c1'), 'Failed'],
    ['a revert', (world: AbstractWorld) => world.release('r1'), 'Failed'],
    ['a promotion', () => {}, 'Succeeded'],
  ])('after %s, only when it has drained', (_exit, cause, phase) => {
    const world = running();
    cause(world);
    runUntil(world, phaseIs(world, phase));
    runUntil(world, () => world.target.pausedBy === 'nobody' && world.target.replicas === 0);
  });

  test('PrimaryNotReady with traffic on the canary is no exit: the pause stays, and it is said', () => {
    const world = running();
    world.command('abort', 'r2', 'c1');
    world.flap('primary', true);
    for (let step = 0; step < 20; step++) {
      tick(world);
      world.advance(1_000);
    }
    expect([world.route?.canaryWeight, world.target.pausedBy]).toEqual([20, 'engine']);
    expect(world.status.conditions?.find(one => one.type === 'Progressing')?.reason).toBe('PrimaryNotReady');
  });
});

describe("a user's pause", () => {
  test('H28 is reported, never overwritten, and nothing starts under it', () => {
    const world = adopted();
    world.pauseByUser(true);
    world.release('r2');
    for (let step = 0; step < 20; step++) {
      tick(world);
      world.settleWorkloads();
      world.advance(1_000);
    }
    expect(world.target.pausedBy).toBe('user');
    expect(world.route?.canaryWeight).toBe(0);
    expect(world.status.conditions?.find(one => one.type === 'Accepted')?.reason).toBe('TargetPausedByUser');
    world.pauseByUser(false);
    runUntil(world, phaseIs(world, 'Succeeded'));
  });

  test('somebody resumes under a live weight, and all is of the revision: paused again', () => {
    const world = running();
    const seen = world.observe();
    seen.target = { ...seen.target!, pausedBy: 'nobody' };
    const decision = decideUrgent(seen);
    expect(decision?.actions.at(-1)).toMatchObject({ kind: 'target', paused: true });
  });

  test('… and other pods run: route 0', () => {
    const world = running();
    const seen = world.observe();
    seen.target = {
      ...seen.target!,
      pausedBy: 'nobody',
      pods: [
        { revision: 'r2', total: 1, available: 1 },
        { revision: 'r9', total: 1, available: 1 },
      ],
    };
    expect(decideUrgent(seen)?.actions[0]).toMatchObject({ kind: 'route', split: { canaryWeight: 0 } });
  });
});

describe('deletion', () => {
  const order = (world: AbstractWorld): string[] => {
    const seen: string[] = [];
    for (let step = 0; step < 80 && world.hasFinalizer; step++) {
      const observation = world.observe();
      const decision = decide(observation);
      for (const action of decision.actions) {
        if (action.kind === 'route') seen.push(`route ${action.split.canaryWeight}`);
        else if (action.kind === 'target') {
          const isTouch = action.paused === undefined && action.replicas === undefined;
          seen.push(isTouch ? 'touch' : action.paused === false ? 'un-pause' : `scale ${action.replicas}`);
        } else if (action.kind !== 'status') seen.push(action.kind);
      }
      world.execute(decision, observation);
      world.settleWorkloads();
      world.advance(1_000);
    }
    return seen;
  };

  test('at rest: scale up, wait, route to the target, apex, release', () => {
    const world = adopted();
    world.remove();
    expect(order(world)).toEqual([
      'scale 2',
      'touch',
      'route 100',
      'pointApex',
      'deleteRoute',
      'unmarkTarget',
      'removeFinalizer',
    ]);
  });

  test('H11 mid-run with every pod of one template: route to the target, un-pause, drain, release', () => {
    const world = running();
    world.remove();
    expect(order(world)).toEqual([
      'route 100',
      'pointApex',
      'un-pause',
      'deleteRoute',
      'unmarkTarget',
      'removeFinalizer',
    ]);
  });

  test('mid-run with mixed pods: route to the primary, drain, un-pause, and then as at rest', () => {
    const world = running();
    world.release('r3');
    world.remove();
    expect(order(world)).toEqual([
      'route 0',
      'un-pause',
      'touch',
      'route 100',
      'pointApex',
      'deleteRoute',
      'unmarkTarget',
      'removeFinalizer',
    ]);
  });

  test('only the target is ready: route to it first', () => {
    const world = running();
    world.flap('primary', true);
    world.remove();
    expect(order(world)[0]).toBe('route 100');
  });

  test('a missing target: the Service is given back, then let go; nothing that works: given up after 5 minutes, with an event', () => {
    const gone = adopted();
    gone.remove();
    const seen = gone.observe();
    seen.target = undefined;
    expect(decide(seen).actions).toMatchObject([{ kind: 'status' }, { kind: 'pointApex', at: 'target' }]);
    seen.objects.apexSelects = 'nothing';
    expect(kinds(decide(seen).actions)).toEqual(['removeFinalizer']);
    const stuck = adopted();
    stuck.remove();
    stuck.flap('target', true);
    runUntil(stuck, () => stuck.status.phase === 'Terminating');
    stuck.advance(5 * 60_000);
    const decision = decide(stuck.observe());
    expect(kinds(decision.actions)).toEqual(['removeFinalizer']);
    expect(decision.transitions[0]?.reason).toBe('TerminationGivenUp');
  });

  test('it waits loudly while the target does not serve', () => {
    const world = adopted();
    world.flap('target', true);
    world.remove();
    for (let step = 0; step < 10; step++) {
      tick(world);
      world.settleWorkloads();
      world.advance(1_000);
    }
    expect(holdsWith(world)).toBe('Terminating');
    expect(world.apexSelects).toBe('primary');
  });
});
