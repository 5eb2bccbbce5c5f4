/**
 * The socket under the routes: address, TLS, and bounds on time and connections. It loads REST with the first request that
 * is meant for it, because few engines are ever asked, and knows nothing of canaries.
 */
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { AppOptions } from './app.ts';
import { answerProbe } from './probes.ts';
import { followTlsPair, readTlsPair, type TlsPaths } from './tlsFiles.ts';

export interface ServerOptions extends AppOptions {
  tls?: TlsPaths;
  bindAddress: string;
  /** 0: any free port. */
  port: number;
}

export interface Server {
  /** Rejects when the address is taken or the TLS files cannot be used. */
  start(): Promise<{ port: number }>;
  /** Answers what has begun, for 5 seconds at most. */
  close(): Promise<void>;
}

/** A request is at most 16 KiB; whoever sends it slower than this keeps others out. */
const REQUEST_TIMEOUT_MS = 15_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** Longer than the usual scrape interval of 15 s would keep idle connections for nobody. */
const KEEP_ALIVE_MS = 5_000;
const CONNECTIONS_MAX = 512;
const CLOSE_GRACE_MS = 5_000;

type Listener = (incoming: http.IncomingMessage, outgoing: http.ServerResponse) => void;

/** Hono, the classes of fetch under it and the schemas hold 6 MB. */
async function loadRest(options: AppOptions): Promise<Listener> {
  const { getRequestListener } = await import('@hono/node-server');
  const { createApp } = await import('./app.ts');
  const app = createApp(options);
  const listener = getRequestListener((request, env) => app.fetch(request, env), {
    overrideGlobalObjects: false,
  });
  return (incoming, outgoing) => void listener(incoming, outgoing);
}

export function createServer(options: ServerOptions): Server {
  const { clock, log } = options;
  let rest: Promise<Listener> | undefined;
  const stopping = new AbortController();
  let server: http.Server | https.Server | undefined;

  async function open(): Promise<http.Server | https.Server> {
    const timeouts = { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: HEADERS_TIMEOUT_MS };
    const onRequest: Listener = (incoming, outgoing) => {
      if (answerProbe(options, incoming, outgoing)) return;
      rest ??= loadRest(options);
      void rest.then(listener => listener(incoming, outgoing));
    };
    if (!options.tls) return http.createServer(timeouts, onRequest);
    const paths = options.tls;
    const pair = await readTlsPair(paths);
    const secure = https.createServer({ ...timeouts, ...pair, minVersion: 'TLSv1.2' }, onRequest);
    void followTlsPair({ clock, log, paths, signal: stopping.signal }, pair, next =>
      secure.setSecureContext({ ...next, minVersion: 'TLSv1.2' }),
    );
    return secure;
  }

  return {
    async start() {
      const opened = await open();
      server = opened;
      opened.keepAliveTimeout = KEEP_ALIVE_MS;
      opened.maxConnections = CONNECTIONS_MAX;
      try {
        opened.listen(options.port, options.bindAddress);
        await once(opened, 'listening');
      } catch (error) {
        stopping.abort();
        throw error;
      }
      opened.on('error', error => log.error({ error }, 'the server failed'));
      const { port } = opened.address() as AddressInfo;
      log.info(
        { bindAddress: options.bindAddress, port, tls: options.tls !== undefined },
        'the server listens',
      );
      return { port };
    },
    async close() {
      stopping.abort();
      const closing = server;
      if (!closing?.listening) return;
      const timer = clock.setTimer(() => closing.closeAllConnections(), CLOSE_GRACE_MS);
      const closed = once(closing, 'close');
      closing.close();
      closing.closeIdleConnections();
      await closed;
      timer.cancel();
    },
  };
}
