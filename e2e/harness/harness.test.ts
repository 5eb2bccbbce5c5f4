/** The rig itself: a Deployment becomes ReplicaSet and Pods, and the audit log counts what the engine asked. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ControlPlane, startControlPlane, waitFor } from './controlplane.ts';

let plane: ControlPlane;
beforeAll(async () => {
  plane = await startControlPlane();
});
afterAll(async () => {
  await plane?.stop();
});

test('controllers run, and only the engine is audited', async () => {
  const template = {
    metadata: { labels: { app: 'web' } },
    spec: { containers: [{ name: 'web', image: 'web:1' }] },
  };
  const deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web' },
    spec: { replicas: 2, selector: { matchLabels: { app: 'web' } }, template },
  };
  await plane.call('admin', 'POST', '/api/v1/namespaces', { metadata: { name: 'rig' } });
  expect(
    (await plane.call('admin', 'POST', '/apis/apps/v1/namespaces/rig/deployments', deployment)).status,
  ).toBe(201);
  const pods = await waitFor('two pods', async () => {
    const { body } = await plane.call('admin', 'GET', '/api/v1/namespaces/rig/pods');
    return body.items.length === 2 ? body.items : undefined;
  });
  expect(pods[0].metadata.labels['pod-template-hash']).toBeTruthy();
  expect((await plane.call('engine', 'GET', '/api/v1/namespaces/rig/pods')).status).toBe(403);
  const asked = await waitFor('one audited request', () =>
    plane.audit().length === 1 ? plane.audit() : undefined,
  );
  expect(asked[0]).toMatchObject({ verb: 'list', resource: 'pods', namespace: 'rig', code: 403 });
});
