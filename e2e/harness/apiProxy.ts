/**
 * A TLS proxy between one engine and the API server, under the API server's own certificate. It passes everything on as
 * it is, watches included, and holds back a single request when a test asks for it: so an engine can be frozen or killed
 * exactly between two of its writes. It never repeats, changes or drops a request by itself.
 */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer, request as send } from 'node:https';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import type { ControlPlane } from './controlplane.ts';

export interface SeenRequest {
  method: string;
  /** Without the query. */
  path: string;
  /** Parsed; undefined when there was none. */
  body: any;
}

export interface HeldRequest extends SeenRequest {
  /** Lets it through to the API server and keeps the reply; resolves with the HTTP status. Once. */
  letThrough(): Promise<number>;
  /** Gives the reply, which must be there, to the engine. */
  reply(): void;
}

export interface ApiProxy {
  /** Path of a kubeconfig that leads through the proxy. */
  kubeconfig: string;
  /** The next request that matches is held back before the API server sees it. One at a time. */
  hold(isWanted: (request: SeenRequest) => boolean): Promise<HeldRequest>;
  /** Every request waits this long before the API server sees it, as on a slow network. */
  slow(delayMs: number): void;
  /** Breaks every connection and lets none through until it is mended. */
  cut(isCut: boolean): void;
  /** Forgets a `hold` that has caught nothing; its promise stays open. */
  disarm(): void;
  close(): Promise<void>;
}

interface Trap {
  isWanted: (request: SeenRequest) => boolean;
  caught: (held: HeldRequest) => void;
}

export async function startApiProxy(plane: ControlPlane, kubeconfigPath: string): Promise<ApiProxy> {
  const agent = new Agent({ ca: plane.ca, keepAlive: true });
  let trap: Trap | undefined;
  let delayMs = 0;
  let isCut = false;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (delayMs > 0) await setTimeout(delayMs);
    if (isCut) throw new Error('the network is cut');
    const body = await read(request);
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    const seen = { method: request.method ?? '', path, body: parsed(body) };
    const pass = () => forward(plane.server, agent, request, body);
    if (trap?.isWanted(seen)) {
      const { caught } = trap;
      trap = undefined;
      caught(held(seen, pass, response));
      return;
    }
    const answer = await pass();
    // When the engine goes away its watch upstream must end too, and the other way round.
    response.once('close', () => answer.destroy());
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    pipeline(answer, response, () => {});
  }

  const server = createServer({ cert: plane.ca, key: plane.key }, (request, response) => {
    // Either side may be gone in the middle of anything here: for the engine that is a broken connection.
    serve(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const kubeconfig = `${kubeconfigPath}.${port}`;
  const config = JSON.parse(readFileSync(kubeconfigPath, 'utf8'));
  config.clusters[0].cluster.server = `https://127.0.0.1:${port}`;
  writeFileSync(kubeconfig, JSON.stringify(config));

  return {
    kubeconfig,
    hold(isWanted) {
      if (trap) throw new Error('a request is being waited for already');
      return new Promise(caught => (trap = { isWanted, caught }));
    },
    slow(ms) {
      delayMs = ms;
    },
    cut(isBroken) {
      isCut = isBroken;
      if (isCut) server.closeAllConnections();
    },
    disarm: () => (trap = undefined),
    async close() {
      server.closeAllConnections();
      server.close();
      agent.destroy();
      await once(server, 'close');
    },
  };
}

function held(
  seen: SeenRequest,
  pass: () => Promise<IncomingMessage>,
  response: ServerResponse,
): HeldRequest {
  let kept: { status: number; headers: IncomingMessage['headers']; body: Buffer } | undefined;
  return {
    ...seen,
    async letThrough() {
      const answer = await pass();
      kept = { status: answer.statusCode ?? 502, headers: answer.headers, body: await read(answer) };
      return kept.status;
    },
    reply() {
      if (!kept) throw new Error('there is no reply yet: let the request through first');
      response.writeHead(kept.status, kept.headers);
      response.end(kept.body);
    },
  };
}

function forward(
  server: string,
  agent: Agent,
  request: IncomingMessage,
  body: Buffer,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', headers, url = '/' } = request;
    const upstream = send(server + url, { agent, method, headers }, resolve);
    upstream.once('error', reject);
    upstream.end(body);
  });
}

async function read(stream: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}
