/**
 * What judge and guard are asked about one run, drawn from its observation: which counters, which step, which bounds, how
 * long it was paused. Pure, but for the caches that name its pods.
 */
import { parseTime } from '../core/facts.ts';
import type { Observation } from '../core/observation.ts';
import { parseRunId } from '../core/run.ts';
import { isGuarded, type Settings } from '../core/settings.ts';
import { nextStep } from '../../steppers/plan.ts';
import type { CounterQuery } from '../../analyzers/counterReader.ts';
import { type UserBound, userBoundOf } from '../../analyzers/judge/comparisons.ts';
import type { Reading } from '../../analyzers/judge/counters.ts';
import { DISPERSION_PRIOR } from '../../analyzers/judge/dispersion.ts';
import { type GuardState, startGuard } from '../../analyzers/judge/guard.ts';
import { paceOf, type PrimaryHistory, totalOf } from '../../analyzers/judge/history.ts';
import { type JudgeState, startJudge, type Step } from '../../analyzers/judge/judge.ts';
import { planOf } from '../../analyzers/judge/plan.ts';
import type { JudgeSettings } from '../../analyzers/judge/settings.ts';
import { podsOf } from './measure.ts';
import type { Sighting } from './observe.ts';
import { replicaSetsOf } from './query.ts';
import type { World } from './world.ts';

export type Judged = { kind: 'judge'; state: JudgeState } | { kind: 'guard'; state: GuardState };

/** What a plan takes for the time between two looks. */
const TICK_MS = 5_000;

export function stepOf({ settings, route }: Observation): Step {
  const weightPercent = route?.canaryWeight ?? 0;
  return {
    index: settings.steps.indexOf(weightPercent),
    weightPercent,
    nextWeightPercent: nextStep(settings.steps, weightPercent),
  };
}

/** While a run is paused its deadline stands still. */
export function withPauses(settings: JudgeSettings, { status, now }: Observation): JudgeSettings {
  const { run, paused } = status;
  const startedAt = parseTime(run?.startedAt);
  const pausedMs = parseTime(run?.waitingSince ?? run?.startedAt) - startedAt;
  const runningPauseMs = paused?.at === undefined ? 0 : now - parseTime(paused.at);
  return { ...settings, deadlineMs: settings.deadlineMs + pausedMs + runningPauseMs };
}

/** A canary without traffic has answered nothing of this run; neither has one of a run that is retried, at first. */
export function withEarlier(reading: Reading, { status, route }: Observation): Reading {
  const isRetry = (parseRunId(status.run?.id ?? '')?.commandId ?? '') !== '';
  const isUntouched = (route?.canaryWeight ?? 0) === 0;
  // Before its first pod is ready there is nobody to read, and nothing to be lost.
  const canary = reading.canary ?? (isUntouched ? new Map() : undefined);
  return canary && (isRetry || isUntouched) ? { ...reading, canary, earlier: canary } : reading;
}

/** Fixes what is compared. No history: only a guard can do without. */
export function started(
  runId: string,
  { metrics, judge }: Settings,
  history: PrimaryHistory | undefined,
  pods: Reading['primary'],
): Judged {
  const bounds = boundsOf(metrics, pods);
  if (!judge) return { kind: 'guard', state: startGuard({ runId, bounds, ...(history ? { history } : {}) }) };
  const known = history ?? { blocks: [], lengthMs: 0 };
  return { kind: 'judge', state: startJudge({ runId, settings: judge, history: known, bounds }) };
}

function boundsOf(metrics: Settings['metrics'], pods: Reading['primary']): UserBound[] {
  const uppers = new Map<number, unknown>();
  for (const { durations } of pods?.values() ?? [])
    for (const { uppersMs } of durations.values()) for (const upper of uppersMs) uppers.set(upper, undefined);
  return metrics.flatMap(metric => {
    if (metric.kind === 'custom' || !isGuarded(metric)) return [];
    return userBoundOf(metric.kind, metric, uppers.size > 0 ? uppers : undefined) ?? [];
  });
}

/** What the judge is asked for and cannot give with the traffic that there is. */
export function warningOf({ judge, steps, metrics }: Settings, history: PrimaryHistory): string | undefined {
  if (!judge) return undefined;
  const rps = paceOf(history);
  if (rps === undefined) return undefined;
  const { requests, failures } = totalOf(history);
  if (!(requests > 0)) return 'The primary had no requests lately; without any the run stalls.';
  const baseRate = failures / requests;
  const { seconds } = planOf({
    settings: judge,
    weightsPercent: steps,
    rps,
    baseRate,
    dispersion: DISPERSION_PRIOR,
    tickMs: TICK_MS,
    bound: judge.mode === 'slo' ? failureBoundOf(metrics) : undefined,
  });
  const deadlineSeconds = judge.deadlineMs / 1_000;
  if (seconds <= deadlineSeconds) return undefined;
  const needed = Number.isFinite(seconds) ? `about ${Math.round(seconds)} s` : 'for ever';
  return `At ${Number(rps.toPrecision(2))} requests a second a good release needs ${needed}, longer than the deadline of ${deadlineSeconds} s: allow a larger promotionMargin, more weight, or more time.`;
}

/** Share of requests that may fail by the user's own bounds; undefined when there is none. */
function failureBoundOf(metrics: Settings['metrics']): number | undefined {
  return boundsOf(metrics, undefined).find(bound => bound.metric === 'request-success-rate')?.share;
}

export function counterQueryOf(world: World, sighting: Sighting): CounterQuery {
  const { names, observation } = sighting;
  const { revision } = observation.status.run ?? {};
  return {
    namespace: names.namespace,
    canary: {
      deployment: names.target,
      replicaSets: replicaSetsOf(world, names.namespace, names.target, revision),
    },
    primary: { deployment: names.primaryWorkload, replicaSets: [] },
    pods: podsOf(world, sighting),
  };
}
