/**
 * Draws the worst moments: between two effects of one decision a process dies or freezes, or a write stays under way, and
 * just then somebody else acts. Each simulation has few kinds of them, and many of each, so that what needs two at once
 * is not drowned.
 */
import type { Chance } from './chance.ts';
import { drawBehaviour } from './drawDeeds.ts';
import { type Frame, moments, type Undated } from './generate.ts';
import type { Deed, Effect, Fault, OnCall } from './plan.ts';

const SIMULATIONS = 0.7;
const PER_MINUTE = [1, 3, 8];
/** A moment in which nobody acts, or in which no process fails. */
const ALONE = 0.2;
/** What is repeated here is as much likelier. */
const EFFECTS: readonly Effect[] = [
  'between',
  'between',
  'between',
  'between',
  'target',
  'target',
  'target',
  'target',
  'route',
  'route',
  'status',
  'primary',
  'query',
  'query',
];

const FAULTS: readonly ((chance: Chance, on: OnCall) => Fault)[] = [
  (chance, on) => ({ kind: 'crash', ...on, moment: 'before', downMs: chance.spread(100, 60_000) }),
  (chance, on) => ({ kind: 'crash', ...on, moment: 'after', downMs: chance.spread(100, 60_000) }),
  (chance, on) => ({ kind: 'freeze', ...on, moment: 'before', forMs: chance.spread(1_000, 240_000) }),
  // Mostly longer than its sender waits.
  (chance, on) => ({ kind: 'late', ...on, forMs: chance.spread(5_000, 90_000) }),
  (chance, on) => ({ kind: 'slow', ...on, forMs: chance.spread(1_000, 14_000) }),
  (chance, on) => ({ kind: 'lost', ...on, moment: 'after', how: chance.pick(['hang', 'reset']) }),
];

const DEEDS: readonly ((chance: Chance, canary: number, version: string) => Deed)[] = [
  (chance, canary, version) => ({ kind: 'release', canary, version, behaviour: drawBehaviour(chance) }),
  (_chance, canary) => ({ kind: 'revert', canary }),
  (_chance, canary) => ({ kind: 'command', canary, verb: 'abort', isBound: true }),
  (_chance, canary) => ({ kind: 'command', canary, verb: 'retry', isBound: true }),
  deletion,
  deletion,
  deletion,
  (chance, canary) => ({
    kind: 'disturb',
    canary,
    arm: chance.pick(['target', 'primary', 'primary']),
    how: chance.pick(['unready', 'kill']),
    forMs: chance.spread(2_000, 120_000),
    share: 1,
  }),
  (chance, canary) => ({
    kind: 'editRoute',
    canary,
    how: chance.pick(['weights', 'stamp', 'stamp', 'delete']),
  }),
];

function deletion(chance: Chance, canary: number): Deed {
  return { kind: 'deleteCanary', canary, againAfterMs: chance.spread(1_000, 60_000) };
}

function some<Value>(chance: Chance, values: readonly Value[], many: number): Value[] {
  return Array.from({ length: many }, () => chance.pick(values));
}

/** @param hasFaults false: people act, and nothing fails */
export function drawMoments(chance: Chance, frame: Frame, hasFaults: boolean): Undated[] {
  const drawn: Undated[] = [];
  if (!chance.happens(SIMULATIONS)) return drawn;
  const perMinute = chance.pick(PER_MINUTE);
  const effects = some(chance, EFFECTS, chance.whole(1, 2));
  const faults = some(chance, FAULTS, chance.whole(1, 2));
  const deeds = some(chance, DEEDS, chance.whole(1, 2));
  frame.canaries.forEach((_canary, canary) => {
    const own = chance.fork(`canary/${canary}`);
    moments(own, perMinute, 0, frame.restlessMs).forEach((atMs, index) => {
      const on: OnCall = {
        engine: own.whole(0, frame.engines.length - 1),
        effect: own.pick(effects),
        canary,
      };
      if (!own.happens(ALONE) && hasFaults) drawn.push({ atMs, ...own.pick(faults)(own, on) });
      if (own.happens(ALONE)) return;
      const moment = own.happens(0.8) ? 'before' : 'after';
      const deed = own.pick(deeds)(own, canary, `m${canary}-${index + 1}`);
      drawn.push({ atMs, ...deed, on: { ...on, moment } });
    });
  });
  return drawn;
}
