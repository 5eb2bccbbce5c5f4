/**
 * A certificate and its key from mounted files, read again and again because mounts are swapped without an event that can
 * be relied on. A pair that is broken or half swapped never replaces one that works.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Clock } from '../clock.ts';
import type { Log } from '../engine.ts';

export interface TlsPair {
  cert: Buffer;
  key: Buffer;
}
export interface TlsPaths {
  certFile: string;
  keyFile: string;
}

/** The kubelet itself refreshes mounted secrets about once a minute. */
const POLL_MS = 10_000;

/** Throws when a file cannot be read or key and certificate do not belong together. */
export async function readTlsPair({ certFile, keyFile }: TlsPaths): Promise<TlsPair> {
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
    throw new Error(`the key in ${keyFile} does not belong to the certificate in ${certFile}`);
  return { cert, key };
}

/** Calls `onChange` with each new pair until `signal` aborts. */
export async function followTlsPair(
  options: { clock: Clock; log: Log; signal: AbortSignal; paths: TlsPaths },
  first: TlsPair,
  onChange: (pair: TlsPair) => void,
): Promise<void> {
  const { clock, log, signal, paths } = options;
  let current = first;
  let warned = '';
  while (!signal.aborted) {
    await clock.sleep(POLL_MS, signal);
    if (signal.aborted) return;
    try {
      const pair = await readTlsPair(paths);
      if (!pair.cert.equals(current.cert) || !pair.key.equals(current.key)) {
        onChange(pair);
        current = pair;
        log.info({ certFile: paths.certFile }, 'the TLS certificate was reloaded');
      }
      warned = '';
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== warned)
        log.warn({ reason }, 'the new TLS certificate cannot be used; the old one stays');
      warned = reason;
    }
  }
}
