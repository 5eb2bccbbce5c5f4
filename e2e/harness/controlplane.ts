/**
 * A real control plane on free loopback ports: etcd, kube-apiserver with RBAC, admission policies and an audit log, and
 * the controllers that a rollout needs. There is no kubelet: the world plays it. Everything lives in one temporary
 * directory and ends with `stop`; SERIN_E2E_KEEP=1 keeps the directory, for its logs.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AUDIT_POLICY, type AuditEntry, MARKER_USER, readAudit, REPLICA_USERS } from './audit.ts';
import { createPlaneClient, type PlaneClient, type PlaneRequest } from './controlplaneClient.ts';
import { programPath } from './environment.ts';
import { endProgram, freePorts, type Program, ready, startProgram, waitFor } from './programs.ts';

export { endProgram, startProgram, waitFor } from './programs.ts';
export type { AuditEntry } from './audit.ts';

export interface ControlPlane {
  /** URL without a trailing slash. */
  server: string;
  /** PEM of the API server's certificate authority. */
  ca: string;
  /** PEM of the certificate's key: for a proxy that stands before the API server under its name. */
  key: string;
  /** Bearer tokens by user: admin and player (system:masters), engine, engine-1 to -3, user and kubectl-user (no rights by themselves). */
  tokens: Readonly<Record<string, string>>;
  /** Path of a kubeconfig for this user, or for the bearer of `token` under this name. */
  kubeconfig(user: string, token?: string): string;
  request: PlaneRequest;
  /** The same as `request`. */
  call: PlaneRequest;
  applyYaml: PlaneClient['applyYaml'];
  installCrds: PlaneClient['installCrds'];
  /** A real token of a ServiceAccount that exists, by TokenRequest. */
  serviceAccountToken(namespace: string, name: string): Promise<string>;
  /** What has been written down by now about requests of engines, as any of their users or as the ServiceAccount. */
  audit(): AuditEntry[];
  /** The same of these users, with every request in it that was answered before the call. */
  auditEvents(...users: string[]): Promise<AuditEntry[]>;
  /** Ends the API server without warning; `startApiServer` brings it back on its port. */
  killApiServer(): Promise<void>;
  startApiServer(): Promise<void>;
  /**
   * Ends the controllers without warning and starts them again: what happens to them when the API server is away for
   * longer than their Lease. Those that live on wait up to a minute before they look again.
   */
  restartControllers(): Promise<void>;
  /** Ends it gracefully, as in an upgrade of the control plane, and starts it again. */
  restartApiServer(): Promise<void>;
  /** Freezes etcd: the API server is up, answers what it has cached, and can write nothing. */
  pauseEtcd(): void;
  resumeEtcd(): void;
  stop(): Promise<void>;
}

export interface ControlPlaneOptions {
  /** Controllers beside those that every rollout needs, e.g. `horizontal-pod-autoscaler-controller`. */
  controllers?: readonly string[];
}

const MASTERS = 'system:masters';
const GROUPS: Readonly<Record<string, string>> = {
  admin: MASTERS,
  player: MASTERS,
  engine: '',
  ...Object.fromEntries(REPLICA_USERS.map(user => [user, ''])),
  user: '',
  'kubectl-user': '',
  [MARKER_USER]: '',
};

const CONTROLLERS = [
  'deployment-controller',
  'replicaset-controller',
  'daemonset-controller',
  'endpoints-controller',
  'endpointslice-controller',
  'garbage-collector-controller',
  'namespace-controller',
  'serviceaccount-controller',
];

interface Layout {
  /** A path in the control plane's directory. */
  inFolder: (name: string) => string;
  ports: { etcd: number; peer: number; apiServer: number; manager: number };
  server: string;
  tokens: Readonly<Record<string, string>>;
}

async function layOut(): Promise<Layout> {
  const folder = mkdtempSync(join(tmpdir(), 'serin-e2e-'));
  const inFolder = (name: string) => join(folder, name);
  const [etcd = 0, peer = 0, apiServer = 0, manager = 0] = await freePorts(4);
  const tokens = Object.fromEntries(
    Object.keys(GROUPS).map(user => [user, `${user}-${randomBytes(16).toString('hex')}`]),
  );
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(inFolder('sa.key'), privateKey.export({ type: 'pkcs1', format: 'pem' }));
  const rows = Object.entries(GROUPS).map(([user, group]) =>
    [tokens[user], user, user, ...(group ? [`"${group}"`] : [])].join(','),
  );
  writeFileSync(inFolder('tokens.csv'), `${rows.join('\n')}\n`);
  writeFileSync(inFolder('audit.yaml'), AUDIT_POLICY);
  const ports = { etcd, peer, apiServer, manager };
  return { inFolder, ports, server: `https://127.0.0.1:${apiServer}`, tokens };
}

function flags(values: Readonly<Record<string, string | number | boolean>>): string[] {
  return Object.entries(values).map(([name, value]) => `--${name}=${value}`);
}

function startEtcd({ inFolder, ports }: Layout): Program {
  const client = `http://127.0.0.1:${ports.etcd}`;
  const peer = `http://127.0.0.1:${ports.peer}`;
  return startProgram(
    'etcd',
    programPath('etcd'),
    [
      ...flags({ 'data-dir': inFolder('etcd'), 'log-level': 'error' }),
      ...flags({ 'listen-client-urls': client, 'advertise-client-urls': client, 'listen-peer-urls': peer }),
      // Nothing here outlives a crash of the machine.
      '--unsafe-no-fsync',
    ],
    inFolder('etcd.log'),
  );
}

function startApiServerProgram({ inFolder, ports }: Layout): Program {
  const values = {
    'etcd-servers': `http://127.0.0.1:${ports.etcd}`,
    'cert-dir': inFolder('certs'),
    'secure-port': ports.apiServer,
    'bind-address': '127.0.0.1',
    'advertise-address': '127.0.0.1',
    'service-cluster-ip-range': '10.96.0.0/16',
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': inFolder('sa.key'),
    'service-account-signing-key-file': inFolder('sa.key'),
    'authorization-mode': 'RBAC',
    'token-auth-file': inFolder('tokens.csv'),
    // It would refuse pods until their ServiceAccount is there, and mount tokens that nobody reads.
    'disable-admission-plugins': 'ServiceAccount',
    // Some distributions have it on: whoever makes an owned object needs the right to its owner's finalizers.
    'enable-admission-plugins': 'OwnerReferencesPermissionEnforcement',
    'endpoint-reconciler-type': 'none',
    'audit-policy-file': inFolder('audit.yaml'),
    'audit-log-path': inFolder('audit.log'),
    'audit-log-mode': 'blocking',
    // Otherwise a graceful end waits a minute for clients to close their watches.
    'shutdown-watch-termination-grace-period': '1s',
  };
  return startProgram(
    'kube-apiserver',
    programPath('kube-apiserver'),
    flags(values),
    inFolder('apiserver.log'),
    { ...process.env, ...GARBAGE },
  );
}

function startManager({ inFolder, ports }: Layout, kubeconfig: string, controllers: string[]): Program {
  const values = {
    kubeconfig,
    'authentication-kubeconfig': kubeconfig,
    'authorization-kubeconfig': kubeconfig,
    'cert-dir': inFolder('manager-certs'),
    'leader-elect': false,
    'use-service-account-credentials': false,
    'concurrent-deployment-syncs': 20,
    'concurrent-replicaset-syncs': 20,
    'kube-api-qps': 500,
    'kube-api-burst': 1000,
    'bind-address': '127.0.0.1',
    'secure-port': ports.manager,
    controllers: controllers.join(','),
  };
  const path = programPath('kube-controller-manager');
  const environment = { ...process.env, ...GARBAGE };
  return startProgram('kube-controller-manager', path, flags(values), inFolder('manager.log'), environment);
}

function writeKubeconfig(layout: Layout, user: string, token: string | undefined): string {
  if (token === undefined) throw new Error(`the control plane has no user ${user}`);
  const path = layout.inFolder(`${user.replaceAll(':', '-')}.kubeconfig`);
  const cluster = { server: layout.server, 'certificate-authority': layout.inFolder('certs/apiserver.crt') };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'e2e', cluster }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: 'e2e', context: { cluster: 'e2e', user } }],
    'current-context': 'e2e',
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

/** Go collects garbage a quarter as often: memory is not what the tests' two cores are short of. */
const GARBAGE = { GOGC: '400' };

/** Everything of a control plane that has a state: its programs, and the client that can exist once it has a certificate. */
interface Running {
  layout: Layout;
  etcd: Program | undefined;
  apiServer: Program | undefined;
  manager: Program | undefined;
  controllers: string[];
  client: PlaneClient | undefined;
}

async function startApiServer(running: Running): Promise<void> {
  const { layout } = running;
  const program = startApiServerProgram(layout);
  running.apiServer = program;
  await ready(program, async () => {
    // It writes the certificate first and its key after it: with the key there, the certificate is whole.
    if (!existsSync(layout.inFolder('certs/apiserver.key'))) return false;
    const ca = readFileSync(layout.inFolder('certs/apiserver.crt'), 'utf8');
    running.client ??= createPlaneClient({ server: layout.server, ca, tokens: layout.tokens });
    return (await running.client.request('admin', 'GET', '/readyz')).status === 200;
  });
}

async function startAll(running: Running, options: ControlPlaneOptions): Promise<PlaneClient> {
  const { layout } = running;
  running.etcd = startEtcd(layout);
  try {
    await startApiServer(running);
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${running.etcd.tail()}`, { cause: error });
  }
  const { client } = running;
  if (client === undefined) throw new Error('a ready API server has a certificate');
  const kubeconfig = writeKubeconfig(layout, 'admin', layout.tokens['admin']);
  running.controllers = [...CONTROLLERS, ...(options.controllers ?? [])];
  const manager = startManager(layout, kubeconfig, running.controllers);
  running.manager = manager;
  await ready(manager, async () => {
    // A controller of its own makes it: when it is there, they run.
    const path = '/api/v1/namespaces/default/serviceaccounts/default';
    return (await client.request('admin', 'GET', path)).status === 200;
  });
  return client;
}

async function stopAll(running: Running): Promise<void> {
  for (const program of [running.manager, running.apiServer, running.etcd]) {
    if (program !== undefined) await endProgram(program, 'SIGKILL');
  }
  await running.client?.close();
  if (!process.env['SERIN_E2E_KEEP']) rmSync(running.layout.inFolder(''), { recursive: true, force: true });
}

/** Ready in 2 to 3 s. On failure nothing is left behind, and the error ends with the tail of the log. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const layout = await layOut();
  const running: Running = {
    layout,
    etcd: undefined,
    apiServer: undefined,
    manager: undefined,
    controllers: [],
    client: undefined,
  };
  try {
    const client = await startAll(running, options);
    return controlPlaneOf(running, client);
  } catch (error) {
    await stopAll(running);
    throw error;
  }
}

function controlPlaneOf(running: Running, client: PlaneClient): ControlPlane {
  const { layout } = running;
  const { request } = client;
  const auditPath = layout.inFolder('audit.log');
  const audit = () => readAudit(auditPath).filter(entry => entry.user !== MARKER_USER);
  const endApiServer = async (signal: NodeJS.Signals) => {
    if (running.apiServer !== undefined) await endProgram(running.apiServer, signal);
  };
  return {
    server: layout.server,
    ca: readFileSync(layout.inFolder('certs/apiserver.crt'), 'utf8'),
    key: readFileSync(layout.inFolder('certs/apiserver.key'), 'utf8'),
    tokens: layout.tokens,
    kubeconfig: (user, token = layout.tokens[user]) => writeKubeconfig(layout, user, token),
    request,
    call: request,
    applyYaml: client.applyYaml,
    installCrds: client.installCrds,
    async serviceAccountToken(namespace, name) {
      const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
      const { status, body } = await request('admin', 'POST', path, { spec: {} });
      if (status !== 201) throw new Error(`no token for ${namespace}/${name}: ${JSON.stringify(body)}`);
      return body.status.token;
    },
    audit,
    async auditEvents(...users) {
      await written(request, auditPath);
      return audit().filter(entry => users.includes(entry.user));
    },
    killApiServer: () => endApiServer('SIGKILL'),
    startApiServer: () => startApiServer(running),
    async restartControllers() {
      if (running.manager !== undefined) await endProgram(running.manager, 'SIGKILL');
      running.manager = startManager(layout, layout.inFolder('admin.kubeconfig'), running.controllers);
    },
    async restartApiServer() {
      await endApiServer('SIGTERM');
      await startApiServer(running);
    },
    pauseEtcd: () => void running.etcd?.kill('SIGSTOP'),
    resumeEtcd: () => void running.etcd?.kill('SIGCONT'),
    stop: () => stopAll(running),
  };
}

/** An answer may reach its client a moment before its entry is written: a later request's entry is waited for. */
async function written(request: PlaneRequest, auditPath: string): Promise<void> {
  const uri = `/version?marker=${randomBytes(8).toString('hex')}`;
  const { status } = await request(MARKER_USER, 'GET', uri);
  if (status !== 200) throw new Error(`the marker was answered with ${status}`);
  await waitFor('the audit log is written', () => readAudit(auditPath).some(entry => entry.uri === uri));
}
