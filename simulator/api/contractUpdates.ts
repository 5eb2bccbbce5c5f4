/** Contract: replacing and patching; versions, generations, preconditions, no-ops, owners of updates. */
import { describe, expect, test } from 'vitest';
import type { Used } from './contract.ts';
import { freshName, ok, ownersOf, refused, version } from './contractCalls.ts';
import { configMap, deployment, widget } from './contractWidgets.ts';

export function describeUpdates(use: () => Used): void {
  describe('replace and patch', () => updateTests(use));
  describe('JSON patch', () => jsonPatchTests(use));
  describe('scale', () => scaleTests(use));
}

function updateTests(use: () => Used): void {
  test('a write moves the resourceVersion, one that changes nothing does not', async () => {
    const { calls } = use();
    const path = calls.path('v1', 'configmaps', freshName('noop'));
    const name = path.split('/').at(-1) ?? '';
    const first = ok(await calls.post(calls.path('v1', 'configmaps'), configMap(name)), 201);
    const same = ok(await calls.merge(path, { data: { a: '1' } }));
    expect(version(same)).toBe(version(first));
    const replaced = ok(await calls.put(path, configMap(name)));
    expect(version(replaced)).toBe(version(first));
    const changed = ok(await calls.merge(path, { data: { a: '2', b: '3' } }));
    expect(version(changed)).toBeGreaterThan(version(first));
    const removed = ok(await calls.merge(path, { data: { b: null } }));
    expect(removed.data).toEqual({ a: '2' });
  });

  test('a stale resourceVersion is 409 Conflict for PUT and merge patch; the current one passes', async () => {
    const { calls } = use();
    const name = freshName('stale');
    const path = calls.path('v1', 'configmaps', name);
    const first = ok(await calls.post(calls.path('v1', 'configmaps'), configMap(name)), 201);
    const second = ok(await calls.merge(path, { data: { a: '2' } }));
    const message = `Operation cannot be fulfilled on configmaps "${name}": the object has been modified; please apply your changes to the latest version and try again`;
    refused(await calls.put(path, { ...first, data: { a: '3' } }), 409, 'Conflict', message);
    const stale = { metadata: { resourceVersion: first.metadata.resourceVersion }, data: { a: '3' } };
    const refusal = await calls.merge(path, stale);
    refused(refusal, 409, 'Conflict', message);
    expect(refusal.body.details).toMatchObject({ name, kind: 'configmaps' });
    const fresh = { metadata: { resourceVersion: second.metadata.resourceVersion }, data: { a: '3' } };
    expect(ok(await calls.merge(path, fresh)).data.a).toBe('3');
  });

  test('generation of a Deployment rises with its spec, not with labels or status', async () => {
    const { calls } = use();
    const name = freshName('generation');
    const path = calls.path('apps/v1', 'deployments', name);
    ok(await calls.post(calls.path('apps/v1', 'deployments'), deployment(name, { paused: true })), 201);
    const labelled = ok(await calls.merge(path, { metadata: { labels: { a: 'b' } } }));
    expect(labelled.metadata.generation).toBe(1);
    const annotated = ok(await calls.merge(path, { metadata: { annotations: { a: 'b' } } }));
    // Deployments are special: their annotations are copied to ReplicaSets, so a change raises the generation.
    expect(annotated.metadata.generation).toBe(2);
    const scaled = ok(await calls.merge(path, { spec: { minReadySeconds: 3 } }));
    expect(scaled.metadata.generation).toBe(3);
    await calls.delete(path);
  });

  test('what the server wrote cannot be changed', async () => {
    const { calls } = use();
    const name = freshName('fixed');
    const path = calls.path('v1', 'configmaps', name);
    const first = ok(await calls.post(calls.path('v1', 'configmaps'), configMap(name)), 201);
    const other = '00000000-0000-4000-8000-000000000000';
    refused(await calls.merge(path, { metadata: { uid: other } }), 422, 'Invalid');
    refused(await calls.put(path, configMap(name, {}, { uid: other })), 409, 'Conflict');
    const at = '2020-01-01T00:00:00Z';
    refused(await calls.merge(path, { metadata: { deletionTimestamp: at } }), 422, 'Invalid');
    // These are ignored rather than refused.
    ok(await calls.merge(path, { metadata: { creationTimestamp: at, generation: 7 } }));
    refused(await calls.merge(path, { metadata: { name: 'other' } }), 400, 'BadRequest');
    expect(ok(await calls.get(path)).metadata).toEqual(first.metadata);
  });

  test('a Deployment selector is immutable', async () => {
    const { calls } = use();
    const name = freshName('selector');
    const path = calls.path('apps/v1', 'deployments', name);
    ok(await calls.post(calls.path('apps/v1', 'deployments'), deployment(name, { paused: true })), 201);
    const answer = await calls.merge(path, {
      spec: {
        selector: { matchLabels: { more: 'x' } },
        template: { metadata: { labels: { more: 'x' } } },
      },
    });
    refused(answer, 422, 'Invalid');
    expect(answer.body.message).toContain('spec.selector: Invalid value:');
    expect(answer.body.message).toContain('field is immutable');
    await calls.delete(path);
  });

  test('an update takes the ownership of what it changes, and of nothing else', async () => {
    const { calls } = use();
    const name = freshName('owners');
    const path = calls.path('v1', 'configmaps', name);
    await calls.post(
      `${calls.path('v1', 'configmaps')}?fieldManager=one`,
      configMap(name, { a: '1', b: '1' }),
    );
    const changed = ok(await calls.merge(`${path}?fieldManager=two`, { data: { b: '2', c: '2' } }));
    expect(ownersOf(changed)).toEqual({
      'one/Update': { 'f:data': { '.': {}, 'f:a': {} } },
      'two/Update': { 'f:data': { 'f:b': {}, 'f:c': {} } },
    });
    const unnamed = ok(await calls.merge(path, { data: { a: null, d: '4' } }));
    expect(ownersOf(unnamed)).toEqual({
      'one/Update': { 'f:data': {} },
      'two/Update': { 'f:data': { 'f:b': {}, 'f:c': {} } },
      'contract/Update': { 'f:data': { 'f:d': {} } },
    });
  });

  test('an unknown content type is 415, text that is no JSON is 400', async () => {
    const { calls } = use();
    const name = freshName('media');
    const path = calls.path('v1', 'configmaps', name);
    ok(await calls.post(calls.path('v1', 'configmaps'), configMap(name)), 201);
    refused(await calls.send('PATCH', path, 'text/plain', '{}'), 415, 'UnsupportedMediaType');
    const bad = await calls.send('POST', calls.path('v1', 'configmaps'), 'application/json', '{');
    refused(bad, 400, 'BadRequest');
  });

  test('a ControllerRevision keeps unknown fields and refuses edits of its data', async () => {
    const { calls } = use();
    const name = freshName('revision');
    const path = calls.path('apps/v1', 'controllerrevisions', name);
    const body = {
      apiVersion: 'apps/v1',
      kind: 'ControllerRevision',
      metadata: { name },
      revision: 1,
      data: { template: { unknownField: [1, { deep: true }] } },
    };
    const created = ok(await calls.post(calls.path('apps/v1', 'controllerrevisions'), body), 201);
    expect(created.data).toEqual(body.data);
    const answer = await calls.merge(path, { data: { template: null } });
    refused(answer, 422, 'Invalid');
    expect(answer.body.message).toContain('field is immutable');
    expect(ok(await calls.merge(path, { revision: 2, metadata: { labels: { a: 'b' } } })).revision).toBe(2);
  });

  test('PUT of a custom resource needs a resourceVersion, of a Deployment it does not', async () => {
    const { calls } = use();
    const name = freshName('put');
    const widgets = calls.path('contract.serin.dev/v1', 'widgets');
    ok(await calls.post(widgets, widget(name)), 201);
    refused(
      await calls.put(`${widgets}/${name}`, widget(name)),
      422,
      'Invalid',
      `widgets.contract.serin.dev "${name}" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update`,
    );
    const deployments = calls.path('apps/v1', 'deployments');
    ok(await calls.post(deployments, deployment(name)), 201);
    ok(await calls.put(`${deployments}/${name}`, deployment(name)));
    await calls.delete(`${deployments}/${name}`);
  });
}

function jsonPatchTests(use: () => Used): void {
  test('adds, replaces and removes; a failed test is 422 Invalid and writes nothing', async () => {
    const { calls } = use();
    const name = freshName('jsonpatch');
    const path = calls.path('contract.serin.dev/v1', 'widgets', name);
    const widgets = calls.path('contract.serin.dev/v1', 'widgets');
    ok(await calls.post(widgets, widget(name, { rules: [{ path: '/a' }, { path: '/b' }], step: 1 })), 201);
    const patched = ok(
      await calls.json(path, [
        { op: 'test', path: '/spec/rules/0/path', value: '/a' },
        { op: 'replace', path: '/spec/rules/0/path', value: '/c' },
        { op: 'add', path: '/spec/rules/-', value: { path: '/d' } },
        { op: 'remove', path: '/spec/step' },
        { op: 'add', path: '/metadata/annotations', value: { 'serin.dev/stamp': 'a~b' } },
        { op: 'replace', path: '/metadata/annotations/serin.dev~1stamp', value: '1' },
      ]),
    );
    expect(patched.spec.rules).toEqual([{ path: '/c' }, { path: '/b' }, { path: '/d' }]);
    expect(patched.spec.step).toBeUndefined();
    expect(patched.metadata.annotations).toEqual({ 'serin.dev/stamp': '1' });
    const failed = await calls.json(path, [
      { op: 'replace', path: '/spec/weight', value: 99 },
      { op: 'test', path: '/metadata/resourceVersion', value: '1' },
    ]);
    refused(failed, 422, 'Invalid');
    const missing = await calls.json(path, [{ op: 'remove', path: '/spec/absent' }]);
    refused(missing, 422, 'Invalid');
    const after = ok(await calls.get(path));
    expect(version(after)).toBe(version(patched));
    ok(
      await calls.json(path, [
        { op: 'test', path: '/metadata/resourceVersion', value: after.metadata.resourceVersion },
      ]),
    );
  });
}

function scaleTests(use: () => Used): void {
  test('reads and writes spec.replicas, with a precondition and an owner of its own', async () => {
    const { calls } = use();
    const name = freshName('scale');
    const path = calls.path('apps/v1', 'deployments', name);
    const created = ok(
      await calls.post(calls.path('apps/v1', 'deployments'), deployment(name, { paused: true })),
      201,
    );
    const scale = ok(await calls.get(`${path}/scale`));
    expect(scale).toMatchObject({
      kind: 'Scale',
      apiVersion: 'autoscaling/v1',
      metadata: { name, namespace: calls.namespace, uid: created.metadata.uid },
      status: { replicas: 0, selector: `app=${name}` },
    });
    const patched = ok(await calls.merge(`${path}/scale?fieldManager=scaler`, { spec: { replicas: 2 } }));
    expect(patched.spec).toEqual({ replicas: 2 });
    const object = ok(await calls.get(path));
    expect(object.spec.replicas).toBe(2);
    expect(object.metadata.generation).toBe(2);
    expect(ownersOf(object)['scaler/Update/scale']).toEqual({ 'f:spec': { 'f:replicas': {} } });
    const stale = { metadata: { resourceVersion: scale.metadata.resourceVersion }, spec: { replicas: 0 } };
    refused(await calls.merge(`${path}/scale`, stale), 409, 'Conflict');
    // Without a resourceVersion: the controllers beside the server write status at any moment.
    const unconditional = { ...scale, metadata: { name, namespace: calls.namespace }, spec: { replicas: 0 } };
    expect(ok(await calls.put(`${path}/scale`, unconditional)).spec).toEqual({});
    refused(await calls.merge(`${path}/scale`, { spec: { replicas: -1 } }), 422, 'Invalid');
    await calls.delete(path);
  });
}
