/** Draws the faults of a simulation: which kinds strike at all, how often each does, and what exactly. */
import type { Chance } from './chance.ts';
import { type Frame, moments, type Undated } from './generate.ts';
import { COUNTER_TROUBLES, type Effect, EFFECTS, type Fault, METRICS_TROUBLES, type Moment } from './plan.ts';

const FIRST_FAULT_MS = 3_000;
const WATCHED = [
  'canaries',
  'deployments',
  'replicasets',
  'endpointslices',
  'trafficsplits',
  'services',
  'controllerrevisions',
];
const CODES = [409, 410, 422, 429, 500, 503];

type Draw = (chance: Chance, who: number) => Fault;

const moment = (chance: Chance): Moment => chance.pick(['before', 'after']);
/** Route and status are where it hurts. */
const effect = (chance: Chance): Effect =>
  chance.happens(0.6) ? chance.pick(['route', 'status']) : chance.pick(EFFECTS);

/** For each engine: how often in a minute at most, and what. */
const OF_ENGINES: readonly { kind: Fault['kind']; perMinute: number; draw: Draw }[] = [
  {
    kind: 'crash',
    perMinute: 0.4,
    draw: (chance, engine) => ({
      kind: 'crash',
      engine,
      effect: effect(chance),
      moment: moment(chance),
      downMs: chance.spread(100, 60_000),
    }),
  },
  {
    kind: 'freeze',
    perMinute: 0.4,
    draw: (chance, engine) => ({
      kind: 'freeze',
      engine,
      effect: effect(chance),
      moment: moment(chance),
      forMs: chance.spread(1_000, 240_000),
    }),
  },
  {
    kind: 'refuse',
    perMinute: 1.5,
    draw: (chance, engine) => ({
      kind: 'refuse',
      engine,
      effect: effect(chance),
      code: chance.pick(CODES),
      retryAfterSeconds: chance.happens(0.5) ? chance.whole(1, 10) : 0,
      times: chance.pick([1, 1, 2, 6]),
    }),
  },
  {
    kind: 'lost',
    perMinute: 1,
    draw: (chance, engine) => ({
      kind: 'lost',
      engine,
      effect: effect(chance),
      moment: moment(chance),
      how: chance.pick(['hang', 'reset']),
    }),
  },
  {
    kind: 'slow',
    perMinute: 1,
    draw: (chance, engine) => ({
      kind: 'slow',
      engine,
      effect: effect(chance),
      forMs: chance.spread(50, 20_000),
    }),
  },
  {
    kind: 'late',
    perMinute: 0.5,
    draw: (chance, engine) => ({
      kind: 'late',
      engine,
      effect: effect(chance),
      forMs: chance.spread(1_000, 60_000),
    }),
  },
  {
    kind: 'stall',
    perMinute: 0.5,
    draw: (chance, engine) => ({
      kind: 'stall',
      engine,
      resource: chance.pick(WATCHED),
      forMs: chance.spread(500, 150_000),
    }),
  },
  {
    kind: 'drop',
    perMinute: 0.5,
    draw: (chance, engine) => ({ kind: 'drop', engine, resource: chance.pick(WATCHED) }),
  },
  {
    kind: 'replay',
    perMinute: 0.5,
    draw: (chance, engine) => ({ kind: 'replay', engine, resource: chance.pick(WATCHED) }),
  },
  { kind: 'compact', perMinute: 0.2, draw: (_chance, engine) => ({ kind: 'compact', engine }) },
  {
    kind: 'tick',
    perMinute: 2,
    draw: (chance, engine) => ({
      kind: 'tick',
      engine,
      how: chance.pick(['lost', 'late', 'twice', 'parallel']),
      forMs: chance.spread(100, 60_000),
    }),
  },
  {
    kind: 'wake',
    perMinute: 2,
    draw: (chance, engine) => ({
      kind: 'wake',
      engine,
      how: chance.pick(['lost', 'late']),
      forMs: chance.spread(100, 60_000),
    }),
  },
  {
    kind: 'clock',
    perMinute: 0.1,
    draw: (chance, engine) => ({
      kind: 'clock',
      engine,
      byMs: chance.pick([-1, 1]) * chance.spread(200, 120_000),
    }),
  },
];

/** For each canary. */
const OF_CANARIES: readonly { kind: Fault['kind']; perMinute: number; draw: Draw }[] = [
  {
    kind: 'metrics',
    perMinute: 0.3,
    draw: (chance, canary) => ({
      kind: 'metrics',
      canary,
      how: chance.pick(METRICS_TROUBLES),
      forMs: chance.spread(2_000, 180_000),
    }),
  },
  {
    kind: 'counters',
    perMinute: 0.3,
    draw: (chance, canary) => ({
      kind: 'counters',
      canary,
      how: chance.pick(COUNTER_TROUBLES),
      forMs: chance.spread(2_000, 120_000),
    }),
  },
  {
    kind: 'incident',
    perMinute: 0.3,
    draw: (chance, canary) => ({
      kind: 'incident',
      canary,
      errorPercent: chance.spread(2, 100),
      forMs: chance.spread(2_000, 120_000),
    }),
  },
  {
    kind: 'quota',
    perMinute: 0.1,
    draw: (chance, canary) => ({ kind: 'quota', canary, forMs: chance.spread(2_000, 90_000) }),
  },
  {
    kind: 'receiver',
    perMinute: 0.2,
    draw: chance => ({
      kind: 'receiver',
      how: chance.pick(['hang', 'error', 'slow']),
      forMs: chance.spread(2_000, 300_000),
    }),
  },
  {
    kind: 'status',
    perMinute: 0.1,
    draw: (chance, canary) => ({
      kind: 'status',
      canary,
      code: chance.pick([403, 422]),
      forMs: chance.spread(1_000, 60_000),
    }),
  },
];

export function drawFaults(chance: Chance, frame: Frame): Undated[] {
  const drawn: Undated[] = [];
  // Some simulations have no fault at all: what goes wrong there is plain.
  if (chance.happens(0.2)) return drawn;
  const draws = [
    ...OF_ENGINES.map(entry => ({ ...entry, count: frame.engines.length })),
    ...OF_CANARIES.map(entry => ({ ...entry, count: frame.canaries.length })),
  ];
  for (const { kind, perMinute, draw, count } of draws) {
    const own = chance.fork(kind);
    if (!own.happens(0.45)) continue;
    const rate = perMinute * own.pick([0.2, 1, 2.5]);
    for (let who = 0; who < count; who++)
      for (const atMs of moments(own, rate, FIRST_FAULT_MS, frame.restlessMs))
        drawn.push({ atMs, ...draw(own, who) });
  }
  return drawn;
}
