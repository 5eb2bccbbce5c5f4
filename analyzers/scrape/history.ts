/**
 * What the pods of one arm have counted since somebody began to look: a running total that survives resets, new pods and
 * vanished ones, and marks of it in time from which windows are cut. A cache: losing it costs one look. It does no I/O.
 */
import {
  added,
  difference,
  type Increments,
  incrementsBetween,
  incrementsSinceBirth,
  NO_INCREMENTS,
  type PodCounters,
  remembered,
} from './counters.ts';

export interface PodLook {
  /** Identity of the pod: never used again for another one. */
  pod: string;
  counters: PodCounters;
}

export interface Window {
  /** How long it really was, milliseconds. */
  lengthMs: number;
  increments: Increments;
}

export interface ArmHistory {
  /** Says which windows will be asked for, milliseconds: marks are kept for the longest and apart by the shortest. */
  keepFor(windowsMs: readonly number[]): void;
  /**
   * Takes what one round of looks has seen. `isMark`: enough pods answered for the moment to begin or end a window; what
   * the others counted meanwhile comes with their next answer.
   */
  add(at: number, looks: readonly PodLook[], isMark: boolean): void;
  /** What was counted in the window that ends at the last mark; undefined while there is nothing to compare it with. */
  window(windowMs: number): Window | undefined;
  /** The raw counters of each pod at its last look, for a judge that does its own arithmetic. */
  pods(): ReadonlyMap<string, PodCounters>;
  /** Time of the last mark; undefined before the first. */
  markedAt(): number | undefined;
  /** How many marks are kept: at most MARKS_MAX. */
  marks(): number;
}

interface Mark {
  at: number;
  total: Increments;
}

/** A look that came a little early still begins its window. */
const WINDOW_TOLERANCE = 0.9;
/** A window may be this many times as long as asked for; beyond it would mix in what is long past. */
const WINDOW_STRETCH_MAX = 3;
/** Ticks are late now and then; without this the shortest windows would be refused for it. */
const STRETCH_SLACK_MS = 1_000;
/** Marks closer together than this share of the shortest window, or of their own age, tell nothing new. */
const SPACING_OF_WINDOW = 1 / 4;
const SPACING_OF_AGE = 1 / 8;
/** What those two leave of windows from a second to a day is below 256; this is the net under it. */
export const MARKS_MAX = 256;
/** Pods of one arm that are remembered: those that are looked at, and as many again that have left lately. */
export const PODS_MAX = 128;

export function createArmHistory(): ArmHistory {
  let shortestMs = Number.POSITIVE_INFINITY;
  let longestMs = 0;
  /** In the order of their last look. */
  const pods = new Map<string, PodCounters>();
  let marks: Mark[] = [];
  /** No pod that began after this was looked at before and forgotten. Undefined: nothing is known yet. */
  let knownSince: number | undefined;
  let total = NO_INCREMENTS;

  function incrementsOf({ pod, counters }: PodLook): Increments {
    const before = pods.get(pod);
    if (before) return incrementsBetween(before, counters);
    // A pod that was born since the first mark has counted for this arm only; of any other it is unknown since when.
    const isBornHere =
      knownSince !== undefined && counters.startedAt !== undefined && counters.startedAt >= knownSince;
    return isBornHere ? incrementsSinceBirth(counters) : NO_INCREMENTS;
  }

  /** Leaves out marks without which their neighbours are still close enough. */
  function thinned(): Mark[] {
    const last = marks.at(-1);
    const kept: Mark[] = [];
    for (const [index, mark] of marks.entries()) {
      const [older, newer] = [kept.at(-1), marks[index + 1]];
      const ageMs = (last?.at ?? mark.at) - mark.at;
      if (ageMs > longestMs * WINDOW_STRETCH_MAX + STRETCH_SLACK_MS) continue;
      const spacingMs = Math.max(shortestMs * SPACING_OF_WINDOW, ageMs * SPACING_OF_AGE);
      if (!older || !newer || newer.at - older.at > spacingMs) kept.push(mark);
    }
    return kept.slice(-MARKS_MAX);
  }

  return {
    keepFor(windowsMs) {
      shortestMs = Math.min(shortestMs, ...windowsMs);
      longestMs = Math.max(longestMs, ...windowsMs);
    },
    add(at, looks, isMark) {
      // The clock was set back: what was marked by the old one bounds no window any more.
      if (at < (marks.at(-1)?.at ?? at)) {
        marks = [];
        knownSince = undefined;
      }
      for (const look of looks) {
        total = added(total, incrementsOf(look));
        const counters = remembered(pods.get(look.pod), look.counters);
        pods.delete(look.pod);
        pods.set(look.pod, counters);
      }
      for (const pod of pods.keys()) {
        if (pods.size <= PODS_MAX) break;
        pods.delete(pod);
        knownSince = at;
      }
      if (!isMark) return;
      knownSince ??= at;
      marks.push({ at, total });
      marks = thinned();
    },
    window(windowMs) {
      const last = marks.at(-1);
      if (!last) return undefined;
      const earlier = marks.filter(mark => mark.at < last.at);
      const old = earlier.findLast(mark => last.at - mark.at >= windowMs * WINDOW_TOLERANCE);
      const isUsable = old && last.at - old.at <= windowMs * WINDOW_STRETCH_MAX + STRETCH_SLACK_MS;
      // While the history is shorter than the window, all of it is the window.
      const first = isUsable ? old : earlier.find(mark => last.at - mark.at < windowMs * WINDOW_TOLERANCE);
      if (!first) return undefined;
      return { lengthMs: last.at - first.at, increments: difference(last.total, first.total) };
    },
    pods: () => pods,
    markedAt: () => marks.at(-1)?.at,
    marks: () => marks.length,
  };
}
