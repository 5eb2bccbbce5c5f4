/** Serves the in-memory API over real HTTP on loopback. Watch lines are flushed at once; it knows no resource. */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { HttpRequest, HttpResponse } from '../../engine/kubernetes/types.ts';
import { respondError } from './answers.ts';
import { StatusError } from './status.ts';

export type Handle = (user: string, request: HttpRequest) => Promise<HttpResponse>;

export interface ServeOptions {
  port?: number;
  tokens?: Record<string, string>;
  /** Who a request counts as when no tokens are asked for. */
  defaultUser: string;
}

/** A little above the API's own limit of a body, which then answers with the right Status. */
const MAX_RECEIVED_BYTES = 4 * 1024 * 1024;

async function receive(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_RECEIVED_BYTES)
      throw new StatusError(
        413,
        'RequestEntityTooLarge',
        `Request entity too large: limit is ${MAX_RECEIVED_BYTES}`,
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function userOf(incoming: IncomingMessage, options: ServeOptions): string {
  if (!options.tokens) return options.defaultUser;
  const token = /^Bearer (.+)$/i.exec(incoming.headers.authorization ?? '')?.[1];
  const user = token === undefined ? undefined : options.tokens[token];
  if (user === undefined) throw new StatusError(401, 'Unauthorized', 'Unauthorized');
  return user;
}

function headersOf(incoming: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers))
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  return headers;
}

async function stream(response: HttpResponse, outgoing: ServerResponse): Promise<void> {
  outgoing.flushHeaders();
  for await (const chunk of response.chunks ?? []) {
    if (outgoing.destroyed) return;
    if (!outgoing.write(chunk))
      await new Promise<void>(resolve => {
        outgoing.once('drain', resolve);
        outgoing.once('close', resolve);
      });
  }
  outgoing.end();
}

async function answer(
  handle: Handle,
  options: ServeOptions,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const left = new AbortController();
  outgoing.once('close', () => left.abort());
  let response: HttpResponse;
  try {
    const user = userOf(incoming, options);
    const body = await receive(incoming);
    response = await handle(user, {
      method: incoming.method as HttpRequest['method'],
      path: incoming.url ?? '/',
      headers: headersOf(incoming),
      ...(body === '' ? {} : { body }),
      signal: left.signal,
    });
  } catch (error) {
    // A fault that was injected (or a defect) is no answer at all: the client sees a broken connection.
    if (!(error instanceof StatusError)) return void outgoing.destroy();
    response = respondError(error);
  }
  outgoing.writeHead(response.status, response.headers);
  if (response.chunks) await stream(response, outgoing);
  else outgoing.end(response.text);
}

export async function serveHttp(
  handle: Handle,
  options: ServeOptions,
): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((incoming, outgoing) => {
    // A stream that breaks because its reader left has nobody to tell.
    answer(handle, options, incoming, outgoing).catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
