/**
 * What the proxies beside all pods have counted: cumulative, by ReplicaSet, in whole requests, with a histogram, as every
 * engine is told it. While their world is in trouble they lie, begin anew or stand still; afterwards what they counted
 * meanwhile is still in them, as it would be. It shares no code with the engine.
 */
import type { CounterTrouble, MetricsTrouble } from './plan.ts';

/** What one ReplicaSet's pods answered in one stretch of time. */
export interface Answered {
  namespace: string;
  workload: string;
  replicaSet: string;
  fromMs: number;
  toMs: number;
  /** Not whole numbers. */
  requests: number;
  failed: number;
  latencyMs: number;
}

/** Cumulative. */
export interface Counted {
  startedAtMs: number;
  succeeded: number;
  failed: number;
  /** One for each of `BOUNDS_MS`. */
  within: number[];
}

/** By ReplicaSet. */
export type CountedSets = ReadonlyMap<string, Counted>;

export interface Proxies {
  answered(answered: Answered): void;
  /** What is told now of one workload, and for when. */
  now(namespace: string, workload: string): { atMs: number; sets: CountedSets };
  /** What it was at each full minute of the last 30, oldest first. */
  minutes(namespace: string, workload: string): { atMs: number; sets: CountedSets }[];
}

export interface ProxiesOptions {
  now: () => number;
  lies(namespace: string, workload: string): MetricsTrouble | undefined;
  trouble(namespace: string, workload: string): { how: CounterTrouble; sinceMs: number } | undefined;
}

export const BOUNDS_MS: readonly number[] = [
  1,
  5,
  10,
  50,
  100,
  500,
  1_000,
  5_000,
  10_000,
  Number.POSITIVE_INFINITY,
];
const MINUTE_MS = 60_000;
const MINUTES_KEPT = 31;
/** What a liar says of each request. */
const LIES = { good: { failing: 0, latencyMs: 5 }, bad: { failing: 7 / 8, latencyMs: 9_000 } };

interface Workload {
  sets: Map<string, Counted>;
  minutes: { atMs: number; sets: Map<string, Counted> }[];
  /** What is told while it stands still. */
  frozen: { sinceMs: number; atMs: number; sets: CountedSets } | undefined;
}

export function createProxies(options: ProxiesOptions): Proxies {
  const workloads = new Map<string, Workload>();

  function workloadOf(namespace: string, name: string): Workload {
    const key = `${namespace}/${name}`;
    const known = workloads.get(key) ?? { sets: new Map(), minutes: [], frozen: undefined };
    workloads.set(key, known);
    const trouble = options.trouble(namespace, name);
    if (trouble?.how !== 'stale') known.frozen = undefined;
    else if (known.frozen?.sinceMs !== trouble.sinceMs)
      known.frozen = { sinceMs: trouble.sinceMs, atMs: options.now(), sets: copyOf(known.sets) };
    return known;
  }

  /** A minute is marked by the first requests after it. */
  function mark(workload: Workload, atMs: number): void {
    const minuteMs = Math.floor(atMs / MINUTE_MS) * MINUTE_MS;
    if ((workload.minutes.at(-1)?.atMs ?? 0) >= minuteMs) return;
    workload.minutes.push({ atMs: minuteMs, sets: copyOf(workload.sets) });
    workload.minutes = workload.minutes.slice(-MINUTES_KEPT);
  }

  return {
    answered({ namespace, workload: name, replicaSet, fromMs, toMs, ...answered }) {
      const workload = workloadOf(namespace, name);
      mark(workload, toMs);
      const trouble = options.trouble(namespace, name);
      const known = workload.sets.get(replicaSet);
      const isReset = known && trouble?.how === 'reset' && known.startedAtMs < trouble.sinceMs;
      const counted = known && !isReset ? known : born(isReset ? trouble.sinceMs : fromMs);
      workload.sets.set(replicaSet, counted);
      const lie = options.lies(namespace, name);
      const told = lie === 'good' || lie === 'bad' ? LIES[lie] : undefined;
      const failed = told ? answered.requests * told.failing : answered.failed;
      const latencyMs = told?.latencyMs ?? answered.latencyMs;
      counted.failed += failed;
      counted.succeeded += answered.requests - failed;
      BOUNDS_MS.forEach((boundMs, index) => {
        if (latencyMs <= boundMs) counted.within[index] = (counted.within[index] ?? 0) + answered.requests;
      });
    },
    now(namespace, name) {
      const { frozen, sets } = workloadOf(namespace, name);
      return { atMs: frozen?.atMs ?? options.now(), sets: frozen?.sets ?? sets };
    },
    minutes(namespace, name) {
      const { minutes, frozen } = workloadOf(namespace, name);
      const untilMs = frozen?.atMs ?? options.now();
      const fromMs = untilMs - (MINUTES_KEPT - 1) * MINUTE_MS;
      return minutes.filter(one => one.atMs >= fromMs && one.atMs <= untilMs);
    },
  };
}

function born(startedAtMs: number): Counted {
  return { startedAtMs, succeeded: 0, failed: 0, within: BOUNDS_MS.map(() => 0) };
}

function copyOf(sets: CountedSets): Map<string, Counted> {
  return new Map([...sets].map(([name, counted]) => [name, { ...counted, within: [...counted.within] }]));
}
