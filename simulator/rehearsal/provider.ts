/**
 * The metrics provider of a rehearsal: it answers rates, quantiles and raw counters from what was scraped, as a
 * Prometheus does beside Linkerd. What only a user's own query would tell it cannot know: such a metric is within its
 * bounds.
 */
import type { Analyzer, Measurement, MetricQuery } from '../../analyzers/analyzer.ts';
import type { ArmScope, CounterAnswer, CounterQuery, HistoryAnswer } from '../../analyzers/counterReader.ts';
import type { PodCounters, RequestSeries } from '../../analyzers/scrape/counters.ts';
import { histogramQuantile } from '../../analyzers/scrape/quantile.ts';
import type { Clock } from '../../engine/clock.ts';
import type { MetricSetting } from '../../engine/core/settings.ts';
import type { Asker } from '../simulation/engines.ts';
import { type Scope, scopeOf } from '../simulation/metricsSource.ts';
import { type PodCount, UPPERS_MS } from './counts.ts';
import { HISTORY_MINUTES, latestBy, MINUTE_MS, type Sample, type Scraped, type Scrapes } from './scrapes.ts';

export interface ProviderOptions {
  clock: Clock;
  scrapes: Pick<Scrapes, 'of'>;
  metrics: readonly MetricSetting[];
}

const QUANTILE = 0.99;

export function createProvider({ clock, scrapes, metrics }: ProviderOptions): (asker: Asker) => Analyzer {
  function measured(query: MetricQuery): Measurement {
    if (query.kind === 'custom') return { kind: 'value', value: passingValue(metrics, query.metric) };
    const scope = scopeOf(query.query ?? '');
    if (!scope) return { kind: 'providerError', message: 'the query names no workload' };
    const { succeeded, failed, within } = increments(scrapes, scope, clock.now() - query.windowMs);
    const requests = succeeded + failed;
    if (requests === 0) return { kind: 'noData', message: 'no request in the window' };
    if (query.kind === 'request-success-rate') return { kind: 'value', value: (100 * succeeded) / requests };
    const buckets = UPPERS_MS.map((upper, index) => ({ upper, count: within[index] ?? 0 }));
    return { kind: 'value', value: histogramQuantile(QUANTILE, buckets) };
  }

  function latest({ deployment, replicaSets }: ArmScope): { sampledAtMs: number; pods: Counters } {
    const found = scrapes.of(deployment, replicaSets).flatMap(([name, one]) => {
      const sample = one.isGone ? undefined : latestBy(one, clock.now());
      return sample ? [{ name, one, sample }] : [];
    });
    return {
      sampledAtMs: Math.max(0, ...found.map(({ sample }) => sample.atMs)),
      pods: new Map(found.map(({ name, one, sample }) => [name, countersOf(one, sample)])),
    };
  }

  function readingOf(query: CounterQuery): CounterAnswer {
    const [canary, primary] = [latest(query.canary), latest(query.primary)];
    const hasPrimary = primary.pods.size > 0;
    const reading = {
      atMs: clock.now(),
      // Born without series: it has counted nothing, as long as anything is known at all.
      canary: canary.pods.size > 0 || hasPrimary ? canary.pods : undefined,
      primary: hasPrimary ? primary.pods : undefined,
    };
    const sampledAtMs = Math.max(canary.sampledAtMs, primary.sampledAtMs);
    return { kind: 'reading', reading, sampledAtMs: sampledAtMs > 0 ? sampledAtMs : undefined };
  }

  function historyOf({ primary }: CounterQuery): HistoryAnswer {
    const named = scrapes.of(primary.deployment, primary.replicaSets);
    const lastMinute = Math.floor(clock.now() / MINUTE_MS);
    const samples = Array.from({ length: HISTORY_MINUTES }, (_, index) => {
      const atMs = (lastMinute + 1 + index - HISTORY_MINUTES) * MINUTE_MS;
      const known = named.flatMap(([name, one]): [string, PodCounters][] => {
        const sample = latestBy(one, atMs);
        return sample ? [[name, countersOf(one, sample)]] : [];
      });
      return { atMs, pods: new Map(known) };
    });
    return { kind: 'history', samples: samples.filter(sample => sample.pods.size > 0) };
  }

  return ({ process, lagMs }) => {
    /** True when it is said, not when it was asked. */
    const later = <Answer>(answer: () => Answer): Promise<Answer> =>
      new Promise(resolve => {
        clock.setTimer(() => {
          const said = answer();
          process.deliver(() => resolve(said));
        }, lagMs());
      });
    return {
      provider: 'rehearsed',
      measure: queries => Promise.all(queries.map(query => later(() => measured(query)))),
      counters: {
        read: query => later(() => readingOf(query)),
        history: query => later(() => historyOf(query)),
      },
    };
  };
}

type Counters = ReadonlyMap<string, PodCounters>;

/** What all pods counted between the first and the last sample since then: a rate needs two. */
function increments(
  scrapes: Pick<Scrapes, 'of'>,
  { workload, replicaSets }: Scope,
  fromMs: number,
): PodCount {
  const sum = { succeeded: 0, failed: 0, within: UPPERS_MS.map(() => 0) };
  for (const [, { samples }] of scrapes.of(workload, replicaSets)) {
    const first = samples.find(({ atMs }) => atMs > fromMs);
    const last = samples.at(-1);
    if (!first || !last) continue;
    sum.succeeded += last.succeeded - first.succeeded;
    sum.failed += last.failed - first.failed;
    sum.within = sum.within.map((all, i) => all + (last.within[i] ?? 0) - (first.within[i] ?? 0));
  }
  return sum;
}

/** Series are born with what they count first. */
function countersOf({ startedAtMs }: Scraped, { succeeded, failed, within }: Sample): PodCounters {
  const requests = new Map<string, RequestSeries>();
  if (succeeded > 0) requests.set('success', { isFailure: false, count: succeeded });
  if (failed > 0) requests.set('failure', { isFailure: true, count: failed });
  return {
    startedAt: startedAtMs,
    requests,
    durations: new Map([['', { uppersMs: UPPERS_MS, counts: within }]]),
    summed: requests.size,
  };
}

function passingValue(metrics: readonly MetricSetting[], name: string): number {
  const metric = metrics.find(one => one.name === name && one.kind === 'custom');
  return metric?.min ?? metric?.max ?? 0;
}
