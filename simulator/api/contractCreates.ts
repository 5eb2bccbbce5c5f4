/** Contract: creating: metadata, defaults, the owners of a new object, refusals, dry runs. */
import { describe, expect, test } from 'vitest';
import type { Used } from './contract.ts';
import { freshName, ok, ownersOf, refused, version } from './contractCalls.ts';
import { configMap, deployment, service } from './contractWidgets.ts';

export function describeCreates(use: () => Used): void {
  describe('create', () => createTests(use));
}

function createTests(use: () => Used): void {
  test('fills in metadata and answers 201; a second create is 409 AlreadyExists', async () => {
    const { calls } = use();
    const name = freshName('create');
    const path = calls.path('v1', 'configmaps');
    const created = ok(await calls.post(path, configMap(name)), 201);
    expect(created.metadata).toMatchObject({ name, namespace: calls.namespace });
    expect(created.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
    expect(created.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(version(created)).toBeGreaterThan(0);
    expect(created.metadata.generation).toBeUndefined();
    refused(
      await calls.post(path, configMap(name)),
      409,
      'AlreadyExists',
      `configmaps "${name}" already exists`,
    );
  });

  test('refuses a bad name, a missing name, a wrong namespace and a body with a resourceVersion', async () => {
    const { calls } = use();
    const path = calls.path('v1', 'configmaps');
    const bad = await calls.post(path, configMap('No_Good'));
    refused(bad, 422, 'Invalid');
    expect(bad.body.details).toMatchObject({ name: 'No_Good', kind: 'ConfigMap' });
    expect(bad.body.details.causes[0]).toMatchObject({
      reason: 'FieldValueInvalid',
      field: 'metadata.name',
    });
    refused(await calls.post(path, { apiVersion: 'v1', kind: 'ConfigMap' }), 422, 'Invalid');
    const elsewhere = configMap(freshName('elsewhere'), {}, { namespace: 'other' });
    refused(
      await calls.post(path, elsewhere),
      400,
      'BadRequest',
      'the namespace of the provided object does not match the namespace sent on the request',
    );
    const versioned = configMap(freshName('versioned'), {}, { resourceVersion: '1' });
    expect((await calls.post(path, versioned)).status).toBe(500);
  });

  test('a namespace that does not exist is 404', async () => {
    const { calls } = use();
    const path = calls.path('v1', 'configmaps').replace(calls.namespace, 'nowhere');
    refused(await calls.post(path, configMap('a')), 404, 'NotFound', 'namespaces "nowhere" not found');
  });

  test('generateName gets a suffix', async () => {
    const { calls } = use();
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'made-' } };
    const created = ok(await calls.post(calls.path('v1', 'configmaps'), body), 201);
    expect(created.metadata.name).toMatch(/^made-[a-z0-9]{5}$/);
  });

  test('a Deployment gets its defaults and generation 1, its creator owns them', async () => {
    const { calls } = use();
    const name = freshName('defaults');
    const path = calls.path('apps/v1', 'deployments');
    const body = deployment(name);
    delete body.spec.replicas;
    body.spec.template.spec.containers[0].ports = [{ containerPort: 80 }];
    const created = ok(
      await calls.post(`${path}?fieldManager=maker`, { ...body, spec: { ...body.spec, paused: true } }),
      201,
    );
    expect(created.metadata.generation).toBe(1);
    expect(created.status).toEqual({});
    expect(created.spec).toEqual({
      paused: true,
      replicas: 1,
      selector: { matchLabels: { app: name } },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      template: {
        metadata: { labels: { app: name } },
        spec: {
          containers: [
            {
              name: 'app',
              image: 'example.com/app:1',
              ports: [{ containerPort: 80, protocol: 'TCP' }],
              resources: {},
              imagePullPolicy: 'IfNotPresent',
              terminationMessagePath: '/dev/termination-log',
              terminationMessagePolicy: 'File',
            },
          ],
          restartPolicy: 'Always',
          terminationGracePeriodSeconds: 30,
          dnsPolicy: 'ClusterFirst',
          securityContext: {},
          schedulerName: 'default-scheduler',
        },
      },
    });
    expect(ownersOf(created)['maker/Update']).toEqual(deploymentOwnership);
    await calls.delete(`${path}/${name}`);
  });

  test('a Service gets a ClusterIP and its port defaults, and keeps the address', async () => {
    const { calls } = use();
    const name = freshName('svc');
    const path = calls.path('v1', 'services');
    const created = ok(await calls.post(path, service(name)), 201);
    expect(created.spec.clusterIP).toMatch(/^10\.96\./);
    expect(created.spec.clusterIPs).toEqual([created.spec.clusterIP]);
    expect(created.spec.ports).toEqual([{ name: 'http', port: 80, protocol: 'TCP', targetPort: 80 }]);
    expect(created.spec).toMatchObject({ type: 'ClusterIP', sessionAffinity: 'None', ipFamilies: ['IPv4'] });
    expect(created.status).toEqual({ loadBalancer: {} });
    const replaced = ok(
      await calls.put(`${path}/${name}`, service(name, { ports: [{ name: 'http', port: 81 }] })),
    );
    expect(replaced.spec.clusterIP).toBe(created.spec.clusterIP);
    refused(await calls.merge(`${path}/${name}`, { spec: { clusterIP: '10.96.99.99' } }), 422, 'Invalid');
    const headless = ok(await calls.post(path, service(freshName('svc'), { clusterIP: 'None' })), 201);
    expect(headless.spec.clusterIPs).toEqual(['None']);
    refused(await calls.post(path, service(freshName('svc'), { ports: [] })), 422, 'Invalid');
  });

  test('dryRun validates, answers, and stores nothing', async () => {
    const { calls } = use();
    const name = freshName('dry');
    const path = calls.path('apps/v1', 'deployments');
    const answered = ok(await calls.post(`${path}?dryRun=All`, deployment(name)), 201);
    expect(answered.spec.progressDeadlineSeconds).toBe(600);
    refused(await calls.get(`${path}/${name}`), 404, 'NotFound', `deployments.apps "${name}" not found`);
    const wrong = deployment(name, { selector: { matchLabels: { app: 'other' } } });
    const answer = await calls.post(`${path}?dryRun=All`, wrong);
    refused(answer, 422, 'Invalid');
    expect(answer.body.message).toBe(
      `Deployment.apps "${name}" is invalid: spec.template.metadata.labels: Invalid value: {"app":"${name}"}: \`selector\` does not match template \`labels\``,
    );
  });
}

const deploymentOwnership = {
  'f:spec': {
    'f:paused': {},
    'f:progressDeadlineSeconds': {},
    'f:replicas': {},
    'f:revisionHistoryLimit': {},
    'f:selector': {},
    'f:strategy': {
      'f:rollingUpdate': { '.': {}, 'f:maxSurge': {}, 'f:maxUnavailable': {} },
      'f:type': {},
    },
    'f:template': {
      'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } },
      'f:spec': {
        'f:containers': {
          'k:{"name":"app"}': {
            '.': {},
            'f:image': {},
            'f:imagePullPolicy': {},
            'f:name': {},
            'f:ports': {
              '.': {},
              'k:{"containerPort":80,"protocol":"TCP"}': {
                '.': {},
                'f:containerPort': {},
                'f:protocol': {},
              },
            },
            'f:resources': {},
            'f:terminationMessagePath': {},
            'f:terminationMessagePolicy': {},
          },
        },
        'f:dnsPolicy': {},
        'f:restartPolicy': {},
        'f:schedulerName': {},
        'f:securityContext': {},
        'f:terminationGracePeriodSeconds': {},
      },
    },
  },
};
