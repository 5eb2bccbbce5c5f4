/**
 * Finds out which API server to speak to and with whose credentials. The only file that imports the Kubernetes client
 * library (130 MB of memory): it is used for loading and authentication, never for a request. Never prints what it read.
 */
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, dirname, resolve } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';
import type { Environment } from './proxy.ts';

export interface KubeConfigOptions {
  /** `--kubeconfig`. */
  kubeconfig?: string;
  /** A context other than the file's current one. */
  context?: string;
  environment?: Environment;
}

/** One sentence for whoever started the process. */
export class KubeConfigError extends Error {
  override readonly name = 'KubeConfigError';
}

const IN_CLUSTER_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/**
 * The given file, else the files of `KUBECONFIG`, else the pod's ServiceAccount. There is no guess after that: a
 * controller must not act on whichever cluster a laptop happens to point at. Throws KubeConfigError.
 */
export function loadKubeConfig(options: KubeConfigOptions = {}): KubeConfig {
  const environment = options.environment ?? process.env;
  const files = options.kubeconfig
    ? [options.kubeconfig]
    : (environment['KUBECONFIG'] ?? '').split(delimiter);
  const named = files.filter(file => file !== '');
  let loaded: KubeConfig;
  if (named.length > 0) {
    loaded = loadFiles(named);
  } else if (environment['KUBERNETES_SERVICE_HOST'] && existsSync(IN_CLUSTER_TOKEN)) {
    loaded = new KubeConfig();
    loaded.loadFromCluster();
  } else {
    throw new KubeConfigError(
      'no Kubernetes API server to speak to: give --kubeconfig, set KUBECONFIG, or run in a pod with a ServiceAccount token',
    );
  }
  return checked(loaded, options.context);
}

/** The namespace of the context or of the pod; `default` when there is none. */
export function currentNamespace(kubeConfig: KubeConfig): string {
  return kubeConfig.getContextObject(kubeConfig.getCurrentContext())?.namespace?.trim() || 'default';
}

function loadFiles(files: string[]): KubeConfig {
  const merged = new KubeConfig();
  const tokenFileByUser = new Map<string, string>();
  files.forEach((file, index) => {
    try {
      const one = index === 0 ? merged : new KubeConfig();
      one.loadFromFile(file);
      // As kubectl: the first file that names a current context decides.
      if (one !== merged) merged.mergeConfig(one, Boolean(merged.getCurrentContext()));
      readTokenFiles(file, tokenFileByUser);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      // A parser's message may quote the file, which holds secrets.
      const why =
        code === 'ENOENT'
          ? 'it does not exist'
          : code === 'EACCES'
            ? 'it may not be read'
            : 'it is not valid';
      throw new KubeConfigError(`kubeconfig ${file} cannot be used: ${why}`);
    }
  });
  // The library overlooks `tokenFile` (it looks for `token-file`) and would never read it again.
  merged.users = merged.users.map(user => {
    const tokenFile = tokenFileByUser.get(user.name);
    return tokenFile ? { ...user, authProvider: { name: 'tokenFile', config: { tokenFile } } } : user;
  });
  return merged;
}

function readTokenFiles(file: string, tokenFileByUser: Map<string, string>): void {
  const document = parse(readFileSync(file, 'utf8')) as { users?: { name?: string; user?: any }[] } | null;
  for (const entry of document?.users ?? []) {
    const tokenFile: unknown = entry.user?.tokenFile;
    if (entry.name && typeof tokenFile === 'string' && tokenFile !== '') {
      tokenFileByUser.set(entry.name, resolve(dirname(file), tokenFile));
    }
  }
}

/** Checks that the chosen context is complete, so that the first request cannot fail for a reason known now. */
function checked(kubeConfig: KubeConfig, context: string | undefined): KubeConfig {
  const name = context ?? kubeConfig.getCurrentContext();
  if (!name) throw new KubeConfigError('the kubeconfig has no current context; give one');
  kubeConfig.setCurrentContext(name);
  if (!kubeConfig.getContextObject(name))
    throw new KubeConfigError(`the kubeconfig has no context "${name}"`);
  const cluster = kubeConfig.getCurrentCluster();
  if (!cluster?.server)
    throw new KubeConfigError(`context "${name}" of the kubeconfig names no known cluster`);
  if (!URL.canParse(cluster.server) || !/^https?:/.test(cluster.server)) {
    throw new KubeConfigError(`the server of context "${name}" is not an http or https URL`);
  }
  if (!kubeConfig.getCurrentUser()) {
    throw new KubeConfigError(`context "${name}" of the kubeconfig names no known user`);
  }
  if (cluster.server.startsWith('http:') && !cluster.skipTLSVerify) {
    // Without TLS there is nothing to verify; the library refuses plain HTTP unless the flag is set.
    kubeConfig.clusters = kubeConfig.clusters.map(one =>
      one === cluster ? { ...one, skipTLSVerify: true } : one,
    );
  }
  return kubeConfig;
}
