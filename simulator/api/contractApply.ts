/** Contract: server-side apply: merging, owners, conflicts, dropped fields, preconditions, no-ops. */
import { describe, expect, test } from 'vitest';
import type { Used } from './contract.ts';
import { freshName, ok, ownersOf, refused, version } from './contractCalls.ts';
import type { Calls } from './contractCalls.ts';
import { configMap, deployment, service, widget } from './contractWidgets.ts';

export function describeApply(use: () => Used): void {
  describe('apply', () => {
    basicTests(use);
    conflictTests(use);
    listTests(use);
  });
}

function target(calls: Calls, apiVersion: string, plural: string): { name: string; path: string } {
  const name = freshName('apply');
  return { name, path: calls.path(apiVersion, plural, name) };
}

/** A ConfigMap without data: an empty map would be dropped by the server, and be in conflict when it comes again. */
function bare(name: string) {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } };
}

function basicTests(use: () => Used): void {
  test('creates with 201, changes with 200, and an apply of the same does not move the version', async () => {
    const { calls } = use();
    const { name, path } = target(calls, 'v1', 'configmaps');
    const created = ok(await calls.apply(path, configMap(name, { a: '1', b: '1' }), 'serin'), 201);
    expect(ownersOf(created)).toEqual({ 'serin/Apply': { 'f:data': { 'f:a': {}, 'f:b': {} } } });
    const same = ok(await calls.apply(path, configMap(name, { a: '1', b: '1' }), 'serin'));
    expect(version(same)).toBe(version(created));
    expect(same.metadata.managedFields).toEqual(created.metadata.managedFields);
    const changed = ok(await calls.apply(path, configMap(name, { a: '2' }), 'serin'));
    expect(changed.data).toEqual({ a: '2' });
    expect(version(changed)).toBeGreaterThan(version(created));
    expect(ownersOf(changed)).toEqual({ 'serin/Apply': { 'f:data': { 'f:a': {} } } });
  });

  test('a stale resourceVersion in the body is 409; the current one passes; a new annotation moves the version', async () => {
    const { calls } = use();
    const { name, path } = target(calls, 'contract.serin.dev/v1', 'gadgets');
    const body = (stamp: string, resourceVersion?: string) => ({
      ...widget(name),
      kind: 'Gadget',
      metadata: {
        name,
        annotations: { 'serin.dev/stamp': stamp },
        ...(resourceVersion ? { resourceVersion } : {}),
      },
    });
    const first = ok(await calls.apply(path, body('1'), 'serin'), 201);
    const second = ok(await calls.apply(path, body('2', first.metadata.resourceVersion), 'serin', true));
    expect(version(second)).toBeGreaterThan(version(first));
    const message = `Operation cannot be fulfilled on gadgets.contract.serin.dev "${name}": the object has been modified; please apply your changes to the latest version and try again`;
    const stale = await calls.apply(path, body('3', first.metadata.resourceVersion), 'serin', true);
    refused(stale, 409, 'Conflict', message);
    const again = ok(await calls.apply(path, body('2', second.metadata.resourceVersion), 'serin', true));
    expect(version(again)).toBe(version(second));
    expect(again.metadata.generation).toBe(1);
  });

  test('on an object that is gone a resourceVersion is no precondition, a uid is', async () => {
    const { calls } = use();
    const { name, path } = target(calls, 'v1', 'configmaps');
    const first = ok(await calls.apply(path, configMap(name), 'serin'), 201);
    ok(await calls.delete(path));
    const body = configMap(name, { a: '2' }, { resourceVersion: first.metadata.resourceVersion });
    const again = ok(await calls.apply(path, body, 'serin', true), 201);
    expect(again.metadata.uid).not.toBe(first.metadata.uid);
    ok(await calls.delete(path));
    const other = configMap(name, { a: '2' }, { uid: first.metadata.uid });
    refused(
      await calls.apply(path, other, 'serin', true),
      409,
      'Conflict',
      `Operation cannot be fulfilled on configmaps "${name}": uid mismatch: the provided object specified uid ${first.metadata.uid}, and no existing object was found`,
    );
  });

  test('needs a manager; refuses managedFields, another name and a wrong version', async () => {
    const { calls } = use();
    const { name, path } = target(calls, 'v1', 'configmaps');
    const type = 'application/apply-patch+yaml';
    const unnamed = await calls.send('PATCH', path, type, JSON.stringify(configMap(name)));
    refused(unnamed, 422, 'Invalid');
    expect(unnamed.body.message).toContain('fieldManager: Required value: is required for apply patch');
    const owned = configMap(name, {}, { managedFields: [{ manager: 'x' }] });
    refused(await calls.apply(path, owned, 'serin'), 400, 'BadRequest', 'metadata.managedFields must be nil');
    refused(await calls.apply(path, configMap('other'), 'serin'), 400, 'BadRequest');
    expect((await calls.apply(path, { ...configMap(name), apiVersion: 'v2' }, 'serin')).status).toBe(400);
  });

  test('dryRun applies nothing', async () => {
    const { calls } = use();
    const { name, path } = target(calls, 'v1', 'configmaps');
    const type = 'application/apply-patch+yaml';
    const dry = `${path}?fieldManager=serin&dryRun=All`;
    ok(await calls.send('PATCH', dry, type, JSON.stringify(configMap(name))), 201);
    refused(await calls.get(path), 404, 'NotFound');
  });

  test('metadata: labels and annotations of others stay, finalizers and owners merge by item', async () => {
    const { calls } = use();
    const { name, path } = target(calls, 'v1', 'configmaps');
    const parent = ok(await calls.post(calls.path('v1', 'configmaps'), configMap(freshName('parent'))), 201);
    const owner = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      name: parent.metadata.name,
      uid: parent.metadata.uid,
    };
    ok(
      await calls.apply(
        path,
        { ...bare(name), metadata: { name, labels: { a: '1' }, finalizers: ['contract.serin.dev/a'] } },
        'one',
      ),
      201,
    );
    const both = ok(
      await calls.apply(
        path,
        {
          ...bare(name),
          metadata: {
            name,
            labels: { b: '1' },
            finalizers: ['contract.serin.dev/b'],
            ownerReferences: [owner],
          },
        },
        'two',
      ),
    );
    expect(both.metadata.labels).toEqual({ a: '1', b: '1' });
    expect(new Set(both.metadata.finalizers)).toEqual(
      new Set(['contract.serin.dev/a', 'contract.serin.dev/b']),
    );
    expect(ownersOf(both)['two/Apply']).toEqual({
      'f:metadata': {
        'f:finalizers': { 'v:"contract.serin.dev/b"': {} },
        'f:labels': { 'f:b': {} },
        'f:ownerReferences': { [`k:{"uid":"${parent.metadata.uid}"}`]: {} },
      },
    });
    const fewer = ok(await calls.apply(path, bare(name), 'two'));
    expect(fewer.metadata.finalizers).toEqual(['contract.serin.dev/a']);
    expect(fewer.metadata.ownerReferences).toBeUndefined();
    ok(await calls.merge(path, { metadata: { finalizers: null } }));
  });
}

function conflictTests(use: () => Used): void {
  test('a field of another applier is 409 with its name; force takes it', async () => {
    const { calls } = use();
    const { name, path } = target(calls, 'apps/v1', 'deployments');
    ok(await calls.apply(path, deployment(name, { replicas: 0, paused: true }), 'argocd'), 201);
    const body = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name }, spec: { replicas: 2 } };
    const conflict = await calls.apply(path, body, 'serin');
    refused(
      conflict,
      409,
      'Conflict',
      'Apply failed with 1 conflict: conflict with "argocd": .spec.replicas',
    );
    expect(conflict.body.details.causes).toEqual([
      { reason: 'FieldManagerConflict', message: 'conflict with "argocd"', field: '.spec.replicas' },
    ]);
    const forced = ok(await calls.apply(path, body, 'serin', true));
    expect(forced.spec.replicas).toBe(2);
    expect(ownersOf(forced)['serin/Apply']).toEqual({ 'f:spec': { 'f:replicas': {} } });
    expect(ownersOf(forced)['argocd/Apply']['f:spec']['f:replicas']).toBeUndefined();
    const back = await calls.apply(path, deployment(name, { replicas: 0, paused: true }), 'argocd');
    refused(back, 409, 'Conflict');
    await calls.delete(path);
  });

  test('the same value is shared without a conflict, and stays when one of two gives it up', async () => {
    const { calls } = use();
    const { name, path } = target(calls, 'v1', 'configmaps');
    ok(await calls.apply(path, configMap(name, { a: '1', b: '1' }), 'one'), 201);
    ok(await calls.apply(path, configMap(name, { a: '1' }), 'two'));
    const kept = ok(await calls.apply(path, configMap(name, { b: '1' }), 'one'));
    expect(kept.data).toEqual({ a: '1', b: '1' });
    const gone = ok(await calls.apply(path, bare(name), 'two'));
    expect(gone.data).toEqual({ b: '1' });
  });

  test('several conflicts are listed by manager; an updater is named with its version', async () => {
    const { calls } = use();
    const { name, path } = target(calls, 'v1', 'configmaps');
    ok(await calls.apply(path, configMap(name, { a: '1', b: '1', c: '1' }), 'one'), 201);
    ok(await calls.merge(`${path}?fieldManager=kubectl`, { data: { c: '2' } }));
    const answer = await calls.apply(path, configMap(name, { a: '9', b: '9', c: '9' }), 'serin');
    refused(answer, 409, 'Conflict');
    expect(answer.body.message).toMatch(
      /^Apply failed with 3 conflicts: conflicts with "kubectl" using v1( at [^:]+:\d\d:\d\dZ)?:\n- \.data\.c\nconflicts with "one":\n- \.data\.a\n- \.data\.b$/,
    );
  });

  test('a field that was updated by another is not dropped when its applier leaves it out', async () => {
    const { calls } = use();
    const { name, path } = target(calls, 'apps/v1', 'deployments');
    ok(await calls.apply(path, deployment(name, { replicas: 0, paused: true }), 'serin'), 201);
    ok(await calls.merge(`${path}/scale?fieldManager=hpa`, { spec: { replicas: 3 } }));
    const body = deployment(name, { paused: true });
    delete body.spec.replicas;
    const kept = ok(await calls.apply(path, body, 'serin'));
    expect(kept.spec.replicas).toBe(3);
    const conflict = await calls.apply(path, deployment(name, { replicas: 1, paused: true }), 'serin');
    refused(conflict, 409, 'Conflict');
    expect(conflict.body.message).toContain('"hpa" with subresource "scale"');
    await calls.delete(path);
  });

  test('a dropped field with a default goes back to its default', async () => {
    const { calls } = use();
    const { name, path } = target(calls, 'apps/v1', 'deployments');
    ok(
      await calls.apply(path, deployment(name, { paused: true, progressDeadlineSeconds: 60 }), 'serin'),
      201,
    );
    const dropped = ok(await calls.apply(path, deployment(name, { paused: true }), 'serin'));
    expect(dropped.spec.progressDeadlineSeconds).toBe(600);
    expect(dropped.metadata.generation).toBe(2);
    await calls.delete(path);
  });
}

function listTests(use: () => Used): void {
  test.each([
    ['ports', [{ containerPort: 80 }, { name: 'b', containerPort: 80 }], '[containerPort=80,protocol="TCP"]'],
    [
      'env',
      [
        { name: 'A', value: '1' },
        { name: 'A', value: '2' },
      ],
      '[name="A"]',
    ],
  ])('%s that come twice may be created and patched, and never applied', async (field, items, key) => {
    const { calls } = use();
    const { name, path } = target(calls, 'apps/v1', 'deployments');
    const body = deployment(name);
    body.spec.template.spec.containers[0][field] = items;
    const what = `(/${name}; apps/v1, Kind=Deployment)`;
    const where = `.spec.template.spec.containers[name="app"].${field}`;
    const message = `failed to create typed patch object ${what}: ${where}: duplicate entries for key ${key}`;
    for (let time = 0; time < 2; time++) {
      const { status, body: refusal } = await calls.apply(path, body, 'serin', true);
      expect(status).toBe(500);
      expect(refusal).toMatchObject({ kind: 'Status', code: 500, message });
      expect(refusal).not.toHaveProperty('reason');
      if (time === 0) ok(await calls.post(path.replace(`/${name}`, ''), body), 201);
    }
    const patched = ok(await calls.merge(path, { spec: { replicas: 1 } }));
    expect(patched.spec.template.spec.containers[0][field]).toHaveLength(2);
  });

  test('containers, ports and env merge by key; atomic lists and selectors are replaced', async () => {
    const { calls } = use();
    const { name, path } = target(calls, 'apps/v1', 'deployments');
    const full = deployment(name, { paused: true });
    full.spec.template.spec.containers[0] = {
      name: 'app',
      image: 'example.com/app:1',
      args: ['--a', '--b'],
      ports: [{ containerPort: 80 }, { containerPort: 81, name: 'admin' }],
      env: [
        { name: 'A', value: '1' },
        { name: 'B', value: '1' },
      ],
    };
    full.spec.template.spec.volumes = [{ name: 'v', emptyDir: {} }];
    ok(await calls.apply(path, full, 'team'), 201);
    const sidecar = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name },
      spec: {
        template: {
          spec: {
            containers: [
              { name: 'proxy', image: 'example.com/proxy:1' },
              { name: 'app', env: [{ name: 'C', value: '1' }] },
            ],
          },
        },
      },
    };
    const merged = ok(await calls.apply(path, sidecar, 'mesh'));
    const { containers } = merged.spec.template.spec;
    expect(containers.map((entry: { name: string }) => entry.name)).toEqual(['proxy', 'app']);
    expect(containers[1].env).toEqual([
      { name: 'A', value: '1' },
      { name: 'B', value: '1' },
      { name: 'C', value: '1' },
    ]);
    expect(ownersOf(merged)['mesh/Apply']).toEqual({
      'f:spec': {
        'f:template': {
          'f:spec': {
            'f:containers': {
              'k:{"name":"app"}': {
                '.': {},
                'f:env': { 'k:{"name":"C"}': { '.': {}, 'f:name': {}, 'f:value': {} } },
                'f:name': {},
              },
              'k:{"name":"proxy"}': { '.': {}, 'f:image': {}, 'f:name': {} },
            },
          },
        },
      },
    });
    const args = {
      ...sidecar,
      spec: { template: { spec: { containers: [{ name: 'app', args: ['--c'] }] } } },
    };
    const conflict = await calls.apply(path, args, 'mesh');
    refused(conflict, 409, 'Conflict');
    expect(conflict.body.details.causes[0].field).toBe('.spec.template.spec.containers[name="app"].args');
    full.spec.template.spec.containers[0].env.shift();
    full.spec.template.spec.containers[0].ports.pop();
    const dropped = ok(await calls.apply(path, full, 'team'));
    const app = dropped.spec.template.spec.containers.find((entry: { name: string }) => entry.name === 'app');
    expect(app.env.map((entry: { name: string }) => entry.name)).toEqual(['B', 'C']);
    expect(app.ports).toEqual([{ containerPort: 80, protocol: 'TCP' }]);
    await calls.delete(path);
  });

  test('ports of a Service are keyed by port and protocol, its selector is atomic', async () => {
    const { calls } = use();
    const { name, path } = target(calls, 'v1', 'services');
    ok(await calls.apply(path, service(name, { selector: { app: 'a', tier: 'x' } }), 'serin'), 201);
    const more = {
      ...service(name, { ports: [{ name: 'admin', port: 81, protocol: 'TCP' }] }),
      spec: { ports: [{ name: 'admin', port: 81, protocol: 'TCP' }] },
    };
    const merged = ok(await calls.apply(path, more, 'other'));
    expect(merged.spec.ports.map((entry: { port: number }) => entry.port)).toEqual([80, 81]);
    expect(ownersOf(merged)['other/Apply']).toEqual({
      'f:spec': {
        'f:ports': {
          'k:{"port":81,"protocol":"TCP"}': { '.': {}, 'f:name': {}, 'f:port': {}, 'f:protocol': {} },
        },
      },
    });
    const repointed = ok(await calls.apply(path, service(name, { selector: { app: 'b' } }), 'serin'));
    expect(repointed.spec.selector).toEqual({ app: 'b' });
    const select = { ...more, spec: { selector: { app: 'c' } } };
    const conflict = await calls.apply(path, select, 'another');
    refused(conflict, 409, 'Conflict');
    expect(conflict.body.details.causes[0].field).toBe('.spec.selector');
  });

  test('a custom kind follows its schema: keyed lists, sets, atomic lists, free fields', async () => {
    const { calls } = use();
    const { name, path } = target(calls, 'contract.serin.dev/v1', 'widgets');
    const spec = {
      backends: [
        { name: 'primary', weight: 100 },
        { name: 'canary', weight: 0 },
      ],
      tags: ['a', 'b'],
      rules: [{ path: '/' }],
      free: { deep: { list: [1], value: 1 } },
      labels: { x: '1' },
    };
    const created = ok(await calls.apply(path, widget(name, spec), 'serin'), 201);
    expect(ownersOf(created)['serin/Apply']).toEqual({
      'f:spec': {
        'f:backends': {
          'k:{"name":"canary"}': { '.': {}, 'f:name': {}, 'f:weight': {} },
          'k:{"name":"primary"}': { '.': {}, 'f:name': {}, 'f:weight': {} },
        },
        'f:free': { 'f:deep': { '.': {}, 'f:list': {}, 'f:value': {} } },
        'f:labels': { 'f:x': {} },
        'f:rules': {},
        'f:service': {},
        'f:tags': { 'v:"a"': {}, 'v:"b"': {} },
      },
    });
    const other = { ...widget(name), spec: { backends: [{ name: 'shadow', weight: 1 }], tags: ['c'] } };
    const merged = ok(await calls.apply(path, other, 'other'));
    expect(merged.spec.backends).toHaveLength(3);
    expect(new Set(merged.spec.tags)).toEqual(new Set(['a', 'b', 'c']));
    const fewer = { service: 'web', tags: ['b'], backends: [{ name: 'primary', weight: 90 }] };
    const dropped = ok(await calls.apply(path, widget(name, fewer), 'serin'));
    expect(dropped.spec.backends).toEqual([
      { name: 'primary', weight: 90 },
      { name: 'shadow', weight: 1 },
    ]);
    expect(new Set(dropped.spec.tags)).toEqual(new Set(['b', 'c']));
    expect(dropped.spec.rules).toBeUndefined();
    expect(dropped.spec.free).toBeUndefined();
    expect(dropped.spec.weight).toBe(10);
  });
}
