/** Rollouts through the real control plane without any Prometheus: the pods' own metrics judge, over their real addresses. */
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { engineArguments, engineEnvironment } from '../engine/launch.ts';
import { endProgram } from './harness/controlplane.ts';
import { type RunningEngine, startEngine } from './harness/engine.ts';
import { type Rig, startRig } from './harness/rig.ts';
import type { DeploymentOptions } from '../simulator/world/manifests.ts';

let rig: Rig;
let running: RunningEngine;

beforeAll(async () => {
  rig = await startRig();
  running = await startEngine(rig, undefined);
});
afterAll(async () => {
  await running?.stop();
  await rig?.stop();
});

const metrics = [
  { name: 'request-success-rate', interval: '5s', thresholdRange: { min: 99 } },
  { name: 'request-duration', interval: '5s', thresholdRange: { max: 400 } },
];
const analysis = {
  interval: '2s',
  stepWeights: [20, 50],
  threshold: 2,
  metrics,
  judge: { guard: { enabled: false } },
};

async function serving(namespace: string, shop: Partial<DeploymentOptions> = {}, over: object = {}) {
  await rig.shop(namespace, shop);
  await rig.declare(namespace, { analysis: { ...analysis, ...over } });
  await rig.phase(namespace, 'Initialized');
  return rig.traffic(namespace);
}

const checkWith = (namespace: string, outcome: string) =>
  rig.until(`a check of ${namespace} ends in ${outcome}`, async () =>
    (await rig.canary(namespace)).status.checks?.find((check: any) => check.outcome === outcome),
  );

const image = async (namespace: string) =>
  (await rig.api.request('GET', `/apis/apps/v1/namespaces/${namespace}/deployments/web-primary`)).body.spec
    .template.spec.containers[0].image;

/** Nothing failed but what the named version itself answered. */
async function expectOnlyFailuresOf(traffic: Awaited<ReturnType<typeof serving>>, version?: string) {
  const counts = await traffic.stop();
  const foreign = traffic.failures.filter(one => one.cause !== 'release' || one.version !== version);
  expect(foreign.slice(0, 3), running.log.slice(-20).join('\n')).toEqual([]);
  return counts;
}

describe('a release', () => {
  test('good: promoted on values that the pods themselves counted', async () => {
    const traffic = await serving('good');
    await rig.release('good', 'v2');
    const done = await rig.phase('good', 'Succeeded');
    expect(done.status.checks).toMatchObject([
      { metric: 'request-success-rate', outcome: 'pass', value: 100, min: 99 },
      { metric: 'request-duration', outcome: 'pass', value: expect.any(Number), max: 400 },
    ]);
    expect(done.status.transitions.map((one: any) => one.reason)).not.toContain('NoData');
    expect(await image('good')).toContain('v2');
    const counts = await expectOnlyFailuresOf(traffic);
    expect(counts.byVersion['v2']?.total).toBeGreaterThan(0);
  });

  test('bad: rolled back on its success rate', async () => {
    const traffic = await serving('bad');
    await rig.release('bad', 'v2', { errorPercent: 50 });
    const failed = await rig.phase('bad', 'Failed');
    expect(failed.status.transitions.at(-1).reason).toBe('RolledBack');
    expect(failed.status.transitions.at(-1).message).toContain('request-success-rate');
    expect(await image('bad')).toContain('v1');
    await expectOnlyFailuresOf(traffic, 'v2');
  });

  test('that answers nothing but errors: 0 % is a value', async () => {
    const traffic = await serving('broken');
    await rig.release('broken', 'v2', { errorPercent: 100 });
    const failed = await rig.phase('broken', 'Failed');
    expect(failed.status.transitions.at(-1).message).toContain('request-success-rate is 0, below 99');
    await expectOnlyFailuresOf(traffic, 'v2');
  });

  test('slow: rolled back on its latency', async () => {
    const traffic = await serving('slow');
    await rig.release('slow', 'v2', { latencyMs: 800 });
    const failed = await rig.phase('slow', 'Failed');
    expect(failed.status.transitions.at(-1).message).toContain('request-duration');
    await expectOnlyFailuresOf(traffic);
  });

  test('whose primary fails once it has all the traffic: back to the last good one', async () => {
    const traffic = await serving('lategone');
    const undo = rig.kubelet.setBehaviour(
      { namespace: 'lategone', version: 'v2', labels: { app: 'web-primary' } },
      { errorPercent: 50 },
    );
    await rig.release('lategone', 'v2');
    const failed = await rig.phase('lategone', 'Failed');
    undo();
    const told = failed.status.transitions.map((one: any) => `${one.reason}: ${one.message}`);
    expect(told.join('\n')).toMatch(/The promoted primary fails: request-success-rate is \d/);
    expect(await image('lategone')).toContain('v1');
    await expectOnlyFailuresOf(traffic, 'v2');
  });
});

describe('without a value a rollout holds', () => {
  test('when nobody answers on the port: it names it, and goes on when somebody does', async () => {
    const traffic = await serving('refused', { adminPort: 'none' });
    await rig.release('refused', 'v2', { adminPort: 'none' });
    const check = await checkWith('refused', 'error');
    expect(check.message).toMatch(
      /^scrape: 0 of 2 ready pods answered on port 4191, 2 are needed; web-[^:]+: connection refused/,
    );
    const { status } = await rig.canary('refused');
    expect(status).toMatchObject({ phase: 'Progressing', canaryWeight: 20, failedChecks: 0 });
    expect(status.transitions.map((one: any) => one.reason)).toContain('ProviderError');
    await rig.release('refused', 'v3');
    await rig.phase('refused', 'Succeeded');
    await expectOnlyFailuresOf(traffic);
  });

  test('when a query needs a server', async () => {
    const query = { name: 'mine', query: 'up', thresholdRange: { min: 1 } };
    const traffic = await serving('query', {}, { metrics: [...metrics, query] });
    await rig.release('query', 'v2');
    expect(await checkWith('query', 'error')).toMatchObject({
      metric: 'mine',
      message: expect.stringContaining('a query needs a metrics server: set --metrics-server'),
    });
    expect((await rig.canary('query')).status).toMatchObject({ phase: 'Progressing', failedChecks: 0 });
    await expectOnlyFailuresOf(traffic);
  });

  test('when the engine was restarted: for as long as it has seen too little', async () => {
    const traffic = await serving('restarted', {}, { interval: '4s' });
    await rig.release('restarted', 'v2');
    // So late in the interval that the new engine sees less than the whole of it before the check is due.
    await rig.until('half of the interval after the first step', async () => {
      const steppedAt = (await rig.canary('restarted')).status.run?.steppedAt;
      return steppedAt !== undefined && Date.now() >= Date.parse(steppedAt) + 2_000;
    });
    await running.stop();
    running = await startEngine(rig, undefined);
    const check = await checkWith('restarted', 'noData');
    expect(check.message).toMatch(/looked at for \d\.\d s; a value needs 4\.0 s|first look/);
    await rig.phase('restarted', 'Succeeded');
    await expectOnlyFailuresOf(traffic);
  });
});

test('an application is judged by its own counter and histogram, which flags of the process name', async () => {
  // Before the process takes over, so that the pods are read by nobody else.
  const traffic = await serving('application', { adminPort: 'none' });
  await running.stop();
  const flags = [
    '--kubeconfig',
    rig.plane.kubeconfig('engine'),
    '--leader-election-namespace',
    'default',
    '--drain-seconds',
    '1',
    '--port',
    '0',
    '--scrape-port',
    '8080',
    '--scrape-request-counter',
    'http_requests_total',
    '--scrape-duration-histogram',
    'http_request_duration_seconds',
  ];
  const child = spawn(process.execPath, engineArguments(flags), {
    env: engineEnvironment(),
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  try {
    await rig.release('application', 'v2', { adminPort: 'none' });
    const done = await rig.phase('application', 'Succeeded');
    expect(done.status.checks.map((check: any) => check.outcome)).toEqual(['pass', 'pass']);
    await rig.release('application', 'v3', { adminPort: 'none', errorPercent: 60 });
    const failed = await rig.phase('application', 'Failed');
    expect(failed.status.transitions.at(-1).message).toContain('request-success-rate');
    await expectOnlyFailuresOf(traffic, 'v3');
    // It ends when it is told to: nothing of the looks between checks keeps it.
    const ended = new Promise(resolve => child.once('exit', resolve));
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  } finally {
    await endProgram(child, 'SIGKILL');
    running = await startEngine(rig, undefined);
  }
});
