/** Rollouts through the real control plane, judged by a real Prometheus; every failed request of a user is counted. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningEngine, startEngine } from './harness/engine.ts';
import { type RealPrometheus, startPrometheus } from './harness/prometheus.ts';
import { type Rig, startRig } from './harness/rig.ts';

let rig: Rig;
let prometheus: RealPrometheus;
let running: RunningEngine;

beforeAll(async () => {
  rig = await startRig();
  prometheus = await startPrometheus(rig.kubelet);
  running = await startEngine(rig, prometheus.url);
});
afterAll(async () => {
  await running?.stop();
  await prometheus?.stop();
  await rig?.stop();
});

const analysis = {
  interval: '2s',
  stepWeights: [20, 50],
  threshold: 2,
  onNoData: 'hold',
  metrics: [
    { name: 'request-success-rate', interval: '5s', thresholdRange: { min: 99 } },
    { name: 'request-duration', interval: '5s', thresholdRange: { max: 400 } },
  ],
};

const deployments = (namespace: string) => `/apis/apps/v1/namespaces/${namespace}/deployments`;

async function serving(namespace: string, spec: object = { analysis }) {
  await rig.shop(namespace);
  await rig.api.request('POST', `/api/v1/namespaces/${namespace}/services`, {
    metadata: { name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  });
  await rig.until('the Service serves', async () => {
    const { body } = await rig.api.request(
      'GET',
      `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`,
    );
    return body.items.some((slice: any) => slice.endpoints?.length === 2);
  });
  const traffic = rig.traffic(namespace);
  await rig.declare(namespace, spec);
  await rig.phase(namespace, 'Initialized');
  await targetAt(namespace, 0);
  return traffic;
}

async function targetAt(namespace: string, replicas: number) {
  await rig.until(
    `target at ${replicas}`,
    async () =>
      (await rig.api.request('GET', `${deployments(namespace)}/web`)).body.spec.replicas === replicas,
  );
}

const image = async (namespace: string) =>
  (await rig.api.request('GET', `${deployments(namespace)}/web-primary`)).body.spec.template.spec
    .containers[0].image;
const atWeight = (namespace: string, weight: number) =>
  rig.until(
    `weight ${weight}`,
    async () => ((await rig.canary(namespace)).status?.canaryWeight ?? 0) >= weight,
  );

/** Nothing failed but what the named version itself answered. */
async function expectOnlyReleaseFailures(traffic: Awaited<ReturnType<typeof serving>>, badVersion?: string) {
  const counts = await traffic.stop();
  const foreign = traffic.failures.filter(
    failure => !(failure.cause === 'release' && failure.version === badVersion),
  );
  expect({ foreign: foreign.slice(0, 3), log: foreign.length ? running.log.slice(-20) : [] }).toEqual({
    foreign: [],
    log: [],
  });
  return counts;
}

describe('a release', () => {
  test('good: promoted; deleting the Canary gives the workload back', async () => {
    const traffic = await serving('good');
    await rig.release('good', 'v2');
    const done = await rig.phase('good', 'Succeeded');
    expect(done.status.lastPromotedSpec).toBe(done.status.lastAppliedSpec);
    expect(done.status.checks.map((check: any) => check.outcome)).toEqual(['pass', 'pass']);
    expect(await image('good')).toContain('v2');
    await rig.api.request('DELETE', '/apis/serin.dev/v1beta1/namespaces/good/canaries/web');
    await rig.until('the Canary is gone', async () => (await rig.canary('good')).code === 404);
    expect((await rig.api.request('GET', '/api/v1/namespaces/good/services/web')).body.spec.selector).toEqual(
      { app: 'web' },
    );
    const counts = await expectOnlyReleaseFailures(traffic);
    expect(counts.byVersion['v2']?.total).toBeGreaterThan(0);
  });

  test('bad: rolled back on its success rate, and the primary never changes', async () => {
    const traffic = await serving('bad');
    await rig.release('bad', 'v2', { errorPercent: 50 });
    const failed = await rig.phase('bad', 'Failed');
    expect(failed.status.transitions.at(-1).reason).toBe('RolledBack');
    expect(failed.status.transitions.at(-1).message).toContain('request-success-rate');
    expect(await image('bad')).toContain('v1');
    await targetAt('bad', 0);
    await expectOnlyReleaseFailures(traffic, 'v2');
  });

  test('slow: rolled back on its latency', async () => {
    const traffic = await serving('slow');
    await rig.release('slow', 'v2', { latencyMs: 800 });
    const failed = await rig.phase('slow', 'Failed');
    expect(failed.status.transitions.at(-1).message).toContain('request-duration');
    await expectOnlyReleaseFailures(traffic);
  });

  test('reverted mid-run: aborted at once', async () => {
    const traffic = await serving('reverted');
    await rig.release('reverted', 'v2');
    await atWeight('reverted', 20);
    await rig.release('reverted', 'v1');
    const failed = await rig.phase('reverted', 'Failed', 2_000);
    expect(failed.status.transitions.at(-1).reason).toBe('Reverted');
    await targetAt('reverted', 0);
    await expectOnlyReleaseFailures(traffic);
  });

  test('replaced mid-run: the newer revision never gets traffic unjudged', async () => {
    const traffic = await serving('replaced');
    await rig.release('replaced', 'v2');
    await atWeight('replaced', 20);
    await rig.release('replaced', 'v3');
    await rig.until(
      'it starts again',
      async () => (await rig.canary('replaced')).status.history?.[0]?.outcome === 'Superseded',
    );
    const done = await rig.phase('replaced', 'Succeeded');
    expect(done.status.history[0].outcome).toBe('Succeeded');
    expect(await image('replaced')).toContain('v3');
    await expectOnlyReleaseFailures(traffic);
  });

  test('whose primary does not come up: the last good revision serves on', async () => {
    const traffic = await serving('deadprimary', { analysis, progressDeadlineSeconds: 5 });
    const undo = rig.kubelet.setBehaviour(
      { namespace: 'deadprimary', version: 'v2', labels: { app: 'web-primary' } } as never,
      { neverReady: true },
    );
    await rig.release('deadprimary', 'v2');
    const failed = await rig.phase('deadprimary', 'Failed');
    undo();
    expect(failed.status.lastPromotedSpec).not.toBe(failed.status.lastAppliedSpec);
    expect(await image('deadprimary')).toContain('v1');
    await expectOnlyReleaseFailures(traffic);
  });
});

describe('while the metrics are down', () => {
  test('a rollout holds, and goes on when they are back', async () => {
    const traffic = await serving('blind');
    await rig.release('blind', 'v2');
    await atWeight('blind', 20);
    await prometheus.kill();
    await rig.until('it says so', async () =>
      (await rig.canary('blind')).status.checks?.some((check: any) => check.outcome === 'error'),
    );
    expect((await rig.canary('blind')).status.phase).toBe('Progressing');
    await prometheus.start();
    await rig.phase('blind', 'Succeeded');
    await expectOnlyReleaseFailures(traffic);
  });
});
