/**
 * Draws a service whose dependencies are down now and then, for the canary and the primary alike, while good releases and
 * bad ones are compared with it. Nothing else goes wrong there: whoever blames a good release for an incident has no
 * other excuse.
 */
import type { Json } from '../api/json.ts';
import type { Chance } from './chance.ts';
import { GOOD_BEHAVIOUR } from './cluster.ts';
import type { Item, Plan } from './plan.ts';

/** Of all simulations. */
const LIKELIHOOD = 0.08;
const RELEASES_MS = [70_000, 300_000, 600_000];
const LASTS_MS = 13 * 60_000;

/** Undefined: no such history. @param plan what happens otherwise, of which the first canary is kept */
export function drawIncidents(chance: Chance, plan: Plan): Plan | undefined {
  const [canary] = plan.canaries;
  if (!canary || !chance.happens(LIKELIHOOD)) return undefined;
  const releases = RELEASES_MS.map((atMs, index) => ({
    kind: 'release' as const,
    atMs,
    canary: 0,
    version: `v${index + 2}`,
    behaviour: { ...GOOD_BEHAVIOUR, errorPercent: chance.happens(0.3) ? chance.spread(5, 60) : 0 },
  }));
  const incidents = timesOf(chance).map(atMs => ({
    kind: 'incident' as const,
    atMs,
    canary: 0,
    errorPercent: chance.spread(5, 100),
    forMs: chance.spread(3_000, 25_000),
  }));
  const undated = [...releases, ...incidents].sort((a, b) => a.atMs - b.atMs);
  return {
    ...plan,
    restlessMs: LASTS_MS,
    canaries: [{ ...canary, spec: specOf(chance, canary.spec), traffic: 'steady' }],
    items: undated.map((item, index): Item => ({ ...item, id: index + 1 })),
  };
}

function timesOf(chance: Chance): number[] {
  const drawn: number[] = [];
  for (let atMs = 30_000; atMs < LASTS_MS; atMs += chance.spread(25_000, 90_000)) drawn.push(atMs);
  return drawn;
}

/** So asked that a good release takes minutes. */
function specOf(chance: Chance, spec: Json): Json {
  const metrics = [{ name: 'request-success-rate', interval: '1m', thresholdRange: { min: 98 } }];
  const ways: Json[] = [
    { judge: { mode: 'compare', minDwell: '60s', deadline: '1h' } },
    { judge: { mode: 'compare', minDwell: '60s', deadline: '1h', regression: 0, alpha: 0.05 } },
    { metrics, threshold: 10, interval: '30s' },
  ];
  return {
    ...spec,
    skipAnalysis: false,
    analysis: {
      interval: '10s',
      stepWeights: [chance.pick([20, 35, 50]), 60, 70],
      ...chance.pick(ways),
    },
  };
}
