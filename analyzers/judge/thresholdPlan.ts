/**
 * What failed checks against a fixed threshold do with a release in the mean, and how soon the guard is there before
 * them: for plans. Checks are taken to be independent, which they are where their windows do not overlap. Formulas, no
 * simulation; failures only, no latency. Pure.
 */
import { DISPERSION_PRIOR } from './dispersion.ts';
import { boundRollbackGrowth } from './growth.ts';
import type { GuardSettings } from './guard.ts';
import { type Detection, firstToWin } from './plan.ts';

export interface FixedRule {
  /** Rising weights of the steps, 1 to 100. */
  weightsPercent: readonly number[];
  /** Requests a second of both arms. */
  rps: number;
  intervalSeconds: number;
  /** Length of the window that a check looks at. */
  windowSeconds: number;
  /** Failed checks that roll back. */
  threshold: number;
  /** Share of requests that may fail. */
  share: number;
  /**
   * As Flagger does it: the traffic is taken away one interval after the last failure that counts, and a check without
   * any request is a failed one. Serin takes it away with that failure, and waits where there is no request.
   */
  isFlagger: boolean;
}

export interface FixedOutcome {
  rolledBackShare: number;
  /** Means over those that are rolled back; Infinity when none is. */
  rollbackSeconds: number;
  rollbackRequests: number;
  /** Mean over those that are promoted; Infinity when none is. */
  promoteSeconds: number;
}

/** Its chance to fail, and the mean time until there is one with requests. */
interface Check {
  fails: number;
  seconds: number;
}

/** How many rollouts are in a state, and what they have spent together. */
interface Mass {
  share: number;
  seconds: number;
  requests: number;
}

/**
 * Every check leads to the next step or to one more failure, so that one pass over (step, failures) sums all courses.
 * @param rate share of the canary's requests that fail
 */
export function fixedThresholdOf(rule: FixedRule, rate: number): FixedOutcome {
  const { weightsPercent, rps, threshold, intervalSeconds } = rule;
  let waiting: Mass[] = Array.from({ length: threshold }, nothing);
  waiting[0] = { share: 1, seconds: 0, requests: 0 };
  const rolledBack = nothing();
  for (const [index, weightPercent] of weightsPercent.entries()) {
    const { fails, seconds } = checkAt(rule, index, rate);
    const pace = (rps * weightPercent) / 100;
    const passed = waiting.map(nothing);
    for (const [failed, mass] of waiting.entries()) {
      // A course that nothing can be on has no time, however long it would wait.
      if (mass.share === 0) continue;
      const after = spent(mass, seconds, pace);
      add(passed[failed], after, 1 - fails);
      if (failed + 1 < threshold) add(waiting[failed + 1], after, fails);
      else add(rolledBack, rule.isFlagger ? spent(after, intervalSeconds, pace) : after, fails);
    }
    waiting = passed;
  }
  const promoted = nothing();
  for (const mass of waiting) add(promoted, mass, 1);
  return {
    rolledBackShare: rolledBack.share,
    rollbackSeconds: rolledBack.share > 0 ? rolledBack.seconds / rolledBack.share : Infinity,
    rollbackRequests: rolledBack.share > 0 ? rolledBack.requests / rolledBack.share : Infinity,
    promoteSeconds: promoted.share > 0 ? promoted.seconds / promoted.share : Infinity,
  };
}

function nothing(): Mass {
  return { share: 0, seconds: 0, requests: 0 };
}

function spent({ share, seconds, requests }: Mass, more: number, pace: number): Mass {
  return { share, seconds: seconds + share * more, requests: requests + share * more * pace };
}

function add(to: Mass | undefined, { share, seconds, requests }: Mass, part: number): void {
  if (!to || part === 0) return;
  to.share += share * part;
  to.seconds += seconds * part;
  to.requests += requests * part;
}

function checkAt(rule: FixedRule, index: number, rate: number): Check {
  const { intervalSeconds, isFlagger } = rule;
  const mean = windowRequests(rule, index);
  const isSilent = Math.exp(-mean);
  const fails = failShare(mean, rate, rule.share);
  if (isFlagger) return { fails: isSilent + (1 - isSilent) * fails, seconds: intervalSeconds };
  return { fails, seconds: intervalSeconds / (1 - isSilent) };
}

/** Middles of nine equally likely parts of the normal distribution. */
const PARTS = [-1.593, -0.967, -0.589, -0.282, 0, 0.282, 0.589, 0.967, 1.593] as const;

/** Requests arrive by chance, and whether 2 or 3 of them may fail depends on one more or less. */
function failShare(mean: number, rate: number, share: number): number {
  const parts = PARTS.map(z => {
    const total = Math.max(1, Math.round(mean + z * Math.sqrt(mean)));
    return moreThan(total, rate, Math.floor(share * total + 1e-9));
  });
  return parts.reduce((sum, part) => sum + part, 0) / parts.length;
}

/** A window that is longer than the interval reaches back to the steps before, if each of them passed at once. */
function windowRequests({ weightsPercent, rps, intervalSeconds, windowSeconds }: FixedRule, index: number) {
  let [left, requests] = [windowSeconds, 0];
  for (let step = index; step >= 0 && left > 0; step -= 1) {
    const seconds = Math.min(left, intervalSeconds);
    requests += (seconds * rps * (weightsPercent[step] ?? 0)) / 100;
    left -= seconds;
  }
  return requests;
}

/** Above this variance the normal approximation is off by less than anybody would read. */
const NORMAL_VARIANCE = 1_000;

/** P(more than `most` of `total` independent requests fail). */
export function moreThan(total: number, rate: number, most: number): number {
  if (most >= total || rate <= 0) return 0;
  if (rate >= 1) return 1;
  const variance = total * rate * (1 - rate);
  if (variance > NORMAL_VARIANCE) return upperTail((most + 0.5 - total * rate) / Math.sqrt(variance));
  let log = total * Math.log1p(-rate);
  let atMost = 0;
  for (let failures = 0; failures <= most; failures += 1) {
    const term = Math.exp(log);
    atMost += term;
    // Beyond the mean the terms only fall.
    if (failures > total * rate && term < 1e-18) break;
    log += Math.log(((total - failures) / (failures + 1)) * (rate / (1 - rate)));
  }
  return Math.min(1, Math.max(0, 1 - atMost));
}

/** Of the normal distribution. Abramowitz and Stegun 26.2.17; the error is below 7.5e-8. */
function upperTail(z: number): number {
  if (z < 0) return 1 - upperTail(-z);
  const t = 1 / (1 + 0.2316419 * z);
  const poly =
    t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * poly;
}

export interface GuardPlan {
  settings: GuardSettings;
  rule: FixedRule;
  /** How many thresholds share alpha. */
  guarded: number;
  dispersion: number;
  tickMs: number;
}

/**
 * When the guard rolls back by itself, while the steps last as long as the checks make them: evidence of
 * `ln(1/alpha) + ln(1/(0.7 v_k)) + ln(thresholds)` nats, and what `after` asks for.
 * @param baseRate share of failures of the primary
 * @param excess share that the canary fails more
 */
export function guardDetectionOf(plan: GuardPlan, baseRate: number, excess: number): Detection {
  const { settings, rule, guarded, dispersion, tickMs } = plan;
  const { alpha, after } = settings;
  const rate = Math.min(1, baseRate + excess);
  const stages = rule.weightsPercent.map((weightPercent, index) => {
    const { fails, seconds } = checkAt(rule, index, rate);
    return {
      seconds: fails < 1 ? seconds / (1 - fails) : Infinity,
      requestsPerSecond: (rule.rps * weightPercent) / 100,
      effects: boundRollbackGrowth(rate, rule.share, alpha / Math.max(1, guarded)),
    };
  });
  const won = firstToWin(stages, Math.max(dispersion, DISPERSION_PRIOR));
  const pace = stages[0]?.requestsPerSecond ?? 0;
  const tickSeconds = tickMs / 1_000;
  const needed = Math.max(won.seconds, after.requests / pace, after.evaluations * tickSeconds);
  const seconds = Math.ceil(needed / tickSeconds - 1e-9) * tickSeconds;
  const canaryRequests = Number.isFinite(won.requests) ? Math.max(won.requests, pace * seconds) : Infinity;
  return {
    excess: rate - baseRate,
    seconds,
    canaryRequests,
    failedRequests: canaryRequests * (rate - baseRate),
  };
}
