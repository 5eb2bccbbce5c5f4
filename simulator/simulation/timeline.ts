/**
 * What happened, one line each, in order, and a hash over all of it: two runs of one seed must give the same hash. It
 * keeps the last lines for people; the hash covers every line.
 */
import { createHash } from 'node:crypto';

export interface Timeline {
  note(who: string, what: string): void;
  lines(): readonly string[];
  count(): number;
  hash(): string;
}

/** An hour with faults is some thousand lines; older ones are of no use to a reader. */
const LINES_MAX = 20_000;

export function createTimeline(now: () => number, startMs: number): Timeline {
  const digest = createHash('sha256');
  let lines: string[] = [];
  let count = 0;
  return {
    note(who, what) {
      const line = `${formatClock(now() - startMs)} ${who.padEnd(10)} ${what}`;
      digest.update(`${line}\n`);
      count += 1;
      lines.push(line);
      if (lines.length > LINES_MAX * 1.25) lines = lines.slice(-LINES_MAX);
    },
    lines: () => lines,
    count: () => count,
    hash: () => digest.copy().digest('hex').slice(0, 16),
  };
}

/** `mm:ss.mmm`. */
export function formatClock(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  const seconds = (ms % 60_000) / 1_000;
  return `${String(minutes).padStart(3, ' ')}:${seconds.toFixed(3).padStart(6, '0')}`;
}
