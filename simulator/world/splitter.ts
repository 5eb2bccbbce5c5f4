/**
 * The played data plane: an HTTP proxy that sends each request for `<service>.<namespace>` to a ready endpoint, and obeys
 * SMI TrafficSplits as Linkerd's proxy does. It holds no opinion on weights and never repairs them: what the API server
 * says is what clients get, errors included.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream';
import { Pool } from 'undici';
import type { WorldApi } from './api.ts';
import { watchRoutes } from './routes.ts';
import type { Routes } from './routes.ts';
import { serviceOfHost } from './routing.ts';

/** Connections to one pod; more requests wait for one of these. */
const CONNECTIONS_PER_ENDPOINT = 32;
const CONNECT_TIMEOUT_MS = 1_000;
/** A pod that does not begin to answer, or stops in the middle, is given up. */
const RESPONSE_TIMEOUT_MS = 15_000;
/** Shorter than the pods' own, so that the proxy is the one that closes. */
const KEEP_ALIVE_MS = 30_000;
/** How long `close` lets running requests finish. */
const DRAIN_MS = 2_000;

/** Value of the header `x-split-error` on answers that no pod gave. */
export type SplitError = 'unknown-host' | 'no-service' | 'no-endpoint' | 'connection' | 'timeout';
export const SPLIT_ERROR_HEADER = 'x-split-error';
/** On every answer of a pod: the Service that it was reached by. */
export const SPLIT_BACKEND_HEADER = 'x-split-backend';

export interface SplitterOptions {
  api: WorldApi;
  /** Default: 127.0.0.1 and a free port. */
  listen?: { host?: string; port?: number };
  /** Try another endpoint once when the first cannot be connected to, as most proxies do. Default false. */
  retryOnConnectFailure?: boolean;
  random?: () => number;
}

export interface Splitter {
  readonly host: string;
  readonly port: number;
  /** Resolves when Services, slices and splits are known. Requests before that may find no Service. */
  readonly synced: Promise<void>;
  /** Requests sent since the last call: `<namespace>/<service asked for>` -> backend Service -> count. */
  observed(): Record<string, Record<string, number>>;
  /** The weights as now obeyed: backend -> weight. Undefined when no split roots on this Service. */
  weights(namespace: string, root: string): Record<string, number> | undefined;
  close(): Promise<void>;
}

interface Proxy {
  routes: Routes;
  pools: Map<string, Pool>;
  turns: Map<string, number>;
  observed: Map<string, Map<string, number>>;
  retries: boolean;
  random: () => number;
}

export async function startSplitter(options: SplitterOptions): Promise<Splitter> {
  const pools = new Map<string, Pool>();
  const closing = new Set<Promise<void>>();
  const routes = watchRoutes(options.api, gone => {
    for (const endpoint of gone) {
      const pool = pools.get(endpoint);
      if (pool === undefined) continue;
      pools.delete(endpoint);
      // Requests that are under way finish; a pool that fails to close has nothing left to close.
      const ending = pool.close().then(
        () => void closing.delete(ending),
        () => void closing.delete(ending),
      );
      closing.add(ending);
    }
  });
  const proxy: Proxy = {
    routes,
    pools,
    turns: new Map(),
    observed: new Map(),
    retries: options.retryOnConnectFailure ?? false,
    random: options.random ?? Math.random,
  };
  const server = createServer((request, response) => {
    void forward(proxy, request, response);
  });
  const host = options.listen?.host ?? '127.0.0.1';
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.listen?.port ?? 0, host, resolve);
    });
  } catch (error) {
    await routes.close();
    throw error;
  }
  return {
    host,
    port: (server.address() as AddressInfo).port,
    synced: routes.synced,
    observed() {
      const counts = [...proxy.observed].map(
        ([root, backends]) => [root, Object.fromEntries(backends)] as const,
      );
      proxy.observed.clear();
      return Object.fromEntries(counts);
    },
    weights(namespace, root) {
      const backends = routes.weights(namespace, root);
      return backends && Object.fromEntries(backends.map(backend => [backend.service, backend.weight]));
    },
    async close() {
      await routes.close();
      const closed = new Promise<void>(resolve => server.close(() => resolve()));
      server.closeIdleConnections();
      const limit = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
      await closed;
      clearTimeout(limit);
      await Promise.all([...pools.values()].map(pool => pool.destroy()));
      await Promise.all(closing);
    },
  };
}

async function forward(proxy: Proxy, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const target = serviceOfHost(request.headers.host ?? '');
  if (target === undefined) return fail(request, response, 404, 'unknown-host');
  const route = proxy.routes.route(target.namespace, target.name, target.port, proxy.random());
  if (route.kind === 'noService') return fail(request, response, 503, 'no-service');
  if (route.kind === 'noEndpoint') return fail(request, response, 503, 'no-endpoint');

  const root = `${target.namespace}/${target.name}`;
  const counts = proxy.observed.get(root) ?? new Map<string, number>();
  proxy.observed.set(root, counts.set(route.backend, (counts.get(route.backend) ?? 0) + 1));

  const turnKey = `${target.namespace}/${route.backend}`;
  const turn = proxy.turns.get(turnKey) ?? 0;
  proxy.turns.set(turnKey, turn + 1);
  const endpointAt = (step: number): string => route.endpoints[(turn + step) % route.endpoints.length] ?? '';
  const hasBody = request.headers['content-length'] !== undefined || 'transfer-encoding' in request.headers;
  // A body that was begun cannot be sent a second time.
  const tries = proxy.retries && !hasBody && route.endpoints.length > 1 ? 2 : 1;
  for (let step = 0; step < tries; step++) {
    const outcome = await send(proxy, endpointAt(step), route.backend, request, response, hasBody);
    if (outcome === 'done') return;
    if (outcome === 'timeout') return fail(request, response, 504, 'timeout');
    if (outcome === 'broken') break;
  }
  fail(request, response, 502, 'connection');
}

/** `unconnected`: the pod has seen nothing of the request. Anything but `done` leaves the response unbegun. */
async function send(
  proxy: Proxy,
  endpoint: string,
  backend: string,
  request: IncomingMessage,
  response: ServerResponse,
  hasBody: boolean,
): Promise<'done' | 'unconnected' | 'broken' | 'timeout'> {
  const gone = new AbortController();
  const onClose = (): void => gone.abort();
  response.once('close', onClose);
  try {
    const answer = await poolOf(proxy, endpoint).request({
      method: (request.method ?? 'GET') as 'GET',
      path: request.url ?? '/',
      headers: endToEnd(request.headers),
      body: hasBody ? request : null,
      signal: gone.signal,
    });
    const headers = { ...endToEnd(answer.headers), [SPLIT_BACKEND_HEADER]: backend };
    response.writeHead(answer.statusCode, headers);
    await new Promise<void>(resolve => {
      // When the pod breaks off in the middle, `pipeline` destroys the client's connection too: it must not look whole.
      pipeline(answer.body, response, () => resolve());
    });
    return 'done';
  } catch (error) {
    if (gone.signal.aborted) return 'done';
    return causeOf(error);
  } finally {
    response.off('close', onClose);
  }
}

function causeOf(error: unknown): 'unconnected' | 'broken' | 'timeout' {
  const { code, syscall } = error as { code?: string; syscall?: string };
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return 'timeout';
  // A pool that was closed a moment ago has sent nothing either.
  const unsent = ['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_CLOSED', 'UND_ERR_DESTROYED'];
  return syscall === 'connect' || unsent.includes(code ?? '') ? 'unconnected' : 'broken';
}

function poolOf(proxy: Proxy, endpoint: string): Pool {
  let pool = proxy.pools.get(endpoint);
  if (pool === undefined) {
    pool = new Pool(`http://${endpoint}`, {
      connections: CONNECTIONS_PER_ENDPOINT,
      allowH2: false,
      connect: { timeout: CONNECT_TIMEOUT_MS },
      headersTimeout: RESPONSE_TIMEOUT_MS,
      bodyTimeout: RESPONSE_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
    });
    proxy.pools.set(endpoint, pool);
  }
  return pool;
}

/** RFC 9110 section 7.6.1: these belong to one connection and are not passed on. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
]);

function endToEnd(headers: NodeJS.Dict<string | string[]>): Record<string, string | string[]> {
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !HOP_BY_HOP.has(name)) kept[name] = value;
  }
  return kept;
}

function fail(
  request: IncomingMessage,
  response: ServerResponse,
  statusCode: number,
  error: SplitError,
): void {
  if (response.headersSent || response.destroyed) return;
  request.resume();
  response.writeHead(statusCode, { [SPLIT_ERROR_HEADER]: error, 'content-length': 0 });
  response.end();
}
