/**
 * What the proxies beside all pods have counted: cumulative, by pod, with a histogram, as every engine is told it; what a
 * pod counted goes with it. While their world is in trouble they lie, begin anew or stand still; afterwards what they counted
 * meanwhile is still in them, as it would be. It shares no code with the engine.
 */
import type { CounterTrouble, MetricsTrouble } from './plan.ts';

/** What one pod answered in one stretch of time. */
export interface Answered {
  namespace: string;
  workload: string;
  replicaSet: string;
  pod: string;
  fromMs: number;
  toMs: number;
  /** Not whole numbers. */
  requests: number;
  failed: number;
  latencyMs: number;
}

/** Cumulative. */
export interface Counted {
  replicaSet: string;
  startedAtMs: number;
  succeeded: number;
  failed: number;
  /** One for each of `BOUNDS_MS`. */
  within: number[];
}

/** By name of the pod. */
export type CountedPods = ReadonlyMap<string, Counted>;

export interface Proxies {
  answered(answered: Answered): void;
  /** What is told now of one workload, and for when. */
  now(namespace: string, workload: string): { atMs: number; pods: CountedPods };
  /** What it was at each full minute of the last 30, oldest first. */
  minutes(namespace: string, workload: string): { atMs: number; pods: CountedPods }[];
}

export interface ProxiesOptions {
  now: () => number;
  /** A proxy is gone with its pod. */
  isThere(namespace: string, pod: string): boolean;
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
  pods: Map<string, Counted>;
  minutes: { atMs: number; pods: Map<string, Counted> }[];
  /** What is told while it stands still. */
  frozen: { sinceMs: number; atMs: number; pods: CountedPods } | undefined;
}

export function createProxies(options: ProxiesOptions): Proxies {
  const workloads = new Map<string, Workload>();

  function workloadOf(namespace: string, name: string): Workload {
    const key = `${namespace}/${name}`;
    const known = workloads.get(key) ?? { pods: new Map(), minutes: [], frozen: undefined };
    workloads.set(key, known);
    const trouble = options.trouble(namespace, name);
    if (trouble?.how !== 'stale') known.frozen = undefined;
    else if (known.frozen?.sinceMs !== trouble.sinceMs)
      known.frozen = { sinceMs: trouble.sinceMs, atMs: options.now(), pods: copyOf(known.pods) };
    return known;
  }

  function forgetGone(namespace: string, { pods }: Workload): void {
    for (const name of pods.keys()) if (!options.isThere(namespace, name)) pods.delete(name);
  }

  /** A minute is marked by the first requests after it. */
  function mark(namespace: string, workload: Workload, atMs: number): void {
    const minuteMs = Math.floor(atMs / MINUTE_MS) * MINUTE_MS;
    if ((workload.minutes.at(-1)?.atMs ?? 0) >= minuteMs) return;
    forgetGone(namespace, workload);
    workload.minutes.push({ atMs: minuteMs, pods: copyOf(workload.pods) });
    workload.minutes = workload.minutes.slice(-MINUTES_KEPT);
  }

  return {
    answered({ namespace, workload: name, replicaSet, pod, fromMs, toMs, ...answered }) {
      const workload = workloadOf(namespace, name);
      mark(namespace, workload, toMs);
      const trouble = options.trouble(namespace, name);
      const known = workload.pods.get(pod);
      const isReset = known && trouble?.how === 'reset' && known.startedAtMs < trouble.sinceMs;
      const counted = known && !isReset ? known : born(replicaSet, isReset ? trouble.sinceMs : fromMs);
      workload.pods.set(pod, counted);
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
      const workload = workloadOf(namespace, name);
      forgetGone(namespace, workload);
      const { frozen, pods } = workload;
      return { atMs: frozen?.atMs ?? options.now(), pods: frozen?.pods ?? pods };
    },
    minutes(namespace, name) {
      const { minutes, frozen } = workloadOf(namespace, name);
      const untilMs = frozen?.atMs ?? options.now();
      const fromMs = untilMs - (MINUTES_KEPT - 1) * MINUTE_MS;
      return minutes.filter(one => one.atMs >= fromMs && one.atMs <= untilMs);
    },
  };
}

function born(replicaSet: string, startedAtMs: number): Counted {
  return { replicaSet, startedAtMs, succeeded: 0, failed: 0, within: BOUNDS_MS.map(() => 0) };
}

function copyOf(pods: CountedPods): Map<string, Counted> {
  return new Map([...pods].map(([name, counted]) => [name, { ...counted, within: [...counted.within] }]));
}
