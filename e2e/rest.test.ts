/** Steering by REST: a real ServiceAccount's token, reviewed by the real API server, promotes past the analysis. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { engineArguments, engineEnvironment } from '../engine/launch.ts';
import { endProgram } from './harness/controlplane.ts';
import { type Rig, startRig } from './harness/rig.ts';

let rig: Rig;
let engine: ChildProcess;
let base: string;

beforeAll(async () => {
  rig = await startRig();
  const flags = [
    '--kubeconfig',
    rig.plane.kubeconfig('engine'),
    '--leader-election-namespace',
    'default',
    '--drain-seconds',
    '1',
    '--port',
    '0',
  ];
  engine = spawn(process.execPath, engineArguments(flags), {
    env: engineEnvironment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: engine.stdout! });
  const port = await new Promise<number>(resolve => {
    lines.on('line', line => {
      const { port: listening } = JSON.parse(line) as { port?: number };
      if (listening !== undefined) resolve(listening);
    });
  });
  base = `http://127.0.0.1:${port}`;
});
afterAll(async () => {
  if (engine) await endProgram(engine, 'SIGKILL');
  await rig?.stop();
});

async function post(path: string, body: object): Promise<any> {
  const answer = await rig.api.request('POST', path, body);
  if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** A token of a new ServiceAccount that may do what the rules say. */
async function tokenOf(name: string, rules: object[]): Promise<string> {
  const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/steered';
  await post('/api/v1/namespaces/steered/serviceaccounts', { metadata: { name } });
  await post(`${rbac}/roles`, { metadata: { name }, rules });
  await post(`${rbac}/rolebindings`, {
    metadata: { name },
    subjects: [{ kind: 'ServiceAccount', name, namespace: 'steered' }],
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
  });
  const { status } = await post(`/api/v1/namespaces/steered/serviceaccounts/${name}/token`, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {},
  });
  return status.token;
}

const promote = (token?: string) =>
  fetch(`${base}/api/v1/namespaces/steered/canaries/web/promote`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify({ reason: 'tested by hand' }),
  });

test('promote needs a token and the right to it, names who did it, and is refused when it does not apply', async () => {
  await rig.shop('steered');
  await rig.declare('steered', { analysis: { interval: '60s', stepWeight: 10, threshold: 5 } });
  await rig.phase('steered', 'Initialized');
  const reader = await tokenOf('reader', [
    { apiGroups: ['serin.dev'], resources: ['canaries'], verbs: ['get', 'list'] },
  ]);
  const releaser = await tokenOf('releaser', [
    { apiGroups: ['serin.dev'], resources: ['canaries/promote'], verbs: ['update'] },
  ]);
  expect((await promote()).status).toBe(401);
  expect((await promote('nonsense')).status).toBe(401);
  expect((await promote(reader)).status).toBe(403);
  expect((await promote(releaser)).status).toBe(409);

  await rig.release('steered', 'v2');
  await rig.until('weight 10', async () => (await rig.canary('steered')).status.canaryWeight === 10);
  expect((await promote(releaser)).status).toBe(202);
  const promoting = await rig.until('it is promoted', async () => {
    const now = await rig.canary('steered');
    return now.status.transitions.find((one: any) => one.reason === 'Promoting');
  });
  expect(promoting.message).toContain('system:serviceaccount:steered:releaser');
  expect(promoting.message).toContain('tested by hand');

  const listed = await fetch(`${base}/api/v1/namespaces/steered/canaries/web`, {
    headers: { authorization: `Bearer ${reader}` },
  });
  expect(listed.status).toBe(200);
  expect((await fetch(`${base}/healthz`)).status).toBe(200);
  expect(await (await fetch(`${base}/metrics`)).text()).toContain('flagger_canary_weight');
});
