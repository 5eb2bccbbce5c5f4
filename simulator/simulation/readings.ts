/**
 * What engines were told of the raw counters of each canary, as what both arms counted from one telling to the next. An
 * own arithmetic, which shares no code with the engine's; it judges nothing.
 */
import type { PodCounters } from '../../analyzers/scrape/counters.ts';
import type { Told } from './counterSource.ts';
import { BOUNDS_MS } from './proxies.ts';
import type { CanaryView } from './witness.ts';

/** Requests of one arm. `slow[i]`: slower than the i-th of `BOUNDS_MS`. */
export interface Tally {
  total: number;
  failed: number;
  slow: readonly number[];
}

/** What was counted since the telling before. */
export interface Stretch {
  engine: number;
  toldAtMs: number;
  /** The provider's time. */
  atMs: number;
  canary: Tally;
  primary: Tally;
}

export interface Readings {
  hear(told: Told, view: CanaryView): void;
  /**
   * Told at or after this moment, in the order of the provider's times. The first one holds what the canary's pods had
   * counted in all by then: they may have been born since.
   */
  since(view: CanaryView, fromMs: number): Stretch[];
  /** How often at or after this moment an engine was told nothing that could be compared, or nothing new. */
  unread(view: CanaryView, fromMs: number): number;
}

/** Of one pod, cumulative; what is no number is left out, and counted when it is one again. */
interface Pod {
  startedAtMs: number;
  succeeded: number;
  failed: number;
  /** Answered at all, as the histogram says, and slower than each bound. */
  slow: readonly number[];
}

type Pods = ReadonlyMap<string, Pod>;

interface Reading {
  engine: number;
  toldAtMs: number;
  atMs: number;
  canary: Pods;
  primary: Pods;
}

/** An hour, of two engines that look every two seconds. */
const READINGS_MAX = 4_000;
const UNREAD_MAX = 500;
const NOTHING: Tally = { total: 0, failed: 0, slow: BOUNDS_MS.map(() => 0) };

export function createReadings(): Readings {
  const heard = new Map<CanaryView, Reading[]>();
  const unread = new Map<CanaryView, number[]>();

  function isMissing(known: readonly Reading[], { answer }: Told): boolean {
    if (answer.kind !== 'reading') return true;
    const { atMs, canary, primary } = answer.reading;
    return !canary || !primary || known.some(one => one.atMs === atMs);
  }

  return {
    hear(told, view) {
      const { engine, atMs: toldAtMs, answer } = told;
      const known = heard.get(view) ?? [];
      heard.set(view, known);
      if (isMissing(known, told))
        unread.set(view, [...(unread.get(view) ?? []).slice(-UNREAD_MAX), toldAtMs]);
      if (answer.kind !== 'reading') return;
      const { atMs, canary, primary } = answer.reading;
      if (!canary || !primary) return;
      const reading = { engine, toldAtMs, atMs, canary: podsOf(canary), primary: podsOf(primary) };
      // A process that was frozen is told late.
      const position = known.findLastIndex(one => one.atMs <= atMs) + 1;
      known.splice(position, 0, reading);
      if (known.length > READINGS_MAX) known.splice(0, READINGS_MAX / 2);
    },
    unread: (view, fromMs) => (unread.get(view) ?? []).filter(atMs => atMs >= fromMs).length,
    since: (view, fromMs) => stretchesOf((heard.get(view) ?? []).filter(one => one.toldAtMs >= fromMs)),
  };
}

function podsOf(pods: ReadonlyMap<string, PodCounters>): Pods {
  return new Map([...pods].map(([name, counters]) => [name, podOf(counters)]));
}

function podOf({ startedAt = 0, requests, durations }: PodCounters): Pod {
  const sum = (isFailure: boolean) =>
    [...requests.values()]
      .filter(one => one.isFailure === isFailure)
      .reduce((total, one) => total + one.count, 0);
  const within = [...durations.values()][0]?.counts ?? [];
  const all = within.at(-1) ?? 0;
  return {
    startedAtMs: startedAt,
    succeeded: sum(false),
    failed: sum(true),
    slow: BOUNDS_MS.map((_bound, index) => all - (within[index] ?? 0)),
  };
}

function stretchesOf(readings: readonly Reading[]): Stretch[] {
  const canaries = new Map<string, Pod>();
  const primaries = new Map<string, Pod>();
  return readings.map(({ engine, toldAtMs, atMs, canary, primary }, index) => ({
    engine,
    toldAtMs,
    atMs,
    canary: counted(canaries, canary, 0),
    // What the primary had counted before it was first told of belongs to no run.
    primary: counted(primaries, primary, readings[index - 1]?.atMs ?? Number.POSITIVE_INFINITY),
  }));
}

/** @param sinceMs pods that are not known have counted since their birth if they were born after this moment */
function counted(known: Map<string, Pod>, pods: Pods, sinceMs: number): Tally {
  let tally = NOTHING;
  for (const [name, pod] of pods) {
    const last = known.get(name);
    const isAnew = last === undefined ? pod.startedAtMs >= sinceMs : pod.startedAtMs > last.startedAtMs;
    const before = isAnew ? undefined : (last ?? pod);
    const rise = (now: number, then = 0) => (Number.isFinite(now) ? Math.max(0, now - then) : 0);
    const failed = rise(pod.failed, before?.failed);
    tally = plus(tally, {
      total: failed + rise(pod.succeeded, before?.succeeded),
      failed,
      slow: pod.slow.map((slow, index) => rise(slow, before?.slow[index])),
    });
    known.set(name, {
      startedAtMs: pod.startedAtMs,
      succeeded: isAnew ? pod.succeeded : kept(pod.succeeded, last?.succeeded),
      failed: isAnew ? kept(pod.failed) : kept(pod.failed, last?.failed),
      slow: pod.slow.map((slow, index) => (isAnew ? kept(slow) : kept(slow, last?.slow[index]))),
    });
  }
  return tally;
}

function kept(now: number, then = 0): number {
  return Number.isFinite(now) ? now : then;
}

export function plus(a: Tally, b: Tally): Tally {
  return {
    total: a.total + b.total,
    failed: a.failed + b.failed,
    slow: a.slow.map((slow, index) => slow + (b.slow[index] ?? 0)),
  };
}
