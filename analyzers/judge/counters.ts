/**
 * The raw-counter contract: what both arms counted between two readings of cumulative counters, whatever was reset, was
 * born or vanished meanwhile. Of a pod it can do with its totals alone, which is what a checkpoint keeps. It never reads
 * rates (they extrapolate, need two samples, and lose new series). Pure.
 */
import { createHash } from 'node:crypto';
import {
  type Increments,
  incrementsBetween,
  incrementsSinceBirth,
  type PodCounters,
  remembered,
} from '../scrape/counters.ts';

/** Both arms at one evaluation time of the provider, e.g. one instant query, or one round of looks at the pods. */
export interface Reading {
  /** Time that the values belong to, milliseconds since the epoch. One that is not later than the last is no reading. */
  atMs: number;
  /** Raw counters by pod name; undefined when the arm could not be read. No pods and no arm are different things. */
  canary: ReadonlyMap<string, PodCounters> | undefined;
  primary: ReadonlyMap<string, PodCounters> | undefined;
  /**
   * Pods of the canary that have answered before this run, e.g. of a run that is retried: in the first reading they are
   * where counting begins, as for the primary.
   */
  earlier?: ReadonlyMap<string, PodCounters>;
}

/** What is kept of a pod: cumulative. `slow[i]`: requests slower than the i-th latency bound. */
export interface Totals {
  total: number;
  failures: number;
  slow: readonly number[];
}

/** What one arm counted in one tick. */
export interface ArmCounts extends Totals {
  /** Pods that counted something, at least 1. */
  pods: number;
}

/** Its series as last seen, or after a restore only their totals, until the pod is seen again. */
type SeenPod = { live: PodCounters } | { totals: Totals };

export interface ArmCounters {
  /** By `podKey`, in the order of their last sight. */
  pods: ReadonlyMap<string, SeenPod>;
  /** How many of them the last reading showed: the last ones of the map. */
  present: number;
  /** A pod was forgotten, so that an unknown one may be an old one. */
  isForgetful: boolean;
  /** After a restore of an arm with too many pods: what it had counted as a whole, and whose counts they were. */
  whole: (Totals & { podSet: string }) | undefined;
}

export interface Counters {
  canary: ArmCounters;
  primary: ArmCounters;
}

export interface Counted {
  counters: Counters;
  canary: ArmCounts;
  primary: ArmCounts;
}

/** Pods of one arm that are told apart in a checkpoint; above it the arm is kept as a whole. */
export const PODS_KEPT_MAX = 64;
/** Pods of one arm that are remembered in memory; those not seen for longest go first. */
const PODS_SEEN_MAX = 512;
/** 48 bits: among 64 pods two would share a key once in 10^11 rollouts. */
const KEY_LENGTH = 8;

export function podKey(pod: string): string {
  return createHash('sha1').update(pod).digest('base64url').slice(0, KEY_LENGTH);
}

export function podSetOf(keys: Iterable<string>): string {
  return podKey([...keys].sort().join());
}

/**
 * Before the first reading. The canary's pods are born in the run, at 0, so that its first sample counts in full
 * (otherwise the first failures of a dead canary are lost); the primary's first sample is where counting begins.
 */
export function countersAt(
  reading: {
    primary: ReadonlyMap<string, PodCounters>;
    earlier?: ReadonlyMap<string, PodCounters> | undefined;
  },
  boundsMs: readonly number[],
): Counters {
  const nothing: ArmCounters = { pods: new Map(), present: 0, isForgetful: false, whole: undefined };
  const forgetful = { ...nothing, isForgetful: true };
  const primary = counted(forgetful, reading.primary, boundsMs, Infinity).arm;
  const { earlier } = reading;
  if (!earlier || earlier.size === 0) return { canary: nothing, primary };
  const canary = counted(forgetful, earlier, boundsMs, Infinity).arm;
  return { canary: { ...canary, isForgetful: false }, primary };
}

/** @param sinceMs evaluation time of the reading that `before` belongs to */
export function countedBetween(
  before: Counters,
  reading: { canary: ReadonlyMap<string, PodCounters>; primary: ReadonlyMap<string, PodCounters> },
  boundsMs: readonly number[],
  sinceMs: number,
): Counted {
  const canary = counted(before.canary, reading.canary, boundsMs, sinceMs);
  const primary = counted(before.primary, reading.primary, boundsMs, sinceMs);
  return {
    counters: { canary: canary.arm, primary: primary.arm },
    canary: canary.counts,
    primary: primary.counts,
  };
}

function counted(
  before: ArmCounters,
  reading: ReadonlyMap<string, PodCounters>,
  boundsMs: readonly number[],
  sinceMs: number,
): { arm: ArmCounters; counts: ArmCounts } {
  const pods = new Map(before.pods);
  const sum = { total: 0, failures: 0, slow: boundsMs.map(() => 0), pods: 0 };
  const add = (counts: Totals) => {
    sum.total += counts.total;
    sum.failures += counts.failures;
    counts.slow.forEach((slow, index) => {
      sum.slow[index] = (sum.slow[index] ?? 0) + slow;
    });
    if (counts.total > 0) sum.pods += 1;
  };
  for (const [name, raw] of reading) {
    const counters = sound(raw);
    const key = podKey(name);
    const seen = pods.get(key);
    add(incrementOf(seen, counters, boundsMs, { sinceMs, isForgetful: before.isForgetful }));
    pods.delete(key);
    pods.set(key, { live: remembered(seen && 'live' in seen ? seen.live : undefined, counters) });
  }
  const isDropping = pods.size > PODS_SEEN_MAX;
  for (const key of pods.keys()) {
    if (pods.size <= PODS_SEEN_MAX) break;
    pods.delete(key);
  }
  const arm: ArmCounters = {
    pods,
    present: reading.size,
    isForgetful: before.isForgetful || isDropping,
    whole: undefined,
  };
  if (before.whole) {
    const now = sumOf(
      [...arm.pods.values()].slice(-arm.present).map(pod => totalsOfPod(pod, boundsMs)),
      boundsMs,
    );
    const isSame = podSetOf([...arm.pods.keys()].slice(-arm.present)) === before.whole.podSet;
    const risen = isSame ? minus(now, before.whole) : undefined;
    if (risen) return { arm, counts: { ...risen, pods: Math.max(1, reading.size) } };
  }
  return { arm, counts: { ...sum, pods: Math.max(1, sum.pods) } };
}

/** Everything that a pod has counted, as far as it is known: what a checkpoint keeps of it. */
export function totalsOfPod(seen: SeenPod, boundsMs: readonly number[]): Totals {
  return 'live' in seen ? totalsOf(incrementsSinceBirth(seen.live), boundsMs) : seen.totals;
}

/** What one pod counted since it was last seen. */
function incrementOf(
  seen: SeenPod | undefined,
  counters: PodCounters,
  boundsMs: readonly number[],
  known: { sinceMs: number; isForgetful: boolean },
): Totals {
  if (seen && 'live' in seen) return totalsOf(incrementsBetween(seen.live, counters), boundsMs);
  const isBornSince = counters.startedAt !== undefined && counters.startedAt >= known.sinceMs;
  const totals = totalsOf(incrementsSinceBirth(counters), boundsMs);
  // Totals that fell without a new process: series were dropped while nobody looked. Counting begins again here.
  if (seen) return (isBornSince ? totals : minus(totals, seen.totals)) ?? zeros(boundsMs);
  return isBornSince || !known.isForgetful ? totals : zeros(boundsMs);
}

/** Undefined when something fell. */
function minus(later: Totals, earlier: Totals): Totals | undefined {
  const slow = later.slow.map((count, index) => count - (earlier.slow[index] ?? 0));
  const total = later.total - earlier.total;
  const failures = later.failures - earlier.failures;
  return total < 0 || failures < 0 || slow.some(count => count < 0) ? undefined : { total, failures, slow };
}

function zeros(boundsMs: readonly number[]): Totals {
  return { total: 0, failures: 0, slow: boundsMs.map(() => 0) };
}

export function sumOf(all: readonly Totals[], boundsMs: readonly number[]): Totals {
  const slow = boundsMs.map((_, index) => all.reduce((sum, one) => sum + (one.slow[index] ?? 0), 0));
  return {
    total: all.reduce((sum, one) => sum + one.total, 0),
    failures: all.reduce((sum, one) => sum + one.failures, 0),
    slow,
  };
}

/** Without series whose value no counter can have: they keep what they had. */
function sound(counters: PodCounters): PodCounters {
  let isSound = true;
  for (const { count } of counters.requests.values()) if (!isCount(count)) isSound = false;
  for (const { counts } of counters.durations.values()) if (!counts.every(isCount)) isSound = false;
  if (isSound) return counters;
  return {
    ...counters,
    requests: new Map([...counters.requests].filter(([, { count }]) => isCount(count))),
    durations: new Map([...counters.durations].filter(([, { counts }]) => counts.every(isCount))),
  };
}

function isCount(value: number): boolean {
  return value >= 0 && value < Number.POSITIVE_INFINITY;
}

/** Scrape skew: neither failures nor slow requests are more than all. */
export function totalsOf(increments: Increments, boundsMs: readonly number[]): Totals {
  const { requests, failures, buckets } = increments;
  const all = buckets.get(Number.POSITIVE_INFINITY) ?? 0;
  const slow = boundsMs.map(boundMs => {
    const within = buckets.get(boundMs) ?? buckets.get(nextBound(buckets, boundMs)) ?? all;
    return Math.min(requests, Math.max(0, all - within));
  });
  return { total: requests, failures: Math.min(failures, requests), slow };
}

/** The bound itself, or the next one above it: the histogram knows nothing in between. */
export function nextBound(buckets: ReadonlyMap<number, unknown>, boundMs: number): number {
  let next = Number.POSITIVE_INFINITY;
  for (const upper of buckets.keys()) if (upper >= boundMs && upper < next) next = upper;
  return next;
}
