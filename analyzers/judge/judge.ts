/**
 * Judges a canary from raw counters: rolls back, advances or holds, with a bound on either error at any number of looks.
 * Pure: no I/O, no clock, no chance. How to wire it:
 *
 * At the start of a run (weight 0): `state = startJudge({ runId, settings, history, bounds })`, where `history` is
 * `historyOf(samples)` of one range query over the primary's counters (30 min, step 60 s), or of what was looked at
 * during 60 s at weight 0, and `bounds` (only for `slo`) are `userBoundOf` of the metrics.
 *
 * At every tick (a scrape interval; 5 s by default): read both arms at ONE evaluation time into a `Reading` (the scrape
 * analyzer's `ArmHistory.pods()` has the type that it needs; for Prometheus one instant query by pod, code and le) and
 * call `judgeTick(state, settings, { reading, step, canaryReadyAtMs })`. It answers the next state, to be kept in memory,
 * and a verdict. `rollback`: take the traffic away now. `advance` | `promote`: a pass of this step. `inconclusive`: act
 * on `verdict.action`, and alert. `hold`: nothing moves, `verdict.reason` says why.
 *
 * With every status write that is made anyway, and at most every judge tick of 10 s or more: `encodeCheckpoint` of the
 * state into one string of the status. After a crash, or on another replica, `decodeCheckpoint` gives the same state to
 * the bit; the next reading covers the gap as one long tick. A checkpoint of another run is no checkpoint: start anew
 * with the history that can be had. A state in memory that is older than the checkpoint of the status is thrown away.
 *
 * Times are the provider's evaluation times, never the engine's clock. While a run is paused or waits at a gate, ticks go
 * on (a pause may still roll back); what stands still is the deadline: add that time to `settings.deadlineMs`.
 *
 * For people: `evidenceOf(state, settings)` is the machine-readable record (status, REST, report), `sentenceOf(verdict,
 * record)` the sentence (condition, event, notification).
 *
 * Manifests in `threshold` mode use `guard.ts` instead: same readings, same counters, same checkpoint.
 */
import {
  atNewStep,
  type ComparedTick,
  compared,
  type Comparison,
  type Evidence,
  logRegressionOf,
  NO_EVIDENCE,
} from './comparison.ts';
import { comparisonsOf, type UserBound } from './comparisons.ts';
import { type Counted, type Counters, countedBetween, countersAt, type Reading } from './counters.ts';
import type { PrimaryHistory } from './history.ts';
import { logSum } from './logDomain.ts';
import { type JudgeSettings, stepMargin } from './settings.ts';

export interface JudgeState {
  /** The run that it belongs to: what was seen of one revision says nothing about another. */
  runId: string;
  /** Fixed at the start. */
  comparisons: readonly Comparison[];
  boundsMs: readonly number[];
  hasHistory: boolean;
  /** Undefined before the first reading. */
  progress: Progress | undefined;
}

export interface Progress {
  /** Evaluation time of the first reading, of the last one that was used, and of the last one with canary requests. */
  startedAtMs: number;
  atMs: number;
  trafficAtMs: number;
  step: number;
  stepSinceMs: number;
  counters: Counters;
  /** One for each comparison. */
  evidence: readonly Evidence[];
}

export interface Step {
  index: number;
  /** What the canary has now: 0 to 100. */
  weightPercent: number;
  /** What it gets if this step passes; undefined: it is promoted. */
  nextWeightPercent: number | undefined;
}

export interface JudgeTick {
  reading: Reading;
  step: Step;
  /** When the youngest canary pod became ready; undefined: long ago. */
  canaryReadyAtMs?: number | undefined;
}

export type Verdict =
  | { kind: 'rollback'; reason: 'Regression' }
  | { kind: 'advance'; reason: 'Shown' }
  | { kind: 'promote'; reason: 'Shown' }
  | { kind: 'inconclusive'; reason: 'Deadline'; action: JudgeSettings['onDeadline'] }
  | { kind: 'inconclusive'; reason: 'NoTraffic'; action: 'hold' }
  | { kind: 'hold'; reason: HoldReason };

/**
 * `Beginning`: the first reading is where counting begins. `Stale`: an arm could not be read. `NoNewData`: the provider's
 * time has not advanced. `Dwell`: the step is too young. `NotShown`: the evidence does not suffice yet.
 */
export type HoldReason = 'Beginning' | 'Stale' | 'NoNewData' | 'Dwell' | 'NotShown';

export interface JudgeStart {
  runId: string;
  settings: JudgeSettings;
  history: PrimaryHistory;
  bounds?: readonly UserBound[];
}

export function startJudge({ runId, settings, history, bounds }: JudgeStart): JudgeState {
  return { runId, ...comparisonsOf(settings, history, bounds ?? []), progress: undefined };
}

/** As rarely as most people let pods be scraped; an arm that is silent for longer has no requests. */
const ONE_SIDED_MS_MAX = 60_000;

/** Never throws on what a provider may answer. A tick that cannot be used changes nothing, and the next one carries it. */
export function judgeTick(
  state: JudgeState,
  settings: JudgeSettings,
  tick: JudgeTick,
): { state: JudgeState; verdict: Verdict } {
  const { atMs, canary, primary } = tick.reading;
  const { progress } = state;
  if (!canary || !primary) return { state, verdict: { kind: 'hold', reason: 'Stale' } };
  if (!progress) {
    const begun = begin(state, tick, countersAt({ primary, earlier: tick.reading.earlier }, state.boundsMs));
    return { state: begun, verdict: { kind: 'hold', reason: 'Beginning' } };
  }
  if (!(atMs > progress.atMs)) return { state, verdict: { kind: 'hold', reason: 'NoNewData' } };
  const counted = countedBetween(progress.counters, { canary, primary }, state.boundsMs, progress.atMs);
  if (isOneSided(state, tick.step, counted) && atMs - progress.atMs < ONE_SIDED_MS_MAX) {
    const waiting = atStep(progress, tick.step);
    return {
      state: waiting === progress ? state : { ...state, progress: waiting },
      verdict: verdictOf(state, waiting, settings, tick.step),
    };
  }
  return judgeCounted(state, settings, { ...tick, atMs, counted });
}

/**
 * Each pod is scraped at a moment of its own, so that a reading may hold the news of one arm alone, and the next one that
 * of the other. Nothing can be compared in either, while both together can: the next reading carries this one. Whether
 * it does depends on how much was counted and never on how it ended, so that bets stay fair.
 */
function isOneSided({ comparisons }: JudgeState, { weightPercent }: Step, counted: Counted): boolean {
  const isCompared = comparisons.some(({ bound }) => bound === undefined);
  return isCompared && weightPercent > 0 && counted.canary.total > 0 !== counted.primary.total > 0;
}

export interface CountedTick extends Omit<JudgeTick, 'reading'> {
  atMs: number;
  counted: Counted;
}

/** The same for a tick that has been counted already, later than the last one: what simulations call. */
export function judgeCounted(
  state: JudgeState,
  settings: JudgeSettings,
  tick: CountedTick,
): { state: JudgeState; verdict: Verdict } {
  const { progress } = state;
  if (!progress) return { state, verdict: { kind: 'hold', reason: 'Beginning' } };
  const { atMs, step, counted } = tick;
  const stepped = atStep(progress, step);
  const hasTraffic = counted.canary.total > 0 || step.weightPercent === 0;
  const next: Progress = {
    ...stepped,
    atMs,
    counters: counted.counters,
    trafficAtMs: hasTraffic ? atMs : stepped.trafficAtMs,
    evidence: evidenceAfter(state, settings, stepped, tick),
  };
  const after = { ...state, progress: next };
  return { state: after, verdict: verdictOf(after, next, settings, step) };
}

function begin(state: JudgeState, { reading: { atMs }, step }: JudgeTick, counters: Counters): JudgeState {
  const progress: Progress = {
    startedAtMs: atMs,
    atMs,
    trafficAtMs: atMs,
    step: step.index,
    stepSinceMs: atMs,
    counters,
    evidence: state.comparisons.map(() => NO_EVIDENCE),
  };
  return { ...state, progress };
}

/** The step changed since the last reading, which is the one that it was decided on: the step begins there. */
function atStep(progress: Progress, step: Step): Progress {
  if (progress.step === step.index) return progress;
  return {
    ...progress,
    step: step.index,
    stepSinceMs: progress.atMs,
    evidence: progress.evidence.map(atNewStep),
  };
}

function evidenceAfter(
  state: JudgeState,
  settings: JudgeSettings,
  before: Progress,
  { atMs, step, canaryReadyAtMs, counted }: CountedTick,
): Evidence[] {
  const isWarm = before.atMs >= (canaryReadyAtMs ?? Number.NEGATIVE_INFINITY) + settings.warmUpMs;
  const nextWeight = step.nextWeightPercent === undefined ? undefined : step.nextWeightPercent / 100;
  return state.comparisons.map((comparison, index) => {
    const tick: ComparedTick = {
      canary: counted.canary,
      primary: counted.primary,
      fromMs: before.atMs - before.startedAtMs,
      toMs: atMs - before.startedAtMs,
      stepMargin: stepMargin(comparison.promotionMargin, settings.budget, nextWeight),
      isWarmingUp: comparison.slow !== undefined && !isWarm,
    };
    return compared(comparison, before.evidence[index] ?? NO_EVIDENCE, tick);
  });
}

/** The order is the rule: evidence of harm first, then what has been shown, then what time says. */
function verdictOf(state: JudgeState, progress: Progress, settings: JudgeSettings, step: Step): Verdict {
  if (logMergedOf(state, progress) >= Math.log(1 / settings.alpha))
    return { kind: 'rollback', reason: 'Regression' };
  const isOldEnough = progress.atMs - progress.stepSinceMs >= settings.minDwellMs;
  const isShown =
    state.comparisons.length > 0 &&
    state.comparisons.every(
      ({ mustBeShown }, index) =>
        !mustBeShown || (progress.evidence[index]?.logShownMost ?? 0) >= Math.log(1 / settings.beta),
    );
  if (step.weightPercent > 0 && isOldEnough && isShown)
    return { kind: step.nextWeightPercent === undefined ? 'promote' : 'advance', reason: 'Shown' };
  if (progress.atMs - progress.startedAtMs >= settings.deadlineMs)
    return { kind: 'inconclusive', reason: 'Deadline', action: settings.onDeadline };
  if (progress.atMs - progress.trafficAtMs >= settings.noTrafficTimeoutMs)
    return { kind: 'inconclusive', reason: 'NoTraffic', action: 'hold' };
  return { kind: 'hold', reason: isShown ? 'Dwell' : 'NotShown' };
}

/**
 * `log sum_j w_j E_j`: the weighted average is the only admissible way to merge e-values that may depend on each other in
 * any way, and it dominates Bonferroni. Source: Vovk and Wang, Ann. Stat. 49 (2021); Wang, arXiv 2409.19888.
 */
export function logMergedOf(state: JudgeState, progress: Progress): number {
  const sinceMs = progress.atMs - progress.startedAtMs;
  return logSum(
    state.comparisons.map(
      ({ weight }, index) =>
        Math.log(weight) + logRegressionOf(progress.evidence[index] ?? NO_EVIDENCE, sinceMs),
    ),
  );
}
