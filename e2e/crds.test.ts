/**
 * The generated CRDs on a real API server: accepted without a warning in either group, structural, with our words in
 * the served OpenAPI (what `kubectl explain` prints), every rule of the table enforced, and Flagger's objects accepted.
 */
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { FLAGGER_GROUP, generateCrds, GROUP } from '../engine/api/crd.ts';
import { flaggerObjects } from '../engine/api/flaggerSample.ts';
import { ruleCases, specOf } from '../engine/api/ruleCases.ts';
import type { Kind } from '../engine/api/schemaOf.ts';
import { type ControlPlane, startControlPlane } from './harness/controlplane.ts';

const PLURALS: Record<Kind, string> = {
  Canary: 'canaries',
  MetricTemplate: 'metrictemplates',
  AlertProvider: 'alertproviders',
};
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const GROUPS = [GROUP, FLAGGER_GROUP];
const WAIT = { timeout: 30_000, interval: 50 };

let plane: ControlPlane;
let agent: Agent;

interface Answer {
  status: number;
  warning: string | undefined;
  body: any;
}

async function call(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object): Promise<Answer> {
  const answer = await request(plane.server + path, {
    method,
    dispatcher: agent,
    headers: { authorization: `Bearer ${plane.tokens['admin']}`, 'content-type': 'application/json' },
    body: body ? JSON.stringify(body) : null,
  });
  const { warning } = answer.headers;
  return { status: answer.statusCode, warning: warning?.toString(), body: await answer.body.json() };
}

function create(object: { apiVersion: string; kind: Kind }, query: string): Promise<Answer> {
  const plural = PLURALS[object.kind];
  return call('POST', `/apis/${object.apiVersion}/namespaces/default/${plural}?${query}`, object);
}

const created: Answer[] = [];

beforeAll(async () => {
  plane = await startControlPlane();
  agent = new Agent({ connect: { ca: plane.ca } });
  for (const crd of GROUPS.flatMap(group => generateCrds({ group }))) {
    created.push(await call('POST', `${CRDS}?fieldValidation=Strict`, crd));
    await vi.waitFor(async () => {
      const { body } = await call('GET', `${CRDS}/${crd.metadata.name}`);
      expect(body.status.conditions).toContainEqual(
        expect.objectContaining({ type: 'Established', status: 'True' }),
      );
      const list = await call('GET', `/apis/${crd.spec.group}/v1beta1/${crd.spec.names.plural}`);
      expect(list.status).toBe(200);
    }, WAIT);
  }
});

afterAll(async () => {
  await agent?.destroy();
  await plane?.stop();
});

test('the server takes every definition, under strict validation, without a warning', () => {
  expect(created.map(answer => [answer.status, answer.warning])).toEqual(created.map(() => [201, undefined]));
  expect(created).toHaveLength(6);
});

test('the server finds every schema structural and every name free', async () => {
  const { body } = await call('GET', CRDS);
  for (const crd of body.items) {
    const types = crd.status.conditions.map((condition: any) => `${condition.type}=${condition.status}`);
    expect(types).toEqual(expect.arrayContaining(['NamesAccepted=True', 'Established=True']));
    expect(types).not.toContain('NonStructuralSchema=True');
  }
});

test('explain shows our words for spec.analysis.stepWeights', async () => {
  const words = async () => {
    const { body } = await call('GET', `/openapi/v3/apis/${GROUP}/v1beta1`);
    const canary = body.components?.schemas?.['dev.serin.v1beta1.Canary'];
    return canary?.properties.spec.properties.analysis.properties.stepWeights.description;
  };
  await expect
    .poll(words, WAIT)
    .toMatch(/^Percent of the traffic that the canary gets in each step, strictly rising/);
});

describe.each(GROUPS)('the rules in %s', group => {
  test.each(ruleCases.map(ruleCase => [ruleCase.name, ruleCase] as const))('%s', async (_, ruleCase) => {
    const { kind, refused } = ruleCase;
    const object = {
      apiVersion: `${group}/v1beta1`,
      kind,
      metadata: { name: 'web' },
      spec: specOf(ruleCase),
    };
    const answer = await create(object, 'fieldValidation=Strict&dryRun=All');
    if (!refused) {
      expect([answer.status, answer.body.message, answer.warning]).toEqual([201, undefined, undefined]);
      return;
    }
    expect(answer.status).toBe(422);
    const causes: { field: string; message: string }[] = answer.body.details.causes;
    const cause = causes.find(({ field }) => field === refused.field);
    expect(cause?.message).toContain(refused.server ?? refused.engine);
  });

  test('Flagger’s objects, with every field, are accepted, and nothing of them is dropped', async () => {
    for (const object of flaggerObjects(group)) {
      const answer = await create(object, 'fieldValidation=Strict');
      expect([answer.status, answer.body.message, answer.warning]).toEqual([201, undefined, undefined]);
      expect(answer.body.spec).toMatchObject(object.spec);
    }
  });

  test('Serin’s own defaults are filled in, and nothing else', async () => {
    const analysis = { stepWeight: 10 };
    const spec = {
      targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
      service: { port: 80 },
      analysis,
    };
    const object = {
      apiVersion: `${group}/v1beta1`,
      kind: 'Canary' as const,
      metadata: { name: 'bare' },
      spec,
    };
    const { body } = await create(object, 'dryRun=All');
    const defaults = {
      onNoData: 'hold',
      noDataBudget: 10,
      onError: 'hold',
      errorBudget: 10,
      onStalled: 'hold',
    };
    expect(body.spec).toEqual({ ...spec, analysis: { ...analysis, ...defaults } });
  });
});

test('target and Service may be mended before the adoption, and stay what they are after it', async () => {
  const path = `/apis/${GROUP}/v1beta1/namespaces/default/canaries`;
  const spec = (target: string, service: object) => ({
    targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: target },
    service: { port: 80, ...service },
    analysis: { stepWeight: 10 },
  });
  const first = {
    apiVersion: `${GROUP}/v1beta1`,
    kind: 'Canary' as const,
    metadata: { name: 'kept' },
    spec: spec('wbe', {}),
  };
  expect((await create(first, '')).status).toBe(201);
  const put = async (changed: object, subresource = '') => {
    const { body: now } = await call('GET', `${path}/kept`);
    return await call('PUT', `${path}/kept${subresource}`, { ...now, ...changed });
  };
  expect((await put({ status: { phase: 'Initializing' } }, '/status')).status).toBe(200);
  expect((await put({ spec: spec('web', {}) })).status).toBe(200);
  expect((await put({ status: { phase: 'Succeeded' } }, '/status')).status).toBe(200);
  // The same name, said otherwise; and whatever else is edited.
  expect((await put({ spec: spec('web', { name: 'web', port: 81 }) })).status).toBe(200);
  for (const [field, changed] of [
    ['spec.targetRef', spec('other', { name: 'web' })],
    ['spec.service', spec('web', { name: 'other' })],
  ] as const) {
    const { status, body } = await put({ spec: changed });
    expect(status).toBe(422);
    expect(body.details.causes).toMatchObject([
      { field, message: expect.stringContaining('must stay what was adopted') },
    ]);
  }
});

test('an unknown field is refused under strict validation', async () => {
  const [canary] = flaggerObjects(GROUP);
  const object = { ...canary, metadata: { name: 'typo' }, spec: { ...canary.spec, analysys: {} } };
  const answer = await create(object, 'fieldValidation=Strict&dryRun=All');
  expect(answer.status).toBe(400);
  expect(answer.body.message).toContain('unknown field "spec.analysys"');
});

test('columns show phase, weight and what is going on', async () => {
  const answer = await request(`${plane.server}/apis/${GROUP}/v1beta1/namespaces/default/canaries`, {
    dispatcher: agent,
    headers: {
      authorization: `Bearer ${plane.tokens['admin']}`,
      accept: 'application/json;as=Table;g=meta.k8s.io;v=v1',
    },
  });
  const table = (await answer.body.json()) as { columnDefinitions: { name: string; priority: number }[] };
  const shown = table.columnDefinitions.filter(column => column.priority === 0).map(column => column.name);
  expect(shown).toEqual(['Name', 'Status', 'Weight', 'LastTransitionTime', 'Message']);
});
