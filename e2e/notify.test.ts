/**
 * People are told: a real HTTP receiver as Slack (AlertProvider and Secret) and as event webhook (flag), the engine as a
 * process that is killed, and a receiver that never answers.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { engineArguments, engineEnvironment } from '../engine/launch.ts';
import { endProgram } from './harness/controlplane.ts';
import { type RealPrometheus, startPrometheus } from './harness/prometheus.ts';
import { type Rig, startRig } from './harness/rig.ts';

interface Received {
  path: string;
  authorization: string | undefined;
  body: any;
  isAnswered: boolean;
}

const HOOK = '/hook/PLANTED-HOOK';
const SLACK = '/slack/PLANTED-SLACK';
const TOKEN = 'PLANTED-TOKEN';

let rig: Rig;
let prometheus: RealPrometheus;
let server: Server;
let base: string;
const received: Received[] = [];
let isHanging = false;
const running: ChildProcess[] = [];
let output = '';

beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { url = '', headers } = request;
      const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
      const isAnswered = !isHanging;
      received.push({ path: url, authorization: headers.authorization, body, isAnswered });
      if (isAnswered) response.end('ok');
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  rig = await startRig();
  prometheus = await startPrometheus(rig.kubelet);
});
afterEach(async () => {
  for (const child of running.splice(0)) await endProgram(child, 'SIGKILL');
  received.length = 0;
  isHanging = false;
});
afterAll(async () => {
  await prometheus?.stop();
  await rig?.stop();
  server?.closeAllConnections();
  server?.close();
});

function startEngine(): ChildProcess {
  const flags = [
    `--kubeconfig=${rig.plane.kubeconfig('engine')}`,
    `--metrics-server=${prometheus.url}`,
    '--leader-election-namespace=default',
    '--drain-seconds=1',
    '--port=0',
    '--cluster-name=west-1',
  ];
  const child = spawn(process.execPath, engineArguments(flags), {
    env: engineEnvironment({ POD_NAME: 'one', EVENT_WEBHOOK_URL: `${base}${HOOK}` }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', chunk => (output += String(chunk)));
  running.push(child);
  return child;
}

async function create(path: string, body: object): Promise<void> {
  const answer = await rig.api.request('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
}

/** A shop whose canary alerts the Slack, for warnings and errors. */
async function serving(namespace: string) {
  await rig.shop(namespace);
  await create(`/api/v1/namespaces/${namespace}/secrets`, {
    metadata: { name: 'slack' },
    stringData: { address: `${base}${SLACK}`, token: TOKEN },
  });
  await create(`/apis/serin.dev/v1beta1/namespaces/${namespace}/alertproviders`, {
    apiVersion: 'serin.dev/v1beta1',
    kind: 'AlertProvider',
    metadata: { name: 'on-call' },
    spec: { type: 'slack', channel: 'ops', secretRef: { name: 'slack' } },
  });
  await rig.declare(namespace, {
    analysis: {
      interval: '2s',
      stepWeights: [20, 40],
      threshold: 2,
      judge: { guard: { enabled: false } },
      metrics: [{ name: 'request-success-rate', interval: '5s', thresholdRange: { min: 99 } }],
      alerts: [{ name: 'on-call', severity: 'warn', providerRef: { name: 'on-call' } }],
    },
  });
  await rig.phase(namespace, 'Initialized');
  return rig.traffic(namespace);
}

const atWeight = (namespace: string, weight: number) =>
  rig.until(
    `weight ${weight}`,
    async () => ((await rig.canary(namespace)).status?.canaryWeight ?? 0) >= weight,
  );

const hooked = () => received.filter(one => one.path === HOOK && one.isAnswered).map(one => one.body);
const slacked = () => received.filter(one => one.path === SLACK && one.isAnswered);
const reasonOf = (body: any): string => body.attachments[0].fields[0].value;

/** Every transition that stands in the status has been told to the webhook, and been answered. */
async function everythingTold(namespace: string): Promise<void> {
  const { metadata, status } = await rig.canary(namespace);
  const wanted: string[] = status.transitions.map((one: any) => `${metadata.uid}/${one.number}`);
  await rig.until('everything is told', async () => {
    const told = new Set(hooked().map(body => body.id));
    return wanted.every(id => told.has(id));
  });
}

test('a bad release: each step, and why it was rolled back, by Slack and by webhook; no secret anywhere else', async () => {
  startEngine();
  const traffic = await serving('told');
  await rig.release('told', 'v2', { errorPercent: 60 });
  await rig.phase('told', 'Failed');
  await traffic.stop();
  await everythingTold('told');
  await rig.until('Slack knows', async () => slacked().some(one => reasonOf(one.body) === 'RolledBack'));

  const reasons = hooked().map(body => body.reason);
  expect(reasons).toEqual(expect.arrayContaining(['Adopted', 'Started', 'WeightRaised', 'CheckFailed']));
  const end = hooked().find(body => body.reason === 'RolledBack');
  expect(end).toMatchObject({ name: 'web', namespace: 'told', phase: 'Failed', severity: 'error' });
  expect(end).toMatchObject({ canaryWeight: 0, cluster: 'west-1', metadata: { eventType: 'Warning' } });
  const [check] = end.checks;
  expect(check).toMatchObject({ metric: 'request-success-rate', outcome: 'fail', min: 99 });
  expect(check.value).toBeLessThan(99);
  expect(check.query).toContain('response_total');
  expect(end.message).toContain(`request-success-rate is ${Number(check.value.toFixed(3))}, below 99`);

  expect(new Set(slacked().map(one => one.authorization))).toEqual(new Set([`Bearer ${TOKEN}`]));
  const slackReasons = slacked().map(one => reasonOf(one.body));
  expect(slackReasons).toEqual(expect.arrayContaining(['CheckFailed', 'RolledBack']));
  expect(slackReasons).not.toContain('Started');
  const message = slacked().find(one => reasonOf(one.body) === 'RolledBack')?.body;
  expect(message.channel).toBe('ops');
  const [attachment] = message.attachments;
  expect(attachment).toMatchObject({ color: 'danger', author_name: 'web.told' });
  const fields = new Map(attachment.fields.map((field: any) => [field.title, field.value]));
  expect(fields.get('request-success-rate')).toContain('must be at least 99');
  expect(fields.get('Query of request-success-rate')).toContain('response_total');

  const { body: events } = await rig.api.request('GET', '/api/v1/events');
  const { body: canaries } = await rig.api.request('GET', '/apis/serin.dev/v1beta1/canaries');
  expect(output).toContain('"reason":"RolledBack"');
  for (const text of [output, JSON.stringify(events), JSON.stringify(canaries)])
    expect(text).not.toContain('PLANTED');
});

test('killed at each step: nothing that happened stays untold', async () => {
  let engine = startEngine();
  const traffic = await serving('killed');
  await rig.release('killed', 'v2');
  for (const weight of [20, 40]) {
    await atWeight('killed', weight);
    await endProgram(engine, 'SIGKILL');
    engine = startEngine();
  }
  await rig.phase('killed', 'Succeeded');
  await traffic.stop();
  await everythingTold('killed');
  const reasons = new Set(hooked().map(body => body.reason));
  for (const reason of ['Started', 'WeightRaised', 'Promoting', 'Succeeded'])
    expect(reasons).toContain(reason);
});

test('receivers that never answer: the rollback is over before they have said anything; then killed, and all is told', async () => {
  isHanging = true;
  const engine = startEngine();
  const traffic = await serving('hung');
  await rig.release('hung', 'v2', { errorPercent: 60 });
  const failed = await rig.phase('hung', 'Failed');
  await traffic.stop();
  expect(failed.status.transitions.at(-1).reason).toBe('RolledBack');
  expect(failed.status.notified).toBeUndefined();
  expect(received.map(one => one.path)).toEqual(expect.arrayContaining([HOOK, SLACK]));
  expect(received.filter(one => one.isAnswered)).toEqual([]);
  const foreign = traffic.failures.filter(failure => failure.cause !== 'release' || failure.version !== 'v2');
  expect(foreign.slice(0, 3)).toEqual([]);

  await endProgram(engine, 'SIGKILL');
  isHanging = false;
  startEngine();
  await everythingTold('hung');
  await rig.until('Slack knows', async () => slacked().some(one => reasonOf(one.body) === 'RolledBack'));
});
