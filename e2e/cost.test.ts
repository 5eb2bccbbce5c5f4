/** What the engine asks of the API server, counted in the API server's own audit log. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AuditEntry } from './harness/controlplane.ts';
import { type RunningEngine, startEngine } from './harness/engine.ts';
import { type Rig, startRig } from './harness/rig.ts';

let rig: Rig;
let running: RunningEngine;

beforeAll(async () => {
  rig = await startRig();
  running = await startEngine(rig, 'http://127.0.0.1:1');
});
afterAll(async () => {
  await running?.stop();
  await rig?.stop();
});

const isEvent = (entry: AuditEntry) => entry.resource === 'events';
const isRead = (entry: AuditEntry) => entry.verb === 'get' || entry.verb === 'list';
const isWatch = (entry: AuditEntry) => entry.verb === 'watch';

test('a rollout of five steps reads nothing and writes at most 25 times; an idle canary costs nothing', async () => {
  await rig.shop('cost');
  await rig.declare('cost', {
    analysis: { interval: '1s', stepWeights: [10, 20, 30, 40, 50], threshold: 1 },
  });
  await rig.phase('cost', 'Initialized');
  await rig.until('the target is at zero', async () => {
    const { body } = await rig.api.request('GET', '/apis/apps/v1/namespaces/cost/deployments/web');
    return body.spec.replicas === 0 && body.status.observedGeneration === body.metadata.generation;
  });
  const before = rig.plane.audit().length;
  await rig.release('cost', 'v2');
  await rig.phase('cost', 'Succeeded');
  const asked = rig.plane
    .audit()
    .slice(before)
    .filter(entry => !isEvent(entry) && !isWatch(entry));
  const writes = asked.filter(entry => !isRead(entry));
  const reads = asked.filter(isRead);
  console.log(
    `a rollout of 5 steps: ${reads.length} reads (asked for 0), ${writes.length} writes (at most 25), ${asked.filter(entry => entry.code === 409).length} conflicts`,
  );
  console.log(writes.map(entry => `${entry.verb} ${entry.resource}/${entry.subresource}`).join(', '));
  expect(reads.map(entry => `${entry.verb} ${entry.resource}`)).toEqual([]);
  expect(writes.length).toBeLessThanOrEqual(25);

  // Events are sent in the background; when their queue is empty an idle canary must be silent.
  await rig.until('the events are sent', async () => {
    const count = rig.plane.audit().length;
    await new Promise(resolve => setTimeout(resolve, 2_000));
    return rig.plane.audit().length === count;
  });
  const idle = rig.plane.audit().length;
  await new Promise(resolve => setTimeout(resolve, 5_000));
  expect(
    rig.plane
      .audit()
      .slice(idle)
      .filter(entry => !isWatch(entry)),
  ).toEqual([]);
});

test('a bad object says so on itself, and nothing else is touched', async () => {
  const path = '/apis/serin.dev/v1beta1/namespaces/cost/canaries';
  const spec = {
    targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
    service: { port: 80 },
    analysis: { stepWeight: 10 },
  };
  await rig.api.request('POST', path, {
    apiVersion: 'serin.dev/v1beta1',
    kind: 'Canary',
    metadata: { name: 'younger' },
    spec,
  });
  const accepted = (name: string) =>
    rig.until(`${name} is refused`, async () => {
      const { body } = await rig.api.request('GET', `${path}/${name}`);
      return body.status?.conditions?.find((one: any) => one.type === 'Accepted' && one.status === 'False');
    });
  expect(await accepted('younger')).toMatchObject({ reason: 'TargetTaken' });
  await rig.api.request('POST', path, {
    apiVersion: 'serin.dev/v1beta1',
    kind: 'Canary',
    metadata: { name: 'mesh' },
    spec: { ...spec, provider: 'istio', targetRef: { ...spec.targetRef, name: 'other' } },
  });
  expect(await accepted('mesh')).toMatchObject({ reason: 'NotSupportedYet' });
  const refused = await rig.api.request('POST', path, {
    apiVersion: 'serin.dev/v1beta1',
    kind: 'Canary',
    metadata: { name: 'zero' },
    spec: { ...spec, analysis: { stepWeight: 0 } },
  });
  expect(refused.status).toBe(422);
  expect(refused.body.message).toContain('stepWeight');
  expect((await rig.canary('cost')).status.phase).toBe('Succeeded');
});

test('MetricTemplates and AlertProviders say on themselves whether they can be used, once, wherever they are', async () => {
  await rig.api.request('POST', '/api/v1/namespaces', { metadata: { name: 'elsewhere' } });
  const create = async (namespace: string, kind: string, name: string, spec: object) => {
    const path = `/apis/serin.dev/v1beta1/namespaces/${namespace}/${kind.toLowerCase()}s`;
    const object = { apiVersion: 'serin.dev/v1beta1', kind, metadata: { name }, spec };
    expect((await rig.api.request('POST', path, object)).status).toBe(201);
    return await rig.until(`${kind} ${name} says whether it can be used`, async () => {
      const { body } = await rig.api.request('GET', `${path}/${name}`);
      return body.status?.conditions?.find((one: any) => one.type === 'Accepted');
    });
  };
  const address = 'http://prometheus.test:9090';
  const before = rig.plane.audit().length;
  expect(
    await create('elsewhere', 'MetricTemplate', 'bad', { provider: { type: 'datadog' }, query: 'up' }),
  ).toMatchObject({
    status: 'False',
    reason: 'NotSupportedYet',
    message: 'spec.provider.type is not supported yet; use prometheus',
    observedGeneration: 1,
  });
  expect(
    await create('cost', 'MetricTemplate', 'good', {
      provider: { type: 'prometheus', address },
      query: 'up',
    }),
  ).toMatchObject({ status: 'True', reason: 'Accepted' });
  expect(
    await create('cost', 'AlertProvider', 'bad', { type: 'discord', address: 'https://a.test/' }),
  ).toMatchObject({ status: 'False', reason: 'NotSupportedYet' });
  const events = await rig.until('both bad ones have an event', async () => {
    const { body } = await rig.api.request('GET', '/api/v1/events');
    const about = body.items.filter((one: any) => one.involvedObject.name === 'bad');
    return about.length >= 2 && about;
  });
  expect(
    events.map((one: any) => [one.involvedObject.kind, one.involvedObject.namespace, one.type, one.reason]),
  ).toEqual(
    expect.arrayContaining([
      ['MetricTemplate', 'elsewhere', 'Warning', 'NotSupportedYet'],
      ['AlertProvider', 'cost', 'Warning', 'NotSupportedYet'],
    ]),
  );
  await new Promise(resolve => setTimeout(resolve, 5_000));
  const asked = rig.plane
    .audit()
    .slice(before)
    .filter(entry => !isEvent(entry) && !isWatch(entry));
  expect(asked.map(entry => `${entry.verb} ${entry.resource}/${entry.subresource} ${entry.code}`)).toEqual([
    'update metrictemplates/status 200',
    'update metrictemplates/status 200',
    'update alertproviders/status 200',
  ]);
});

test('a target with an autoscaler waits, names it, and is left alone', async () => {
  await rig.shop('scaled');
  const hpa = {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'web' },
    spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' }, maxReplicas: 5 },
  };
  await rig.api.request('POST', '/apis/autoscaling/v2/namespaces/scaled/horizontalpodautoscalers', hpa);
  await rig.declare('scaled', { analysis: { stepWeight: 10 } });
  const reason = await rig.until('it says so', async () => {
    const conditions = (await rig.canary('scaled')).status?.conditions ?? [];
    return conditions.find((one: any) => one.reason === 'TargetHasAutoscaler');
  });
  expect(reason.message).toContain('web');
  const { body: target } = await rig.api.request('GET', '/apis/apps/v1/namespaces/scaled/deployments/web');
  expect(target.spec.replicas).toBe(2);
  expect(
    (await rig.api.request('GET', '/apis/apps/v1/namespaces/scaled/deployments/web-primary')).status,
  ).toBe(404);
});
