/**
 * Carries requests to a real API server over a few shared, kept-alive connections, with current credentials, through the
 * environment's proxy if it names one. It adds authentication and nothing else; it never logs a header or a body.
 */
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Clock } from '../clock.ts';
import { type Credentials, createCredentialSource, type TlsOptions } from './credentials.ts';
import type { KubeConfig } from './kubeconfig.ts';
import { type Environment, proxyFor } from './proxy.ts';
import { ApiError, type HttpRequest, type HttpResponse, type Transport } from './types.ts';
import { Agent, type Dispatcher, ProxyAgent, request as send } from '../undici.ts';

export interface TransportOptions {
  clock: Clock;
  /** Of this program, for the User-Agent. */
  version: string;
  environment?: Environment;
}

export interface TransportHandle {
  transport: Transport;
  /** Cuts every connection; requests in flight fail. */
  close: () => Promise<void>;
}

/** As many calls at once as an API server's fair queues give one user without queueing; measured: 1,000 GETs in 0.23 s. */
const CALL_CONNECTIONS = 32;
/** Enough for every take-away of a mass rollback to be on its way, whatever the other calls do. */
const URGENT_CONNECTIONS = 8;
/** Each watch holds one connection for minutes: as many as kinds times namespaces, with a margin. */
const WATCH_CONNECTIONS = 1_024;
/** A page of 500 objects of 100 KiB each fits; more is a broken server or proxy. */
const LONGEST_BODY_BYTES = 64 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;
const HEADERS_TIMEOUT_MS = 30_000;
/** Silence within a body that is not a watch. */
const BODY_TIMEOUT_MS = 30_000;
/** Shorter than the idle timeouts of the load balancers that stand before API servers. */
const KEEP_ALIVE_MS = 30_000;
const TCP_KEEP_ALIVE_DELAY_MS = 30_000;

type SharedTls = Pick<TlsOptions, 'servername' | 'rejectUnauthorized'> & { secureContext?: SecureContext };

interface Pools {
  fingerprint: string;
  calls: Dispatcher;
  urgent: Dispatcher;
  watches: Dispatcher;
}

export function createTransport(kubeConfig: KubeConfig, options: TransportOptions): TransportHandle {
  const { cluster } = kubeConfig;
  const server = new URL(cluster.server);
  // Some servers live below a path, e.g. behind Rancher.
  const prefix = server.pathname.replace(/\/+$/, '');
  const proxy = cluster.proxyUrl || proxyFor(server, options.environment ?? process.env);
  const source = createCredentialSource(kubeConfig, options.clock);
  const userAgent = `serin/${options.version}`;
  let pools: Pools | undefined;
  let isClosed = false;
  const retiring = new Set<Pools>();

  function poolsFor(credentials: Credentials): Pools {
    if (isClosed) throw new ApiError('aborted', 'the transport is closed');
    if (pools?.fingerprint === credentials.fingerprint) return pools;
    // A rotated certificate: requests in flight end on the old connections, new ones use the new.
    if (pools) retire(pools);
    const tls = sharedTls(server, credentials.tls);
    pools = {
      fingerprint: credentials.fingerprint,
      calls: createPool(server, tls, proxy, CALL_CONNECTIONS),
      urgent: createPool(server, tls, proxy, URGENT_CONNECTIONS),
      watches: createPool(server, tls, proxy, WATCH_CONNECTIONS),
    };
    return pools;
  }

  function retire(old: Pools): void {
    retiring.add(old);
    const closing = [old.calls, old.urgent, old.watches].map(pool => pool.close());
    // A pool that was destroyed meanwhile refuses to close: it is gone either way.
    void Promise.allSettled(closing).then(() => retiring.delete(old));
  }

  async function once(request: HttpRequest, credentials: Credentials): Promise<HttpResponse> {
    const { calls, urgent, watches } = poolsFor(credentials);
    const answer = await send(server.origin + prefix + request.path, {
      dispatcher: request.stream ? watches : request.urgent ? urgent : calls,
      method: request.method,
      headers: { ...request.headers, ...credentials.headers, 'user-agent': userAgent },
      body: request.body ?? null,
      signal: request.signal ?? null,
      headersTimeout: HEADERS_TIMEOUT_MS,
      bodyTimeout: request.stream ? 0 : BODY_TIMEOUT_MS,
    });
    const headers = flatten(answer.headers);
    if (request.stream && answer.statusCode === 200) {
      return { status: 200, headers, text: '', chunks: decode(answer.body, request) };
    }
    return { status: answer.statusCode, headers, text: await readBounded(answer.body) };
  }

  async function transport(request: HttpRequest): Promise<HttpResponse> {
    try {
      const credentials = await source.current();
      const response = await once(request, credentials);
      // Refused before it was looked at: with new credentials it may be sent again, whatever it writes.
      if (response.status !== 401 || !source.renew(credentials)) return response;
      return await once(request, await source.current());
    } catch (error) {
      throw toApiError(error, request);
    }
  }

  return {
    transport,
    async close() {
      isClosed = true;
      const all = pools ? [pools, ...retiring] : [...retiring];
      await Promise.allSettled(
        all.flatMap(({ calls, urgent, watches }) => [calls, urgent, watches].map(pool => pool.destroy())),
      );
    },
  };
}

/** With one context for all connections: each would parse the certificates anew and keep 30 KB of its own. */
function sharedTls(server: URL, { ca, cert, key, ...rest }: TlsOptions): SharedTls {
  if (server.protocol !== 'https:') return rest;
  const material = { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
  return { ...rest, secureContext: createSecureContext(material) };
}

function createPool(server: URL, tls: SharedTls, proxy: string | undefined, connections: number): Dispatcher {
  const connect = {
    ...tls,
    timeout: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelay: TCP_KEEP_ALIVE_DELAY_MS,
    // One watch or call a connection: an HTTP/2 connection would carry all of them and fall with all of them.
    allowH2: false,
  };
  const shared = {
    connections,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    allowH2: false,
  };
  if (proxy === undefined) return new Agent({ ...shared, connect });
  const requestTls = { ...connect, servername: tls.servername ?? serverNameOf(server) };
  return new ProxyAgent({ ...shared, uri: proxy, requestTls, connectTimeout: CONNECT_TIMEOUT_MS });
}

/** TLS server names are host names only, never addresses. */
function serverNameOf(server: URL): string {
  const isAddress = server.hostname.startsWith('[') || /^[\d.]+$/.test(server.hostname);
  return isAddress ? '' : server.hostname;
}

function flatten(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value;
  }
  return flat;
}

async function readBounded(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    // Leaving the loop destroys the body and with it the connection.
    if (bytes > LONGEST_BODY_BYTES) {
      throw new ApiError('server', `the answer is longer than ${LONGEST_BODY_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function* decode(
  body: AsyncIterable<Buffer>,
  request: HttpRequest,
): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder();
  try {
    for await (const chunk of body) yield decoder.decode(chunk, { stream: true });
  } catch (error) {
    throw toApiError(error, request);
  }
}

function toApiError(error: unknown, request: HttpRequest): ApiError {
  if (error instanceof ApiError) return error;
  if (request.signal?.aborted) return new ApiError('aborted', 'the request was aborted');
  const { code, message } = error as { code?: unknown; message?: unknown };
  const name = typeof code === 'string' ? code : '';
  if (name === 'UND_ERR_HEADERS_TIMEOUT' || name === 'UND_ERR_BODY_TIMEOUT') {
    return new ApiError('timeout', `no answer in time (${name})`);
  }
  const detail = typeof message === 'string' ? message.slice(0, 200) : '';
  return new ApiError(
    'network',
    [name, detail].filter(part => part !== '').join(': ') || 'the connection failed',
  );
}
