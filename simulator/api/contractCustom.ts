/** Contract: custom resources: pruning, defaults, validation sentences, the status subresource, versions. */
import { describe, expect, test } from 'vitest';
import type { Used } from './contract.ts';
import { CRDS, freshName, ok, ownersOf, refused, version } from './contractCalls.ts';
import { gadget, widget } from './contractWidgets.ts';

const VERSION = 'contract.serin.dev/v1';

export function describeCustomResources(use: () => Used): void {
  describe('custom resources', () => {
    schemaTests(use);
    statusTests(use);
    statusApplyTests(use);
  });
}

function schemaTests(use: () => Used): void {
  test('unknown fields are pruned with a warning, defaults are filled in, nulls are dropped', async () => {
    const { calls } = use();
    const body = widget(freshName('prune'), {
      colour: 'red',
      nested: { interval: null, colour: 'red' },
      nothing: null,
      free: { colour: 'red' },
      labels: { a: 'b' },
      port: '80%',
    });
    const answer = await calls.post(calls.path(VERSION, 'widgets'), body);
    const created = ok(answer, 201);
    expect(created.spec).toEqual({
      service: 'web',
      weight: 10,
      nested: { interval: '1m' },
      nothing: null,
      free: { colour: 'red' },
      labels: { a: 'b' },
      port: '80%',
    });
    expect(answer.headers.warning).toContain('unknown field \\"spec.colour\\"');
    expect(created.metadata.generation).toBe(1);
    const strict = await calls.post(`${calls.path(VERSION, 'widgets')}?fieldValidation=Strict`, body);
    refused(strict, 400, 'BadRequest');
    expect(strict.body.message).toContain('strict decoding error: unknown field "spec.colour"');
  });

  const wrong: [string, object, string][] = [
    [
      'type',
      { weight: 'ten' },
      'spec.weight: Invalid value: "string": spec.weight in body must be of type integer: "string"',
    ],
    [
      'fraction',
      { weight: 1.5 },
      '[spec.weight: Invalid value: "number": spec.weight in body must be of type integer: "number", <nil>: Invalid value: "": Checked value must be of type integer (default format) in spec.weight]',
    ],
    [
      'minimum',
      { weight: -1 },
      'spec.weight: Invalid value: -1: spec.weight in body should be greater than or equal to 0',
    ],
    [
      'maximum',
      { weight: 101 },
      'spec.weight: Invalid value: 101: spec.weight in body should be less than or equal to 100',
    ],
    ['enum', { mode: 'jumps' }, 'spec.mode: Unsupported value: "jumps": supported values: "linear", "jump"'],
    [
      'pattern',
      { service: 'Web' },
      `spec.service: Invalid value: "Web": spec.service in body should match '^[a-z]+$'`,
    ],
    ['required', { service: undefined }, 'spec.service: Required value'],
    [
      'int-or-string',
      { port: true },
      'spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"',
    ],
    [
      'map values',
      { labels: { a: 1 } },
      'spec.labels.a: Invalid value: "integer": spec.labels.a in body must be of type string: "integer"',
    ],
    [
      'list items',
      { rules: [{ path: 1 }] },
      'spec.rules[0].path: Invalid value: "integer": spec.rules[0].path in body must be of type string: "integer"',
    ],
    [
      'duplicates',
      { backends: [{ name: 'a' }, { name: 'a' }] },
      'spec.backends[1]: Duplicate value: {"name":"a"}',
    ],
    [
      'too many',
      { backends: [{ name: 'a' }, { name: 'b' }, { name: 'c' }, { name: 'd' }] },
      'spec.backends: Too many: 4: must have at most 3 items',
    ],
  ];
  for (const [rule, spec, sentence] of wrong)
    test(`refuses a wrong ${rule}`, async () => {
      const { calls } = use();
      const name = freshName('wrong');
      const answer = await calls.post(calls.path(VERSION, 'gadgets'), gadget(name, spec));
      refused(answer, 422, 'Invalid', `Gadget.contract.serin.dev "${name}" is invalid: ${sentence}`);
      expect(answer.body.details).toMatchObject({ name, group: 'contract.serin.dev', kind: 'Gadget' });
      expect(answer.body.details.causes[0].field).toBe(sentence.replace(/^\[/, '').split(':')[0]);
    });

  test('the same object is served in every version; unknown versions and kinds are 404', async () => {
    const { calls } = use();
    const name = freshName('versions');
    ok(await calls.post(calls.path(VERSION, 'widgets'), widget(name)), 201);
    const old = ok(await calls.get(calls.path('contract.serin.dev/v1alpha1', 'widgets', name)));
    expect(old.apiVersion).toBe('contract.serin.dev/v1alpha1');
    const patched = ok(
      await calls.merge(calls.path('contract.serin.dev/v1alpha1', 'widgets', name), { spec: { weight: 20 } }),
    );
    expect(patched.apiVersion).toBe('contract.serin.dev/v1alpha1');
    expect(ok(await calls.get(calls.path(VERSION, 'widgets', name))).spec.weight).toBe(20);
    expect((await calls.get(calls.path('contract.serin.dev/v9', 'widgets'))).status).toBe(404);
    expect((await calls.get(calls.path(VERSION, 'sprockets'))).status).toBe(404);
    expect((await calls.get(calls.path('nowhere.serin.dev/v1', 'sprockets'))).status).toBe(404);
  });

  test('without a status subresource status is content; with preconditions like any other', async () => {
    const { calls } = use();
    const name = freshName('gadget');
    const path = calls.path(VERSION, 'gadgets', name);
    const created = ok(
      await calls.post(calls.path(VERSION, 'gadgets'), gadget(name, {}, { status: { phase: 'x' } })),
      201,
    );
    expect(created.status).toEqual({ phase: 'x' });
    const changed = ok(await calls.merge(path, { status: { phase: 'y' } }));
    expect(changed.metadata.generation).toBe(2);
    expect((await calls.merge(`${path}/status`, { status: { phase: 'z' } })).status).toBe(404);
    refused(await calls.put(path, created), 409, 'Conflict');
  });

  test('the served CustomResourceDefinition keeps its schema', async () => {
    const { calls } = use();
    const crd = ok(await calls.get(`${CRDS}/widgets.contract.serin.dev`));
    const schema = crd.spec.versions[0].schema.openAPIV3Schema;
    expect(schema.properties.spec.properties.weight).toEqual({
      type: 'integer',
      minimum: 0,
      maximum: 100,
      default: 10,
    });
    expect(crd.spec.names).toMatchObject({ plural: 'widgets', kind: 'Widget', listKind: 'WidgetList' });
    expect(crd.spec.conversion).toEqual({ strategy: 'None' });
  });
}

function statusTests(use: () => Used): void {
  test('the main endpoint ignores status, the status endpoint everything else', async () => {
    const { calls } = use();
    const name = freshName('status');
    const path = calls.path(VERSION, 'widgets', name);
    const created = ok(
      await calls.post(calls.path(VERSION, 'widgets'), { ...widget(name), status: { phase: 'x' } }),
      201,
    );
    expect(created.status).toBeUndefined();
    const ignored = ok(await calls.merge(path, { status: { phase: 'x' } }));
    expect(ignored.status).toBeUndefined();
    expect(version(ignored)).toBe(version(created));
    const written = ok(
      await calls.merge(`${path}/status?fieldManager=serin`, {
        metadata: { annotations: { a: 'b' }, labels: { a: 'b' }, finalizers: ['contract.serin.dev/x'] },
        spec: { weight: 77 },
        status: { phase: 'Progressing', weight: 5, unknown: 1 },
      }),
    );
    expect(written.status).toEqual({ phase: 'Progressing', weight: 5 });
    expect(written.spec).toEqual(created.spec);
    expect(written.metadata.annotations).toBeUndefined();
    expect(written.metadata.labels).toBeUndefined();
    expect(written.metadata.finalizers).toBeUndefined();
    expect(written.metadata.generation).toBe(1);
    expect(ownersOf(written)['serin/Update/status']).toEqual({
      'f:status': { '.': {}, 'f:phase': {}, 'f:weight': {} },
    });
  });

  test('PUT of status is fenced by the resourceVersion and does nothing when nothing changes', async () => {
    const { calls } = use();
    const name = freshName('fence');
    const path = calls.path(VERSION, 'widgets', name);
    const created = ok(await calls.post(calls.path(VERSION, 'widgets'), widget(name)), 201);
    const first = ok(await calls.put(`${path}/status`, { ...created, status: { phase: 'a' } }));
    refused(
      await calls.put(`${path}/status`, { ...created, status: { phase: 'b' } }),
      409,
      'Conflict',
      `Operation cannot be fulfilled on widgets.contract.serin.dev "${name}": the object has been modified; please apply your changes to the latest version and try again`,
    );
    const same = ok(await calls.put(`${path}/status`, first));
    expect(version(same)).toBe(version(first));
    const invalid = await calls.put(`${path}/status`, { ...first, status: { phase: 1 } });
    refused(invalid, 422, 'Invalid');
    expect(invalid.body.message).toContain('status.phase: Invalid value: "integer"');
    const spec = ok(await calls.merge(path, { spec: { weight: 11 } }));
    expect(spec.metadata.generation).toBe(2);
    expect(spec.status).toEqual({ phase: 'a' });
    const cleared = ok(await calls.put(`${path}/status`, { ...spec, status: undefined }));
    expect(cleared.status).toBeUndefined();
  });

  test('annotations change on the main endpoint without a new generation', async () => {
    const { calls } = use();
    const name = freshName('annotate');
    const path = calls.path(VERSION, 'widgets', name);
    ok(await calls.post(calls.path(VERSION, 'widgets'), widget(name)), 201);
    const annotated = ok(
      await calls.merge(path, { metadata: { annotations: { 'serin.dev/command': 'pause' } } }),
    );
    expect(annotated.metadata.generation).toBe(1);
    expect(annotated.metadata.annotations).toEqual({ 'serin.dev/command': 'pause' });
  });
}

function statusApplyTests(use: () => Used): void {
  test('apply of status owns status fields only, by key', async () => {
    const { calls } = use();
    const name = freshName('applystatus');
    const path = calls.path(VERSION, 'widgets', name);
    refused(await calls.apply(`${path}/status`, widget(name), 'serin', true), 404, 'NotFound');
    ok(await calls.post(calls.path(VERSION, 'widgets'), widget(name)), 201);
    const body = (conditions: object[]) => ({
      apiVersion: VERSION,
      kind: 'Widget',
      metadata: { name },
      status: { phase: 'a', conditions },
    });
    const one = ok(
      await calls.apply(`${path}/status`, body([{ type: 'Ready', status: 'True' }]), 'serin', true),
    );
    expect(ownersOf(one)['serin/Apply/status']).toEqual({
      'f:status': {
        'f:conditions': { 'k:{"type":"Ready"}': { '.': {}, 'f:status': {}, 'f:type': {} } },
        'f:phase': {},
      },
    });
    const other = {
      ...body([{ type: 'Other', status: 'True' }]),
      status: { conditions: [{ type: 'Other', status: 'True' }] },
    };
    const two = ok(await calls.apply(`${path}/status`, other, 'other'));
    expect(two.status.conditions).toHaveLength(2);
    const three = ok(await calls.apply(`${path}/status`, body([]), 'serin'));
    expect(three.status.conditions).toEqual([{ type: 'Other', status: 'True' }]);
    const main = ok(await calls.apply(path, { ...widget(name), status: { phase: 'z' } }, 'serin', true));
    expect(main.status.phase).toBe('a');
    expect(ownersOf(main)['serin/Apply']).toEqual({ 'f:spec': { 'f:service': {} } });
  });
}
