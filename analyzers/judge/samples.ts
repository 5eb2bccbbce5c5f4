/** Raw counters of pods as tests write them down. Used by tests only. */
import type { PodCounters } from '../scrape/counters.ts';

export interface PodSample {
  ok: number;
  failed?: number;
  /** Cumulative counts by upper bound in milliseconds. */
  buckets?: readonly (readonly [number, number])[];
  startedAt?: number;
}

export function pod({ ok, failed, buckets, startedAt }: PodSample): PodCounters {
  const requests = new Map([['200', { isFailure: false, count: ok }]]);
  if (failed !== undefined) requests.set('500', { isFailure: true, count: failed });
  const durations = new Map();
  if (buckets)
    durations.set('all', {
      uppersMs: buckets.map(([upper]) => upper),
      counts: buckets.map(([, count]) => count),
    });
  return { startedAt, requests, durations };
}

export function pods(samples: Record<string, PodSample>): ReadonlyMap<string, PodCounters> {
  return new Map(Object.entries(samples).map(([name, sample]) => [name, pod(sample)]));
}
