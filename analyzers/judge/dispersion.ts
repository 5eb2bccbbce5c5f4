/**
 * How much more failures vary between pods than independent requests would: estimated from the primary's history, and
 * applied by dividing counts. Without it a burst rolls back most good canaries of a busy service. Pure.
 */

/** What one pod counted in one block of time. */
export interface PodBlock {
  total: number;
  failures: number;
}

/** Used where history cannot tell: too few failures, or one pod only. */
export const DISPERSION_PRIOR = 1.25;
/** The estimate is taken this much more seriously than it says; 1.0 gave false rollbacks of 0.6 % at alpha 1 %. */
const SAFETY = 1.25;
/** Fewer failures than this in the whole history say nothing about how they clump. */
const FAILURES_MIN = 10;
export const BLOCK_MS = 60_000;

/** What the primary's history says of how failures clump. */
export interface Dispersion {
  /** Intraclass correlation inside pods: grows with what one pod serves. A share, at least 0. */
  icc: number;
  /** Dispersion at the history's own load; at least 1, at most CLUMPING_MAX. */
  clumping: number;
}

/**
 * Retries and dropped connections make failures come in clumps, whose dispersion does not shrink with the load of a pod
 * as that of a pod's own troubles does; blocks of one length cannot tell the two apart. So the canary, whose pods serve
 * less, is not taken to be steadier than the history was. Without this floor, clumps of 3 rolled back 4 to 6 % of good
 * canaries with as many pods as the primary at a weight of 10 %. The bound (clumps of 5) keeps power where pods differ a lot.
 */
const CLUMPING_MAX = 10;

/**
 * Intraclass correlation of failures inside pods:
 *
 *     phi = sum (f_ib - n_ib p_b)^2 / sum n_ib p_b (1 - p_b) (K_b - 1)/K_b       p_b: pooled rate of block b
 *     icc = (phi - 1) / (mean load of a pod in a block - 1)
 *
 * Shocks that all pods share cancel, as they should: both arms of a canary feel them.
 * @param blocks for each block of 60 s, one entry for each pod
 * @returns undefined where the history cannot tell
 */
export function dispersionIn(blocks: readonly (readonly PodBlock[])[]): Dispersion | undefined {
  let squares = 0;
  let expected = 0;
  let total = 0;
  let cells = 0;
  let failures = 0;
  for (const block of blocks) {
    const pods = block.filter(pod => pod.total > 0);
    if (pods.length < 2) continue;
    const n = pods.reduce((sum, pod) => sum + pod.total, 0);
    const f = pods.reduce((sum, pod) => sum + Math.min(pod.failures, pod.total), 0);
    const rate = f / n;
    for (const pod of pods) {
      squares += (Math.min(pod.failures, pod.total) - pod.total * rate) ** 2;
      expected += (pod.total * rate * (1 - rate) * (pods.length - 1)) / pods.length;
    }
    total += n;
    cells += pods.length;
    failures += f;
  }
  const load = total / cells;
  if (failures < FAILURES_MIN || expected <= 0 || !(load > 1)) return undefined;
  const excess = Math.max(0, squares / expected - 1);
  return { icc: excess / (load - 1), clumping: Math.min(CLUMPING_MAX, 1 + excess) };
}

/**
 * Dispersion of one arm in one tick, by which its counts are divided: `1 + 1.25 icc (load - 1)`, where load is what one
 * pod would count in a block at this tick's pace, and at least what clumping gives. It knows totals, never failures, so
 * that bets stay fair.
 * @param dispersion undefined: the prior
 */
export function dispersionOf(
  dispersion: Dispersion | undefined,
  total: number,
  pods: number,
  tickMs: number,
): number {
  if (dispersion === undefined) return DISPERSION_PRIOR;
  const load = (total / Math.max(pods, 1)) * (BLOCK_MS / tickMs);
  return 1 + SAFETY * Math.max(0, dispersion.icc * (load - 1), dispersion.clumping - 1);
}
