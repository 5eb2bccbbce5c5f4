/**
 * A real HorizontalPodAutoscaler that is made after the adoption, run by the real controller: it is noticed by what it
 * does to the Deployment, holds the run that it scales, and is forgotten when it is removed.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningEngine, startEngine } from './harness/engine.ts';
import { type Rig, startRig } from './harness/rig.ts';

const SHOP = 'grown';
const HPAS = `/apis/autoscaling/v2/namespaces/${SHOP}/horizontalpodautoscalers`;

let rig: Rig;
let running: RunningEngine;

beforeAll(async () => {
  rig = await startRig({ controllers: ['horizontal-pod-autoscaler-controller'] });
  running = await startEngine(rig, 'http://127.0.0.1:1');
});
afterAll(async () => {
  await running?.stop();
  await rig?.stop();
});

const status = async () => (await rig.canary(SHOP)).status;
const accepted = async () => (await status()).conditions.find((one: any) => one.type === 'Accepted');
const reads = () =>
  rig.plane
    .audit()
    .filter(entry => entry.verb === 'list' && /horizontalpodautoscalers|scaledobjects/.test(entry.resource));

test('it holds the run that it scales, is named, and the run goes on without it', async () => {
  await rig.shop(SHOP);
  const stepWeights = Array.from({ length: 20 }, (_unused, index) => (index + 1) * 5);
  await rig.declare(SHOP, { analysis: { interval: '3s', bake: '1s', stepWeights, threshold: 1 } });
  await rig.phase(SHOP, 'Initialized');
  const before = reads().length;
  const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' };
  await rig.api.request('POST', HPAS, {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'late' },
    // Below its minimum it needs no metric to act.
    spec: { scaleTargetRef, minReplicas: 3, maxReplicas: 5 },
  });
  await rig.release(SHOP, 'v2');
  await rig.until('the canary has traffic', async () => (await status()).canaryWeight > 0);
  const refused = await rig.until('it is noticed', async () => {
    const now = await accepted();
    return now.status === 'False' && now;
  });
  expect(refused).toMatchObject({
    reason: 'TargetHasAutoscaler',
    message: expect.stringContaining('HorizontalPodAutoscaler late scales Deployment web'),
  });
  // What it is noticed by.
  const { body } = await rig.api.request('GET', `/apis/apps/v1/namespaces/${SHOP}/deployments/web`);
  expect(body.metadata.managedFields).toContainEqual(
    expect.objectContaining({
      manager: 'kube-controller-manager',
      subresource: 'scale',
      fieldsV1: { 'f:spec': { 'f:replicas': {} } },
    }),
  );
  const held = await rig.until('the run is held', async () => {
    const now = await status();
    const progressing = now.conditions.find((one: any) => one.type === 'Progressing');
    return progressing.reason === 'TargetHasAutoscaler' && now;
  });
  expect(held).toMatchObject({ phase: 'Progressing' });
  // Looked for again and again, and held over several intervals.
  const looks = reads().length;
  await rig.until('it is looked for again', async () => reads().length >= looks + 2);
  expect((await status()).canaryWeight).toBe(held.canaryWeight);
  const events = await rig.api.request('GET', `/api/v1/namespaces/${SHOP}/events`);
  const told = events.body.items.filter((one: any) => one.reason === 'TargetHasAutoscaler');
  expect(told.map((one: any) => one.involvedObject.kind)).toContain('Canary');
  expect(before).toBeGreaterThan(0);

  await rig.api.request('DELETE', `${HPAS}/late`);
  await rig.until('the run goes on', async () => (await status()).canaryWeight > held.canaryWeight);
  expect(await accepted()).toMatchObject({ status: 'True' });
});
