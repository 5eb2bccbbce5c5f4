/** What the explorer of interleavings found in the core, each as the decision that was wrong (`npm run explore`). */
import { describe, expect, test } from 'vitest';
import { adopted, phaseIs, runUntil, tick } from './abstractLife.ts';
import { type AbstractWorld, createAbstractWorld, testSettings } from './abstractWorld.ts';
import { decide } from './decide.ts';
import type { Action } from './decision.ts';
import type { Observation } from './observation.ts';

const kinds = (actions: readonly Action[]) => actions.map(one => one.kind);

function running(nature: 'good' | 'bad' = 'good'): AbstractWorld {
  const world = adopted();
  world.release('r2', nature);
  runUntil(world, () => world.route?.canaryWeight === 20);
  return world;
}

/** The canary's queries are answered, and the answer is at hand. */
function judged(world: AbstractWorld): Observation {
  world.advance(testSettings.intervalMs);
  world.measure('canary');
  return world.observe();
}

test('an interval that another worker has judged while the queries ran is not judged again', () => {
  const world = running('bad');
  const first = judged(world);
  const { judgement } = first;
  world.execute(decide(first), first);
  world.forgetJudgement();
  expect(world.status.failedChecks).toBe(1);
  const second = { ...world.observe(), judgement };
  expect(decide(second).actions).toEqual([]);
  expect(decide({ ...second, now: second.now + testSettings.intervalMs }).actions[0]).toMatchObject({
    kind: 'route',
    mode: 'lower',
  });
});

test('the drain begins when the take-away landed, not when it was decided', () => {
  const world = running();
  world.command('abort', 'r2', 'c1');
  tick(world);
  world.advance(testSettings.drainMs);
  const seen = world.observe();
  expect(decide(seen).actions).not.toEqual([]);
  expect(decide({ ...seen, route: { ...seen.route!, writtenAt: seen.now - 1 } })).toMatchObject({
    actions: [],
    nextTickMs: testSettings.drainMs - 1,
  });
});

test('a restart that lost its status starts no rollout of what is promoted', () => {
  const world = running();
  world.release('r3');
  const seen = world.observe();
  world.execute(decide(seen), seen, 1);
  world.release('r1');
  tick(world);
  expect(world.status).toMatchObject({ phase: 'Failed', run: { revision: 'r2' } });
  runUntil(world, () => world.target.replicas === 0);
  expect(world.status.phase).toBe('Failed');
});

test('the way back writes the primary although it has the last good template: a late promotion must not land', () => {
  const world = adopted({ ...testSettings, skipAnalysis: true });
  world.allowUnjudged('r2');
  world.release('r2');
  runUntil(world, () => decide(world.observe()).actions.some(one => one.kind === 'primary'));
  const late = world.observe();
  const promotion = decide(late);
  expect(kinds(promotion.actions)).toEqual(['status', 'primary']);
  // The other engine has written the status of its decision and freezes before the primary.
  world.execute(promotion, late, 1);
  world.release('r1');
  runUntil(world, phaseIs(world, 'Failed'));
  expect(world.primary?.version).toBeGreaterThan(Number(late.primary?.resourceVersion));
  expect(world.primary?.template).toBe('r1');
});

test('workloads are written after the status, so that a decision on an old status fails', () => {
  const world = running();
  world.command('abort', 'r2', 'c1');
  tick(world);
  world.advance(testSettings.drainMs);
  const seen = world.observe();
  expect(decide(seen).actions).toMatchObject([
    { kind: 'status' },
    { kind: 'target', replicas: 0, paused: false },
  ]);
});

test('a recorded raise is made void before its target is released', () => {
  const world = adopted();
  world.release('r2');
  runUntil(world, () => decide(world.observe()).actions.some(one => one.kind === 'route'));
  const seen = world.observe();
  world.execute(decide(seen), seen, 1);
  const stale = world.observe();
  stale.target = { ...stale.target!, pods: [{ revision: 'r1', total: 2, available: 2 }] };
  expect(decide(stale).actions).toMatchObject([
    { kind: 'route', mode: 'lower', split: { canaryWeight: 0 } },
    { kind: 'status', status: { canaryWeight: 0 } },
  ]);
});

test('a stored template that somebody forgot is stored again while the target still has it', () => {
  const world = running();
  const seen = { ...world.observe(), stored: new Set(['r1']) };
  expect(decide(seen).actions).toEqual([{ kind: 'storeRevision', revision: 'r2' }]);
});

test('a pause stamps the route: a raise that is on its way does not land after it', () => {
  const world = running();
  const seen = judged(world);
  const raise = decide(seen);
  // The other engine has recorded its raise, and freezes before the route.
  world.execute(raise, seen, 1);
  world.forgetJudgement();
  world.command('pause', 'r2', 'c1');
  tick(world);
  expect(world.status).toMatchObject({ canaryWeight: 20, paused: { revision: 'r2' } });
  expect(world.route?.resourceVersion).not.toBe(seen.route?.resourceVersion);
  runUntil(world, () => decide(world.observe()).actions.length === 0, 3);
  expect(world.route?.canaryWeight).toBe(20);
});

test('a canary that is unready after its deadline is not looked at again at once', () => {
  const world = adopted();
  world.release('r2');
  runUntil(world, () => world.target.pausedBy === 'engine');
  const seen = world.observe();
  seen.target = { ...seen.target!, pods: [{ revision: 'r2', total: 2, available: 1 }] };
  seen.now += testSettings.progressDeadlineMs;
  const first = decide(seen);
  expect(first).toMatchObject({ hold: { reason: 'CanaryNotReady' } });
  expect(first.nextTickMs).not.toBe(0);
});

test('no run starts while the primary still has the temporary strategy of the last one', () => {
  const world = running();
  runUntil(world, phaseIs(world, 'Succeeded'));
  runUntil(world, () => world.target.replicas === 0 && world.primary?.isSurging === false);
  world.release('r3');
  const seen = world.observe();
  seen.primary = { ...seen.primary!, isSurging: true };
  expect(decide(seen).actions).toMatchObject([{ kind: 'status' }, { kind: 'primary', surge: false }]);
  seen.primary.isSurging = false;
  expect(decide(seen).actions[0]).toMatchObject({ kind: 'storeRevision', revision: 'r3' });
});

test('an engine with an old target forgets no stored template', () => {
  const world = adopted();
  const seen = world.observe();
  seen.stored = new Set([...seen.stored, 'r2']);
  expect(decide(seen).actions).toMatchObject([
    { kind: 'status' },
    { kind: 'forgetRevision', revision: 'r2' },
  ]);
  // The status has seen a newer target, whose template was stored a moment ago.
  seen.status.target = { ...seen.status.target!, generation: seen.target!.generation + 1 };
  expect(kinds(decide(seen).actions)).not.toContain('forgetRevision');
});

test('a deletion makes a recorded raise void before it un-pauses the target', () => {
  const world = running();
  world.command('abort', 'r2', 'c1');
  tick(world);
  world.advance(testSettings.drainMs);
  const seen = world.observe();
  seen.canary = { ...seen.canary, isDeleting: true, deletingSince: seen.now };
  seen.status = { ...seen.status, phase: 'Terminating', canaryWeight: 50 };
  seen.target = { ...seen.target!, revision: 'r3', pods: [{ revision: 'r2', total: 2, available: 2 }] };
  expect(decide(seen).actions).toMatchObject([
    { kind: 'route', mode: 'lower', split: { canaryWeight: 0 } },
    { kind: 'status', status: { canaryWeight: 0 } },
  ]);
});

describe('an engine whose target is older than the one that the status has seen', () => {
  /** Failed, drained, the target still held; the status has seen a generation that this cache has not. */
  function behind() {
    const world = running();
    world.command('abort', 'r2', 'c1');
    tick(world);
    world.advance(testSettings.drainMs);
    const seen = world.observe();
    const target = { ...seen.status.target!, generation: seen.target!.generation + 1 };
    return { seen: { ...seen, status: { ...seen.status, target } }, target };
  }

  test('does not let it go: the write would fail, and the status before it wake the other engine', () => {
    const { seen } = behind();
    const { actions, nextTickMs } = decide(seen);
    expect(actions).toEqual([]);
    expect(nextTickMs).toBeGreaterThan(0);
    const { generation } = seen.status.target;
    expect(kinds(decide({ ...seen, target: { ...seen.target!, generation } }).actions)).toEqual([
      'status',
      'target',
    ]);
  });

  test('starts nothing, and calls nothing promoted', () => {
    const world = adopted();
    const seen = world.observe();
    const generation = seen.target!.generation + 1;
    const status = { ...seen.status, target: { ...seen.status.target!, generation } };
    for (const revision of ['r1', 'r2'])
      for (const lastAppliedSpec of ['r1', 'r3'])
        expect(
          decide({
            ...seen,
            status: { ...status, lastAppliedSpec },
            target: { ...seen.target!, revision },
          }).actions,
        ).toEqual([]);
  });

  test('makes no primary of it', () => {
    const world = createAbstractWorld();
    runUntil(world, phaseIs(world, 'Initializing'));
    const seen = world.observe();
    const target = { ...seen.status.target!, generation: seen.target!.generation + 1 };
    expect(decide(seen).actions).toMatchObject([{ kind: 'storeRevision' }]);
    expect(decide({ ...seen, status: { ...seen.status, target } }).actions).toEqual([]);
  });

  test('never writes back what it sees', () => {
    const { seen, target } = behind();
    const problem = { reason: 'InvalidSpec', message: 'a spec that was broken meanwhile' };
    const [written] = decide({ ...seen, problems: [problem] }).actions;
    expect(written).toMatchObject({ kind: 'status', status: { target } });
  });
});

test('a sentence that another has just replaced is written again after a while, not at once', () => {
  const world = adopted();
  const obstacle = (message: string) => [{ reason: 'InvalidSpec', message }];
  const holds = (message: string) => {
    const seen = world.observe();
    seen.problems = obstacle(message);
    const decision = decide(seen);
    world.execute(decision, seen);
    return decision;
  };
  expect(kinds(holds('one').actions)).toEqual(['status']);
  expect(kinds(holds('two').actions)).toEqual(['status']);
  const again = holds('one');
  expect(again).toMatchObject({ actions: [], hold: { message: 'one' } });
  expect(again.nextTickMs).toBeGreaterThan(0);
  expect(kinds(holds('three').actions)).toEqual(['status']);
  world.advance(again.nextTickMs!);
  expect(kinds(holds('two').actions)).toEqual(['status']);
});
