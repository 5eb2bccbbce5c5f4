/**
 * The canonical form of a status: only what some rule of the core reads, with times that every threshold has passed
 * made equal. `reduce.test.ts` proves on random lives that the rules answer the same with and without it.
 */
import type { CanaryStatus, Condition, Run } from '../../engine/api/status.ts';
import { AGAIN_MS } from '../../engine/core/conditions.ts';
import type { Settings } from '../../engine/core/settings.ts';
import { NOW_MS, UNIT_MS } from './parts.ts';

/** Ages in units above which no rule tells two times apart. */
interface Caps {
  interval: number;
  drain: number;
  start: number;
  stage: number;
}

function capsOf(settings: Settings): Caps {
  const units = (ms: number) => Math.ceil(ms / UNIT_MS);
  return {
    interval: units(settings.intervalMs),
    drain: units(settings.drainMs),
    start: units(Math.max(settings.progressDeadlineMs, settings.intervalMs)),
    stage: units(Math.max(settings.progressDeadlineMs, settings.bakeMs, settings.drainMs)),
  };
}

const texts = new Map<number, string>();

function timeAt(age: number): string {
  const known = texts.get(age);
  if (known) return known;
  const text = new Date(NOW_MS - age * UNIT_MS).toISOString();
  texts.set(age, text);
  return text;
}

export function ageOf(time: string): number {
  return (NOW_MS - Date.parse(time)) / UNIT_MS;
}

const REPORTED = ['Accepted', 'Ready', 'Contested'];

/** `older` units are added: that is how time passes. */
function aged(time: string | undefined, cap: number, older: number): string | undefined {
  return time === undefined ? undefined : timeAt(Math.min(cap, ageOf(time) + older));
}

/** What is kept although few rules read it: the conditions for people, and the target as last seen. */
interface Kept {
  reports: boolean;
  target: boolean;
}

export function createReduce(settings: Settings, keeps: Kept) {
  const caps = capsOf(settings);

  /** While the run is paused only what it had waited until then counts. */
  function waitedOf(run: Run, pausedAt: string | undefined, older: number): string | undefined {
    if (pausedAt === undefined) return aged(run.waitingSince, caps.start, older);
    const waited = ageOf(run.waitingSince ?? run.startedAt) - ageOf(pausedAt);
    return timeAt(Math.min(caps.start, Math.max(0, waited)));
  }

  function runOf(run: Run, phase: string, pausedAt: string | undefined, older: number): Run {
    const identity = { id: run.id, revision: run.revision, generation: run.generation };
    const analysed = phase === 'Progressing' || phase === 'Waiting' || phase === 'WaitingPromotion';
    if (!analysed && phase !== 'Promoting') return { ...identity, startedAt: '' };
    const judged = {
      cause: run.cause,
      steppedAt: aged(run.steppedAt, caps.interval, older),
      checkedAt: aged(run.checkedAt, caps.interval, older),
      noData: Math.min(run.noData ?? 0, settings.noDataBudget) || undefined,
      errors: Math.min(run.errors ?? 0, settings.errorBudget) || undefined,
    };
    const own = analysed
      ? {
          startedAt: aged(run.startedAt, caps.start, older) ?? '',
          waitingSince: waitedOf(run, pausedAt, older),
          passedEpoch: run.passedEpoch,
        }
      : { startedAt: '', passedAll: run.passedAll, peakWeight: run.peakWeight };
    return { ...identity, ...judged, ...own } as Run;
  }

  /** From when pods that were ready once are waited for; people's reports are written again after one unit. */
  function saidAt({ type, reason, lastUpdateTime }: Condition, older: number): Partial<Condition> {
    const isAwaited = type === 'Progressing' && reason === 'CanaryNotReady';
    if (!isAwaited && !keeps.reports) return {};
    return { lastUpdateTime: aged(lastUpdateTime, isAwaited ? caps.start : 1, older) ?? '' };
  }

  /** A sentence that another has just replaced waits before it is written again: the last two tell, or the last alone. */
  function transitionsOf(status: CanaryStatus, older: number): CanaryStatus['transitions'] {
    const cap = AGAIN_MS / UNIT_MS;
    const lately = (status.transitions ?? []).slice(-2);
    const last = lately.at(-1);
    const isOld = last !== undefined && ageOf(last.at) + older >= cap;
    return (isOld ? [last] : lately).map(({ at, reason, message }, index) => ({
      number: index + 1,
      at: aged(at, cap, older) ?? '',
      severity: 'info',
      reason,
      message,
    }));
  }

  function conditionsOf(status: CanaryStatus, older: number): CanaryStatus['conditions'] {
    const isRead = (type: string) => type === 'Progressing' || (keeps.reports && REPORTED.includes(type));
    return status.conditions
      ?.filter(one => isRead(one.type))
      .map(one => ({
        type: one.type,
        status: one.status,
        reason: one.reason,
        message: one.message,
        lastTransitionTime: '',
        ...saidAt(one, older),
      }));
  }

  /** Two promotions back, for an undo; their times and reasons are for people. */
  function historyOf(status: CanaryStatus): CanaryStatus['history'] {
    const promoted = (status.history ?? []).filter(one => one.outcome === 'Succeeded').slice(0, 2);
    return promoted.map(one => ({
      revision: one.revision,
      outcome: one.outcome,
      reason: '',
      startedAt: '',
      endedAt: '',
    }));
  }

  /**
   * Left out, because no rule reads it: older transitions, checks, messages for people, `promoted` and `lastPromotedSpec`
   * (always those of `lastGood`). Another hash at the same generation does not occur in the model, and its target is
   * never made anew, so that `target` says something only where a cache may show a former one. What others took back stays in its window of ten minutes: no scenario lasts that long; an
   * older time than one unit is never the same time again.
   */
  return function reduce(status: CanaryStatus, older = 0): CanaryStatus {
    const { phase, run } = status;
    const isRunning = phase === 'Progressing' || phase === 'Waiting' || phase === 'WaitingPromotion';
    const isCounting = isRunning || phase === 'Promoting';
    return JSON.parse(
      JSON.stringify({
        phase,
        epoch: status.epoch,
        routeEpoch: status.routeEpoch,
        canaryWeight: status.canaryWeight ?? 0,
        stage: status.stage,
        stageSince: aged(status.stageSince, caps.stage, older),
        zeroSince: aged(status.zeroSince, caps.drain, older),
        run: run && runOf(run, phase ?? '', status.paused?.at, older),
        failedChecks: isCounting ? Math.min(status.failedChecks ?? 0, settings.threshold) : 0,
        iterations: isRunning ? Math.min(status.iterations ?? 0, settings.iterations) : 0,
        lastAppliedSpec: status.lastAppliedSpec,
        lastGood: status.lastGood && { hash: status.lastGood.hash, generation: 0 },
        paused: status.paused && { ...status.paused, at: status.paused.at && timeAt(0) },
        handledCommand: status.handledCommand,
        takenBack: status.takenBack?.map(one => ({ field: one.field, at: aged(one.at, 1, older) ?? '' })),
        history: historyOf(status),
        transitions: transitionsOf(status, older),
        ...(keeps.reports ? { observedGeneration: status.observedGeneration } : {}),
        ...(keeps.target && status.target
          ? { target: { hash: status.target.hash, generation: status.target.generation } }
          : {}),
        conditions: conditionsOf(status, older),
      }),
    ) as CanaryStatus;
  };
}
