/**
 * What the primary did before the rollout: blocks of one minute for each pod, from which base rate, dispersion and
 * latency bounds are fixed. One range query gives it; without one, the primary's first minute at weight 0 does. Pure.
 */
import {
  added,
  type Increments,
  incrementsBetween,
  NO_INCREMENTS,
  type PodCounters,
} from '../scrape/counters.ts';
import { BLOCK_MS, type PodBlock } from './dispersion.ts';
import type { Histogram } from './latency.ts';

export interface PrimaryHistory {
  /** For each block, what each pod counted in it. */
  blocks: readonly (readonly Increments[])[];
  /** How long all blocks are together. */
  lengthMs: number;
}

/** 30 minutes: more would mix in what has changed since. */
export const HISTORY_MS = 1_800_000;

/**
 * From cumulative counters at rising times, e.g. one range query with a step of 60 s, or looks every few seconds: they
 * are cut into blocks of a minute. A pod counts from its second sample on. Less than one block becomes one block.
 */
export function historyOf(
  samples: readonly { atMs: number; pods: ReadonlyMap<string, PodCounters> }[],
): PrimaryHistory {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last || last.atMs <= first.atMs) return { blocks: [], lengthMs: 0 };
  const marks = [first];
  for (const sample of samples) {
    // Looks are a little early or late; a block that is a few percent short is a block.
    if (sample.atMs - (marks.at(-1)?.atMs ?? 0) >= BLOCK_MS * 0.95) marks.push(sample);
  }
  if (marks.length === 1) marks.push(last);
  const blocks = marks.slice(1).map((mark, index) => {
    const before = marks[index]?.pods;
    return [...mark.pods].flatMap(([pod, counters]) => {
      const earlier = before?.get(pod);
      return earlier ? [incrementsBetween(earlier, counters)] : [];
    });
  });
  return { blocks, lengthMs: (marks.at(-1)?.atMs ?? 0) - first.atMs };
}

export function totalOf(history: PrimaryHistory): Increments {
  return history.blocks.flat().reduce(added, NO_INCREMENTS);
}

/** Requests a second of the primary; undefined without a history. */
export function paceOf(history: PrimaryHistory): number | undefined {
  return history.lengthMs > 0 ? totalOf(history).requests / (history.lengthMs / 1_000) : undefined;
}

export function histogramOf(increments: Increments): Histogram {
  let highest = 0;
  return [...increments.buckets]
    .sort(([a], [b]) => a - b)
    .map(([upperMs, count]) => {
      // Buckets are read one after another while requests come in: a higher one never holds less.
      highest = Math.max(highest, count);
      return { upperMs, count: highest };
    });
}

/** The same blocks as outcomes of one kind. */
export function blocksOf(
  history: PrimaryHistory,
  failuresOf: (increments: Increments) => number,
): PodBlock[][] {
  return history.blocks.map(block =>
    block.map(pod => ({ total: pod.requests, failures: Math.min(pod.requests, failuresOf(pod)) })),
  );
}
