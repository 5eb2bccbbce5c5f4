/**
 * How a Prometheus is reached: credentials and authorities from files that are read for each query, so that a rotated one
 * counts at once, the environment's proxy, no redirects, and a bounded answer. No error of it holds a secret.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { lookup as systemLookup } from 'node:dns';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import type { PrometheusConnectionOptions } from 'prometheus-query';
import { type Egress, type Lookup, OPEN_EGRESS } from '../engine/egress.ts';
import { type Environment, proxyFor } from '../engine/kubernetes/proxy.ts';

export interface ConnectionOptions {
  address: string;
  /** Basic credentials: a user, and a password or the file that holds it. */
  username?: string | undefined;
  password?: string | undefined;
  passwordFile?: string | undefined;
  bearerToken?: string | undefined;
  bearerTokenFile?: string | undefined;
  /** PEM certificates that the server is trusted by, instead of the well-known ones. */
  caFile?: string | undefined;
  insecureSkipVerify?: boolean | undefined;
  /** Each with one value or a list of them. */
  headers?: Readonly<Record<string, string | string[]>> | undefined;
  /** Resolves names; default: the system's. An address that is refused is not asked, whatever its name. */
  lookup?: Lookup | undefined;
  /** Which hosts may be asked. Default: any but link-local and metadata addresses. */
  egress?: Egress | undefined;
  /** HTTPS_PROXY, HTTP_PROXY and NO_PROXY. Default: that of the process. */
  environment?: Environment | undefined;
  /** Of one answer's body. Default: 4 MiB. */
  answerBytesMax?: number | undefined;
}

type RequestInterceptor = NonNullable<PrometheusConnectionOptions['requestInterceptor']>;
type RequestConfig = Parameters<RequestInterceptor['onFulfilled']>[0];
type ResponseInterceptor = NonNullable<PrometheusConnectionOptions['responseInterceptor']>;

/** Of an error about a file: its message is ours, and the query was not sent. */
export const UNUSABLE_FILE = 'SERIN_UNUSABLE_FILE';

/** A query answers one number; more than this is a mistake in it, or somebody else. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
/** A connection that nobody uses for so long is closed. */
const IDLE_MS = 10_000;
/** Queries at once to one server: as many canaries as tick together need no more. */
const CONNECTIONS_MAX = 32;

const pool = { keepAlive: true, timeout: IDLE_MS, maxSockets: CONNECTIONS_MAX };
/** For all servers that ask for nothing special: Node's own agents know no bound. */
const plainAgent = new http.Agent(pool);
const secureAgent = new https.Agent(pool);

/** Reads a small file anew. What it holds never goes into the error. */
async function contentOf(path: string, what: string): Promise<string> {
  let text: string;
  try {
    text = (await readFile(path, 'utf8')).trim();
  } catch (error) {
    throw unusable(
      `the ${what} file ${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}`,
    );
  }
  if (text === '') throw unusable(`the ${what} file ${path} is empty`);
  return text;
}

function unusable(message: string): Error {
  return Object.assign(new Error(message), { code: UNUSABLE_FILE });
}

async function authorizationOf(options: ConnectionOptions): Promise<string | undefined> {
  const { username, passwordFile, bearerTokenFile } = options;
  const token = bearerTokenFile ? await contentOf(bearerTokenFile, 'token') : options.bearerToken;
  if (token) return `Bearer ${token}`;
  const password = passwordFile ? await contentOf(passwordFile, 'password') : options.password;
  if (username === undefined || password === undefined) return undefined;
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** One agent for as long as its authorities are the same, so that connections are kept. */
function createAgents(options: ConnectionOptions): () => Promise<https.Agent> {
  const { caFile, insecureSkipVerify } = options;
  let known: { fingerprint: string; agent: https.Agent } | undefined;
  return async () => {
    if (caFile === undefined && !insecureSkipVerify) return secureAgent;
    const ca = caFile === undefined ? '' : await authoritiesIn(caFile);
    const fingerprint = createHash('sha256').update(ca).digest('hex');
    if (known?.fingerprint === fingerprint) return known.agent;
    const agent = new https.Agent({
      ...pool,
      ...(ca === '' ? {} : { ca }),
      rejectUnauthorized: !insecureSkipVerify,
    });
    known = { fingerprint, agent };
    return agent;
  };
}

async function authoritiesIn(caFile: string): Promise<string> {
  const pem = await contentOf(caFile, 'CA');
  try {
    new X509Certificate(pem);
  } catch {
    throw unusable(`the CA file ${caFile} holds no certificate`);
  }
  return pem;
}

/** As axios wants it: false for a direct connection, or it would look into the environment by its own rules. */
function proxyOf(url: URL, environment: Environment): NonNullable<RequestConfig['proxy']> {
  const proxy = proxyFor(url, environment);
  if (proxy === undefined || !URL.canParse(proxy)) return false;
  const { protocol, hostname, port, username, password } = new URL(proxy);
  return {
    protocol,
    host: hostname,
    port: Number(port) || (protocol === 'https:' ? 443 : 80),
    ...(username
      ? { auth: { username: decodeURIComponent(username), password: decodeURIComponent(password) } }
      : {}),
  };
}

/** The two interceptors of the driver that make it go by these options. */
export function connectionOf(
  options: ConnectionOptions,
): Required<Pick<PrometheusConnectionOptions, 'requestInterceptor' | 'responseInterceptor'>> {
  const agentOf = createAgents(options);
  const url = new URL(options.address);

  async function onRequest(config: RequestConfig): Promise<RequestConfig> {
    const [authorization, agent] = await Promise.all([authorizationOf(options), agentOf()]);
    for (const [name, value] of Object.entries(options.headers ?? {})) config.headers.set(name, value);
    if (authorization) config.headers.set('authorization', authorization);
    config.httpAgent = plainAgent;
    config.httpsAgent = agent;
    config.proxy = proxyOf(url, options.environment ?? process.env);
    // A redirect could lead to an address that is not asked, with the credentials.
    config.maxRedirects = 0;
    // The name of the environment's proxy is not the user's.
    const { lookup = systemLookup, egress = OPEN_EGRESS } = options;
    const guarded = (config.proxy ? OPEN_EGRESS : egress).guarded(lookup);
    config.lookup = guarded as NonNullable<RequestConfig['lookup']>;
    config.maxContentLength = options.answerBytesMax ?? ANSWER_BYTES_MAX;
    // The driver sends our time. What the server knows was scraped by its clock, and is asked for by its clock.
    if (config.data instanceof URLSearchParams) config.data.delete('time');
    return config;
  }

  /** The driver forgets the HTTP status of an answer that is not Prometheus's: one in its shape keeps it. */
  const onRejected: NonNullable<ResponseInterceptor['onRejected']> = error => {
    const { response } = error ?? {};
    if (response && response.data?.status === undefined)
      response.data = { status: 'error', error: response.statusText };
    throw error;
  };

  return {
    requestInterceptor: { onFulfilled: onRequest },
    responseInterceptor: { onFulfilled: response => response, onRejected },
  };
}
