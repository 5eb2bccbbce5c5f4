/**
 * The users: a steady stream of real requests, sent on time whether or not earlier ones have been answered, and an
 * account of every one of them. It tells failures of a release (a pod answered 5xx) from failures that nobody's
 * release explains. It never retries.
 */
import { Pool } from 'undici';
import { SPLIT_ERROR_HEADER } from './splitter.ts';

/** Requests are started in small groups at most this often; at low rates each has a tick of its own. */
const TICK_MS_MIN = 5;
const DEFAULT_CONCURRENCY = 64;
const DEFAULT_TIMEOUT_MS = 10_000;
/** A user's patience for the list of failures; counts go on beyond it. */
const FAILURES_MAX = 10_000;
/** What `recent` can look back on. */
const RECENT_MAX = 5_000;

export type FailureCause = 'release' | 'noEndpoint' | 'connection' | 'timeout';

export interface RequestResult {
  /** When it was sent, milliseconds since the epoch. */
  at: number;
  /** HTTP status; 0 when there was no answer. */
  status: number;
  /** Header `x-version` of the pod that answered; empty when none did. */
  version: string;
  pod: string;
  latencyMs: number;
  /** Header `x-split-error` of the data plane, or the client's own error code; empty when a pod answered. */
  splitError: string;
  /** Undefined for a request that did not fail (status below 500, by a pod). */
  cause: FailureCause | undefined;
}

export interface TrafficCounts {
  total: number;
  succeeded: number;
  failed: number;
  /** `release`: by version. They and the others sum to `failed`. */
  failedBy: { release: Record<string, number>; noEndpoint: number; connection: number; timeout: number };
  /** Requests that pods answered, by version. */
  byVersion: Record<string, { total: number; failed: number }>;
  /** Not sent because `concurrency` requests were under way: not failed, not in `total`. */
  skipped: number;
  inFlight: number;
}

/** Figures of the last moments, for a live display. Latencies are undefined when nothing was answered. */
export interface RecentTraffic {
  requests: number;
  failed: number;
  p50Ms: number | undefined;
  p99Ms: number | undefined;
  byVersion: Record<string, number>;
}

export interface TrafficOptions {
  /** The data plane's address. */
  target: { host: string; port: number };
  service: string;
  namespace: string;
  requestsPerSecond: number;
  /** Requests under way at once; what would exceed it is skipped and counted. */
  concurrency?: number;
  timeoutMs?: number;
  path?: string;
}

export interface Traffic {
  counts(): TrafficCounts;
  /** The first 10,000 failures, oldest first. */
  readonly failures: readonly RequestResult[];
  recent(windowMs: number): RecentTraffic;
  /** Sends no more and resolves when every answer is booked. */
  stop(): Promise<TrafficCounts>;
}

export function startTraffic(options: TrafficOptions): Traffic {
  const { requestsPerSecond, concurrency = DEFAULT_CONCURRENCY, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  if (!(requestsPerSecond > 0)) throw new Error('requestsPerSecond must be above 0');
  const pool = new Pool(`http://${options.target.host}:${options.target.port}`, {
    connections: concurrency,
    allowH2: false,
    connect: { timeout: timeoutMs },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  });
  const book = createBook();
  const underway = new Set<Promise<void>>();
  const send = (): void => {
    if (underway.size >= concurrency) return book.skip();
    const sent = request(pool, options).then(result => {
      underway.delete(sent);
      book.add(result);
    });
    underway.add(sent);
  };

  const startedAt = performance.now();
  let due = 0;
  const timer = setInterval(
    () => {
      const owed = Math.floor(((performance.now() - startedAt) / 1000) * requestsPerSecond);
      for (; due < owed; due++) send();
    },
    Math.max(TICK_MS_MIN, 1000 / requestsPerSecond),
  );
  timer.unref();

  const counts = (): TrafficCounts => ({ ...book.counts(), inFlight: underway.size });
  let stopped: Promise<TrafficCounts> | undefined;
  return {
    counts,
    failures: book.failures,
    recent: windowMs => book.recent(windowMs),
    stop() {
      stopped ??= (async () => {
        clearInterval(timer);
        await Promise.all(underway);
        await pool.close();
        return counts();
      })();
      return stopped;
    },
  };
}

/** Never rejects. */
async function request(pool: Pool, options: TrafficOptions): Promise<RequestResult> {
  const at = Date.now();
  const startedAt = performance.now();
  try {
    const answer = await pool.request({
      method: 'GET',
      path: options.path ?? '/',
      headers: { host: `${options.service}.${options.namespace}` },
    });
    await answer.body.dump();
    const header = (name: string): string => String(answer.headers[name] ?? '');
    const result = {
      at,
      status: answer.statusCode,
      version: header('x-version'),
      pod: header('x-pod'),
      latencyMs: performance.now() - startedAt,
      splitError: header(SPLIT_ERROR_HEADER),
    };
    return { ...result, cause: causeOfAnswer(result) };
  } catch (error) {
    const code = (error as { code?: string }).code ?? (error as Error).name;
    const cause = code.includes('TIMEOUT') ? 'timeout' : 'connection';
    const latencyMs = performance.now() - startedAt;
    return { at, status: 0, version: '', pod: '', latencyMs, splitError: code, cause };
  }
}

/** Which failure, if any, an answer is. Exported for its table of cases. */
export function causeOfAnswer(answer: {
  status: number;
  pod: string;
  splitError: string;
}): FailureCause | undefined {
  if (answer.splitError === 'timeout') return 'timeout';
  if (answer.splitError === 'connection') return 'connection';
  // An unknown Service is for the user what a Service without endpoints is.
  if (answer.splitError !== '') return 'noEndpoint';
  if (answer.status < 500) return undefined;
  // Without a pod's name it was some proxy on the way that failed.
  return answer.pod === '' ? 'connection' : 'release';
}

interface Book {
  add(result: RequestResult): void;
  skip(): void;
  counts(): Omit<TrafficCounts, 'inFlight'>;
  readonly failures: RequestResult[];
  recent(windowMs: number): RecentTraffic;
}

function createBook(): Book {
  const failures: RequestResult[] = [];
  const recent: RequestResult[] = [];
  const byVersion = new Map<string, { total: number; failed: number }>();
  const failedBy = { noEndpoint: 0, connection: 0, timeout: 0 };
  let [total, failed, skipped] = [0, 0, 0];
  return {
    failures,
    add(result) {
      total += 1;
      const { cause, version } = result;
      if (cause !== undefined) {
        failed += 1;
        if (failures.length < FAILURES_MAX) failures.push(result);
        if (cause !== 'release') failedBy[cause] += 1;
      }
      if (cause === undefined || cause === 'release') {
        const ofVersion = byVersion.get(version) ?? { total: 0, failed: 0 };
        ofVersion.total += 1;
        if (cause !== undefined) ofVersion.failed += 1;
        byVersion.set(version, ofVersion);
      }
      recent.push(result);
      // Trimmed in bulk: shifting one by one would cost a copy for every request.
      if (recent.length >= 2 * RECENT_MAX) recent.splice(0, recent.length - RECENT_MAX);
    },
    skip() {
      skipped += 1;
    },
    counts() {
      const versions = [...byVersion].map(([version, of]) => [version, { ...of }] as const);
      const broken = versions
        .filter(([, of]) => of.failed > 0)
        .map(([version, of]) => [version, of.failed] as const);
      return {
        total,
        succeeded: total - failed,
        failed,
        failedBy: { release: Object.fromEntries(broken), ...failedBy },
        byVersion: Object.fromEntries(versions),
        skipped,
      };
    },
    recent: windowMs => summary(recent.slice(-RECENT_MAX), Date.now() - windowMs),
  };
}

function summary(results: RequestResult[], since: number): RecentTraffic {
  const within = results.filter(result => result.at >= since);
  const answered = within.filter(result => result.pod !== '');
  const latencies = answered.map(result => result.latencyMs).toSorted((a, b) => a - b);
  const quantile = (share: number): number | undefined => latencies[Math.ceil(share * latencies.length) - 1];
  const byVersion: Record<string, number> = {};
  for (const result of answered) byVersion[result.version] = (byVersion[result.version] ?? 0) + 1;
  return {
    requests: within.length,
    failed: within.filter(result => result.cause !== undefined).length,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    byVersion,
  };
}
