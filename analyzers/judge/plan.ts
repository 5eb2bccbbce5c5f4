/**
 * What a user should know before a rollout: how long a good release takes, how soon a bad one is caught and what it
 * costs, and which settings cannot work with this traffic. Formulas for means, no simulation. Pure.
 */
import { boundGrowthOf, boundRollbackGrowth, growthOf, rollbackGrowth } from './growth.ts';
import { type JudgeSettings, promotionMarginOf, stepMargin } from './settings.ts';

export interface PlanInput {
  settings: JudgeSettings;
  /** Rising weights of the steps, 1 to 100. */
  weightsPercent: readonly number[];
  /** Requests a second of both arms. */
  rps: number;
  /** The primary's share of failures. */
  baseRate: number;
  /** Dispersion that counts are divided by; 1 without correlation. */
  dispersion: number;
  tickMs: number;
  /** The user's bound as a share of requests that may fail: what `slo` judges by. Absent: against the primary. */
  bound?: number | undefined;
  /** Weight of failures in the merged evidence; less than 1 when latency is judged too. Absent: 1. */
  evidenceShare?: number | undefined;
}

export interface Plan {
  promotionMargin: number;
  steps: { weightPercent: number; margin: number; seconds: number }[];
  /** Mean time until a good release is promoted; Infinity when it never is. */
  seconds: number;
  detections: Detection[];
  /** Whole sentences; empty when the settings can work. */
  problems: string[];
}

export interface Detection {
  /** Share of requests that the canary fails more than the primary. */
  excess: number;
  /** Infinity: it is not found. */
  seconds: number;
  canaryRequests: number;
  /** Requests that fail because of the canary until the traffic is taken away. */
  failedRequests: number;
}

/** What is looked for when nothing is asked: +2 pp, and an outage. */
export const EXCESSES = [0.02, 1] as const;
const MARGIN_CHOICES = [0.005, 0.01, 0.02] as const;
/** Above what has to be shown: the mean overshoot, and the half that is bet on the cautious alternative. */
const OVERSHOOT_NATS = 1;
/** A primary without failures is not taken to be perfect. */
const RATE_MIN = 1e-5;

export function planOf(input: PlanInput): Plan {
  const { settings, rps } = input;
  const promotionMargin = promotionMarginOf(settings, rps);
  const steps = stepsOf(input, promotionMargin);
  const seconds = steps.reduce((sum, step) => sum + step.seconds, 0);
  const detections = EXCESSES.map(excess => detectionOf(input, steps, excess));
  return { promotionMargin, steps, seconds, detections, problems: problemsOf(input, seconds) };
}

/**
 * `T = sum_k max(minDwell, (ln(1/beta) + 1) / (KL*_k rps w_k / phi))`. Checked against 108 simulated cells: predicted to
 * simulated 0.91 to 1.26, median 1.00.
 */
function stepsOf(input: PlanInput, promotionMargin: number): Plan['steps'] {
  const { settings, weightsPercent, rps, dispersion, tickMs } = input;
  return weightsPercent.map((weightPercent, index) => {
    const next = weightsPercent[index + 1];
    const margin = stepMargin(promotionMargin, settings.budget, next === undefined ? undefined : next / 100);
    const weight = weightPercent / 100;
    const growth = shownGrowth(input, margin, weight);
    const nats = Math.log(1 / settings.beta) + OVERSHOOT_NATS;
    const seconds = growth > 0 && rps > 0 ? (nats * dispersion) / (growth * rps * weight) : Infinity;
    return { weightPercent, margin, seconds: Math.max(settings.minDwellMs / 1_000, tickMs / 1_000, seconds) };
  });
}

/** Nats for each request of a canary that is as good as the primary. At a weight of 1 there is none to compare with. */
function shownGrowth({ baseRate, bound }: PlanInput, margin: number, weight: number): number {
  const rate = Math.max(RATE_MIN, baseRate);
  if (bound !== undefined) return boundGrowthOf(rate, bound, margin);
  return weight < 1 ? growthOf({ rate, excess: 0 }, margin, weight) : 0;
}

function harmGrowth(input: PlanInput, excess: number, weight: number): { nats: number; growth: number }[] {
  const { settings, bound, evidenceShare = 1 } = input;
  const rate = Math.max(RATE_MIN, input.baseRate);
  const { alpha, regression } = settings;
  const shared = alpha * evidenceShare;
  if (bound !== undefined) return boundRollbackGrowth(rate + excess, bound, shared);
  return weight < 1 ? rollbackGrowth({ rate, excess }, regression.offset, shared, weight) : [];
}

/**
 * The effect size that wins first, over steps that last as for a good release; in a step whose margin the canary is
 * beyond it stays. `E[N_C] <= (ln(1/alpha) + ln(1/(0.7 v_k))) / KL*`.
 */
function detectionOf(input: PlanInput, steps: Plan['steps'], wanted: number): Detection {
  const { rps, dispersion, tickMs, bound = 0 } = input;
  const excess = Math.min(wanted, 1 - Math.max(RATE_MIN, input.baseRate));
  const beyond = input.bound === undefined ? excess : input.baseRate + excess - bound;
  const stages = steps.map(({ weightPercent, margin, seconds }, index) => ({
    seconds: beyond >= margin || index === steps.length - 1 ? Infinity : seconds,
    requestsPerSecond: (rps * weightPercent) / 100,
    effects: harmGrowth(input, excess, weightPercent / 100),
  }));
  const won = firstToWin(stages, dispersion);
  // Evidence is looked at when a tick ends.
  const tickSeconds = tickMs / 1_000;
  const seconds = Math.max(1, Math.ceil(won.seconds / tickSeconds)) * tickSeconds;
  const first = (steps[0]?.weightPercent ?? 0) / 100;
  const canaryRequests = Math.max(won.requests, tickSeconds * rps * first);
  return { excess, seconds, canaryRequests, failedRequests: canaryRequests * excess };
}

/** For how long the canary gets so many requests, and what each effect size wins with each of them. */
export interface Stage {
  seconds: number;
  requestsPerSecond: number;
  effects: readonly { nats: number; growth: number }[];
}

/** When the first effect size has won what it has to, and after how many canary requests; Infinity if none ever does. */
export function firstToWin(
  stages: readonly Stage[],
  dispersion: number,
): { seconds: number; requests: number } {
  const paths = (stages[0]?.effects ?? []).map((_effect, k) => {
    let [won, seconds, requests] = [0, 0, 0];
    for (const stage of stages) {
      const effect = stage.effects[k];
      if (!effect || !(stage.requestsPerSecond > 0)) break;
      const pace = (Math.max(0, effect.growth) * stage.requestsPerSecond) / dispersion;
      const needed = pace > 0 ? (effect.nats - won) / pace : Infinity;
      if (needed <= stage.seconds)
        return { seconds: seconds + needed, requests: requests + needed * stage.requestsPerSecond };
      won += pace * stage.seconds;
      seconds += stage.seconds;
      requests += stage.seconds * stage.requestsPerSecond;
    }
    return { seconds: Infinity, requests: Infinity };
  });
  const never = { seconds: Infinity, requests: Infinity };
  return paths.reduce((best, path) => (path.seconds < best.seconds ? path : best), never);
}

/** `auto`: the smallest of 0.5, 1 and 2 pp that a good release shows in half of the deadline; the greatest otherwise. */
export function automaticMargin(input: PlanInput): number {
  const half = input.settings.deadlineMs / 2_000;
  const found = MARGIN_CHOICES.find(promotionMargin => {
    const settings = { ...input.settings, promotionMargin };
    return planOf({ ...input, settings }).seconds < half;
  });
  return found ?? 0.02;
}

function problemsOf(
  { settings, weightsPercent, rps, baseRate, bound }: PlanInput,
  seconds: number,
): string[] {
  const problems: string[] = [];
  const first = weightsPercent[0];
  const deadline = settings.deadlineMs / 1_000;
  const isBlind = bound === undefined && weightsPercent.includes(100);
  if (first === undefined) problems.push('There is no step, so that nothing can be judged.');
  if (!(rps > 0)) problems.push('There is no traffic, so that nothing can be judged.');
  if (isBlind)
    problems.push(
      'At a weight of 100 there is no primary to compare with; the last step has to be below 100.',
    );
  if (bound !== undefined && baseRate > bound)
    problems.push(
      `The primary itself fails ${percent(baseRate)} of its requests, more than the bound of ${percent(bound)}: a release that is as good as it is rolled back.`,
    );
  else if (rps > 0 && seconds > deadline && !isBlind)
    problems.push(
      `A good release needs ${Number.isFinite(seconds) ? `about ${Math.round(seconds)} s` : 'for ever'}, longer than the deadline of ${deadline} s: allow a larger promotion margin, more weight, or more time.`,
    );
  if (first !== undefined && first / 100 > settings.budget)
    problems.push(
      `The first step of ${first} % may cost more than the budget of ${percent(settings.budget)} of all requests before anything is known.`,
    );
  if (settings.minDwellMs * weightsPercent.length > settings.deadlineMs)
    problems.push('The least durations of the steps add up to more than the deadline.');
  return problems;
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`;
}
