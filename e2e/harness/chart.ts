/**
 * The chart on the test API server: `helm` as an administrator runs it, and the engine as the chart's Deployment would run
 * it, in a pod's stead: with its arguments, and with the token of its ServiceAccount where a pod finds it. Nothing here
 * grants the engine anything.
 */
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import type { ControlPlane } from './controlplane.ts';
import { type FollowedEngine, follow } from './followedEngine.ts';
import { helmPath, kubectlPath } from './tools.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
export const CHART = join(root, 'charts/serin');
export const NAMESPACE = 'serin';
export const RELEASE = 'serin';
/** Of the ServiceAccount that the chart makes: the audit log knows this user. */
export const ENGINE_USER = `system:serviceaccount:${NAMESPACE}:${RELEASE}`;
const HELM_DEADLINE_MS = 150_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

type Values = Readonly<Record<string, unknown>>;

/** `helm` with these values; rejects with what it says. */
async function helm(
  plane: ControlPlane | undefined,
  args: readonly string[],
  values: Values = {},
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'serin-helm-'));
  try {
    // JSON is YAML.
    writeFileSync(join(folder, 'values.yaml'), JSON.stringify(values));
    const server = plane ? ['--kubeconfig', plane.kubeconfig('admin')] : [];
    const hasValues = ['lint', 'template', 'install', 'upgrade'].includes(args[0] ?? '');
    const file = hasValues ? ['--values', join(folder, 'values.yaml')] : [];
    const env = { ...process.env, HELM_CACHE_HOME: folder, HELM_CONFIG_HOME: folder, HELM_DATA_HOME: folder };
    const limits = { timeout: HELM_DEADLINE_MS, maxBuffer: OUTPUT_BYTES_MAX };
    const { stdout } = await run(helmPath(), [...args, ...file, ...server], { env, ...limits });
    return stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export const lint = (values?: Values) => helm(undefined, ['lint', '--strict', CHART], values);

/** The objects that the chart renders; `crds` with those of its folder. */
export async function template(values?: Values): Promise<any[]> {
  const text = await helm(undefined, ['template', RELEASE, CHART, '--namespace', NAMESPACE], values);
  return parseAllDocuments(text)
    .map(document => document.toJS())
    .filter(object => object !== null);
}

export const install = (plane: ControlPlane, values?: Values) =>
  helm(plane, ['install', RELEASE, CHART, '--namespace', NAMESPACE, '--create-namespace'], values);
export const upgrade = (plane: ControlPlane, values?: Values) =>
  helm(plane, ['upgrade', RELEASE, CHART, '--namespace', NAMESPACE], values);
export const uninstall = (plane: ControlPlane) =>
  helm(plane, ['uninstall', RELEASE, '--namespace', NAMESPACE, '--wait']);

export interface Said {
  ok: boolean;
  /** Both streams. */
  text: string;
}

/** `kubectl` as this user; what it says, and whether it succeeded. */
export async function kubectl(
  plane: ControlPlane,
  user: string,
  args: readonly string[],
  input?: string,
): Promise<Said> {
  // What it remembers of a server may be of another one that had the same port.
  const cache = mkdtempSync(join(tmpdir(), 'serin-kubectl-'));
  const flags = ['--kubeconfig', plane.kubeconfig(user), '--cache-dir', cache];
  const running = run(kubectlPath(), [...flags, ...args], {
    timeout: HELM_DEADLINE_MS,
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  if (input !== undefined) running.child.stdin?.end(input);
  try {
    const { stdout, stderr } = await running;
    return { ok: true, text: stdout + stderr };
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return { ok: false, text: stdout + stderr };
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

/** The Deployment as the API server has it. */
export async function deploymentOf(plane: ControlPlane): Promise<any> {
  const path = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/${RELEASE}`;
  const { status, body } = await plane.request('admin', 'GET', path);
  if (status !== 200) throw new Error(`no Deployment: ${JSON.stringify(body)}`);
  return body;
}

export type PodEngine = FollowedEngine;

/**
 * A mount namespace in which the ServiceAccount's folder is where a pod has it; then the container's command. Most of
 * these machines have /var/run as a link to /run.
 */
const IN_POD = `mount -t tmpfs tmpfs /run && mkdir -p /run/secrets/kubernetes.io &&
cp -r "$1" /run/secrets/kubernetes.io/serviceaccount || exit 1
shift
exec "$@"`;

/** Starts the engine as the container of the Deployment is described there, with `more` arguments behind its own. */
export async function startInPod(plane: ControlPlane, more: readonly string[] = []): Promise<PodEngine> {
  const { spec } = (await deploymentOf(plane)).spec.template;
  const [container] = spec.containers;
  const folder = mkdtempSync(join(tmpdir(), 'serin-pod-'));
  writeFileSync(join(folder, 'token'), await plane.serviceAccountToken(NAMESPACE, spec.serviceAccountName));
  writeFileSync(join(folder, 'ca.crt'), plane.ca);
  writeFileSync(join(folder, 'namespace'), NAMESPACE);
  const [, ...command] = container.command;
  // Pods of the rig have port 8080 of their own addresses, which 0.0.0.0:8080 would take from them.
  const args = [process.execPath, ...command, ...container.args, '--port=0', ...more];
  const { hostname, port } = new URL(plane.server);
  const child = spawn('unshare', ['--mount', 'sh', '-c', IN_POD, 'sh', folder, ...args], {
    cwd: root,
    env: { PATH: process.env['PATH'], ...environmentOf(container, hostname, port) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const engine = follow(child);
  child.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  engine.url = `http://127.0.0.1:${(await engine.said('the server listens')).port}`;
  return engine;
}

function environmentOf(container: any, host: string, port: string): Record<string, string> {
  const fields: Record<string, string> = { 'metadata.name': 'serin-0', 'metadata.namespace': NAMESPACE };
  const entries: [string, string][] = (container.env ?? []).map((one: any) => {
    const value = one.value ?? fields[one.valueFrom?.fieldRef?.fieldPath];
    if (value === undefined) throw new Error(`${one.name} comes from what no test provides`);
    return [one.name, value];
  });
  return { ...Object.fromEntries(entries), KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port };
}
