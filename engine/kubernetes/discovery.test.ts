import { expect, test } from 'vitest';
import { createVirtualClock } from '../../simulator/clock.ts';
import { createApiClient } from './client.ts';
import { createDiscovery, missingSchemaFields, servedSchema, servedVersions } from './discovery.ts';
import { canaryTypes, deployments, pods } from './resources.ts';
import { createScriptedTransport, failure, json, type ScriptedAnswer } from './scriptedTransport.ts';

function setUp(answers: Record<string, unknown>) {
  const clock = createVirtualClock(0);
  let isDown = false;
  const { transport, requests } = createScriptedTransport((request): ScriptedAnswer => {
    if (isDown) return failure(503, 'ServiceUnavailable');
    const body = answers[request.path];
    return body ? json(200, body) : { status: 404, headers: {}, text: '404 page not found' };
  });
  const client = createApiClient(transport, { clock });
  return {
    client,
    requests,
    discovery: createDiscovery(client),
    setDown: (value: boolean) => (isDown = value),
  };
}

const answers = {
  '/api': { versions: ['v1'] },
  '/api/v1': {
    resources: [
      { name: 'pods', kind: 'Pod' },
      { name: 'pods/status', kind: 'Pod' },
    ],
  },
  '/apis/apps': { versions: [{ version: 'v1' }, { version: 'v1beta2' }] },
  '/apis/apps/v1': { resources: [{ name: 'deployments', kind: 'Deployment' }] },
  '/version': { gitVersion: 'v1.36.3' },
};

test('says what is served, asks once, and asks anew after refresh', async () => {
  const { discovery, requests, client } = setUp(answers);
  expect(await discovery.servedVersions('apps')).toEqual(['v1', 'v1beta2']);
  expect(await discovery.servedVersions('')).toEqual(['v1']);
  expect(await discovery.servedVersions('split.smi-spec.io')).toEqual([]);
  expect(await discovery.isServed(deployments)).toBe(true);
  expect(await discovery.isServed(pods)).toBe(true);
  expect(await discovery.isServed({ ...deployments, version: 'v2' })).toBe(false);
  expect(await discovery.isServed(canaryTypes('serin.dev').canaries)).toBe(false);
  expect(await discovery.serverVersion()).toBe('v1.36.3');
  const asked = requests.length;
  await Promise.all([discovery.isServed(deployments), discovery.servedVersions('apps')]);
  expect(requests).toHaveLength(asked);
  discovery.refresh();
  await discovery.isServed(deployments);
  expect(requests).toHaveLength(asked + 1);
  expect(await servedVersions(client, 'apps')).toEqual(['v1', 'v1beta2']);
});

test('an error is thrown and not remembered', async () => {
  const { discovery, setDown } = setUp(answers);
  setDown(true);
  await expect(discovery.isServed(deployments)).rejects.toMatchObject({ kind: 'server' });
  setDown(false);
  expect(await discovery.isServed(deployments)).toBe(true);
});

const own = {
  type: 'object',
  properties: {
    apiVersion: { type: 'string' },
    metadata: { type: 'object' },
    spec: {
      type: 'object',
      properties: {
        metrics: { type: 'array', items: { type: 'object', properties: { name: {}, query: {} } } },
        labels: { type: 'object', additionalProperties: { type: 'object', properties: { a: {}, b: {} } } },
        free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
      },
    },
    status: {
      type: 'object',
      properties: { phase: {}, epoch: {}, history: { type: 'array', items: { type: 'object' } } },
    },
  },
};

test('a schema misses nothing of itself', () => {
  expect(missingSchemaFields(own, own)).toEqual([]);
});

test('names the topmost fields that a served schema would prune', () => {
  const served = {
    type: 'object',
    properties: {
      spec: {
        type: 'object',
        properties: {
          metrics: { type: 'array', items: { type: 'object', properties: { name: {} } } },
          labels: { type: 'object', additionalProperties: { type: 'object', properties: { a: {} } } },
          free: { type: 'object' },
        },
      },
      status: { type: 'object', properties: { phase: {} } },
    },
  };
  expect(missingSchemaFields(served, own)).toEqual([
    'spec.metrics[].query',
    'spec.labels.*.b',
    'spec.free.*',
    'status.epoch',
    'status.history',
  ]);
  expect(missingSchemaFields({ type: 'object' }, own)).toEqual(['spec', 'status']);
});

test('what a served schema preserves is not missing, but a known field below it is still pruned', () => {
  const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  expect(missingSchemaFields(open, own)).toEqual([]);
  expect(missingSchemaFields({ ...open, properties: { status: { type: 'object' } } }, own)).toEqual([
    'status.phase',
    'status.epoch',
    'status.history',
  ]);
});

test('reads the schema that the server publishes for a kind', async () => {
  const kind = { group: 'serin.dev', version: 'v1beta1', kind: 'Canary' };
  const schemas = {
    'dev.serin.v1beta1.CanaryList': { 'x-kubernetes-group-version-kind': [{ ...kind, kind: 'CanaryList' }] },
    'dev.serin.v1beta1.Canary': { ...own, 'x-kubernetes-group-version-kind': [kind] },
    'io.k8s.meta.v1.ObjectMeta': { type: 'object' },
  };
  const { client, setDown } = setUp({ '/openapi/v3/apis/serin.dev/v1beta1': { components: { schemas } } });
  expect(await servedSchema(client, canaryTypes('serin.dev').canaries)).toMatchObject(own);
  expect(await servedSchema(client, canaryTypes('serin.dev').alertProviders)).toBeUndefined();
  expect(await servedSchema(client, canaryTypes('flagger.app').canaries)).toBeUndefined();
  setDown(true);
  await expect(servedSchema(client, canaryTypes('serin.dev').canaries)).rejects.toMatchObject({
    kind: 'server',
  });
});
