/**
 * Finds out which API server to speak to and with whose credentials. Of the Kubernetes client library only the parser of
 * kubeconfigs is imported: its index and its KubeConfig load every generated model (80 MB). Never prints what it read.
 */
import { existsSync, readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { delimiter, dirname, resolve } from 'node:path';
import type { Cluster, Context, User } from '@kubernetes/client-node';
import { newClusters, newContexts, newUsers } from '@kubernetes/client-node/dist/config_types.js';
import { parse } from 'yaml';
import type { Environment } from './proxy.ts';

/** The API server and the user that a context names. Files are named by absolute paths and read when they are used. */
export interface KubeConfig {
  readonly cluster: Cluster;
  readonly user: User;
  /** Of the context or of the pod; `default` when there is none. */
  readonly namespace: string;
}

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

interface Loaded {
  clusters: Cluster[];
  users: User[];
  contexts: Context[];
  currentContext: string | undefined;
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
/** Ports on which an API server speaks plain HTTP. */
const PLAIN_PORTS = ['80', '8080', '8001'];

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
  if (named.length > 0) return chosen(merged(named.map(loadFile)), options.context);
  const host = environment['KUBERNETES_SERVICE_HOST'];
  if (host && existsSync(`${SERVICE_ACCOUNT}/token`))
    return inCluster(host, environment['KUBERNETES_SERVICE_PORT'] ?? '443');
  throw new KubeConfigError(
    'no Kubernetes API server to speak to: give --kubeconfig, set KUBECONFIG, or run in a pod with a ServiceAccount token',
  );
}

function inCluster(host: string, port: string): KubeConfig {
  const scheme = PLAIN_PORTS.includes(port) ? 'http' : 'https';
  const namespaceFile = `${SERVICE_ACCOUNT}/namespace`;
  const namespace = existsSync(namespaceFile) ? readFileSync(namespaceFile, 'utf8').trim() : '';
  const tokenFile = `${SERVICE_ACCOUNT}/token`;
  return {
    cluster: {
      name: 'in-cluster',
      server: `${scheme}://${isIPv6(host) ? `[${host}]` : host}:${port}`,
      caFile: `${SERVICE_ACCOUNT}/ca.crt`,
      skipTLSVerify: false,
    },
    user: { name: 'in-cluster', authProvider: { name: 'tokenFile', config: { tokenFile } } },
    namespace: namespace || 'default',
  };
}

function loadFile(file: string): Loaded {
  try {
    const document = parse(readFileSync(file, 'utf8'));
    const folder = dirname(file);
    const absolute = <Field extends string>(field: Field, path: string | undefined) =>
      path ? { [field]: resolve(folder, path) } : {};
    return {
      clusters: newClusters(document.clusters).map(cluster => ({
        ...cluster,
        ...absolute('caFile', cluster.caFile),
      })),
      users: newUsers(document.users).map((user, index) => ({
        ...user,
        ...absolute('certFile', user.certFile),
        ...absolute('keyFile', user.keyFile),
        ...tokenFileOf(document.users[index], folder),
      })),
      contexts: newContexts(document.contexts),
      currentContext: document['current-context'],
    };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    // A parser's message may quote the file, which holds secrets.
    const why =
      code === 'ENOENT' ? 'it does not exist' : code === 'EACCES' ? 'it may not be read' : 'it is not valid';
    throw new KubeConfigError(`kubeconfig ${file} cannot be used: ${why}`);
  }
}

/** The library overlooks `tokenFile` (it looks for `token-file`) and would never read it again. */
function tokenFileOf(entry: any, folder: string): Partial<User> {
  const tokenFile: unknown = entry?.user?.tokenFile;
  if (typeof tokenFile !== 'string' || tokenFile === '') return {};
  return { authProvider: { name: 'tokenFile', config: { tokenFile: resolve(folder, tokenFile) } } };
}

/** As kubectl: of two entries of one name the first counts, and the first file that names a current context decides. */
function merged(files: readonly Loaded[]): Loaded {
  return {
    clusters: files.flatMap(file => file.clusters),
    users: files.flatMap(file => file.users),
    contexts: files.flatMap(file => file.contexts),
    currentContext: files.map(file => file.currentContext).find(Boolean),
  };
}

/** Checks that the chosen context is complete, so that the first request cannot fail for a reason known now. */
function chosen(loaded: Loaded, context: string | undefined): KubeConfig {
  const name = context ?? loaded.currentContext;
  if (!name) throw new KubeConfigError('the kubeconfig has no current context; give one');
  const found = loaded.contexts.find(one => one.name === name);
  if (!found) throw new KubeConfigError(`the kubeconfig has no context "${name}"`);
  const cluster = loaded.clusters.find(one => one.name === found.cluster);
  if (!cluster?.server)
    throw new KubeConfigError(`context "${name}" of the kubeconfig names no known cluster`);
  if (!URL.canParse(cluster.server) || !/^https?:/.test(cluster.server)) {
    throw new KubeConfigError(`the server of context "${name}" is not an http or https URL`);
  }
  const user = loaded.users.find(one => one.name === found.user);
  if (!user) throw new KubeConfigError(`context "${name}" of the kubeconfig names no known user`);
  return { cluster, user, namespace: found.namespace?.trim() || 'default' };
}
