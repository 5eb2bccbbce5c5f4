/**
 * Asks one Prometheus by `prometheus-query`, and survives it: its rejections are plain objects that may hold passwords, and
 * it has no deadline of its own that can be cut short. Nothing is thrown, and no message holds more than the kind of the
 * failure and the server's own sentence.
 */
import type { PrometheusDriver } from 'prometheus-query';
import { proxyFor } from '../engine/kubernetes/proxy.ts';
import { unlessAborted } from './aborted.ts';
import { addressProblem } from './address.ts';
import { type ConnectionOptions, connectionOf, UNUSABLE_FILE } from './prometheusConnection.ts';

export interface PrometheusOptions extends ConnectionOptions {
  timeoutMs?: number;
}

export type PrometheusAnswer =
  /** As the library gives it: infinities and empty values are NaN. */
  { ok: true; resultType: string; result: readonly any[] } | { ok: false; message: string };

/** An instant query, evaluated at the server's own time. Never throws. */
export type AskPrometheus = (query: string, signal: AbortSignal) => Promise<PrometheusAnswer>;

const TIMEOUT_MS = 5_000;
const MESSAGE_MAX = 200;

export function createAskPrometheus(options: PrometheusOptions): AskPrometheus {
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

  return async (query, signal) => {
    if (problem) return { ok: false, message: `prometheus: ${problem}` };
    if (signal.aborted) return { ok: false, message: 'prometheus: aborted' };
    try {
      const answer = await unlessAborted(
        connected().then(connection => connection.instantQuery(query)),
        signal,
      );
      if (!answer) return { ok: false, message: 'prometheus: aborted' };
      return { ok: true, resultType: answer.resultType, result: answer.result };
    } catch (thrown) {
      return { ok: false, message: describe(thrown) };
    }
  };
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
