/**
 * Judges without a metrics server: reads what the pods of a canary under analysis export about themselves and answers
 * the built-in metrics from what their counters rose by. It looks at nobody else's pods. What it remembers is a cache:
 * after a restart the first look only starts to count, which is "no data" and holds the rollout for one check.
 */
import type { Clock, Timer } from '../engine/clock.ts';
import { unlessAborted } from './aborted.ts';
import type { Analyzer, Arm, ArmPods, Followed, Measurement, MetricQuery } from './analyzer.ts';
import type { CounterReader } from './counterReader.ts';
import { type Arms, createArms, IDLE_MS_MAX, type Look, shortfallOf } from './scrape/arms.ts';
import { createPodReader } from './scrape/pods.ts';
import { histogramQuantile } from './scrape/quantile.ts';
import type { CounterSource } from './scrape/sources.ts';
import { createScrapeCounters } from './scrapeCounters.ts';

export interface ScrapeOptions {
  clock: Clock;
  source: CounterSource;
  /** On every pod; plain HTTP. */
  port: number;
  path: string;
  /** For one pod, from the first packet to the last byte. */
  timeoutMs?: number;
}

export interface ScrapeAnalyzer extends Analyzer {
  readonly counters: CounterReader;
  follow(key: string, watch: () => Followed | undefined): void;
  /** What is remembered of each arm. */
  readonly arms: Arms;
  /** Ends every look between checks and forgets everything. */
  close(): void;
}

const QUANTILE = 0.99;
/** Two looks in a window: it begins at most half a window early, whichever replica makes the check. */
const LOOKS_PER_WINDOW = 2;
const BETWEEN_LOOKS_MS_MIN = 1_000;
/** As often as most people let Prometheus look; what a pod counts between its last look and its end is lost. */
const BETWEEN_LOOKS_MS_MAX = 15_000;
/** The first look at a run's pods ends a little after its traffic has begun. */
const LEAST_WINDOW_TOLERANCE = 0.75;

export function createScrapeAnalyzer(options: ScrapeOptions): ScrapeAnalyzer {
  const { clock, port } = options;
  const arms = createArms({ clock, read: createPodReader(options) });
  const followed = createFollowed(clock, arms);

  async function measure(queries: MetricQuery[], pods: ArmPods, signal: AbortSignal): Promise<Measurement[]> {
    arms.dropIdle(IDLE_MS_MAX);
    const looks = new Map<Arm, Promise<Look>>();
    for (const arm of new Set(queries.filter(isBuiltIn).map(armOf))) {
      const windowsMs = queries.filter(one => isBuiltIn(one) && armOf(one) === arm).map(one => one.windowMs);
      if (!signal.aborted && pods[arm].length > 0) looks.set(arm, arms.look(pods, arm, windowsMs));
    }
    const answer = async (query: MetricQuery): Promise<Measurement> => {
      if (!isBuiltIn(query)) {
        const message =
          'scrape: a query needs a metrics server: set --metrics-server, spec.metricsServer or a MetricTemplate with an address';
        return { kind: 'providerError', message };
      }
      const arm = armOf(query);
      const looking = looks.get(arm);
      const look = looking && (await unlessAborted(looking, signal));
      if (signal.aborted)
        return {
          kind: 'providerError',
          message: `scrape: the pods were not read on port ${port} before the check's deadline`,
        };
      if (!look) return { kind: 'noData', message: `the ${arm} has no ready pod to read` };
      const shortfall = shortfallOf(look, port);
      if (shortfall !== undefined) return { kind: 'providerError', message: shortfall };
      return measurementOf(query, look, options);
    };
    return await Promise.all(queries.map(answer));
  }

  return {
    provider: 'scrape',
    measure,
    counters: createScrapeCounters({ arms, port }),
    follow: followed.follow,
    arms,
    close: followed.close,
  };
}

const isBuiltIn = (query: MetricQuery) => query.kind !== 'custom';
const armOf = (query: MetricQuery): Arm => query.arm ?? 'canary';

function measurementOf(query: MetricQuery, look: Look, options: ScrapeOptions): Measurement {
  const { source, port } = options;
  const isRate = query.kind === 'request-success-rate';
  const name = isRate ? source.requests : source.durations;
  if (name === undefined) {
    const flag = isRate ? '--scrape-request-counter' : '--scrape-duration-histogram';
    return { kind: 'providerError', message: `scrape: ${query.metric} needs ${flag}` };
  }
  const window = look.history.window(query.windowMs);
  if (!window) {
    const message = `this was the first look at ${look.pods} pods on port ${port}; a value needs a second one`;
    return { kind: 'noData', message };
  }
  const { leastWindowMs = 0 } = query;
  if (window.lengthMs < leastWindowMs * LEAST_WINDOW_TOLERANCE) {
    const message = `${look.pods} pods have been looked at for ${seconds(window.lengthMs)} s; a value needs ${seconds(leastWindowMs)} s`;
    return { kind: 'noData', message };
  }
  const { requests, failures, buckets } = window.increments;
  const sampleCount = isRate ? requests : (buckets.get(Number.POSITIVE_INFINITY) ?? 0);
  const value = isRate
    ? (100 * (requests - failures)) / requests
    : histogramQuantile(
        QUANTILE,
        [...buckets].map(([upper, count]) => ({ upper, count })),
      );
  if (Number.isFinite(value)) return { kind: 'value', value, sampleCount };
  const hasSeries = [...look.history.pods().values()].some(pod =>
    isRate ? pod.requests.size > 0 : pod.durations.size > 0,
  );
  const message = hasSeries
    ? `no request of a user was counted by ${name} at ${look.pods} pods in ${seconds(window.lengthMs)} s`
    : `${look.pods} pods on port ${port} export no ${name} of users' requests yet`;
  return { kind: 'noData', message };
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(1);
}

interface Following {
  watch: () => Followed | undefined;
  history: string | undefined;
  timer: Timer | undefined;
}

/** Looks between checks, for as long as somebody says that there is something to look at. */
function createFollowed(clock: Clock, arms: Arms) {
  const followings = new Map<string, Following>();
  let isClosed = false;

  function end(key: string, following: Following): void {
    following.timer?.cancel();
    followings.delete(key);
    if (following.history !== undefined) arms.drop(following.history);
  }

  /** What is to be looked at now, with the memory of earlier runs dropped. */
  function current(key: string, following: Following): Followed | undefined {
    const now = following.watch();
    if (!now) {
      end(key, following);
      return undefined;
    }
    if (following.history !== undefined && following.history !== now.pods.history)
      arms.drop(following.history);
    following.history = now.pods.history;
    return now;
  }

  /** @param ageMs marks that are younger need no look */
  function look({ pods, arms: names, windowsMs }: Followed, ageMs: number): void {
    for (const arm of names) {
      const last = arms.last(pods.history, arm);
      // Pods that do not answer at all are asked by checks only, which have something to say about it.
      const isBlocked = last !== undefined && last.pods > 0 && last.answered === 0;
      if (pods[arm].length === 0 || isBlocked) continue;
      const markedAt = last?.history.markedAt();
      const isDue = markedAt === undefined || clock.now() - markedAt >= ageMs;
      // What a new pod counts before its first look is lost where it does not say when it began.
      const isNewDue = clock.now() - (last?.at ?? 0) >= BETWEEN_LOOKS_MS_MIN && arms.hasNew(pods, arm);
      if (isDue || isNewDue) void arms.look(pods, arm, windowsMs);
    }
  }

  function lookAgain(key: string, following: Following): void {
    const now = current(key, following);
    if (!now) return;
    const betweenMs = Math.min(
      BETWEEN_LOOKS_MS_MAX,
      Math.max(BETWEEN_LOOKS_MS_MIN, Math.min(...now.windowsMs) / LOOKS_PER_WINDOW),
    );
    // A check may have looked meanwhile.
    look(now, betweenMs / 2);
    following.timer = clock.setTimer(() => lookAgain(key, following), betweenMs);
  }

  return {
    follow(key: string, watch: () => Followed | undefined): void {
      const known = followings.get(key);
      if (known) {
        known.watch = watch;
        const now = current(key, known);
        // An arm that has come under analysis is looked at as soon as it has: its traffic begins now.
        if (now) look(now, Number.POSITIVE_INFINITY);
        return;
      }
      if (isClosed || !watch()) return;
      const following: Following = { watch, history: undefined, timer: undefined };
      followings.set(key, following);
      lookAgain(key, following);
    },
    close(): void {
      isClosed = true;
      for (const [key, following] of followings) end(key, following);
    },
  };
}
