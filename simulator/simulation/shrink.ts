/**
 * Makes a failing history short: items are left out, many at first and then one by one, as long as the same rule is
 * still broken. What is left is the shortest that was found within the bounds, not the shortest there is.
 */
import type { Item, Plan } from './plan.ts';
import { type Outcome, simulate } from './simulate.ts';

export interface Shrunk {
  plan: Plan;
  outcome: Outcome;
  runs: number;
}

export interface ShrinkOptions {
  runsMax: number;
  /** True when there is no time left. */
  isOver(): boolean;
}

/** A shrunk history may fail somewhat later than the whole one. */
const GRACE_MS = 180_000;

export async function shrink(plan: Plan, failed: Outcome, options: ShrinkOptions): Promise<Shrunk> {
  const checker = failed.violation?.checker;
  const isLive = checker === 'settles';
  const untilMs = isLive ? undefined : (failed.violation?.atMs ?? 0) + GRACE_MS;
  let best = failed;
  let items = plan.items.filter(item => isLive || item.atMs <= (failed.violation?.atMs ?? 0));
  let runs = 0;

  async function stillFails(candidate: Item[]): Promise<boolean> {
    runs += 1;
    const outcome = await simulate({ ...plan, items: candidate }, untilMs === undefined ? {} : { untilMs });
    if (outcome.violation?.checker !== checker) return false;
    items = candidate;
    best = outcome;
    return true;
  }

  if (!(await stillFails(items))) items = [...plan.items];
  for (let size = Math.ceil(items.length / 2); size >= 1; ) {
    let hasShrunk = false;
    for (let start = 0; start < items.length && runs < options.runsMax && !options.isOver(); ) {
      const candidate = [...items.slice(0, start), ...items.slice(start + size)];
      if (await stillFails(candidate)) hasShrunk = true;
      else start += size;
    }
    if (runs >= options.runsMax || options.isOver()) break;
    if (size === 1 && !hasShrunk) break;
    size = size === 1 ? 1 : Math.ceil(size / 2);
  }
  return { plan: { ...plan, items }, outcome: best, runs };
}
