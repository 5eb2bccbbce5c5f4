/**
 * The program of a played pod: a real HTTP server on the pod's own address, and, where the pod declares the port, the
 * metrics endpoint of a Linkerd proxy beside it. It asks for its behaviour at every request, so that a test can make a
 * running pod fail. It knows nothing of the API server, and starts and stops only its own sockets.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createPodMetrics } from './podmetrics.ts';
import type { PodMetrics } from './podmetrics.ts';

/** Longer than a proxy's own idle limit, so that the proxy closes first and no request meets a closing socket. */
const KEEP_ALIVE_MS = 65_000;
/** Requests that are still running when a pod's server stops get this long. */
const DRAIN_MS = 2_000;
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export interface AppTraits {
  errorPercent: number;
  latencyMs: number;
  latencyJitterMs: number;
  isReady: boolean;
}

export interface AppOptions {
  /** IPv4 address to bind; both servers use it. */
  address: string;
  port: number;
  /** Port of the Linkerd-like metrics; undefined when the pod declares none. */
  adminPort: number | undefined;
  podName: string;
  version: string;
  /** Asked at every request. */
  traits: () => AppTraits;
  /** Uniform in [0, 1). */
  random?: () => number;
}

export interface App {
  readonly metrics: PodMetrics;
  /** What the kubelet's HTTP probe of this program does, without the socket. Counted like any other probe. */
  probe(): boolean;
  /** Stops accepting; requests that are running may finish. */
  stop(): Promise<void>;
  /** As a killed process: sockets are reset at once. */
  kill(): Promise<void>;
}

/** Rejects with the listen error (`EADDRINUSE`, …), leaving nothing open. */
export async function startApp(options: AppOptions): Promise<App> {
  const metrics = createPodMetrics(options);
  const random = options.random ?? Math.random;
  const timers = new Set<NodeJS.Timeout>();
  const main = createServer((request, response) => {
    handle(options, metrics, request, response, random, timers);
  });
  const servers = [main];
  if (options.adminPort !== undefined) {
    servers.push(
      createServer((request, response) => {
        if (request.url === '/metrics') answer(response, 200, metrics.linkerdText(), METRICS_TYPE);
        else answer(response, request.url === '/ready' || request.url === '/live' ? 200 : 404, '');
      }),
    );
  }
  const ports = [options.port, options.adminPort ?? 0];
  try {
    for (const [index, server] of servers.entries()) await listen(server, options.address, ports[index] ?? 0);
  } catch (error) {
    await Promise.all(servers.map(close));
    throw error;
  }
  const probeAuthority = `${options.address}:${options.port}`;
  const kill = async (): Promise<void> => {
    for (const timer of timers) clearTimeout(timer);
    timers.clear();
    const closed = Promise.all(servers.map(close));
    for (const server of servers) server.closeAllConnections();
    await closed;
  };
  return {
    metrics,
    probe() {
      const { isReady } = options.traits();
      metrics.requested('probe', probeAuthority);
      metrics.responded('probe', probeAuthority, isReady ? 200 : 503, 0);
      return isReady;
    },
    async stop() {
      const closed = Promise.all(servers.map(close));
      for (const server of servers) server.closeIdleConnections();
      const limit = setTimeout(() => void kill(), DRAIN_MS);
      await closed;
      clearTimeout(limit);
    },
    kill,
  };
}

function handle(
  options: AppOptions,
  metrics: PodMetrics,
  request: IncomingMessage,
  response: ServerResponse,
  random: () => number,
  timers: Set<NodeJS.Timeout>,
): void {
  const startedAt = performance.now();
  const path = (request.url ?? '/').split('?', 1)[0];
  if (path === '/metrics') return answer(response, 200, metrics.applicationText(), METRICS_TYPE);
  const traits = options.traits();
  const authority = request.headers.host ?? '';
  const route = path === '/healthz' ? 'probe' : 'default';
  metrics.requested(route, authority);
  // A body is read and dropped, so that the connection can be used again.
  request.resume();
  const respond = (): void => {
    const isFailure = route === 'default' && random() * 100 < traits.errorPercent;
    const statusCode = isFailure ? 500 : route === 'probe' && !traits.isReady ? 503 : 200;
    response.setHeader('x-version', options.version);
    response.setHeader('x-pod', options.podName);
    answer(response, statusCode, `${options.version} ${options.podName}\n`);
    metrics.responded(route, authority, statusCode, performance.now() - startedAt);
  };
  const delayMs = route === 'probe' ? 0 : traits.latencyMs + random() * traits.latencyJitterMs;
  if (delayMs <= 0) return respond();
  const timer = setTimeout(() => {
    timers.delete(timer);
    respond();
  }, delayMs);
  timers.add(timer);
}

function answer(
  response: ServerResponse,
  statusCode: number,
  body: string,
  contentType = 'text/plain',
): void {
  response.writeHead(statusCode, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

function listen(server: Server, address: string, port: number): Promise<void> {
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise(resolve => {
    if (!server.listening) return resolve();
    server.close(() => resolve());
  });
}
