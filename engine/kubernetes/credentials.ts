/**
 * Keeps the TLS material and the authentication headers of a kubeconfig's user current: rotating token and certificate
 * files, exec plugins, OIDC. One refresh runs at a time. What it holds never goes into a message.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import type { User } from '@kubernetes/client-node';
import type { Authenticator } from '@kubernetes/client-node/dist/auth.js';
import type { Clock } from '../clock.ts';
import type { KubeConfig } from './kubeconfig.ts';
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
  const { user } = kubeConfig;
  let authenticator: Authenticator | undefined;
  let held: Credentials | undefined;
  let heldSinceMs = 0;
  let inFlight: Promise<Credentials> | undefined;
  let renewedAtMs: number | undefined;

  async function read(): Promise<Credentials> {
    try {
      authenticator ??= await authenticatorOf(user);
      held = await readCredentials(kubeConfig, authenticator);
    } catch (error) {
      throw new ApiError('unauthorized', `no credentials: ${describe(error)}`);
    }
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
      // Another request has had them renewed in the meantime, or is waiting for it.
      if (held === undefined || (held !== refused && isOther(held, refused))) return true;
      const nowMs = clock.now();
      if (renewedAtMs !== undefined && Math.abs(nowMs - renewedAtMs) < SHORTEST_RENEWAL_MS) return false;
      renewedAtMs = nowMs;
      held = undefined;
      // It caches tokens (of files for 60 s, of plugins without expiry for ever): a new one starts with none.
      authenticator = undefined;
      return true;
    },
  };
}

function isOther(one: Credentials, other: Credentials): boolean {
  return one.headers['authorization'] !== other.headers['authorization'];
}

/**
 * The part of the library that this user needs, and no other: OIDC pulls in every generated model (80 MB). Undefined for
 * users with a token, a certificate or a password, which need none.
 */
async function authenticatorOf(user: User): Promise<Authenticator | undefined> {
  const { name, config } = user.authProvider ?? {};
  if (user.exec || name === 'exec' || config?.exec) {
    const { ExecAuth } = await import('@kubernetes/client-node/dist/exec_auth.js');
    return new ExecAuth();
  }
  switch (name) {
    case 'azure': {
      const { AzureAuth } = await import('@kubernetes/client-node/dist/azure_auth.js');
      return new AzureAuth();
    }
    case 'gcp': {
      const { GoogleCloudPlatformAuth } = await import('@kubernetes/client-node/dist/gcp_auth.js');
      return new GoogleCloudPlatformAuth();
    }
    case 'oidc': {
      const { OpenIDConnectAuth } = await import('@kubernetes/client-node/dist/oidc_auth.js');
      return new OpenIDConnectAuth();
    }
    default: {
      if (!config?.tokenFile) return undefined;
      const { FileAuth } = await import('@kubernetes/client-node/dist/file_auth.js');
      return new FileAuth();
    }
  }
}

async function readCredentials(
  { cluster, user }: KubeConfig,
  authenticator: Authenticator | undefined,
): Promise<Credentials> {
  const [ca, cert, key] = await Promise.all([
    bytesOf(cluster.caFile, cluster.caData),
    bytesOf(user.certFile, user.certData),
    bytesOf(user.keyFile, user.keyData),
  ]);
  const options: RequestOptions = { headers: {}, ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
  await authenticator?.applyAuthentication(user, options);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    // A token file usually ends with a newline, which no header may hold.
    if (value !== undefined) headers[name.toLowerCase()] = String(value).trim();
  }
  if (user.impersonateUser) headers['impersonate-user'] = user.impersonateUser;
  if (user.token) headers['authorization'] = `Bearer ${user.token}`.trim();
  if (user.username)
    headers['authorization'] = `Basic ${Buffer.from(`${user.username}:${user.password}`).toString('base64')}`;
  const tls: TlsOptions = {
    ...(ca ? { ca } : {}),
    // A plugin may give a certificate of its own.
    ...(options.cert ? { cert: options.cert as Buffer } : {}),
    ...(options.key ? { key: options.key as Buffer } : {}),
    ...(cluster.tlsServerName ? { servername: cluster.tlsServerName } : {}),
    ...(cluster.skipTLSVerify ? { rejectUnauthorized: false } : {}),
  };
  const hash = createHash('sha256');
  for (const part of [tls.ca, tls.cert, tls.key, tls.servername, String(tls.rejectUnauthorized)]) {
    hash.update(part ?? '').update('\0');
  }
  return { headers, tls, fingerprint: hash.digest('hex') };
}

async function bytesOf(file: string | undefined, base64: string | undefined): Promise<Buffer | undefined> {
  if (file) return await readFile(file);
  return base64 ? Buffer.from(base64, 'base64') : undefined;
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
