/** What several checkers read from a view: the run of a stamp, the specs in force, what an engine may have known. */
import type { StoreChange } from '../../api/inprocess.ts';
import type { Json } from '../../api/json.ts';
import type { Hand } from '../hands.ts';
import type { Scene } from './checker.ts';
import { type CanaryView, routeViewOf, type RouteView } from '../witness.ts';

/** From an event to the cache that shows it, when nothing is wrong; and rounding. */
const SLACK_MS = 250;
/** A take-away that nobody can confirm, because the API server does not answer, is carried out after so long. */
export const CONFIRMED_MS = 11_000;

/**
 * The oldest moment that a write may have been decided on: what comes right upon another, as a raise upon the status that
 * records it, was decided with it. Whoever finishes later what was recorded has decided anew.
 */
export function knownSince({ knewAtMs }: Hand): number {
  return knewAtMs - SLACK_MS;
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

/** Weights of a canary in percent, one for each step. */
export function stepsOf(spec: Json): number[] {
  const { iterations, stepWeight, stepWeights, maxWeight } = spec.analysis ?? {};
  if (iterations > 0) return [100];
  const most: number = maxWeight > 0 ? maxWeight : 100;
  const listed: number[] =
    stepWeight === undefined
      ? (stepWeights ?? [most])
      : [...Array.from({ length: Math.floor(most / stepWeight) }, (_one, at) => (at + 1) * stepWeight), most];
  const steps = [...new Set(listed.map(weight => Math.min(weight, most)))];
  // At 100 nothing is left to compare with.
  const below = steps.filter(weight => weight < 100);
  return isComparedWith(spec, below) ? below : steps;
}

/** The last weight of a canary that passes every step. */
export function lastStepOf(spec: Json): number {
  return stepsOf(spec).at(-1)!;
}

function isComparedWith(spec: Json, stepsBelow100: readonly number[]): boolean {
  const { judge, threshold, metrics, iterations } = spec.analysis ?? {};
  if (judge?.mode) return judge.mode === 'compare';
  const hasOwn = threshold !== undefined || (metrics ?? []).length > 0 || iterations !== undefined;
  return !hasOwn && stepsBelow100.length > 0;
}

/** How a canary is judged, as the description of `analysis.judge.mode` says. */
export function judgeModeOf(spec: Json): 'threshold' | 'compare' | 'slo' {
  const { mode = 'threshold' } = spec.analysis?.judge ?? {};
  if (mode === 'slo') return mode;
  return isComparedWith(
    spec,
    stepsOf(spec).filter(weight => weight < 100),
  )
    ? 'compare'
    : 'threshold';
}

/** Judged by evidence at each step, not by thresholds. */
export function isJudged(spec: Json): boolean {
  return judgeModeOf(spec) !== 'threshold';
}

/** Metrics that are compared with their bounds at each check. With slo the judge has the built-in ones. */
export function checkedMetricsOf(spec: Json): Json[] {
  const metrics: Json[] = spec.analysis?.metrics ?? [];
  return judgeModeOf(spec) === 'slo' ? metrics.filter(one => !BUILT_IN.has(one.name)) : metrics;
}

/** Checks that one reading may stand for: it is looked at again after 15 s at the latest, and checks are 10 s apart. */
const CHECKS_OF_READING = 2;

/** Counters that could not be read are a check without a value where a judge asks for them, with the policies of such. */
export function unreadChecks(
  scene: Scene,
  view: CanaryView,
  sinceMs: number,
  specs: readonly Json[],
): { failed: number; open: number } {
  const judged = specs.filter(isJudged).map(spec => spec.analysis);
  if (judged.length === 0) return { failed: 0, open: 0 };
  const unread = CHECKS_OF_READING * scene.readings.unread(view, sinceMs - 1_000);
  const isFailure = judged.some(({ onNoData, onError }) => onNoData === 'fail' || onError === 'fail');
  return { failed: isFailure ? unread : 0, open: unread };
}

const BUILT_IN: ReadonlySet<string> = new Set(['request-success-rate', 'request-duration']);

const ANALYSING: ReadonlySet<string> = new Set(['Progressing', 'Waiting', 'WaitingPromotion']);

export function isAnalysing(status: Json): boolean {
  return ANALYSING.has(status.phase);
}
