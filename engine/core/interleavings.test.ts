/** What the explorer of interleavings found in the core, each as the decision that was wrong (`npm run explore`). */
import { expect, test } from 'vitest';
import { adopted, phaseIs, runUntil, tick } from './abstractLife.ts';
import { type AbstractWorld, testSettings } from './abstractWorld.ts';
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
