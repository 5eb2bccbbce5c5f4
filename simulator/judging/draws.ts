/** Random numbers of the distributions that request streams are made of, from one seeded source. */
import type { Random } from '../api/random.ts';

export type Uniform = Pick<Random, 'next'>;

/** Above this variance the normal approximation is off by less than a run of a simulation can tell. */
const NORMAL_VARIANCE = 100;

export function normal(random: Uniform): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
  return radius * Math.cos(2 * Math.PI * random.next());
}

export function poisson(mean: number, random: Uniform): number {
  if (mean <= 0) return 0;
  if (mean > NORMAL_VARIANCE) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)));
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = random.next(); product > limit; product *= random.next()) count += 1;
  return count;
}

/** By the gaps between successes, which are geometric: as many draws as there are successes. */
export function binomial(trials: number, rate: number, random: Uniform): number {
  if (trials <= 0 || rate <= 0) return 0;
  if (rate >= 1) return trials;
  if (rate > 0.5) return trials - binomial(trials, 1 - rate, random);
  const variance = trials * rate * (1 - rate);
  if (variance > NORMAL_VARIANCE) {
    const drawn = Math.round(trials * rate + Math.sqrt(variance) * normal(random));
    return Math.min(trials, Math.max(0, drawn));
  }
  const logMiss = Math.log1p(-rate);
  let count = 0;
  let at = Math.floor(Math.log(1 - random.next()) / logMiss);
  while (at < trials) {
    count += 1;
    at += 1 + Math.floor(Math.log(1 - random.next()) / logMiss);
  }
  return count;
}

/** Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000). */
function gamma(shape: number, random: Uniform): number {
  if (shape < 1) return gamma(shape + 1, random) * (1 - random.next()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v <= 0) continue;
    if (Math.log(1 - random.next()) < x ** 2 / 2 + d - d * v + d * Math.log(v)) return d * v;
  }
}

/** A rate whose mean is `mean` and whose variance is `icc * mean * (1 - mean)`. */
export function betaRate(mean: number, icc: number, random: Uniform): number {
  if (icc <= 0 || mean <= 0 || mean >= 1) return mean;
  const size = 1 / icc - 1;
  const a = gamma(mean * size, random);
  const b = gamma((1 - mean) * size, random);
  return a + b > 0 ? a / (a + b) : 0;
}
