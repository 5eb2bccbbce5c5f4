/**
 * Looks at the raw counters of canaries that carry traffic, as often as there can be something new, and lets the judge or
 * the guard of the thresholds weigh them. What it remembers is a cache of what the status remembers: after a restart, or
 * on another replica, it goes on from the last checkpoint, and the first look covers the gap. It decides nothing.
 */
import type { JudgeStatus } from '../api/status.ts';
import { isJudgedIn } from '../core/facts.ts';
import type { Evidence, Observation } from '../core/observation.ts';
import type { CounterAnswer, CounterQuery, CounterReader } from '../../analyzers/counterReader.ts';
import { decodeCheckpoint } from '../../analyzers/judge/checkpoint.ts';
import type { Reading } from '../../analyzers/judge/counters.ts';
import { guardTick } from '../../analyzers/judge/guard.ts';
import { historyOf, type PrimaryHistory } from '../../analyzers/judge/history.ts';
import { judgeTick } from '../../analyzers/judge/judge.ts';
import {
  counterQueryOf,
  type Judged,
  started,
  stepOf,
  warningOf,
  withEarlier,
  withPauses,
} from './judgedRun.ts';
import { type Found, guardFound, judgeFound } from './judgeStatus.ts';
import type { Sighting } from './observe.ts';
import { createTurns, type Turn } from './turns.ts';
import type { World } from './world.ts';

export interface JudgingOptions {
  world(): World;
  /** Raw counters of canaries that name this metrics server, or none; undefined: the provider has none. */
  countersOf(metricsServer: string | undefined): CounterReader | undefined;
  /** How long a primary without a history is looked at before the first step. Default: a minute. */
  baselineMs?: number;
}

export interface Judging {
  /** Bounded by the signal and by itself; never throws. Undefined: there is nothing to weigh. */
  look(key: string, sighting: Sighting, signal: AbortSignal): Promise<Evidence | undefined>;
  /**
   * Begins to guard a run whose pods are still coming up, behind the tick's back, so that the first raise carries a
   * checkpoint: every replica then goes on from the same one. No step waits for it.
   */
  prepare(key: string, sighting: Sighting): void;
  /** What is known of the canary's run by now, to ride on its next status write. */
  known(key: string): JudgeStatus | undefined;
  forget(key: string): void;
}

/** No scrape is quicker, and nobody is hurt much in that time. */
const LOOK_MS_MIN = 2_000;
/** The pace while nobody has said at which pace new data comes, and never slower: another replica may know better. */
const LOOK_MS = 5_000;
/** A sample is there a little after it was taken. */
const LAG_MS = 250;
/** Of all canaries together: with more than twice as many under analysis each of them is looked at more rarely. */
const QUERIES_PER_SECOND_MAX = 20;
/** The history and a first reading. */
const QUERIES_OF_FIRST_LOOK = 2;
const LOOK_DEADLINE_MS = 5_000;
/** Without a history the primary is looked at for so long before the first step. */
const BASELINE_MS = 60_000;
const BASELINE_SAMPLES_MAX = 64;
/** The provider's time stands still: there is nothing new for a while, and then nothing is known. */
const STANDSTILL_MS = 30_000;

interface Memory {
  runId: string;
  kind: Judged['kind'];
  state: Judged | undefined;
  /** The checkpoint of the status that was last seen. */
  base: string | undefined;
  /** What the last look wants written, and the state that is gone on with when it was. */
  offered: { checkpoint: string; state: Judged } | undefined;
  status: JudgeStatus | undefined;
  isWithoutHistory: boolean;
  /** Of the primary, while there is no history. */
  samples: { atMs: number; pods: NonNullable<Reading['primary']> }[];
  warning: string | undefined;
  looking: Promise<Evidence> | undefined;
  last: { evidence: Evidence; epoch: number } | undefined;
  /** By the engine's clock. */
  lookedAt: number;
  turn: Turn;
  newDataAt: number;
  nextMs: number;
  sampledAtMs: number | undefined;
  /** Between two samples, the shortest so far. */
  periodMs: number;
}

export function createJudging({ world, countersOf, baselineMs = BASELINE_MS }: JudgingOptions): Judging {
  const memories = new Map<string, Memory>();
  const now = () => world().clock.now();
  const turns = createTurns(now, QUERIES_PER_SECOND_MAX);

  /** What is remembered of this run, brought up to what the status says of it. */
  function memoryOf(key: string, { settings, status }: Observation): Memory {
    const runId = status.run?.id ?? '';
    const kind = settings.judge ? 'judge' : 'guard';
    let memory = memories.get(key);
    if (!memory || memory.runId !== runId || memory.kind !== kind) {
      memory = emptyMemory(runId, kind, now());
      memories.set(key, memory);
    }
    const checkpoint = status.judge?.run === runId ? status.judge.checkpoint : undefined;
    if (checkpoint === memory.base) return memory;
    memory.base = checkpoint;
    if (checkpoint === undefined) return memory;
    if (checkpoint === memory.offered?.checkpoint) {
      memory.state = memory.offered.state;
      return memory;
    }
    const decoded = decodeCheckpoint(checkpoint, runId);
    if (decoded?.kind !== kind) return memory;
    // Another replica has looked later than this one.
    if (atOf(decoded) > atOf(memory.state)) memory.state = decoded;
    return memory;
  }

  async function look(key: string, sighting: Sighting, signal: AbortSignal): Promise<Evidence | undefined> {
    const { observation, canary } = sighting;
    const { settings, status, route } = observation;
    // While a run is promoted no decision asks for evidence, and its memory is gone.
    if ((!settings.judge && !settings.guard) || !isJudgedIn(status.phase)) return undefined;
    const reader = countersOf(canary.spec.metricsServer);
    if (!reader) return undefined;
    const memory = memoryOf(key, observation);
    // A guard that has begun sees nothing new without traffic.
    if (!settings.judge && memory.state && (route?.canaryWeight ?? 0) === 0) return undefined;
    const epoch = route?.stamp.epoch ?? 0;
    const leftMs = memory.lookedAt + memory.nextMs - now();
    // A clock that was set back would hold it for as long.
    if (memory.last && leftMs > 0 && leftMs <= memory.nextMs) return again(memory.last, epoch, leftMs);
    if (!memory.looking) {
      const waitMs = turns.waitMs(memory.turn, memory.state ? 1 : QUERIES_OF_FIRST_LOOK);
      if (waitMs > 0) return waiting(settings, route, waitMs);
    }
    memory.looking ??= lookNow(memory, reader, sighting, signal).finally(() => {
      memory.looking = undefined;
    });
    const evidence = await memory.looking;
    memory.last = { evidence, epoch };
    return evidence;
  }

  async function lookNow(
    memory: Memory,
    reader: CounterReader,
    sighting: Sighting,
    signal: AbortSignal,
  ): Promise<Evidence> {
    const query = counterQueryOf(world(), sighting);
    const limit = new AbortController();
    const cut = () => limit.abort();
    const timer = world().clock.setTimer(cut, LOOK_DEADLINE_MS);
    signal.addEventListener('abort', cut);
    try {
      const begun = memory.state ? undefined : await begin(memory, reader, query, sighting, limit.signal);
      if (begun) return paced(memory, begun, undefined);
      const answer = await reader.read(query, limit.signal);
      if (answer.kind === 'providerError')
        return paced(memory, { kind: 'error', message: answer.message }, undefined);
      return paced(memory, weigh(memory, answer, sighting), answer);
    } catch (error) {
      return paced(
        memory,
        { kind: 'error', message: `the counters could not be weighed: ${(error as Error).name}` },
        undefined,
      );
    } finally {
      timer.cancel();
      signal.removeEventListener('abort', cut);
    }
  }

  /** Fixes what is compared. The answer is why that cannot be done yet. */
  async function begin(
    memory: Memory,
    reader: CounterReader,
    query: CounterQuery,
    sighting: Sighting,
    signal: AbortSignal,
  ): Promise<Found['evidence'] | undefined> {
    const { observation } = sighting;
    const { settings, route } = observation;
    if (!memory.isWithoutHistory) {
      const answer = await reader.history(query, signal);
      if (answer.kind === 'providerError') return { kind: 'error', message: answer.message };
      const history = historyOf(answer.kind === 'history' ? answer.samples : []);
      // A service that is younger than a minute has none either.
      if (history.lengthMs >= baselineMs || (answer.kind === 'history' && !settings.judge)) {
        const pods = answer.kind === 'history' ? answer.samples.at(-1)?.pods : undefined;
        start(memory, observation, history, pods);
        return undefined;
      }
      memory.isWithoutHistory = true;
    }
    const read = await reader.read(query, signal);
    if (read.kind === 'providerError') return { kind: 'error', message: read.message };
    const { atMs, primary } = read.reading;
    if (!settings.judge) {
      start(memory, observation, undefined, primary);
      return undefined;
    }
    if (!primary) return { kind: 'silent', message: 'The primary could not be read.' };
    if (atMs > (memory.samples.at(-1)?.atMs ?? 0)) memory.samples.push({ atMs, pods: primary });
    if (memory.samples.length > BASELINE_SAMPLES_MAX) memory.samples.splice(1, 1);
    const seenMs = atMs - (memory.samples[0]?.atMs ?? atMs);
    // A run that has traffic already, on a replica that has not seen its beginning, does not wait for a baseline.
    if (seenMs < baselineMs && (route?.canaryWeight ?? 0) === 0) {
      const seconds = Math.round(seenMs / 1_000);
      const message = `There is no history of the primary: it is looked at for ${baselineMs / 1_000} s before the first step (${seconds} s so far).`;
      return { kind: 'preparing', message };
    }
    start(memory, observation, historyOf(memory.samples), primary);
    memory.samples = [];
    return undefined;
  }

  function start(
    memory: Memory,
    { settings }: Observation,
    history: PrimaryHistory | undefined,
    pods: Reading['primary'],
  ): void {
    memory.state = started(memory.runId, settings, history, pods);
    memory.warning = history && warningOf(settings, history);
  }

  function weigh(
    memory: Memory,
    { reading: raw }: Extract<CounterAnswer, { kind: 'reading' }>,
    { observation }: Sighting,
  ): Found['evidence'] {
    const { settings, status } = observation;
    const reading = withEarlier(raw, observation);
    const before = status.judge?.run === memory.runId ? status.judge : undefined;
    const held = memory.state;
    const step = stepOf(observation);
    let found: Found;
    if (held?.kind === 'judge' && settings.judge) {
      const judge = withPauses(settings.judge, observation);
      const after = judgeTick(held.state, judge, {
        reading,
        step,
        canaryReadyAtMs: held.state.progress?.startedAtMs,
      });
      memory.state = { kind: 'judge', state: after.state };
      found = judgeFound(after.state, judge, after.verdict, step, before);
      offer(memory, found, memory.state);
      return standing(memory, found, after.verdict.kind === 'hold' && after.verdict.reason === 'NoNewData');
    }
    if (held?.kind === 'guard' && settings.guard) {
      const after = guardTick(held.state, settings.guard, reading);
      memory.state = { kind: 'guard', state: after.state };
      const weights = { now: step.weightPercent, next: step.nextWeightPercent ?? step.weightPercent };
      const guarded = guardFound(after.state, settings.guard, after.verdict, weights, before);
      offer(memory, guarded, { kind: 'guard', state: guarded.checkpointed });
      return guarded.evidence;
    }
    return { kind: 'hold', message: 'The way in which the run is judged was changed; it is judged anew.' };
  }

  function offer(memory: Memory, { status }: Found, state: Judged): void {
    if (status?.checkpoint === undefined) return;
    memory.offered = { checkpoint: status.checkpoint, state };
    memory.status = status;
  }

  function standing(memory: Memory, { evidence }: Found, isUnchanged: boolean): Found['evidence'] {
    if (!isUnchanged) memory.newDataAt = now();
    return isUnchanged && now() - memory.newDataAt >= STANDSTILL_MS
      ? { ...evidence, kind: 'silent' }
      : evidence;
  }

  /** When to look next: a little after the next sample is expected, and never so often that all together are too many. */
  function paced(
    memory: Memory,
    evidence: Found['evidence'],
    answer: Extract<CounterAnswer, { kind: 'reading' }> | undefined,
  ): Evidence {
    const at = now();
    const { warning } = memory;
    memory.lookedAt = at;
    memory.nextMs = answer ? untilSample(memory, answer) : LOOK_MS;
    return { ...evidence, ...(warning === undefined ? {} : { warning }), nextMs: memory.nextMs };
  }

  return {
    look,
    prepare(key, sighting) {
      const { settings, status, route } = sighting.observation;
      const isUntouched = (route?.canaryWeight ?? 0) === 0;
      if (!settings.guard || settings.skipAnalysis || !isUntouched || !isJudgedIn(status.phase)) return;
      const memory = memories.get(key);
      if ((memory?.runId === status.run?.id && memory?.state) || !turns.isFree()) return;
      void look(key, sighting, new AbortController().signal);
    },
    known: key => memories.get(key)?.status,
    forget: key => void memories.delete(key),
  };
}

function emptyMemory(runId: string, kind: Judged['kind'], at: number): Memory {
  return {
    runId,
    kind,
    state: undefined,
    base: undefined,
    offered: undefined,
    status: undefined,
    isWithoutHistory: false,
    samples: [],
    warning: undefined,
    looking: undefined,
    last: undefined,
    lookedAt: 0,
    turn: { at: undefined },
    newDataAt: at,
    nextMs: 0,
    sampledAtMs: undefined,
    periodMs: Number.POSITIVE_INFINITY,
  };
}

function atOf(held: Judged | undefined): number {
  return held?.state.progress?.atMs ?? 0;
}

/** Too many are looked at: before its turn nothing new is known of this one. */
function waiting({ judge }: Observation['settings'], route: Observation['route'], nextMs: number): Evidence {
  const isBefore = judge !== undefined && (route?.canaryWeight ?? 0) === 0;
  return {
    kind: isBefore ? 'preparing' : 'hold',
    message: 'Its counters are read when it is its turn.',
    nextMs,
  };
}

/** Nothing new since the last look. What was enough for one step says nothing about the next. */
function again(
  { evidence, epoch: lookedEpoch }: NonNullable<Memory['last']>,
  epoch: number,
  leftMs: number,
): Evidence {
  if (epoch === lookedEpoch || evidence.kind === 'rollback') return { ...evidence, nextMs: leftMs };
  return { ...evidence, kind: 'hold', nextMs: leftMs };
}

/** Milliseconds until the next sample is expected. */
function untilSample(
  memory: Memory,
  { reading, sampledAtMs }: Extract<CounterAnswer, { kind: 'reading' }>,
): number {
  // Whoever looks by himself always finds something new.
  if (sampledAtMs === undefined) return memory.kind === 'guard' ? LOOK_MS_MIN : LOOK_MS;
  const before = memory.sampledAtMs;
  memory.sampledAtMs = sampledAtMs;
  if (before === undefined || sampledAtMs <= before) return LOOK_MS_MIN;
  // Looks that came late have missed samples: the shortest time between two is nearest to the truth.
  memory.periodMs = Math.min(memory.periodMs, sampledAtMs - before);
  const expectedMs = sampledAtMs + memory.periodMs - reading.atMs + LAG_MS;
  return Math.max(LOOK_MS_MIN, Math.min(LOOK_MS, expectedMs));
}
