/** Contract: deletion with preconditions and finalizers, the status endpoints of built-in kinds, pods. */
import { describe, expect, test } from 'vitest';
import type { Used } from './contract.ts';
import { freshName, ok, refused, version } from './contractCalls.ts';
import { configMap, deployment, widget } from './contractWidgets.ts';

export function describeLifecycle(use: () => Used): void {
  describe('delete', () => deleteTests(use));
  describe('status of built-in kinds', () => builtinStatusTests(use));
  describe('pods', () => podTests(use));
  describe('leases and events', () => recordTests(use));
}

function deleteTests(use: () => Used): void {
  test('answers a Status with the uid, then 404', async () => {
    const { calls } = use();
    const name = freshName('delete');
    const path = calls.path('v1', 'configmaps', name);
    const created = ok(await calls.post(calls.path('v1', 'configmaps'), configMap(name)), 201);
    const answer = ok(await calls.delete(path));
    expect(answer).toMatchObject({
      kind: 'Status',
      status: 'Success',
      details: { name, kind: 'configmaps', uid: created.metadata.uid },
    });
    refused(await calls.get(path), 404, 'NotFound', `configmaps "${name}" not found`);
    refused(await calls.delete(path), 404, 'NotFound');
  });

  test('preconditions on uid and resourceVersion', async () => {
    const { calls } = use();
    const name = freshName('precondition');
    const path = calls.path('v1', 'configmaps', name);
    const created = ok(await calls.post(calls.path('v1', 'configmaps'), configMap(name)), 201);
    const preconditions = (value: object) => ({
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      preconditions: value,
    });
    const uid = '00000000-0000-4000-8000-000000000000';
    refused(await calls.delete(path, preconditions({ uid })), 409, 'Conflict');
    refused(await calls.delete(path, preconditions({ resourceVersion: '1' })), 409, 'Conflict');
    const { resourceVersion } = created.metadata;
    ok(await calls.delete(path, preconditions({ uid: created.metadata.uid, resourceVersion })));
  });

  test('finalizers hold the object; removing the last one deletes it', async () => {
    const { calls } = use();
    const name = freshName('finalizer');
    const path = calls.path('contract.serin.dev/v1', 'widgets', name);
    const body = widget(name, {}, { finalizers: ['contract.serin.dev/a', 'contract.serin.dev/b'] });
    const created = ok(await calls.post(calls.path('contract.serin.dev/v1', 'widgets'), body), 201);
    const deleted = ok(await calls.delete(path));
    expect(deleted.metadata.deletionTimestamp).toMatch(/Z$/);
    expect((deleted.metadata as { deletionGracePeriodSeconds?: number }).deletionGracePeriodSeconds).toBe(0);
    expect(deleted.metadata.generation).toBe(2);
    const again = ok(await calls.delete(path));
    expect(version(again)).toBe(version(deleted));
    const grown = await calls.merge(path, {
      metadata: { finalizers: ['contract.serin.dev/a', 'contract.serin.dev/c'] },
    });
    refused(grown, 422, 'Invalid');
    expect(grown.body.message).toContain('metadata.finalizers: Forbidden: no new finalizers can be added');
    const status = ok(await calls.merge(`${path}/status`, { status: { phase: 'Terminating' } }));
    expect(status.status.phase).toBe('Terminating');
    const fewer = ok(await calls.merge(path, { metadata: { finalizers: ['contract.serin.dev/a'] } }));
    expect(fewer.metadata.uid).toBe(created.metadata.uid);
    ok(await calls.merge(path, { metadata: { finalizers: null } }));
    refused(await calls.get(path), 404, 'NotFound');
  });

  test('an apply to an object that is being deleted cannot bring finalizers, and can take the last one', async () => {
    const { calls } = use();
    const name = freshName('applydelete');
    const path = calls.path('v1', 'configmaps', name);
    const finalizers = ['contract.serin.dev/a'];
    ok(await calls.apply(path, configMap(name, {}, { finalizers }), 'serin'), 201);
    ok(await calls.delete(path));
    const more = configMap(name, {}, { finalizers: [...finalizers, 'contract.serin.dev/b'] });
    refused(await calls.apply(path, more, 'serin'), 422, 'Invalid');
    ok(await calls.apply(path, configMap(name, {}), 'serin'));
    refused(await calls.get(path), 404, 'NotFound');
  });

  test('a recreated object has a new uid', async () => {
    const { calls } = use();
    const name = freshName('again');
    const path = calls.path('v1', 'configmaps', name);
    const first = ok(await calls.post(calls.path('v1', 'configmaps'), configMap(name)), 201);
    ok(
      await calls.delete(path, { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: 'Background' }),
    );
    const second = ok(await calls.post(calls.path('v1', 'configmaps'), configMap(name)), 201);
    expect(second.metadata.uid).not.toBe(first.metadata.uid);
    refused(await calls.put(path, { ...first, data: {} }), 409, 'Conflict');
  });
}

function builtinStatusTests(use: () => Used): void {
  test('a Deployment: status through its endpoint only, which leaves spec and labels alone', async () => {
    const { calls } = use();
    const name = freshName('dstatus');
    const path = calls.path('apps/v1', 'deployments', name);
    const body = deployment(name, { paused: true }, { labels: { a: 'b' } });
    const created = ok(await calls.post(calls.path('apps/v1', 'deployments'), body), 201);
    const patched = ok(
      await calls.merge(`${path}/status?fieldManager=player`, {
        metadata: { labels: { a: 'c' }, annotations: { from: 'status' } },
        spec: { replicas: 9 },
        status: { collisionCount: 3 },
      }),
    );
    expect(patched.status.collisionCount).toBe(3);
    expect(patched.spec).toEqual(created.spec);
    expect(patched.metadata.labels).toEqual({ a: 'b' });
    expect(patched.metadata.annotations).toMatchObject({ from: 'status' });
    expect(patched.metadata.generation).toBe(1);
    const main = ok(
      await calls.merge(path, { status: { collisionCount: 8 }, metadata: { labels: { x: 'y' } } }),
    );
    expect(main.status.collisionCount).toBe(3);
    await calls.delete(path);
  });
}

function podTests(use: () => Used): void {
  const pod = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: { containers: [{ name: 'app', image: 'example.com/app:1' }] },
  });

  test('starts Pending; its status is patched; unbound it goes at once', async () => {
    const { calls } = use();
    const name = freshName('pod');
    const path = calls.path('v1', 'pods', name);
    const created = ok(await calls.post(calls.path('v1', 'pods'), pod(name)), 201);
    expect(created.status).toMatchObject({ phase: 'Pending', qosClass: 'BestEffort' });
    const status = {
      phase: 'Running',
      podIP: '10.244.9.9',
      podIPs: [{ ip: '10.244.9.9' }],
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }],
    };
    const running = ok(await calls.merge(`${path}/status`, { status }));
    expect(running.status).toMatchObject({ phase: 'Running', podIP: '10.244.9.9' });
    expect(ok(await calls.delete(path)).kind).toBe('Pod');
    refused(await calls.get(path), 404, 'NotFound');
  });

  test('bound to a node it is given its grace period, and goes with grace period 0', async () => {
    const { calls } = use();
    const name = freshName('pod');
    const path = calls.path('v1', 'pods', name);
    ok(await calls.post(calls.path('v1', 'pods'), pod(name)), 201);
    const target = { apiVersion: 'v1', kind: 'Node', name: 'contract-node' };
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target };
    ok(await calls.post(`${path}/binding`, binding), 201);
    const bound = ok(await calls.get(path));
    expect(bound.spec.nodeName).toBe('contract-node');
    const leaving = ok(await calls.delete(path));
    expect(leaving.metadata.deletionTimestamp).toBeDefined();
    expect((leaving.metadata as { deletionGracePeriodSeconds?: number }).deletionGracePeriodSeconds).toBe(30);
    ok(await calls.get(path));
    ok(await calls.delete(path, { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0 }));
    refused(await calls.get(path), 404, 'NotFound');
  });
}

function recordTests(use: () => Used): void {
  test('a Lease is fenced by its resourceVersion, and PUT needs it', async () => {
    const { calls } = use();
    const name = freshName('lease');
    const path = calls.path('coordination.k8s.io/v1', 'leases', name);
    const spec = { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime: '2026-01-01T00:00:00.000000Z' };
    const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name }, spec };
    const created = ok(await calls.post(calls.path('coordination.k8s.io/v1', 'leases'), body), 201);
    const taken = ok(await calls.put(path, { ...created, spec: { ...spec, holderIdentity: 'b' } }));
    refused(await calls.put(path, { ...created, spec: { ...spec, holderIdentity: 'c' } }), 409, 'Conflict');
    expect(ok(await calls.get(path)).spec.holderIdentity).toBe('b');
    expect(version(taken)).toBeGreaterThan(version(created));
    refused(await calls.put(path, body), 422, 'Invalid');
  });

  test('an Event is created and its count patched', async () => {
    const { calls } = use();
    const name = freshName('event');
    const at = '2026-01-01T00:00:00Z';
    const body = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name },
      involvedObject: { apiVersion: 'v1', kind: 'ConfigMap', namespace: calls.namespace, name: 'x' },
      type: 'Normal',
      reason: 'Synced',
      message: 'done',
      source: { component: 'serin' },
      firstTimestamp: at,
      lastTimestamp: at,
      count: 1,
    };
    const created = ok(await calls.post(calls.path('v1', 'events'), body), 201);
    expect(created.reason).toBe('Synced');
    const patched = ok(await calls.merge(calls.path('v1', 'events', name), { count: 2 }));
    expect(patched.count).toBe(2);
    const found = await calls.get(
      `${calls.path('v1', 'events')}?fieldSelector=involvedObject.name=x,reason=Synced`,
    );
    expect(found.body.items).toHaveLength(1);
  });
}
