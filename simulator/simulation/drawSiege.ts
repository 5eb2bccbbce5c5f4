/**
 * Draws a siege: one engine is killed every few seconds, for minutes, while a release that fails a little is judged, is
 * tried again, and can only be judged by what was remembered. Nothing else goes wrong there, so that nothing else can be
 * the reason when nothing is done.
 */
import type { Json } from '../api/json.ts';
import type { Chance } from './chance.ts';
import { GOOD_BEHAVIOUR } from './cluster.ts';
import type { Item, Plan } from './plan.ts';

/** Of all simulations. */
const LIKELIHOOD = 0.12;
const RELEASE_MS = 70_000;
/** By then whoever is not killed has decided on the release. */
const BEGINS_MS = 5 * 60_000;
const LASTS_MS = 9 * 60_000;
const RETRY_EVERY_MS = 75_000;
const DOWN_MS = [100, 1_000, 3_000];

/** Undefined: no siege. @param plan what happens otherwise, of which the first canary is kept */
export function drawSiege(chance: Chance, plan: Plan): Plan | undefined {
  const [canary] = plan.canaries;
  if (!canary || !chance.happens(LIKELIHOOD)) return undefined;
  const restlessMs = BEGINS_MS + LASTS_MS;
  const behaviour = { ...GOOD_BEHAVIOUR, errorPercent: chance.whole(4, 5) };
  const spec = specOf(chance, canary.spec);
  // What is promoted is not tried again.
  const isOnce = spec.analysis.judge.onDeadline === 'promote';
  const undated = [
    { kind: 'release' as const, atMs: isOnce ? BEGINS_MS : RELEASE_MS, canary: 0, version: 'v2', behaviour },
    ...retries(restlessMs).map(atMs => ({
      kind: 'command' as const,
      atMs,
      canary: 0,
      verb: 'retry',
      isBound: true,
    })),
    ...kills(chance, restlessMs).map(atMs => ({
      kind: 'kill' as const,
      atMs,
      engine: 0,
      downMs: chance.pick(DOWN_MS),
    })),
  ].sort((a, b) => a.atMs - b.atMs);
  return {
    ...plan,
    restlessMs,
    engines: [{ offsetMs: 0, driftPpm: 0 }],
    canaries: [{ ...canary, spec, traffic: 'steady' }],
    items: undated.map((item, index): Item => ({ ...item, id: index + 1 })),
  };
}

function retries(untilMs: number): number[] {
  const count = Math.floor((untilMs - BEGINS_MS) / RETRY_EVERY_MS);
  return Array.from({ length: count }, (_unused, index) => BEGINS_MS + index * RETRY_EVERY_MS);
}

/** Seldom enough that a process looks and writes once in between. */
function kills(chance: Chance, untilMs: number): number[] {
  const drawn: number[] = [];
  for (let atMs = BEGINS_MS; atMs < untilMs; atMs += chance.spread(15_000, 25_000)) drawn.push(atMs);
  return drawn;
}

/** Judged by evidence, which grows slowly; or by nothing but a deadline. */
function specOf(chance: Chance, spec: Json): Json {
  const { alerts, primaryReadyThreshold, canaryReadyThreshold } = spec.analysis;
  const metric = { name: 'request-success-rate', thresholdRange: { min: 99 } };
  const isUndecidable = chance.happens(0.4);
  const mode = isUndecidable ? 'compare' : chance.pick(['compare', 'slo']);
  const judge = isUndecidable
    ? {
        regression: 20,
        promotionMargin: 0.5,
        deadline: '90s',
        onDeadline: chance.pick(['rollback', 'promote']),
      }
    : { regression: 1, promotionMargin: 0.5, deadline: '2h', alpha: chance.pick([1e-3, 1e-4]) };
  return {
    ...spec,
    skipAnalysis: false,
    analysis: {
      ...(alerts ? { alerts } : {}),
      ...(primaryReadyThreshold === undefined ? {} : { primaryReadyThreshold }),
      ...(canaryReadyThreshold === undefined ? {} : { canaryReadyThreshold }),
      interval: chance.pick(['5s', '10s']),
      stepWeights: [chance.pick([20, 35]), 70],
      ...(mode === 'slo' ? { metrics: [metric] } : {}),
      judge: { mode, minDwell: '20s', warmUp: '1s', ...judge },
    },
  };
}
