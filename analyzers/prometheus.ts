/**
 * Asks Prometheus by `prometheus-query`, and survives it: its rejections are plain objects that may hold passwords, it
 * turns infinity into NaN, and it has no deadline of its own that can be cut short. Every answer becomes a measurement;
 * nothing is thrown, and no message holds more than the kind of the failure and the server's own sentence.
 */
import type { PrometheusDriver } from 'prometheus-query';
import { addressProblem } from './address.ts';
import type { Analyzer, Measurement, MetricQuery } from './analyzer.ts';
import { proxyFor } from '../engine/kubernetes/proxy.ts';
import { type ConnectionOptions, connectionOf, UNUSABLE_FILE } from './prometheusConnection.ts';

export interface PrometheusOptions extends ConnectionOptions {
  timeoutMs?: number;
}

const TIMEOUT_MS = 5_000;
const MESSAGE_MAX = 200;

export function createPrometheusAnalyzer(options: PrometheusOptions): Analyzer {
  const { address, egress, environment = process.env } = options;
  const isProxied = URL.canParse(address) && proxyFor(new URL(address), environment) !== undefined;
  const problem = addressProblem(address, egress, isProxied);
  const { timeoutMs = TIMEOUT_MS } = options;
  let driver: PrometheusDriver | undefined;

  /** The library takes 25 MB and 0.1 s to load: not before somebody is judged. */
  async function connected(): Promise<PrometheusDriver> {
    const { PrometheusDriver: Driver } = await import('prometheus-query');
    return (driver ??= new Driver({
      endpoint: options.address.replace(/\/+$/, ''),
      baseURL: '/api/v1',
      timeout: timeoutMs,
      preferPost: true,
      ...connectionOf(options),
    }));
  }

  async function ask(query: MetricQuery, signal: AbortSignal): Promise<Measurement> {
    if (problem) return { kind: 'providerError', message: `prometheus: ${problem}` };
    if (query.query === undefined)
      return { kind: 'providerError', message: 'prometheus: the metric has no query' };
    if (signal.aborted) return { kind: 'providerError', message: 'prometheus: aborted' };
    const { query: text } = query;
    const aborted = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject({ errorType: 'aborted' }), { once: true });
    });
    try {
      const answering = connected().then(connection => connection.instantQuery(text));
      const answer = await Promise.race([answering, aborted]);
      return measurementOf(answer.resultType, answer.result);
    } catch (thrown) {
      return { kind: 'providerError', message: describe(thrown) };
    }
  }

  return {
    provider: 'prometheus',
    measure: (queries, _pods, signal) => Promise.all(queries.map(query => ask(query, signal))),
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

/** Only fields that cannot hold a secret: never `original`, which has the request with its credentials. */
function describe(thrown: unknown): string {
  const {
    errorType,
    error,
    code: cause,
    status,
    httpStatus,
    prometheus,
  } = (thrown ?? {}) as Record<string, any>;
  if (cause === UNUSABLE_FILE) return `prometheus: ${error}`.slice(0, MESSAGE_MAX);
  if (thrown instanceof TypeError) return 'prometheus: the answer is not one of the query API';
  const code = httpStatus ?? (typeof status === 'number' ? status : undefined);
  const sentence = typeof error === 'string' ? error : (prometheus?.errorType ?? '');
  const parts = [
    errorType ?? 'failed',
    code === undefined ? '' : `HTTP ${code}`,
    String(sentence).replace(/\s+/g, ' '),
  ].filter(Boolean);
  return `prometheus: ${parts.join(', ')}`.slice(0, MESSAGE_MAX);
}
