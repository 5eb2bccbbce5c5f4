/** The canonical form of a status leaves out nothing that a rule reads: on random lives both forms are answered alike. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { adopted, tick } from '../../engine/core/abstractLife.ts';
import type { AbstractWorld, Nature } from '../../engine/core/abstractWorld.ts';
import type { Verb } from '../../engine/core/commands.ts';
import { decide } from '../../engine/core/decide.ts';
import type { Decision } from '../../engine/core/decision.ts';
import type { Observation } from '../../engine/core/observation.ts';
import { NOW_MS } from './parts.ts';
import { createReduce } from './reduce.ts';
import { settings } from './scenarios.ts';

const reduce = createReduce(settings, { reports: true, target: true });
const TIME = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;

/** The same observation at the model's instant: every time in it is moved. */
function atModelTime(o: Observation): Observation {
  const shift = NOW_MS - o.now;
  const moved = JSON.parse(
    JSON.stringify(o.status, (_key, value: unknown) =>
      typeof value === 'string' && TIME.test(value)
        ? new Date(Date.parse(value) + shift).toISOString()
        : value,
    ),
  ) as Observation['status'];
  const { deletingSince } = o.canary;
  return {
    ...o,
    now: NOW_MS,
    status: moved,
    canary: { ...o.canary, deletingSince: deletingSince === undefined ? undefined : deletingSince + shift },
  };
}

/** What a decision does, with the status that it writes in its canonical form. */
function done(decision: Decision): unknown {
  return {
    rule: decision.rule,
    measure: decision.measure,
    hold: decision.hold,
    isArmed: decision.nextTickMs !== undefined,
    actions: decision.actions.map(action =>
      action.kind === 'status' ? { kind: 'status', status: reduce(action.status) } : action,
    ),
  };
}

type LifeStep =
  | { kind: 'tick'; crashAfter: number | undefined }
  | { kind: 'roll' }
  | { kind: 'advance'; ms: number }
  | { kind: 'release'; revision: string }
  | { kind: 'flap'; arm: 'target' | 'primary'; isDown: boolean }
  | { kind: 'command'; verb: Verb }
  | { kind: 'remove' };

const of = <K extends LifeStep['kind'], R extends Record<string, fc.Arbitrary<unknown>>>(kind: K, rest: R) =>
  fc.record({ kind: fc.constant(kind), ...rest }) as unknown as fc.Arbitrary<LifeStep>;

const step = fc.oneof(
  { weight: 8, arbitrary: of('tick', { crashAfter: fc.option(fc.nat(2), { nil: undefined }) }) },
  { weight: 5, arbitrary: of('roll', {}) },
  { weight: 5, arbitrary: of('advance', { ms: fc.constantFrom(3_000, 10_000, 25_000) }) },
  { weight: 1, arbitrary: of('release', { revision: fc.constantFrom('r1', 'r2', 'r3') }) },
  { weight: 1, arbitrary: of('flap', { arm: fc.constantFrom('target', 'primary'), isDown: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: of('command', { verb: fc.constantFrom('pause', 'resume', 'abort', 'retry', 'promote') }),
  },
  { weight: 1, arbitrary: of('remove', {}) },
);

function live(world: AbstractWorld, one: LifeStep, natures: Record<string, Nature>, id: string): void {
  switch (one.kind) {
    case 'tick':
      return tick(world, one.crashAfter);
    case 'roll':
      return world.settleWorkloads();
    case 'advance':
      return world.advance(one.ms);
    case 'release':
      return world.release(one.revision, natures[one.revision] ?? 'good');
    case 'flap':
      return world.flap(one.arm, one.isDown);
    case 'command': {
      const revision = world.status.run?.revision ?? 'r2';
      if (one.verb === 'promote') world.allowUnjudged(revision);
      return world.command(one.verb, revision, id);
    }
    case 'remove':
      return world.remove();
    default:
      return one satisfies never;
  }
}

test('every rule answers the same without what is left out', () => {
  const natures = fc.record({
    r2: fc.constantFrom<Nature>('good', 'bad', 'dead', 'deadPrimary'),
    r3: fc.constantFrom<Nature>('good', 'bad'),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 80 }), natures, (steps, natureOf) => {
      const world = adopted(settings);
      for (const [index, one] of steps.entries()) {
        live(world, one, natureOf, `c${index}`);
        const o = atModelTime(world.observe());
        for (const judgement of [undefined, o.judgement]) {
          const full = { ...o, judgement };
          const reduced = { ...full, status: reduce(full.status) };
          expect(done(decide(reduced))).toEqual(done(decide(full)));
        }
      }
    }),
    { numRuns: 150 },
  );
});
