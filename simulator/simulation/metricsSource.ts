/**
 * The metrics provider of the simulation: an Analyzer that answers from what the accountant counted, late, empty, wrong
 * or not at all while its world is in trouble. It remembers every answer that an engine was given, for the checkers.
 */
import type { Analyzer, Measurement, MetricQuery } from '../../analyzers/analyzer.ts';
import type { Clock } from '../../engine/clock.ts';
import type { Accountant } from './accountant.ts';
import { createCounterSource, type Told } from './counterSource.ts';
import type { Call } from './calls.ts';
import type { Process } from './process.ts';
import type { CounterTrouble, MetricsTrouble } from './plan.ts';
import type { Proxies } from './proxies.ts';
import type { CallFault, DeedOnCall, Strikes } from './strikes.ts';

export interface Answer {
  engine: number;
  namespace: string;
  workload: string;
  metric: string;
  arm: 'canary' | 'primary';
  askedAtMs: number;
  atMs: number;
  measurement: Measurement;
}

export interface MetricsSourceOptions {
  clock: Clock;
  engine: number;
  /** Name of the process, in this life of it. */
  life: string;
  isScraped: boolean;
  process: Process;
  accountant: Accountant;
  proxies: Proxies;
  lagMs: () => number;
  /** The engine's caches show everything that has happened up to here. */
  knewAtMs(): number;
  strikes: Strikes;
  /** Ends this process; somebody starts another one later. */
  crash(downMs: number): void;
  /** Somebody acts just then. */
  perform(deed: DeedOnCall): void;
  /** What is wrong with the metrics of this workload now. */
  trouble(namespace: string, workload: string): MetricsTrouble | undefined;
  /** What is wrong with its raw counters alone. */
  counterTrouble(namespace: string, workload: string): { how: CounterTrouble; sinceMs: number } | undefined;
  onAnswer(answer: Answer): void;
  onCounters(told: Told): void;
}

/** Longer than the engine waits for a check. */
const LATE_MS = 20_000;
/** Longer than the shortest intervals. */
const SLOW_MS = 9_000;
const GOOD = { rate: 100, latencyMs: 5, errors: 0 };
const BAD = { rate: 12, latencyMs: 9_000, errors: 88 };

export interface Scope {
  namespace: string;
  workload: string;
  replicaSets: string[];
}

/** What the world calls these labels in every query that the engine can render. */
export function scopeOf(query: string): Scope | undefined {
  const namespace = /namespace="([^"]+)"/.exec(query)?.[1];
  const workload = /deployment="([^"]+)"/.exec(query)?.[1];
  const sets = /pod=~"\(([^)]*)\)-/.exec(query)?.[1];
  return namespace && workload
    ? { namespace, workload, replicaSets: sets ? sets.split('|') : [] }
    : undefined;
}

export function createMetricsSource(options: MetricsSourceOptions): Analyzer {
  const { clock, process, accountant } = options;

  function measured(query: MetricQuery, { namespace, workload, replicaSets }: Scope): Measurement {
    const nowMs = clock.now();
    accountant.accrueAll();
    const end = accountant.sampleAt(namespace, workload, replicaSets, nowMs);
    const begin = accountant.sampleAt(namespace, workload, replicaSets, nowMs - query.windowMs);
    const total = Math.floor(end.total) - Math.floor(begin.total);
    const failed = Math.min(total, Math.max(0, Math.round(end.failed - begin.failed)));
    if (total <= 0) return { kind: 'noData', message: 'no request in the window' };
    const percent = (100 * failed) / total;
    const value = valueOf(query, { rate: 100 - percent, latencyMs: end.latencyMs, errors: percent });
    return { kind: 'value', value, sampleCount: total };
  }

  function answerTo(query: MetricQuery, scope: Scope): Measurement {
    switch (options.trouble(scope.namespace, scope.workload)) {
      case 'missing':
        return { kind: 'noData', message: 'the query answered no series' };
      case 'nan':
        return { kind: 'value', value: Number.NaN };
      case 'many':
        return { kind: 'providerError', message: 'expected one series, got 3' };
      case 'error':
        return { kind: 'providerError', message: 'HTTP 503' };
      case 'good':
        return { kind: 'value', value: valueOf(query, GOOD), sampleCount: 1_000 };
      case 'bad':
        return { kind: 'value', value: valueOf(query, BAD), sampleCount: 1_000 };
      case 'late':
      case 'slow':
      case undefined:
        return measured(query, scope);
    }
  }

  /** What a provider says is true when it says it, not when it was asked. */
  function answered<T>(how: { delayMs: number; answer: () => T; onCut: T; signal: AbortSignal }): Promise<T> {
    const { signal, onCut } = how;
    return new Promise(resolve => {
      // Taken off again: a composite signal that is listened to is never forgotten.
      const end = (answer: T) => {
        signal.removeEventListener('abort', onAbort);
        resolve(answer);
      };
      const onAbort = () => end(onCut);
      signal.addEventListener('abort', onAbort);
      if (!Number.isFinite(how.delayMs)) return;
      clock.setTimer(() => {
        const answer = how.answer();
        process.deliver(() => end(answer));
      }, how.delayMs);
    });
  }

  /** What strikes this query; who dies or freezes with it does so now. */
  function strike({ namespace, workload }: Scope): CallFault | undefined {
    const call: Call = { kind: 'query', isWrite: false, resource: 'metrics', namespace, name: workload };
    const fault = options.strikes.onCall(options.engine, call, undefined);
    const deed = options.strikes.deedOn(options.engine, call, undefined);
    if (deed) options.perform(deed);
    if (fault?.kind === 'crash') options.crash(fault.downMs);
    if (fault?.kind === 'freeze') process.freeze(fault.forMs);
    return fault;
  }

  function delayOf(scope: Scope, fault: CallFault | undefined): number {
    const trouble = options.trouble(scope.namespace, scope.workload);
    const ownMs = trouble === 'late' ? LATE_MS : trouble === 'slow' ? SLOW_MS : options.lagMs();
    return ownMs + (fault?.kind === 'slow' || fault?.kind === 'late' ? fault.forMs : 0);
  }

  async function one(query: MetricQuery, signal: AbortSignal): Promise<Measurement> {
    const scope = scopeOf(query.query ?? '');
    if (!scope) return { kind: 'providerError', message: 'the query names no workload' };
    const askedAtMs = clock.now();
    const fault = strike(scope);
    if (fault?.kind === 'refuse') return { kind: 'providerError', message: `HTTP ${fault.code}` };
    const isSilent = fault?.kind === 'crash' || fault?.kind === 'lost';
    const measurement = await answered<Measurement>({
      delayMs: isSilent ? Number.POSITIVE_INFINITY : delayOf(scope, fault),
      answer: () => answerTo(query, scope),
      onCut: { kind: 'providerError', message: 'no answer in time' },
      signal,
    });
    if (process.isAlive())
      options.onAnswer({
        engine: options.engine,
        namespace: scope.namespace,
        workload: scope.workload,
        metric: query.metric,
        arm: query.arm ?? 'canary',
        askedAtMs,
        atMs: clock.now(),
        measurement,
      });
    return measurement;
  }

  const counters = createCounterSource({
    ...options,
    answered: how => answered({ ...how, delayMs: how.isLate ? LATE_MS : options.lagMs() }),
    accrueAll: accountant.accrueAll,
    now: clock.now,
    onRead({ namespace, canary }, { atMs: askedAtMs, knewAtMs }, answer) {
      if (!process.isAlive()) return;
      const { engine, life } = options;
      const about = { engine, life, namespace, workload: canary.deployment };
      options.onCounters({ ...about, askedAtMs, knewAtMs, atMs: clock.now(), answer });
    },
  });

  return {
    provider: 'simulated',
    counters,
    measure: (queries, _pods, signal) => Promise.all(queries.map(query => one(query, signal))),
  };
}

function valueOf(query: MetricQuery, values: { rate: number; latencyMs: number; errors: number }): number {
  if (query.kind === 'request-success-rate') return values.rate;
  return query.kind === 'request-duration' ? values.latencyMs : values.errors;
}
