/**
 * Keeps the TLS material and the authentication headers of a kubeconfig's user current: rotating token and certificate
 * files, exec plugins, OIDC. One refresh runs at a time. What it holds never goes into a message.
 */
import { createHash } from 'node:crypto';
import type { RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import type { Clock } from '../clock.ts';
import { ApiError } from './types.ts';

export interface TlsOptions {
  ca?: Buffer | string;
  cert?: Buffer | string;
  key?: Buffer | string;
  servername?: string;
  rejectUnauthorized?: boolean;
}

export interface Credentials {
  /** Lower-case names. */
  headers: Record<string, string>;
  tls: TlsOptions;
  /** Changes when `tls` does. */
  fingerprint: string;
}

export interface CredentialSource {
  /** Throws ApiError `unauthorized` when a plugin or a file gives none. */
  current(): Promise<Credentials>;
  /** The server refused what `refused` holds: drops every cache behind it. False when that was done a moment ago. */
  renew(refused: Credentials): boolean;
}

/** Files are small, but a burst of a thousand requests need not read them a thousand times. */
const FRESH_MS = 1_000;
/** A server that answers 401 whatever we send must not make us run an exec plugin for each request. */
const SHORTEST_RENEWAL_MS = 5_000;

export function createCredentialSource(kubeConfig: KubeConfig, clock: Clock): CredentialSource {
  let source = kubeConfig;
  let held: Credentials | undefined;
  let heldSinceMs = 0;
  let inFlight: Promise<Credentials> | undefined;
  let renewedAtMs: number | undefined;

  async function read(): Promise<Credentials> {
    const options: RequestOptions = {};
    try {
      await source.applyToHTTPSOptions(options);
    } catch (error) {
      throw new ApiError('unauthorized', `no credentials: ${describe(error)}`);
    }
    held = fromOptions(options);
    heldSinceMs = clock.now();
    return held;
  }

  return {
    async current() {
      if (held && Math.abs(clock.now() - heldSinceMs) < FRESH_MS) return held;
      inFlight ??= read().finally(() => {
        inFlight = undefined;
      });
      return inFlight;
    },
    renew(refused) {
      // Another request has renewed them in the meantime.
      if (
        held !== undefined &&
        held !== refused &&
        held.headers['authorization'] !== refused.headers['authorization']
      ) {
        return true;
      }
      const nowMs = clock.now();
      if (renewedAtMs !== undefined && Math.abs(nowMs - renewedAtMs) < SHORTEST_RENEWAL_MS) return false;
      renewedAtMs = nowMs;
      held = undefined;
      source = withoutCaches(source);
      return true;
    },
  };
}

/** The library's authenticators cache tokens (files for 60 s, plugins without expiry for ever): a new instance starts with none. */
function withoutCaches(kubeConfig: KubeConfig): KubeConfig {
  const fresh = new (kubeConfig.constructor as new () => KubeConfig)();
  const { clusters, users, contexts } = kubeConfig;
  fresh.loadFromOptions({ clusters, users, contexts, currentContext: kubeConfig.getCurrentContext() });
  return fresh;
}

function fromOptions(options: RequestOptions): Credentials {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    // A token file usually ends with a newline, which no header may hold.
    if (value !== undefined) headers[name.toLowerCase()] = String(value).trim();
  }
  if (options.auth) headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  const { ca, cert, key, servername, rejectUnauthorized } = options;
  const tls: TlsOptions = {
    ...(ca ? { ca: ca as Buffer } : {}),
    ...(cert ? { cert: cert as Buffer } : {}),
    ...(key ? { key: key as Buffer } : {}),
    ...(servername ? { servername } : {}),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  };
  const hash = createHash('sha256');
  for (const part of [tls.ca, tls.cert, tls.key, servername, String(rejectUnauthorized)]) {
    hash.update(part ?? '').update('\0');
  }
  return { headers, tls, fingerprint: hash.digest('hex') };
}

/** A plugin's output and a parser's message may quote a token: only what names the failure is kept. */
function describe(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (typeof code === 'string') {
    const path = (error as NodeJS.ErrnoException).path;
    return path ? `${code} ${path}` : code;
  }
  if (error instanceof SyntaxError) return 'the answer of the exec plugin is not JSON';
  return 'the exec plugin or the identity provider failed';
}
