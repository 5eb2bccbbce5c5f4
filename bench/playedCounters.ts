/**
 * Raw counters as the stand-in for a Prometheus answers them: each workload that is asked for has one pod for each
 * ReplicaSet that is named, born when it is first asked for, with a thousand requests a second since. It understands no
 * PromQL: a query is known by its labels.
 */
import { LINKERD_LATENCY_BUCKETS_MS } from '../simulator/world/podmetrics.ts';

/** How requests are answered. */
export interface Values {
  successPercent: number;
  latencyMs: number;
}

export type CounterQueryKind = 'counters' | 'history';

export interface PlayedCounters {
  /** Undefined: it is another query. */
  kindOf(query: string): CounterQueryKind | undefined;
  /** The `data` of the answer. */
  answer(query: string, kind: CounterQueryKind): object;
  /** Called before what `valuesOf` says changes: until now it was as it said. */
  settle(): void;
}

interface Pod {
  deployment: string;
  /** Of the query that named it. */
  selector: string;
  bornAtMs: number;
  untilMs: number;
  succeeded: number;
  failed: number;
  within: number[];
}

const PER_SECOND = 1_000;
const BOUNDS_MS = [...LINKERD_LATENCY_BUCKETS_MS, Number.POSITIVE_INFINITY];
const MINUTES = 30;

/**
 * @param valuesOf what is true now of the workload that this selector names
 * @param now milliseconds since the epoch
 */
export function createPlayedCounters(
  valuesOf: (selector: string) => Values,
  now: () => number,
): PlayedCounters {
  const pods = new Map<string, Pod>();

  function born(selector: string, deployment: string, atMs: number): Pod {
    const within = BOUNDS_MS.map(() => 0);
    return { deployment, selector, bornAtMs: atMs, untilMs: atMs, succeeded: 0, failed: 0, within };
  }

  function accrue(pod: Pod, atMs: number): void {
    const { successPercent, latencyMs } = valuesOf(pod.selector);
    const requests = (PER_SECOND * (atMs - pod.untilMs)) / 1_000;
    pod.untilMs = atMs;
    pod.succeeded += (requests * successPercent) / 100;
    pod.failed += (requests * (100 - successPercent)) / 100;
    BOUNDS_MS.forEach((boundMs, index) => {
      if (latencyMs <= boundMs) pod.within[index] = (pod.within[index] ?? 0) + requests;
    });
  }

  function podsIn(query: string, atMs: number): [string, Pod][] {
    const found = new Map<string, Pod>();
    for (const [, selector = ''] of query.matchAll(/response_total\{([^}]*)\}/g)) {
      const namespace = /namespace="([^"]*)"/.exec(selector)?.[1] ?? '';
      const deployment = /deployment="([^"]*)"/.exec(selector)?.[1] ?? '';
      const sets = /pod=~"\(([^)]*)\)-/.exec(selector)?.[1]?.split('|') ?? [deployment];
      for (const set of sets) {
        const key = `${namespace}/${set}`;
        const pod = pods.get(key) ?? born(selector, deployment, atMs);
        pods.set(key, pod);
        found.set(`${set}-00000`, pod);
      }
    }
    return [...found];
  }

  return {
    kindOf(query) {
      if (query.includes('[30m:1m]')) return 'history';
      return query.includes('"kind", "time"') ? 'counters' : undefined;
    },
    answer(query, kind) {
      const atMs = now();
      const named = podsIn(query, atMs);
      if (kind === 'history') {
        const result = named.flatMap(([name, pod]) => pastOf(name, pod, valuesOf(pod.selector), atMs));
        return { resultType: 'matrix', result };
      }
      for (const [, pod] of named) accrue(pod, atMs);
      const time = atMs / 1_000;
      const samples = named.flatMap(([name, pod]) => seriesOf(name, pod));
      const times = ['sampledAt', 'time'].map(one => ({ metric: { kind: one }, value: time }));
      const result = [...samples, ...times].map(({ metric, value }) => ({
        metric,
        value: [time, String(value)],
      }));
      return { resultType: 'vector', result };
    },
    settle() {
      const atMs = now();
      for (const pod of pods.values()) accrue(pod, atMs);
    },
  };
}

function seriesOf(name: string, pod: Pod): { metric: Record<string, string>; value: number }[] {
  const labels = { deployment: pod.deployment, pod: name };
  const requests = { ...labels, kind: 'requests' };
  return [
    {
      metric: { ...requests, classification: 'success', status_code: '200' },
      value: Math.floor(pod.succeeded),
    },
    { metric: { ...requests, classification: 'failure', status_code: '500' }, value: Math.floor(pod.failed) },
    ...BOUNDS_MS.map((boundMs, index) => ({
      metric: { ...labels, kind: 'durations', le: Number.isFinite(boundMs) ? String(boundMs) : '+Inf' },
      value: Math.floor(pod.within[index] ?? 0),
    })),
    { metric: { ...labels, kind: 'series' }, value: 2 },
    { metric: { ...labels, kind: 'startedAt' }, value: pod.bornAtMs / 1_000 },
  ];
}

/** Half an hour in which it was as it is now. */
function pastOf(name: string, pod: Pod, { successPercent, latencyMs }: Values, atMs: number): object[] {
  const lastMs = Math.floor(atMs / 60_000) * 60_000;
  const past = { ...pod, bornAtMs: lastMs - (MINUTES + 1) * 60_000 };
  const minutes = Array.from({ length: MINUTES }, (_one, index) => {
    const requests = PER_SECOND * 60 * (index + 1);
    past.succeeded = (requests * successPercent) / 100;
    past.failed = requests - past.succeeded;
    past.within = BOUNDS_MS.map(boundMs => (latencyMs <= boundMs ? requests : 0));
    return { time: lastMs / 1_000 - 60 * (MINUTES - 1 - index), series: seriesOf(name, past) };
  });
  const [first] = minutes;
  return (first?.series ?? []).map(({ metric }, index) => ({
    metric,
    values: minutes.map(({ time, series }) => [time, String(series[index]?.value)]),
  }));
}
