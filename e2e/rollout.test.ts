/** One rollout through the real control plane: adopted, promoted, reverted, deleted, and not one request lost. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startEngine } from './harness/engine.ts';
import { type Rig, startRig } from './harness/rig.ts';

let rig: Rig;
let running: Awaited<ReturnType<typeof startEngine>>;

beforeAll(async () => {
  rig = await startRig();
  running = await startEngine(rig);
});
afterAll(async () => {
  await running?.stop();
  await rig?.stop();
});

const analysis = { interval: '1s', stepWeights: [20, 50], threshold: 2 };

test('a good release is adopted, promoted, and given back, and no request fails', async () => {
  await rig.shop('good');
  await rig.api.request('POST', '/api/v1/namespaces/good/services', {
    metadata: { name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  });
  await rig.until('the Service serves', async () => {
    const { body } = await rig.api.request('GET', '/apis/discovery.k8s.io/v1/namespaces/good/endpointslices');
    return body.items.some((slice: any) => slice.endpoints?.length === 2);
  });
  const traffic = rig.traffic('good');
  await rig.declare('good', { analysis });
  await rig.phase('good', 'Initialized');
  await rig.until('the target is at zero', async () => {
    const { body } = await rig.api.request('GET', '/apis/apps/v1/namespaces/good/deployments/web');
    return body.spec.replicas === 0;
  });
  await rig.release('good', 'v2');
  const done = await rig.phase('good', 'Succeeded');
  expect(done.status.lastPromotedSpec).toBe(done.status.lastAppliedSpec);
  const { body: primary } = await rig.api.request('GET', '/apis/apps/v1/namespaces/good/deployments/web-primary');
  expect(primary.spec.template.spec.containers[0].image).toContain('v2');
  expect(primary.spec.strategy.rollingUpdate.maxUnavailable).not.toBe(0);

  await rig.api.request('DELETE', '/apis/serin.dev/v1beta1/namespaces/good/canaries/web');
  await rig.until('the Canary is gone', async () => (await rig.canary('good')).code === 404);
  const { body: apex } = await rig.api.request('GET', '/api/v1/namespaces/good/services/web');
  expect(apex.spec.selector).toEqual({ app: 'web' });
  const counts = await traffic.stop();
  expect(counts.total).toBeGreaterThan(100);
  expect(counts.byVersion['v2']?.total).toBeGreaterThan(0);
  expect({ failed: counts.failed, log: counts.failed ? running.log.slice(-40) : [] }).toEqual({ failed: 0, log: [] });
});
