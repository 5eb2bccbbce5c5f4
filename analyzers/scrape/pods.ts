/**
 * Fetches one pod's own metrics and reads them as they arrive: one GET, plain HTTP to the pod's address, no redirect, no
 * proxy, a deadline and a bound on the body, which is never held as a whole. Every failure is an answer that says what
 * happened and repeats nothing that the pod sent.
 */
import { get, type IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import type { Clock } from '../../engine/clock.ts';
import { addressProblem } from '../address.ts';
import type { PodAddress } from '../analyzer.ts';
import { createCounterReader, type PodCounters } from './counters.ts';
import { createExpositionReader, ExpositionError } from './exposition.ts';
import { createSlots } from './slots.ts';
import type { CounterSource } from './sources.ts';

export type PodAnswer = { ok: true; counters: PodCounters } | { ok: false; problem: string };

export interface PodReaderOptions {
  clock: Clock;
  source: CounterSource;
  port: number;
  path: string;
  timeoutMs?: number;
}

/** Of the whole engine: a metrics page of a megabyte takes some 10 ms to read, and the engine has other things to do. */
export const SCRAPES_MAX = 16;
/** Proxies with thousands of outbound series stay below 2 MiB. */
export const BODY_BYTES_MAX = 4 * 1024 * 1024;
/** From the first packet to the last byte. A check has 15 s for up to 64 pods, 8 at once. */
const TIMEOUT_MS = 2_000;
/** Any other form of the format (OpenMetrics, protobuf) is not asked for. */
const ACCEPT = 'text/plain;version=0.0.4';

/** Never rejects. At most SCRAPES_MAX are under way at once; the time spent waiting is not part of the deadline. */
export type PodReader = (pod: PodAddress) => Promise<PodAnswer>;

export function createPodReader(options: PodReaderOptions): PodReader {
  const slots = createSlots(SCRAPES_MAX);
  return pod => slots.run(() => read(pod, options));
}

async function read(pod: PodAddress, options: PodReaderOptions): Promise<PodAnswer> {
  const { clock, source, port, path, timeoutMs = TIMEOUT_MS } = options;
  const host = isIPv6(pod.ip) ? `[${pod.ip}]` : pod.ip;
  // Whoever may write EndpointSlices must not send the engine where only its node may go.
  if (addressProblem(`http://${host}:${port}`)) return { ok: false, problem: 'its address is not asked' };
  const deadline = new AbortController();
  const timer = clock.setTimer(() => deadline.abort(), timeoutMs);
  try {
    const response = await ask({ host: pod.ip, port, path }, deadline.signal);
    if (response.statusCode !== 200) {
      response.destroy();
      return { ok: false, problem: `HTTP ${response.statusCode}${hintOf(response.statusCode)}` };
    }
    return { ok: true, counters: await countersOf(response, source) };
  } catch (error) {
    return {
      ok: false,
      problem: deadline.signal.aborted ? `no answer within ${timeoutMs / 1_000} s` : problemOf(error),
    };
  } finally {
    timer.cancel();
  }
}

/** A connection for one request: pods come and go, and an idle one might be closed at the very moment of its use. */
function ask(target: { host: string; port: number; path: string }, signal: AbortSignal) {
  return new Promise<IncomingMessage>((resolve, reject) => {
    get({ ...target, agent: false, signal, headers: { accept: ACCEPT } }, resolve).on('error', reject);
  });
}

async function countersOf(response: IncomingMessage, source: CounterSource): Promise<PodCounters> {
  const encoding = response.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity')
    throw new ExpositionError('a compressed answer, which was not asked for');
  const counters = createCounterReader(source);
  const exposition = createExpositionReader(name => source.wants(name), counters.take);
  const decoder = new TextDecoder();
  let bytes = 0;
  // Leaving the loop by an error destroys the response and its connection.
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX)
      throw new ExpositionError(`an answer longer than ${BODY_BYTES_MAX / 1024 / 1024} MiB`);
    exposition.push(decoder.decode(chunk, { stream: true }));
  }
  exposition.push(decoder.decode());
  exposition.end();
  return counters.counters();
}

function hintOf(status: number | undefined): string {
  return status === 401 || status === 403 ? ', a policy forbids it' : '';
}

const PROBLEMS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ETIMEDOUT: 'connection timed out',
};

/** Only codes and own sentences: other messages may hold what the pod sent. */
function problemOf(error: unknown): string {
  if (error instanceof ExpositionError) return error.message;
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' ? (PROBLEMS[code] ?? code) : 'the request failed';
}
