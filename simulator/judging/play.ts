/**
 * Plays one rollout under one rule over a request stream: the judge that compares, the judge of a bound, the user's own
 * thresholds with or without the guard. It keeps time and weights, and counts what the rule cost; it decides nothing.
 */
import type { Counted } from '../../analyzers/judge/counters.ts';
import {
  GUARD_DEFAULTS,
  guardCheckpoint,
  guardCounted,
  type GuardSettings,
  guardTick,
  startGuard,
} from '../../analyzers/judge/guard.ts';
import type { PrimaryHistory } from '../../analyzers/judge/history.ts';
import { type JudgeState, judgeCounted, judgeTick, startJudge } from '../../analyzers/judge/judge.ts';
import type { UserBound } from '../../analyzers/judge/comparisons.ts';
import type { JudgeSettings } from '../../analyzers/judge/settings.ts';
import { createRandom } from '../api/random.ts';
import type { Uniform } from './draws.ts';
import { createStream, type StreamTick, type World } from './streams.ts';

export interface Played {
  outcome: 'rollback' | 'promote' | 'inconclusive';
  /** It was the guard that rolled back. */
  isGuarded: boolean;
  ms: number;
  /** Failed requests of the canary beyond what the primary would have failed, in the mean of their rates. */
  excessFailures: number;
  /** Everything that failed at the canary. */
  failures: number;
  canaryRequests: number;
  /** Weights that it was given, in percent. */
  weights: number[];
}

export interface Plan {
  weightsPercent: readonly number[];
  tickMs: number;
  random: Uniform;
}

const NO_PODS = new Map();
const RUN = 'played';

export interface JudgePlay extends Plan {
  settings: JudgeSettings;
  history: PrimaryHistory;
  bounds?: readonly UserBound[];
  /** Called with every state, e.g. to send it through a checkpoint. */
  each?(state: JudgeState): JudgeState;
  /** Advances by time alone, as if everything had been shown. */
  isUngated?: boolean;
}

export function playJudge(world: World, play: JudgePlay): Played {
  const { settings, weightsPercent, tickMs, random } = play;
  let state = startJudge({ runId: RUN, settings, history: play.history, bounds: play.bounds ?? [] });
  const stream = createStream(world, state.boundsMs, random);
  const stepOf = (index: number) => ({
    index,
    weightPercent: weightsPercent[index] ?? 0,
    nextWeightPercent: weightsPercent[index + 1],
  });
  const reading = { atMs: 0, canary: NO_PODS, primary: NO_PODS };
  state = judgeTick(state, settings, { reading, step: stepOf(0) }).state;
  const sum = tally(weightsPercent[0] ?? 0);
  let index = 0;
  for (let atMs = tickMs; ; atMs += tickMs) {
    const step = stepOf(index);
    const tick = stream.next(atMs - tickMs, atMs, step.weightPercent / 100);
    sum.add(tick);
    const judged = judgeCounted(state, settings, { atMs, step, counted: countedOf(state, tick) });
    state = play.each?.(judged.state) ?? judged.state;
    const { kind } = judged.verdict;
    if (kind === 'rollback') return sum.end('rollback', atMs);
    const since = atMs - (state.progress?.stepSinceMs ?? 0);
    const isPassed =
      kind === 'advance' || kind === 'promote' || (play.isUngated && since >= settings.minDwellMs);
    if (isPassed && step.nextWeightPercent === undefined) return sum.end('promote', atMs);
    if (isPassed) sum.raise(stepOf((index += 1)).weightPercent);
    else if (kind === 'inconclusive' && judged.verdict.reason === 'Deadline')
      return sum.end('inconclusive', atMs);
  }
}

function countedOf({ progress }: JudgeState, { canary, primary }: StreamTick): Counted {
  if (!progress) throw new Error('a judge that was not begun');
  return { counters: progress.counters, canary, primary };
}

export interface ThresholdPlay extends Omit<Plan, 'tickMs'> {
  intervalMs: number;
  /** Failed checks that roll back, one interval after the last of them. */
  threshold: number;
  /** Lowest success rate in percent that passes. */
  successMin: number;
  /** Highest 99th percentile that passes, milliseconds: a bound of the histogram. Absent: latency is not looked at. */
  latencyMaxMs?: number;
  windowMs?: number;
  /** The guard beside the checks; undefined: Flagger's rule alone. */
  guard?: { settings?: GuardSettings; scrapeMs: number; history?: PrimaryHistory };
}

const WINDOW_MS = 60_000;
const SLOWER_THAN_P99 = 0.01;
/** Without a guard the stream is drawn at this pace. */
const BASE_TICK_MS = 5_000;

/**
 * Flagger's rule as in its source: the window's success rate against a bound, failed checks cumulative, weight held on a
 * failure, rollback one interval after the last failure that counts, no data is a failed check.
 */
export function playThreshold(world: World, play: ThresholdPlay): Played {
  const { weightsPercent, intervalMs, threshold, successMin, guard, random } = play;
  const tickMs = Math.min(intervalMs, guard?.scrapeMs ?? BASE_TICK_MS);
  const windowMs = play.windowMs ?? WINDOW_MS;
  const settings = guard?.settings ?? GUARD_DEFAULTS;
  const boundsMs = play.latencyMaxMs === undefined ? [] : [play.latencyMaxMs];
  const bounds: UserBound[] = [
    { metric: 'request-success-rate', share: 1 - successMin / 100 },
    ...boundsMs.map(upperMs => ({ metric: 'request-duration' as const, share: SLOWER_THAN_P99, upperMs })),
  ];
  let state = startGuard({ runId: RUN, bounds, ...(guard?.history ? { history: guard.history } : {}) });
  state = guardTick(state, settings, { atMs: 0, canary: NO_PODS, primary: NO_PODS }).state;
  state = guardCheckpoint(state, weightsPercent[0] ?? 0);
  const stream = createStream(world, boundsMs, random);
  const window: StreamTick[] = [];
  const sum = tally(weightsPercent[0] ?? 0);
  let [index, failed] = [0, 0];
  for (let atMs = tickMs; ; atMs += tickMs) {
    const tick = stream.next(atMs - tickMs, atMs, (weightsPercent[index] ?? 0) / 100);
    sum.add(tick);
    window.push(tick);
    if (window.length > windowMs / tickMs) window.shift();
    if (guard && state.progress) {
      const counted = { counters: state.progress.counters, canary: tick.canary, primary: tick.primary };
      const guarded = guardCounted(state, settings, atMs, counted);
      state = guarded.state;
      if (guarded.verdict.kind === 'rollback') return { ...sum.end('rollback', atMs), isGuarded: true };
    }
    if (atMs % intervalMs >= tickMs) continue;
    if (failed >= threshold) return sum.end('rollback', atMs);
    const isFailed = isCheckFailed(window, successMin);
    if (isFailed) failed += 1;
    else if (index === weightsPercent.length - 1) return sum.end('promote', atMs);
    else sum.raise(weightsPercent[(index += 1)] ?? 0);
    if (guard) state = guardCheckpoint(state, weightsPercent[index] ?? 0);
  }
}

/** A p99 above a bound of the histogram is more than 1 % above that bound. No data is a failed check. */
function isCheckFailed(window: readonly StreamTick[], successMin: number): boolean {
  const sum = (of: (tick: StreamTick) => number) => window.reduce((all, tick) => all + of(tick), 0);
  const total = sum(({ canary }) => canary.total);
  const failures = sum(({ canary }) => canary.failures);
  const slow = sum(({ canary }) => canary.slow[0] ?? 0);
  return total === 0 || (1 - failures / total) * 100 < successMin || slow > total * SLOWER_THAN_P99;
}

function tally(weight: number) {
  const weights = [weight];
  let [excessFailures, failures, canaryRequests] = [0, 0, 0];
  return {
    add(tick: StreamTick) {
      excessFailures += tick.excessFailures;
      failures += tick.canary.failures;
      canaryRequests += tick.canary.total;
    },
    raise: (to: number) => weights.push(to),
    end: (outcome: Played['outcome'], ms: number): Played => ({
      outcome,
      isGuarded: false,
      ms,
      excessFailures,
      failures,
      canaryRequests,
      weights,
    }),
  };
}

/** So many rollouts, one after another, from one seed. */
export function playMany(runs: number, seed: number, play: (random: Uniform) => Played): Summary {
  const random = createRandom(seed);
  return summaryOf(Array.from({ length: runs }, () => play(random)));
}

export interface Summary {
  runs: number;
  rollbackShare: number;
  /** Rolled back by the guard. */
  guardShare: number;
  promoteShare: number;
  /** Mean seconds of the rolled back, and of the promoted ones; NaN without any. */
  rollbackSeconds: number;
  rollbackSecondsP95: number;
  promoteSeconds: number;
  /** Means over all runs. */
  excessFailures: number;
  failures: number;
  canaryRequests: number;
}

export function summaryOf(runs: readonly Played[]): Summary {
  const rolledBack = runs.filter(run => run.outcome === 'rollback');
  const promoted = runs.filter(run => run.outcome === 'promote');
  const mean = (of: readonly Played[], value: (run: Played) => number) =>
    of.reduce((sum, run) => sum + value(run), 0) / of.length;
  const times = rolledBack.map(run => run.ms / 1_000).sort((a, b) => a - b);
  return {
    runs: runs.length,
    rollbackShare: rolledBack.length / runs.length,
    guardShare: runs.filter(run => run.isGuarded).length / runs.length,
    promoteShare: promoted.length / runs.length,
    rollbackSeconds: mean(rolledBack, run => run.ms / 1_000),
    rollbackSecondsP95: times[Math.min(times.length - 1, Math.floor(times.length * 0.95))] ?? Number.NaN,
    promoteSeconds: mean(promoted, run => run.ms / 1_000),
    excessFailures: mean(runs, run => run.excessFailures),
    failures: mean(runs, run => run.failures),
    canaryRequests: mean(runs, run => run.canaryRequests),
  };
}
