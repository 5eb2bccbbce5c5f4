/**
 * The raw counters of one pod at one moment, one entry for each series, and what they rose by between two moments:
 * resets, new series and vanished ones are told apart here and nowhere else. Pure: no clock, no network, no memory.
 */
import { createHash } from 'node:crypto';
import { ExpositionError, type Sample } from './exposition.ts';
import type { CounterSource } from './sources.ts';

/** Cumulative, as the pod exported them. Keys tell series apart (name and labels); they mean nothing else. */
export interface PodCounters {
  /** When the pod's process began, milliseconds since the epoch; undefined where it is not exported. */
  startedAt: number | undefined;
  requests: ReadonlyMap<string, RequestSeries>;
  durations: ReadonlyMap<string, DurationSeries>;
  /**
   * How many series the requests are sums of, where each entry is a sum, as a query by pod gives it. Undefined: each entry
   * is one series of the pod's own.
   */
  summed?: number | undefined;
}

export interface RequestSeries {
  isFailure: boolean;
  count: number;
}

export interface DurationSeries {
  /** Upper bounds in milliseconds, rising. Shared between series that have the same. */
  uppersMs: readonly number[];
  /** Answers that took at most as long, one for each bound: cumulative over the bounds too. */
  counts: readonly number[];
}

/** What counters rose by. */
export interface Increments {
  requests: number;
  failures: number;
  /** Upper bound in milliseconds -> answers that took at most as long. */
  buckets: ReadonlyMap<number, number>;
}

export const NO_INCREMENTS: Increments = { requests: 0, failures: 0, buckets: new Map() };

/** Label sets of one pod that are kept. A proxy has some tens; more is a label that holds something unbounded. */
export const SERIES_MAX = 5_000;
/** Bounds of one histogram. Client libraries have 11, Linkerd 26. */
const BOUNDS_MAX = 512;
/** Start times of one process are exported as floats, and by some libraries computed anew each time. */
const SAME_START_MS = 1_000;

export interface CounterReader {
  /** Throws ExpositionError. */
  take(sample: Sample): void;
  counters(): PodCounters;
}

export function createCounterReader(source: CounterSource): CounterReader {
  let startedAt: number | undefined;
  const requests = new Map<string, RequestSeries>();
  const buckets = new Map<string, Map<number, number>>();

  function room(series: ReadonlyMap<string, unknown>, key: string): void {
    if (series.size >= SERIES_MAX && !series.has(key))
      throw new ExpositionError(`more than ${SERIES_MAX} series of one metric`);
  }

  return {
    take(sample) {
      const meaning = source.meaningOf(sample);
      if (!meaning) return;
      if (meaning.kind === 'startedAt') {
        startedAt = meaning.at;
        return;
      }
      const key = keyOf(sample);
      if (meaning.kind === 'requests') {
        room(requests, key);
        // A value that no counter can have says nothing about this moment; the series is left out of it.
        if (isCount(sample.value)) requests.set(key, { isFailure: meaning.isFailure, count: sample.value });
        return;
      }
      room(buckets, key);
      const counts = buckets.get(key) ?? new Map<number, number>();
      if (counts.size >= BOUNDS_MAX)
        throw new ExpositionError(`a histogram with more than ${BOUNDS_MAX} bounds`);
      buckets.set(key, counts.set(meaning.upperMs, sample.value));
    },
    counters: () => ({ startedAt, requests, durations: durationsOf(buckets) }),
  };
}

function isCount(value: number): boolean {
  return value >= 0 && value < Number.POSITIVE_INFINITY;
}

/** Sorted, and without histograms of which a bucket is no count. */
function durationsOf(buckets: ReadonlyMap<string, ReadonlyMap<number, number>>): Map<string, DurationSeries> {
  const durations = new Map<string, DurationSeries>();
  let shared: readonly number[] = [];
  for (const [key, counts] of buckets) {
    const entries = [...counts].sort(([a], [b]) => a - b);
    if (!entries.every(([, count]) => isCount(count))) continue;
    const uppersMs = entries.map(([upper]) => upper);
    if (!isSame(shared, uppersMs)) shared = uppersMs;
    durations.set(key, { uppersMs: shared, counts: entries.map(([, count]) => count) });
  }
  return durations;
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}

/** A hash: the labels of one series of Linkerd's take 600 characters, and slices would keep the body alive. */
function keyOf({ name, labels }: Sample): string {
  const rest = [...labels].filter(([label]) => label !== 'le').sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha1')
    .update(JSON.stringify([name, rest]))
    .digest('base64');
}

/**
 * What the pod counted between two looks. A series that fell was reset and has counted its whole value since; one that
 * the earlier look did not see was born since; one that is gone adds nothing.
 *
 * Sums fall for another reason too: a proxy drops the series of a client that was idle for 10 minutes, and what is left
 * has been counted before. Only a new process makes it a reset; otherwise counting begins again here.
 */
export function incrementsBetween(before: PodCounters, after: PodCounters): Increments {
  let isNewProcess =
    before.startedAt !== undefined &&
    after.startedAt !== undefined &&
    after.startedAt > before.startedAt + SAME_START_MS;
  if (after.summed !== undefined) {
    const isLess = hasLess(before, after);
    if (isLess && !isNewProcess) return NO_INCREMENTS;
    isNewProcess = isLess;
  }
  const sum = createSum();
  for (const [key, { isFailure, count }] of after.requests) {
    const old = isNewProcess ? 0 : (before.requests.get(key)?.count ?? 0);
    sum.addRequests(count < old ? count : count - old, isFailure);
  }
  for (const [key, { uppersMs, counts }] of after.durations) {
    const old = isNewProcess ? undefined : before.durations.get(key);
    const isContinued =
      old !== undefined &&
      isSame(old.uppersMs, uppersMs) &&
      counts.every((count, index) => count >= (old.counts[index] ?? 0));
    uppersMs.forEach((upper, index) =>
      sum.addBucket(upper, (counts[index] ?? 0) - (isContinued ? (old.counts[index] ?? 0) : 0)),
    );
  }
  return sum.increments();
}

/** Some series are gone, or some sum fell. */
function hasLess(before: PodCounters, after: PodCounters): boolean {
  if ((after.summed ?? 0) < (before.summed ?? 0)) return true;
  for (const [key, { count }] of before.requests)
    if ((after.requests.get(key)?.count ?? 0) < count) return true;
  for (const [key, { counts }] of before.durations) {
    const now = after.durations.get(key)?.counts;
    if (counts.some((count, index) => (now?.[index] ?? 0) < count)) return true;
  }
  return false;
}

/** Everything that the pod has ever counted: its increments when its counters began at zero. */
export function incrementsSinceBirth(counters: PodCounters): Increments {
  return incrementsBetween({ startedAt: undefined, requests: new Map(), durations: new Map() }, counters);
}

/**
 * What to remember of a pod after a look: a series that this look did not show keeps its last value, so that it is not
 * counted as new when it comes back. Vanished series go first when there would be too many.
 */
export function remembered(before: PodCounters | undefined, after: PodCounters): PodCounters {
  if (!before) return after;
  // A sum holds what is there; a part of it that comes back is counted from zero by whoever exports it.
  if (after.summed !== undefined) return { ...after, startedAt: after.startedAt ?? before.startedAt };
  const isNewProcess =
    (after.startedAt ?? 0) > (before.startedAt ?? Number.POSITIVE_INFINITY) + SAME_START_MS;
  if (isNewProcess) return after;
  return {
    startedAt: after.startedAt ?? before.startedAt,
    requests: overlaid(before.requests, after.requests),
    durations: overlaid(before.durations, after.durations),
  };
}

function overlaid<T>(before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  const merged = new Map([...before, ...after]);
  return merged.size > SERIES_MAX ? after : merged;
}

export function added(a: Increments, b: Increments): Increments {
  return combined(a, b, 1);
}

/** `later` minus `earlier`, where `later` is a running total that contains it. */
export function difference(later: Increments, earlier: Increments): Increments {
  return combined(later, earlier, -1);
}

function combined(a: Increments, b: Increments, sign: 1 | -1): Increments {
  const buckets = new Map(a.buckets);
  for (const [upper, count] of b.buckets) buckets.set(upper, (buckets.get(upper) ?? 0) + sign * count);
  return {
    requests: a.requests + sign * b.requests,
    failures: a.failures + sign * b.failures,
    buckets,
  };
}

function createSum() {
  let requests = 0;
  let failures = 0;
  const buckets = new Map<number, number>();
  return {
    addRequests(count: number, isFailure: boolean) {
      requests += count;
      if (isFailure) failures += count;
    },
    addBucket(upper: number, count: number) {
      buckets.set(upper, (buckets.get(upper) ?? 0) + count);
    },
    increments: (): Increments => ({ requests, failures, buckets }),
  };
}
