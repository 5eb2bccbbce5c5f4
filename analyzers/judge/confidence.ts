/**
 * Confidence sequences for a rate: bounds that hold at all times at once, so that a chart may be looked at whenever one
 * likes. For people and reports only; no verdict depends on them. Pure.
 */
import type { Counts } from './twoArm.ts';

export interface Interval {
  low: number;
  high: number;
}

const STEPS = 40;

/**
 * Rates that the uniform mixture does not refute: `{p : B(f+1, n-f+1) / (p^f (1-p)^(n-f)) < 1/alpha}`. By Ville the
 * true rate leaves it ever with probability at most alpha. Source: Robbins, "Statistical methods related to the law of
 * the iterated logarithm", Ann. Math. Stat. 41 (1970).
 * @param counts real numbers: divided by the dispersion where there is one
 */
export function rateInterval(counts: Counts, alpha: number): Interval {
  const n = Math.max(0, counts.total);
  const f = Math.min(Math.max(0, counts.failures), n);
  if (!(n > 0)) return { low: 0, high: 1 };
  const logMixture = logBeta(f + 1, n - f + 1);
  const estimate = f / n;
  const isRefuted = (rate: number): boolean =>
    logMixture - power(f, rate) - power(n - f, 1 - rate) >= Math.log(1 / alpha);
  return {
    low: f <= 0 ? 0 : edge(estimate, 0, isRefuted),
    high: f >= n ? 1 : edge(estimate, 1, isRefuted),
  };
}

/** Between a rate that is not refuted and one that is. */
function edge(inside: number, outside: number, isRefuted: (rate: number) => boolean): number {
  let [kept, refuted] = [inside, outside];
  for (let step = 0; step < STEPS; step += 1) {
    const middle = (kept + refuted) / 2;
    if (isRefuted(middle)) refuted = middle;
    else kept = middle;
  }
  return refuted;
}

function power(count: number, rate: number): number {
  return count > 0 ? count * Math.log(rate) : 0;
}

function logBeta(a: number, b: number): number {
  return logGamma(a) + logGamma(b) - logGamma(a + b);
}

/** Stirling's series after shifting the argument to at least 8; the error is below 1e-12. */
function logGamma(x: number): number {
  let shift = 0;
  let z = x;
  while (z < 8) {
    shift += Math.log(z);
    z += 1;
  }
  const inverse = 1 / (z * z);
  const series = (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse * (1 / 1680)))) / z;
  return (z - 0.5) * Math.log(z) - z + 0.5 * Math.log(2 * Math.PI) + series - shift;
}
