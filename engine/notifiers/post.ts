/**
 * Sends one HTTP POST to a receiver that a user named. It follows no redirect, reads little of the answer, and goes
 * neither to link-local nor to metadata addresses, whatever a name resolves to: nobody may use it to reach what only the
 * engine's node can. Its errors carry a code and no address.
 */
import { lookup as systemLookup } from 'node:dns';
import { type Egress, type Lookup, OPEN_EGRESS, refusal } from '../egress.ts';
import { type Environment, proxyFor } from '../kubernetes/proxy.ts';
import { Agent, type Dispatcher, ProxyAgent, request } from '../undici.ts';

export interface PostRequest {
  url: string;
  headers: Record<string, string>;
  body: string;
  signal: AbortSignal;
  /** Goes before HTTPS_PROXY, HTTP_PROXY and NO_PROXY. */
  proxy?: string;
}

export interface PostAnswer {
  status: number;
  /** At most 64 KiB of the answer. */
  body: string;
  /** What the receiver asked to wait before another try, in milliseconds. */
  retryAfterMs?: number;
}

/** Throws when there is no answer; an error with code `ADDRESS_REFUSED` will not pass by itself. */
export type Post = (request: PostRequest) => Promise<PostAnswer>;

/** Slack answers in a few bytes; whoever answers more only wants our memory. */
const ANSWER_BYTES_MAX = 64 * 1024;
/** One queue for each receiver sends one request at a time. */
const CONNECTIONS_PER_ORIGIN_MAX = 4;
const KEEP_ALIVE_MS = 10_000;
/** Behind the time-out of the caller, as a net under it. */
const UNDICI_TIMEOUT_MS = 30_000;

export interface PostOptions {
  environment: Environment;
  lookup?: Lookup;
  /** Which hosts may be sent to. Default: any but link-local and metadata addresses. */
  egress?: Egress;
}

export function createPost(options: PostOptions): { post: Post; close(): Promise<void> } {
  const { environment, lookup = systemLookup, egress = OPEN_EGRESS } = options;
  const connect = { lookup: egress.guarded(lookup) };
  const limits = {
    connections: CONNECTIONS_PER_ORIGIN_MAX,
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: UNDICI_TIMEOUT_MS,
    bodyTimeout: UNDICI_TIMEOUT_MS,
  };
  const direct = new Agent({ ...limits, connect });

  async function post(given: PostRequest): Promise<PostAnswer> {
    const own = given.proxy === undefined ? undefined : checkedUrl(given.proxy, egress, false);
    const known = URL.canParse(given.url) ? proxyFor(new URL(given.url), environment) : undefined;
    const proxy = own?.href ?? known;
    const url = checkedUrl(given.url, egress, Boolean(proxy));
    if (!proxy) return await send(direct, url, given);
    // The environment's proxy is the operator's, and need not be on a list for users.
    const via = own ? connect : { lookup: OPEN_EGRESS.guarded(lookup) };
    const uri = checkedUrl(proxy, own ? egress : OPEN_EGRESS, false).href;
    // Notifications are rare: a connection of its own for each one behind a proxy costs less than keeping agents.
    const agent = new ProxyAgent({ ...limits, uri, connect: via });
    try {
      return await send(agent, url, given);
    } finally {
      await agent.destroy();
    }
  }

  return { post, close: () => direct.destroy() };
}

/** A literal address never reaches the resolver, and a proxied name not ours, so they are looked at here. */
function checkedUrl(text: string, egress: Egress, isProxied: boolean): URL {
  if (!URL.canParse(text)) throw refusal();
  const url = new URL(text);
  const isHttp = url.protocol === 'http:' || url.protocol === 'https:';
  if (!isHttp || egress.problemOf(url.hostname, isProxied) !== undefined) throw refusal();
  return url;
}

async function send(dispatcher: Dispatcher, url: URL, given: PostRequest): Promise<PostAnswer> {
  const { headers, body, signal } = given;
  const answer = await request(url, { dispatcher, method: 'POST', headers, body, signal });
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    // Leaving the loop closes the connection.
    if (bytes >= ANSWER_BYTES_MAX) break;
  }
  const seconds = Number(answer.headers['retry-after']);
  return {
    status: answer.statusCode,
    body: Buffer.concat(chunks).subarray(0, ANSWER_BYTES_MAX).toString('utf8'),
    ...(Number.isFinite(seconds) && seconds > 0 ? { retryAfterMs: seconds * 1_000 } : {}),
  };
}
