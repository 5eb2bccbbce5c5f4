/** What several checkers read from a view: the run of a stamp, the specs in force, what an engine may have known. */
import type { StoreChange } from '../../api/inprocess.ts';
import type { Json } from '../../api/json.ts';
import type { Hand } from '../hands.ts';
import { type CanaryView, routeViewOf, type RouteView } from '../witness.ts';

/** From an event to the cache that shows it, when nothing is wrong; and rounding. */
const SLACK_MS = 250;

/**
 * The oldest moment that a write with this epoch may have been decided on: a raise follows the status that recorded it,
 * so the engine knew no more than when it asked for that.
 */
export function knownSince(view: CanaryView, hand: Hand, epoch?: number): number {
  const own = (epoch === undefined ? [] : (view.statuses.get(epoch) ?? []))
    .filter(landed => landed.engine === hand.engine)
    .map(landed => landed.knewAtMs);
  return Math.min(hand.knewAtMs, ...own) - SLACK_MS;
}

/** A route before and after a write of an engine; undefined for everything else. */
export function routeWrite(
  change: StoreChange,
  views: readonly CanaryView[],
  hand: Hand,
): { view: CanaryView; before: RouteView | undefined; after: RouteView } | undefined {
  const [view] = views;
  if (!view || change.object.kind !== 'TrafficSplit' || change.type === 'DELETED' || hand.who !== 'engine')
    return undefined;
  return {
    view,
    before: change.previous && routeViewOf(change.previous, view.plan),
    after: routeViewOf(change.object, view.plan),
  };
}

/** A status before and after a write of an engine. */
export function statusWrite(
  change: StoreChange,
  views: readonly CanaryView[],
  hand: Hand,
): { view: CanaryView; before: Json; after: Json } | undefined {
  const [view] = views;
  const { object, previous, type } = change;
  if (!view || object.kind !== 'Canary' || type !== 'MODIFIED' || hand.who !== 'engine') return undefined;
  if (object.status === undefined || object.status?.epoch === previous?.status?.epoch) return undefined;
  return { view, before: previous?.status ?? {}, after: object.status };
}

export interface RunName {
  revision: string;
  generation: number;
  commandId: string;
}

/** `<revision>.<generation>[.<command>]`. */
export function runOf(text: string | undefined): RunName | undefined {
  const match = /^([a-z0-9-]+)\.(\d+)(?:\.(.+))?$/.exec(text ?? '');
  return match ? { revision: match[1]!, generation: Number(match[2]), commandId: match[3] ?? '' } : undefined;
}

export function versionOf(view: CanaryView, revision: string | undefined): string | undefined {
  return revision === undefined ? undefined : view.versions.get(revision);
}

/** The specs that an engine may have gone by since that moment. */
export function specsSince(view: CanaryView, fromMs: number): Json[] {
  return view.specs
    .filter((_one, index) => (view.specs[index + 1]?.atMs ?? Number.POSITIVE_INFINITY) >= fromMs)
    .map(one => one.spec);
}

/** A Go duration of whole seconds, minutes or milliseconds. */
export function durationMsOf(text: string | undefined, otherwiseMs: number): number {
  if (!text) return otherwiseMs;
  const units: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
  let total = 0;
  for (const [, number, unit] of text.matchAll(/([\d.]+)(ms|s|m|h)/g))
    total += Number(number) * units[unit!]!;
  return total;
}

export function intervalMsOf(spec: Json): number {
  return durationMsOf(spec.analysis?.interval, 60_000);
}

/** The last weight of a canary that passes every step. */
export function lastStepOf(spec: Json): number {
  const { iterations, stepWeight, stepWeights, maxWeight } = spec.analysis ?? {};
  if (iterations > 0) return 100;
  const most = maxWeight > 0 ? maxWeight : 100;
  if (stepWeight !== undefined) return most;
  return Math.min(most, Math.max(...(stepWeights ?? [most])));
}

/** How a canary is judged, as the description of `analysis.judge.mode` says. */
export function judgeModeOf(spec: Json): 'threshold' | 'compare' | 'slo' {
  const { judge, threshold, metrics, iterations } = spec.analysis ?? {};
  if (judge?.mode) return judge.mode;
  const hasOwn = threshold !== undefined || (metrics ?? []).length > 0 || iterations !== undefined;
  return hasOwn || firstStepOf(spec) >= 100 ? 'threshold' : 'compare';
}

/** The first weight of a canary. */
export function firstStepOf(spec: Json): number {
  const { iterations, stepWeight, stepWeights, maxWeight } = spec.analysis ?? {};
  if (iterations > 0) return 100;
  return Math.min(maxWeight > 0 ? maxWeight : 100, stepWeight ?? stepWeights?.[0] ?? 100);
}

const ANALYSING: ReadonlySet<string> = new Set(['Progressing', 'Waiting', 'WaitingPromotion']);

export function isAnalysing(status: Json): boolean {
  return ANALYSING.has(status.phase);
}
