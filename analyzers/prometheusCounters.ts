/**
 * Reads raw counters from a Prometheus: one query for both arms at one evaluation time, one for the primary's history.
 * Times are the server's. It keeps nothing, takes what is no count for no answer, and never throws.
 */
import type { ArmScope, CounterQuery, CounterReader } from './counterReader.ts';
import { createAskPrometheus, type PrometheusOptions } from './prometheusQuery.ts';
import { type CounterKind, counterHistory, counters } from './queries/linkerd.ts';
import type { DurationSeries, PodCounters, RequestSeries } from './scrape/counters.ts';

/** Of one arm, in one reading: more are remembered by nobody. Always the same ones, so that they can be compared. */
export const PODS_READ_MAX = 512;
/** Of the history: base rate and dispersion are no better known from more. */
export const PODS_OF_HISTORY_MAX = 64;
/** Two arms of 512 pods, each with some 32 samples of 140 bytes; or half an hour of 64 pods. */
const ANSWER_BYTES_MAX = 8 * 1024 * 1024;

/** One value of one series, at one time. */
interface CounterSample {
  labels: Readonly<Record<string, string>>;
  value: number;
}

export function createPrometheusCounters(options: PrometheusOptions): CounterReader {
  const ask = createAskPrometheus({ ...options, answerBytesMax: ANSWER_BYTES_MAX });
  return {
    async read(query, signal) {
      const { canary, primary } = query;
      const answer = await ask(counters([scopeOf(query, canary), scopeOf(query, primary)]), signal);
      if (!answer.ok) return { kind: 'providerError', message: answer.message };
      if (answer.resultType !== 'vector') return unexpected('an instant vector', answer.resultType);
      const samples = answer.result.map(
        ({ metric, value }): CounterSample => ({ labels: metric?.labels ?? {}, value: value.value }),
      );
      const atMs = timeIn(samples, 'time');
      if (atMs === undefined)
        return { kind: 'providerError', message: 'prometheus: the answer does not say its time' };
      const arms = podsByDeployment(samples);
      const ofPrimary = arms.get(primary.deployment);
      // Canary pods are born without series: they are known to have counted nothing as long as something is known at all.
      const ofCanary =
        arms.get(canary.deployment) ?? (ofPrimary ? new Map<string, PodCounters>() : undefined);
      return {
        kind: 'reading',
        reading: { atMs, canary: ofCanary, primary: ofPrimary },
        sampledAtMs: timeIn(samples, 'sampledAt'),
      };
    },
    async history(query, signal) {
      const ready = query.pods.primary.map(pod => pod.name).sort();
      const named = ready.length > PODS_OF_HISTORY_MAX ? ready.slice(0, PODS_OF_HISTORY_MAX) : [];
      const answer = await ask(counterHistory(scopeOf(query, query.primary), named), signal);
      if (!answer.ok) return { kind: 'providerError', message: answer.message };
      if (answer.resultType !== 'matrix') return unexpected('a matrix', answer.resultType);
      const { deployment } = query.primary;
      const samples = [...byTime(answer.result)].map(([atMs, one]) => ({
        atMs,
        pods: podsByDeployment(one).get(deployment) ?? new Map<string, PodCounters>(),
      }));
      return { kind: 'history', samples: samples.sort((a, b) => a.atMs - b.atMs) };
    },
  };
}

function scopeOf({ namespace }: CounterQuery, { deployment, replicaSets }: ArmScope) {
  return { namespace, deployment, replicaSets };
}

function unexpected(expected: string, got: string): { kind: 'providerError'; message: string } {
  return { kind: 'providerError', message: `prometheus: expected ${expected}, got a ${got}` };
}

const isKind = ({ labels }: CounterSample, kind: CounterKind) => labels['kind'] === kind;

/** Milliseconds; undefined when the answer does not say. */
function timeIn(samples: readonly CounterSample[], kind: CounterKind): number | undefined {
  const seconds = samples.find(sample => isKind(sample, kind))?.value;
  return seconds !== undefined && Number.isFinite(seconds) ? Math.round(seconds * 1_000) : undefined;
}

/** What a matrix says at each of its times. */
function byTime(result: readonly any[]): Map<number, CounterSample[]> {
  const times = new Map<number, CounterSample[]>();
  for (const { metric, values } of result) {
    for (const { time, value } of values) {
      const atMs = time.getTime();
      const samples = times.get(atMs) ?? [];
      times.set(atMs, samples);
      samples.push({ labels: metric?.labels ?? {}, value });
    }
  }
  return times;
}

interface PodSamples {
  requests: Map<string, RequestSeries>;
  /** Upper bound in milliseconds -> answers that took at most as long. */
  buckets: Map<number, number>;
  startedAt: number | undefined;
  series: number;
  isSound: boolean;
}

/** Arms without a sound pod are left out. */
function podsByDeployment(samples: readonly CounterSample[]): Map<string, Map<string, PodCounters>> {
  const arms = new Map<string, Map<string, PodSamples>>();
  for (const sample of samples) {
    const { deployment, pod } = sample.labels;
    if (deployment === undefined || pod === undefined) continue;
    const pods = arms.get(deployment) ?? new Map<string, PodSamples>();
    arms.set(deployment, pods);
    const one = pods.get(pod) ?? {
      requests: new Map(),
      buckets: new Map(),
      startedAt: undefined,
      series: 0,
      isSound: true,
    };
    pods.set(pod, one);
    take(one, sample);
  }
  const found = new Map<string, Map<string, PodCounters>>();
  for (const [deployment, pods] of arms) {
    const sound = [...pods].filter(([, pod]) => pod.isSound && pod.requests.size > 0);
    const kept = sound.sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, PODS_READ_MAX);
    if (kept.length > 0) found.set(deployment, new Map(kept.map(([name, pod]) => [name, countersOf(pod)])));
  }
  return found;
}

/** A pod of which one value is no count is not read this time: as a sum that is not there, it would be born next time. */
function take(pod: PodSamples, sample: CounterSample): void {
  const { labels, value } = sample;
  if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) {
    pod.isSound = false;
  } else if (isKind(sample, 'requests')) {
    const { classification = '', status_code: code = '' } = labels;
    // As the success rate means it: whatever is not a success.
    pod.requests.set(`${classification} ${code}`, { isFailure: classification !== 'success', count: value });
  } else if (isKind(sample, 'durations')) {
    const upperMs = labels['le'] === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels['le'] || Number.NaN);
    if (Number.isNaN(upperMs)) pod.isSound = false;
    else pod.buckets.set(upperMs, value);
  } else if (isKind(sample, 'series')) {
    pod.series = value;
  } else if (isKind(sample, 'startedAt')) {
    pod.startedAt = value > 0 ? value * 1_000 : undefined;
  }
}

function countersOf({ requests, buckets, startedAt, series }: PodSamples): PodCounters {
  const entries = [...buckets].sort(([a], [b]) => a - b);
  const durations = new Map<string, DurationSeries>();
  if (entries.length > 0)
    durations.set('', {
      uppersMs: entries.map(([upperMs]) => upperMs),
      counts: entries.map(([, count]) => count),
    });
  return { startedAt, requests, durations, summed: series };
}
