/**
 * A real control plane on free loopback ports: etcd, kube-apiserver with RBAC, admission policies and an audit log, and
 * the controllers that a rollout needs. There is no kubelet: the world plays it. Everything lives in one temporary
 * directory and ends with `stop`.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';

export interface AuditEntry {
  verb: string;
  resource: string;
  subresource: string;
  namespace: string;
  name: string;
  code: number;
  at: string;
}

export interface ControlPlane {
  server: string;
  ca: string;
  tokens: Readonly<Record<string, string>>;
  /** Path of a kubeconfig for this user. */
  kubeconfig(user: string): string;
  /** What the user `engine` asked of the API server, as it wrote it down. */
  audit(): AuditEntry[];
  call(
    user: string,
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    contentType?: string,
  ): Promise<{ status: number; body: any }>;
  killApiServer(): Promise<void>;
  startApiServer(): Promise<void>;
  stop(): Promise<void>;
}

const USERS: Readonly<Record<string, string>> = {
  admin: 'system:masters',
  player: 'system:masters',
  engine: '',
  user: '',
};
const READY_DEADLINE_MS = 60_000;
const CONTROLLERS = [
  'deployment-controller',
  'replicaset-controller',
  'endpoints-controller',
  'endpointslice-controller',
  'garbage-collector-controller',
  'namespace-controller',
  'serviceaccount-controller',
].join(',');

const AUDIT_POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- {level: Metadata, users: [engine, "system:serviceaccount:serin:serin"]}
- {level: None}
`;

async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** Starts a program with its output in a log file; fails with the log's tail when it ends before it is wanted to. */
export function startProgram(
  name: string,
  path: string,
  args: string[],
  logPath: string,
): ChildProcess & { tail(): string } {
  const log = openSync(logPath, 'a');
  const child = spawn(path, args, { stdio: ['ignore', log, log] });
  closeSync(log);
  const tail = () => `${name}:\n${readFileSync(logPath, 'utf8').split('\n').slice(-25).join('\n')}`;
  return Object.assign(child, { tail });
}

export async function endProgram(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>(resolve => child.once('exit', () => resolve()));
  child.kill(signal);
  await ended;
}

export async function waitFor<T>(
  what: string,
  isThere: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = READY_DEADLINE_MS,
): Promise<T> {
  const startedAt = performance.now();
  for (;;) {
    const answer = await isThere();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() - startedAt > deadlineMs) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

function binary(variable: string): string {
  const path = process.env[variable];
  if (!path || !existsSync(path))
    throw new Error(`${variable} is not set: run the end-to-end tests by e2e/harness/run.ts`);
  return path;
}

export async function startControlPlane(): Promise<ControlPlane> {
  const folder = mkdtempSync(join(tmpdir(), 'serin-e2e-'));
  const [etcdPort, peerPort, apiPort, managerPort] = await Promise.all([
    freePort(),
    freePort(),
    freePort(),
    freePort(),
  ]);
  const inFolder = (name: string) => join(folder, name);
  const tokens = Object.fromEntries(Object.keys(USERS).map(user => [user, `token-of-${user}`]));
  execFileSync('openssl', ['genrsa', '-out', inFolder('sa.key'), '2048'], { stdio: 'ignore' });
  writeFileSync(
    inFolder('tokens.csv'),
    Object.entries(USERS)
      .map(([user, group]) => `${tokens[user]},${user},${user}${group ? `,"${group}"` : ''}\n`)
      .join(''),
  );
  writeFileSync(inFolder('audit.yaml'), AUDIT_POLICY);
  const server = `https://127.0.0.1:${apiPort}`;

  const etcd = startProgram(
    'etcd',
    binary('SERIN_E2E_ETCD'),
    [
      '--data-dir',
      inFolder('etcd'),
      '--listen-client-urls',
      `http://127.0.0.1:${etcdPort}`,
      '--advertise-client-urls',
      `http://127.0.0.1:${etcdPort}`,
      '--listen-peer-urls',
      `http://127.0.0.1:${peerPort}`,
      '--unsafe-no-fsync',
      '--log-level',
      'error',
    ],
    inFolder('etcd.log'),
  );
  let apiServer: ReturnType<typeof startProgram> | undefined;
  let agent: Agent | undefined;

  async function startApiServer(): Promise<void> {
    apiServer = startProgram(
      'kube-apiserver',
      binary('SERIN_E2E_KUBE_APISERVER'),
      [
        '--etcd-servers',
        `http://127.0.0.1:${etcdPort}`,
        '--cert-dir',
        inFolder('certs'),
        '--secure-port',
        String(apiPort),
        '--bind-address',
        '127.0.0.1',
        '--advertise-address',
        '127.0.0.1',
        '--service-cluster-ip-range',
        '10.96.0.0/16',
        '--service-account-issuer',
        'https://kubernetes.default.svc',
        '--service-account-key-file',
        inFolder('sa.key'),
        '--service-account-signing-key-file',
        inFolder('sa.key'),
        '--authorization-mode',
        'RBAC',
        '--token-auth-file',
        inFolder('tokens.csv'),
        '--disable-admission-plugins',
        'ServiceAccount',
        '--endpoint-reconciler-type',
        'none',
        '--audit-policy-file',
        inFolder('audit.yaml'),
        '--audit-log-path',
        inFolder('audit.log'),
        '--audit-log-mode',
        'blocking',
      ],
      inFolder('apiserver.log'),
    );
    const started = apiServer;
    await waitFor('kube-apiserver is ready', async () => {
      if (started.exitCode !== null) throw new Error(started.tail());
      if (!existsSync(inFolder('certs/apiserver.crt'))) return false;
      agent ??= new Agent({
        connect: { ca: readFileSync(inFolder('certs/apiserver.crt'), 'utf8'), rejectUnauthorized: true },
        connections: 16,
      });
      return (await call('admin', 'GET', '/readyz').catch(() => undefined))?.status === 200;
    });
  }

  const call: ControlPlane['call'] = async (user, method, path, body, contentType) => {
    const answer = await request(server + path, {
      method,
      ...(agent ? { dispatcher: agent } : {}),
      headers: {
        authorization: `Bearer ${tokens[user]}`,
        ...(body === undefined ? {} : { 'content-type': contentType ?? 'application/json' }),
      },
      body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await answer.body.text();
    let parsed: unknown = text;
    try {
      parsed = JSON.parse(text);
    } catch {
      // Health endpoints answer plain text.
    }
    return { status: answer.statusCode, body: parsed };
  };

  const kubeconfig = (user: string): string => {
    const path = inFolder(`${user}.kubeconfig`);
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        { name: 'e2e', cluster: { server, 'certificate-authority': inFolder('certs/apiserver.crt') } },
      ],
      users: [{ name: user, user: { token: tokens[user] } }],
      contexts: [{ name: 'e2e', context: { cluster: 'e2e', user } }],
      'current-context': 'e2e',
    };
    writeFileSync(path, JSON.stringify(config));
    return path;
  };

  await startApiServer();
  const manager = startProgram(
    'kube-controller-manager',
    binary('SERIN_E2E_KUBE_CONTROLLER_MANAGER'),
    [
      '--kubeconfig',
      kubeconfig('admin'),
      '--authentication-kubeconfig',
      kubeconfig('admin'),
      '--authorization-kubeconfig',
      kubeconfig('admin'),
      '--leader-elect=false',
      '--use-service-account-credentials=false',
      '--kube-api-qps',
      '500',
      '--kube-api-burst',
      '1000',
      '--secure-port',
      String(managerPort),
      '--controllers',
      CONTROLLERS,
    ],
    inFolder('manager.log'),
  );

  return {
    server,
    ca: readFileSync(inFolder('certs/apiserver.crt'), 'utf8'),
    tokens,
    kubeconfig,
    audit() {
      return readFileSync(inFolder('audit.log'), 'utf8')
        .split('\n')
        .filter(Boolean)
        .map(line => {
          const entry = JSON.parse(line);
          const { resource = '', subresource = '', namespace = '', name = '' } = entry.objectRef ?? {};
          return {
            verb: entry.verb,
            resource,
            subresource,
            namespace,
            name,
            code: entry.responseStatus?.code ?? 0,
            at: entry.requestReceivedTimestamp,
          };
        });
    },
    call,
    async killApiServer() {
      if (apiServer) await endProgram(apiServer, 'SIGKILL');
    },
    startApiServer,
    async stop() {
      await endProgram(manager, 'SIGKILL');
      if (apiServer) await endProgram(apiServer, 'SIGKILL');
      await endProgram(etcd, 'SIGKILL');
      await agent?.destroy();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
