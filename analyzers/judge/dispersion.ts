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

/**
 * Intraclass correlation of failures inside pods:
 *
 *     phi = sum (f_ib - n_ib p_b)^2 / sum n_ib p_b (1 - p_b) (K_b - 1)/K_b       p_b: pooled rate of block b
 *     icc = (phi - 1) / (mean load of a pod in a block - 1)
 *
 * Shocks that all pods share cancel, as they should: both arms of a canary feel them.
 * @param blocks for each block of 60 s, one entry for each pod
 * @returns a share of at least 0; undefined where the history cannot tell
 */
export function iccOf(blocks: readonly (readonly PodBlock[])[]): number | undefined {
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
  return Math.max(0, (squares / expected - 1) / (load - 1));
}

/**
 * Dispersion of one arm in one tick, by which its counts are divided: `1 + 1.25 icc (load - 1)`, where load is what one
 * pod would count in a block at this tick's pace. It knows totals, never failures, so that bets stay fair. At least 1.
 * @param icc undefined: the prior
 */
export function dispersionOf(icc: number | undefined, total: number, pods: number, tickMs: number): number {
  if (icc === undefined) return DISPERSION_PRIOR;
  const load = (total / Math.max(pods, 1)) * (BLOCK_MS / tickMs);
  return Math.max(1, 1 + SAFETY * icc * (load - 1));
}
