/**
 * What counters can show of a canary in a stated time, from how its pods and the primary's behave and how many requests
 * there are: with wide margins, so that every sound judge decides by then. Pure; it shares no code with the engine.
 */
import type { Json } from '../api/json.ts';
import { type Bound, boundsOf, divergence } from './checkers/evidence.ts';
import { judgeModeOf, stepsOf } from './checkers/reading.ts';
import type { Behaviour } from './plan.ts';
import { BOUNDS_MS } from './proxies.ts';

/** What every step may take, beyond what it is asked to last, in a world without trouble. */
export const STEP_MS = 10 * 60_000;
/** How much more than the least information a judge may need: it knows neither rates nor dispersion, and hedges. */
const SURPLUS_FACTOR = 3;
const SURPLUS = 10;

export interface Arms {
  canary: Behaviour;
  primary: Behaviour;
  weightPercent: number;
  /** Of all requests. */
  perSecond: number;
}

/** True when this canary has to be rolled back within `STEP_MS`. */
export function isPlainlyBad(spec: Json, arms: Arms): boolean {
  const { alpha = 0.01, regression = 0.1 } = spec.analysis?.judge ?? {};
  const requests = requestsOf(arms);
  const failing = arms.canary.errorPercent / 100;
  if (judgeModeOf(spec) === 'compare')
    return isPlain(requests, failing, arms.primary.errorPercent / 100 + regression / 100, alpha);
  return boundsOf(spec).some(bound => isPlain(requests, shareOf(arms.canary, bound), bound.share, alpha));
}

/** True when this canary has to get the next step, or to be promoted, within `STEP_MS`. */
export function isPlainlyGood(spec: Json, arms: Arms): boolean {
  const { canary, primary, weightPercent } = arms;
  if (canary.errorPercent > 0 || canary.latencyMs > primary.latencyMs) return false;
  if (judgeModeOf(spec) === 'slo' && boundsOf(spec).some(bound => shareOf(canary, bound) > 0)) return false;
  const next = stepsOf(spec).find(step => step > weightPercent);
  const { beta = 0.05, promotionMargin = 0.5, budget = 1 } = spec.analysis?.judge ?? {};
  const margin = Math.max(promotionMargin / 100, next === undefined ? 0 : budget / next);
  return requestsOf(arms) * margin >= SURPLUS_FACTOR * Math.log(1 / beta) + SURPLUS;
}

/** Share of a release's requests that are beyond a bound. */
function shareOf({ errorPercent, latencyMs }: Behaviour, { count }: Bound): number {
  const slow = BOUNDS_MS.map(boundMs => (latencyMs > boundMs ? 100 : 0));
  return count({ total: 100, failed: errorPercent, slow }) / 100;
}

function isPlain(requests: number, share: number, bound: number, alpha: number): boolean {
  if (share <= bound) return false;
  return (
    requests * divergence(share, Math.max(bound, 1e-3)) >= SURPLUS_FACTOR * Math.log(1 / alpha) + SURPLUS
  );
}

/** In `STEP_MS`. */
function requestsOf({ weightPercent, perSecond }: Arms): number {
  return (perSecond * weightPercent * STEP_MS) / 100_000;
}
