/**
 * The played world's own connection to an API server: JSON requests over one bounded pool, and raw watch streams.
 * It shares no code with the engine, so that a fault in the engine's client cannot hide in the world around it.
 * It never retries: whoever asks decides what a failure means.
 */
import { Agent } from 'undici';

/** Keeps a burst of several hundred pods from opening several hundred connections. */
const DEFAULT_CONNECTIONS = 16;
const REQUEST_TIMEOUT_MS = 10_000;
/** Lists of a rig with a few thousand objects stay far below this. */
const BODY_BYTES_MAX = 64 * 1024 * 1024;

export interface WorldApiOptions {
  /** e.g. `https://127.0.0.1:6443`, without a trailing slash. */
  baseUrl: string;
  /** PEM of the certificate authority; Node's own when absent. */
  ca?: string;
  bearerToken?: string;
  connections?: number;
}

export interface WorldAnswer {
  /** HTTP status, any. */
  status: number;
  /** The parsed JSON body; undefined when the body was empty. */
  body: any;
}

export type WorldMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface WorldApi {
  /**
   * One JSON request. Resolves with any HTTP status; rejects only when there was no answer within 10 s.
   * A PATCH is a JSON merge patch unless `contentType` says otherwise.
   */
  request(method: WorldMethod, path: string, body?: unknown, contentType?: string): Promise<WorldAnswer>;
  /** Opens a stream. `chunks` is undefined when the status is not 200. The signal ends it. */
  stream(
    path: string,
    signal: AbortSignal,
  ): Promise<{ status: number; chunks: AsyncIterable<Uint8Array> | undefined }>;
  close(): Promise<void>;
}

export function createWorldApi(options: WorldApiOptions): WorldApi {
  const connect = options.ca === undefined ? {} : { ca: options.ca };
  // Watches hold a connection for minutes: with a pool of their own they cannot starve requests.
  const requests = new Agent({
    connect,
    allowH2: false,
    connections: options.connections ?? DEFAULT_CONNECTIONS,
  });
  const streams = new Agent({ connect, allowH2: false, bodyTimeout: 0 });
  const origin = options.baseUrl.replace(/\/$/, '');
  const headers: Record<string, string> = { accept: 'application/json', 'user-agent': 'serin-played-world' };
  if (options.bearerToken !== undefined) headers['authorization'] = `Bearer ${options.bearerToken}`;

  return {
    async request(method, path, body, contentType) {
      const isPatch = method === 'PATCH';
      const type = contentType ?? (isPatch ? 'application/merge-patch+json' : 'application/json');
      const answer = await requests.request({
        origin,
        path,
        method,
        headers: body === undefined ? headers : { ...headers, 'content-type': type },
        body: body === undefined ? null : JSON.stringify(body),
        headersTimeout: REQUEST_TIMEOUT_MS,
        bodyTimeout: REQUEST_TIMEOUT_MS,
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      const text = await readText(answer.body);
      return { status: answer.statusCode, body: parseJson(text) };
    },

    async stream(path, signal) {
      const answer = await streams.request({
        origin,
        path,
        method: 'GET',
        headers,
        headersTimeout: REQUEST_TIMEOUT_MS,
        bodyTimeout: 0,
        signal,
      });
      if (answer.statusCode === 200) return { status: 200, chunks: answer.body };
      await answer.body.dump();
      return { status: answer.statusCode, chunks: undefined };
    },

    async close() {
      await Promise.all([requests.destroy(), streams.destroy()]);
    },
  };
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > BODY_BYTES_MAX)
      throw new Error(`the API server's answer is larger than ${BODY_BYTES_MAX} bytes`);
    parts.push(chunk);
  }
  return Buffer.concat(parts).toString('utf8');
}

function parseJson(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    // Proxies and panicking handlers answer plain text; the status says enough.
    return { message: text.slice(0, 500) };
  }
}
