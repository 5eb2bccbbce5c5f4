/**
 * Request streams of both arms of a canary as the counts that a judge reads: how many arrive, fail and are slow. It plays
 * noise, drift, incidents and regressions, and never judges. One seed, one stream.
 */
import type { ArmCounts } from '../../analyzers/judge/counters.ts';
import type { PrimaryHistory } from '../../analyzers/judge/history.ts';
import { betaRate, binomial, poisson, type Uniform } from './draws.ts';

export interface World {
  /** Requests a second of both arms. */
  rps: number;
  /** Share that fails in both arms, at a time since the start in milliseconds. */
  baseRate(atMs: number): number;
  /** Share that fails more in the canary, at its weight (a share). */
  excess(atMs: number, weight: number): number;
  pods: { canary: number; primary: number };
  noise: Noise;
  latency?: Latency;
}

export type Noise =
  | { kind: 'none' }
  /** Each pod has a rate of its own, drawn anew every `shockMs`. */
  | { kind: 'pods'; icc: number; shockMs: number }
  /** Failures come in clumps of geometric size. */
  | { kind: 'clumps'; mean: number };

/** Lognormal latencies, and how the canary's differ. */
export interface Latency {
  medianMs: number;
  sigma: number;
  /** Bounds of the histogram, milliseconds, without Infinity. */
  buckets: readonly number[];
  slowdown: number;
  /** Share of the canary's requests that take 10 times as long. */
  tailShare: number;
}

/** Of Istio's request_duration_milliseconds. */
export const ISTIO_BUCKETS = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000,
] as const;
const TAIL_FACTOR = 10;
const HISTORY_BLOCKS = 30;
const BLOCK_MS = 60_000;

export function constantWorld(rps: number, rate: number, excess = 0): World {
  return {
    rps,
    baseRate: () => rate,
    excess: () => excess,
    pods: { canary: 2, primary: 10 },
    noise: { kind: 'none' },
  };
}

export interface StreamTick {
  canary: ArmCounts;
  primary: ArmCounts;
  /** Canary requests times what they fail more than the primary's: its blame, in the mean. */
  excessFailures: number;
}

export interface Stream {
  next(fromMs: number, toMs: number, weight: number): StreamTick;
}

export function createStream(world: World, boundsMs: readonly number[], random: Uniform): Stream {
  const canary = createArm(world, world.pods.canary, true, boundsMs, random);
  const primary = createArm(world, world.pods.primary, false, boundsMs, random);
  return {
    next(fromMs, toMs, weight) {
      const mean = (world.rps * (toMs - fromMs)) / 1_000;
      const [base, excess] = [world.baseRate(fromMs), world.excess(fromMs, weight)];
      const counted = canary(fromMs, mean * weight, Math.min(1, base + excess));
      return {
        canary: counted,
        primary: primary(fromMs, mean * (1 - weight), base),
        excessFailures: counted.total * (Math.min(1, base + excess) - base),
      };
    },
  };
}

type Arm = (atMs: number, mean: number, rate: number) => ArmCounts;

function createArm(
  world: World,
  pods: number,
  isCanary: boolean,
  boundsMs: readonly number[],
  random: Uniform,
): Arm {
  const shares = world.latency ? slowShares(world.latency, isCanary, boundsMs) : [];
  const failuresOf = createFailures(world.noise, pods, random);
  return (atMs, mean, rate) => {
    const { total, failures, busy } = failuresOf(atMs, mean, rate);
    return { total, failures, slow: nested(total, shares, random), pods: Math.max(1, busy) };
  };
}

type Failures = (
  atMs: number,
  mean: number,
  rate: number,
) => { total: number; failures: number; busy: number };

function createFailures(noise: Noise, pods: number, random: Uniform): Failures {
  if (noise.kind !== 'pods') {
    return (_atMs, mean, rate) => {
      const total = poisson(mean, random);
      const failures =
        noise.kind === 'none' ? binomial(total, rate, random) : clumped(total, rate, noise.mean, random);
      return { total, failures, busy: Math.min(pods, total) };
    };
  }
  let shock = -1;
  let drawnFor = -1;
  let rates: number[] = [];
  return (atMs, mean, rate) => {
    const now = Math.floor(atMs / noise.shockMs);
    if (now !== shock || drawnFor !== rate) {
      rates = Array.from({ length: pods }, () => betaRate(rate, noise.icc, random));
      [shock, drawnFor] = [now, rate];
    }
    let [total, failures, busy] = [0, 0, 0];
    for (const podRate of rates) {
      const requests = poisson(mean / pods, random);
      total += requests;
      failures += binomial(requests, podRate, random);
      if (requests > 0) busy += 1;
    }
    return { total, failures, busy };
  };
}

/** The same mean share, in clumps. */
function clumped(total: number, rate: number, mean: number, random: Uniform): number {
  const clumps = poisson((total * rate) / mean, random);
  let failures = 0;
  for (let clump = 0; clump < clumps; clump += 1) {
    failures += 1 + Math.floor(Math.log(1 - random.next()) / Math.log1p(-1 / mean));
  }
  return Math.min(total, failures);
}

/** Requests above each of rising bounds: each is a part of those above the one before. */
export function nested(total: number, shares: readonly number[], random: Uniform): number[] {
  let [left, above] = [total, 1];
  return shares.map(share => {
    left = binomial(left, above > 0 ? share / above : 0, random);
    above = share;
    return left;
  });
}

function slowShares(latency: Latency, isCanary: boolean, boundsMs: readonly number[]): number[] {
  const { medianMs, sigma } = latency;
  const [slowdown, tailShare] = isCanary ? [latency.slowdown, latency.tailShare] : [1, 0];
  const above = (boundMs: number) => shareAbove(boundMs, medianMs * slowdown, sigma);
  return boundsMs.map(boundMs => (1 - tailShare) * above(boundMs) + tailShare * above(boundMs / TAIL_FACTOR));
}

/** Share of lognormal latencies above a bound; `sigma` is that of their logarithm. */
export function shareAbove(boundMs: number, medianMs: number, sigma: number): number {
  return 1 - normalShare(Math.log(boundMs / medianMs) / sigma);
}

/** Abramowitz and Stegun 7.1.26; the error is below 1.5e-7. */
function normalShare(z: number): number {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * x);
  const poly =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const erf = 1 - poly * Math.exp(-x * x);
  return z < 0 ? (1 - erf) / 2 : (1 + erf) / 2;
}

/** What 30 minutes of the primary alone look like before the rollout; times run up to 0. */
export function primaryHistory(world: World, random: Uniform, blocks = HISTORY_BLOCKS): PrimaryHistory {
  const { latency } = world;
  const uppers = latency?.buckets ?? [];
  const shares = latency ? slowShares(latency, false, uppers) : [];
  const slotMs = world.noise.kind === 'pods' ? Math.min(BLOCK_MS, world.noise.shockMs) : BLOCK_MS;
  const pods = Array.from({ length: world.pods.primary }, () => createFailures(world.noise, 1, random));
  const mean = (world.rps * slotMs) / 1_000 / world.pods.primary;
  const rows = Array.from({ length: blocks }, (_, block) =>
    pods.map(pod => {
      let [requests, failures] = [0, 0];
      for (let slot = 0; slot < BLOCK_MS / slotMs; slot += 1) {
        // Each slot is a shock of its own; times before 0 have the rate of 0.
        const atMs = block * BLOCK_MS + slot * slotMs;
        const counted = pod(atMs, mean, world.baseRate(0));
        requests += counted.total;
        failures += counted.failures;
      }
      const slow = nested(requests, shares, random);
      const buckets = new Map(uppers.map((upper, index) => [upper, requests - (slow[index] ?? 0)]));
      if (latency) buckets.set(Number.POSITIVE_INFINITY, requests);
      return { requests, failures, buckets };
    }),
  );
  return { blocks: rows, lengthMs: blocks * BLOCK_MS };
}

/** Baselines that move, for both arms alike. */
export const DRIFTS: Readonly<Record<'sine' | 'step' | 'spikes', (rate: number) => World['baseRate']>> = {
  sine: rate => atMs => rate * (1 + 0.8 * Math.sin((2 * Math.PI * atMs) / 600_000)),
  step: rate => atMs => (Math.floor(atMs / 900_000) % 2 === 0 ? rate : rate * 4),
  spikes: rate => atMs => (atMs % 600_000 >= 300_000 && atMs % 600_000 < 330_000 ? 0.3 : rate),
};
