/**
 * Answers metrics from a Prometheus: each query is one number, and every answer becomes a measurement; nothing is thrown.
 */
import type { Analyzer, Measurement, MetricQuery } from './analyzer.ts';
import { createPrometheusCounters } from './prometheusCounters.ts';
import { createAskPrometheus, type PrometheusOptions } from './prometheusQuery.ts';

export type { PrometheusOptions } from './prometheusQuery.ts';

export function createPrometheusAnalyzer(options: PrometheusOptions): Analyzer {
  const ask = createAskPrometheus(options);

  async function measured(query: MetricQuery, signal: AbortSignal): Promise<Measurement> {
    if (query.query === undefined)
      return { kind: 'providerError', message: 'prometheus: the metric has no query' };
    const answer = await ask(query.query, signal);
    if (!answer.ok) return { kind: 'providerError', message: answer.message };
    return measurementOf(answer.resultType, answer.result);
  }

  return {
    provider: 'prometheus',
    counters: createPrometheusCounters(options),
    measure: (queries, _pods, signal) => Promise.all(queries.map(query => measured(query, signal))),
  };
}

function measurementOf(resultType: string, result: readonly any[]): Measurement {
  if (resultType === 'scalar' || resultType === 'string') return ofNumber(Number(result[1]));
  if (resultType !== 'vector')
    return { kind: 'providerError', message: `prometheus: expected an instant vector, got a ${resultType}` };
  if (result.length === 0) return { kind: 'noData', message: 'the query answered no series' };
  // Two series are two answers; taking either would judge something that nobody asked for.
  if (result.length > 1)
    return { kind: 'providerError', message: `prometheus: expected one series, got ${result.length}` };
  return ofNumber(Number(result[0]?.value?.value));
}

function ofNumber(value: number): Measurement {
  // The client library makes NaN of both infinities and of an empty value: none of them is a number to judge.
  return Number.isFinite(value)
    ? { kind: 'value', value }
    : { kind: 'noData', message: 'the query answered no number' };
}
