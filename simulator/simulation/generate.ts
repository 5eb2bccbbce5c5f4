/**
 * Draws a plan from a seed. Each simulation has its own mixture: some kinds of faults and deeds, each with a rate of its
 * own, so that rare combinations are not drowned by common ones.
 */
import type { Json } from '../api/json.ts';
import { type Chance, createChance } from './chance.ts';
import { drawDeeds } from './drawDeeds.ts';
import { drawFaults } from './drawFaults.ts';
import { drawMoments } from './drawMoments.ts';
import { drawIncidents } from './drawIncidents.ts';
import { drawSiege } from './drawSiege.ts';
import { type CanaryPlan, type EnginePlan, type Item, type Plan, TRAFFIC_KINDS } from './plan.ts';
import { drawSpec } from './specs.ts';

type Without<Some, Key extends PropertyKey> = Some extends unknown ? Omit<Some, Key> : never;
export type Undated = Without<Item, 'id'>;

const CANARIES_MAX = 3;
const RESTLESS_MIN_MS = 8 * 60_000;
const RESTLESS_MAX_MS = 20 * 60_000;

export function generatePlan(seed: number): Plan {
  const chance = createChance(`plan/${seed}`);
  const restlessMs = chance.spread(RESTLESS_MIN_MS, RESTLESS_MAX_MS);
  const canaries = Array.from({ length: chance.whole(1, CANARIES_MAX) }, (_unused, index) =>
    drawCanary(chance.fork(`canary/${index}`), index),
  );
  const engines = Array.from({ length: chance.happens(0.6) ? 2 : 1 }, (_unused, index) =>
    drawEngine(chance.fork(`engine/${index}`)),
  );
  const frame = { restlessMs, canaries, engines };
  const faults = drawFaults(chance.fork('faults'), frame);
  const undated: Undated[] = [
    ...drawDeeds(chance.fork('deeds'), frame),
    ...faults,
    ...drawMoments(chance.fork('moments'), frame, faults.length > 0),
  ];
  undated.sort((a, b) => a.atMs - b.atMs);
  const items = undated.map((item, index): Item => ({ ...item, id: index + 1 }));
  const drawn: Plan = {
    seed,
    isScraped: chance.fork('counters').happens(0.3),
    engines,
    ...drawProvider(chance.fork('provider')),
    drainMs: chance.pick([2_000, 5_000, 10_000]),
    resyncMs: chance.pick([10_000, 30_000, 60_000]),
    restlessMs,
    canaries,
    items,
  };
  return drawSiege(chance.fork('siege'), drawn) ?? drawIncidents(chance.fork('incidents'), drawn) ?? drawn;
}

export interface Frame {
  restlessMs: number;
  canaries: readonly CanaryPlan[];
  engines: readonly EnginePlan[];
}

/** Some take longer for an answer than a canary has between two checks. */
function drawProvider(chance: Chance): Pick<Plan, 'queryMs'> {
  return chance.happens(0.4) ? { queryMs: { least: 200, most: chance.pick([2_000, 14_000, 14_000]) } } : {};
}

function drawEngine(chance: Chance): EnginePlan {
  const isWrong = chance.happens(0.3);
  return {
    offsetMs: chance.whole(-1, 1) * (isWrong ? chance.spread(1_000, 60_000) : chance.whole(0, 300)),
    driftPpm: chance.whole(-200, 200) * (isWrong ? 10 : 1),
  };
}

function drawCanary(chance: Chance, index: number): CanaryPlan {
  const name = `web${index}`;
  const namespace = chance.happens(0.7) ? 'shop' : 'pay';
  const target = name;
  const apex = chance.happens(0.7) ? name : `${name}-front`;
  const names = { namespace, name, target, apex };
  return {
    ...names,
    spec: drawSpec(chance.fork('spec'), names),
    replicas: chance.pick([1, 1, 2, 2, 3, 4]),
    strategy: drawStrategy(chance),
    hasService: chance.happens(0.8),
    minReadySeconds: chance.happens(0.2) ? chance.whole(1, 5) : 0,
    traffic: chance.happens(0.6) ? 'steady' : chance.pick(TRAFFIC_KINDS),
  };
}

function drawStrategy(chance: Chance): Json {
  if (chance.happens(0.5)) return { type: 'RollingUpdate' };
  const rollingUpdate = chance.pick<Json>([
    { maxSurge: 1, maxUnavailable: 0 },
    { maxSurge: 0, maxUnavailable: 1 },
    { maxSurge: 0, maxUnavailable: '100%' },
    { maxSurge: '100%', maxUnavailable: 0 },
  ]);
  return { type: 'RollingUpdate', rollingUpdate };
}

/** Moments of a Poisson process within the restless time. */
export function moments(chance: Chance, perMinute: number, fromMs: number, untilMs: number): number[] {
  const drawn: number[] = [];
  for (let atMs = fromMs; ; ) {
    atMs += (-Math.log(1 - chance.next()) / perMinute) * 60_000;
    if (atMs >= untilMs) return drawn;
    drawn.push(Math.round(atMs));
  }
}
