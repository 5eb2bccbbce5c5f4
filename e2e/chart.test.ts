/**
 * The chart by the real helm on the real API server: it lints, every variant of it is accepted, its pods pass the
 * restricted pod security, and the engine works under exactly the rights that it gives: with none refused and none unused.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { parseConfig } from '../engine/config.ts';
import { accessTable } from '../engine/kubernetes/access.ts';
import { createSmiStepper } from '../steppers/smi.ts';
import * as chart from './harness/chart.ts';
import type { AuditEntry } from './harness/controlplane.ts';
import { type RealPrometheus, startPrometheus } from './harness/prometheus.ts';
import { type Rig, startRig } from './harness/rig.ts';

let rig: Rig;
let prometheus: RealPrometheus;
let running: chart.PodEngine | undefined;

beforeAll(async () => {
  rig = await startRig();
  prometheus = await startPrometheus(rig.kubelet);
  // Here Helm brings them.
  expect(await chart.kubectl(rig.plane, 'admin', ['delete', '-f', `${chart.CHART}/crds`])).toMatchObject({
    ok: true,
  });
  await rig.plane.applyYaml(`
apiVersion: v1
kind: Namespace
metadata:
  name: ${chart.NAMESPACE}
  labels: {pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/enforce-version: latest}
`);
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') console.log(running?.log.slice(-20));
  await running?.stop('SIGTERM');
  running = undefined;
});
afterAll(async () => {
  await prometheus?.stop();
  await rig?.stop();
});

const get = (path: string) => rig.plane.request('admin', 'GET', path);
const rbac = '/apis/rbac.authorization.k8s.io/v1';
const pods = `/api/v1/namespaces/${chart.NAMESPACE}/pods`;

describe('rendered', () => {
  const variants: [string, Record<string, unknown>][] = [
    ['with nothing set', {}],
    ['for some namespaces', { namespaces: ['shop', 'web'], rbac: { secretNames: ['prometheus'] } }],
    ["for Flagger's objects", { apiGroup: 'flagger.app' }],
    [
      'with every Secret',
      {
        metricsServer: 'https://prometheus.monitoring:9090',
        metricsServerSecret: { name: 'prometheus', username: 'ann', caKey: 'ca.crt' },
        redis: { existingSecret: 'redis', caSecret: 'redis-ca' },
        tls: { secretName: 'tls' },
        slack: { existingSecret: 'slack' },
        eventWebhook: { existingSecret: 'events', existingSecretKey: 'address' },
      },
    ],
    [
      'with as little as can be',
      {
        rbac: { create: false },
        admissionPolicy: { create: false },
        podDisruptionBudget: { create: false },
        serviceAccount: { create: false },
      },
    ],
  ];

  test.each(variants)(
    '%s: it lints, the API server takes it, and the engine its arguments',
    async (_name, values) => {
      await chart.lint(values);
      const objects = await chart.template(values);
      for (const namespace of ['shop', 'web'])
        await rig.plane.applyYaml(
          JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }),
        );
      const list = { apiVersion: 'v1', kind: 'List', items: objects };
      const applied = await chart.kubectl(
        rig.plane,
        'admin',
        [
          'apply',
          '--server-side',
          '--dry-run=server',
          '--validate=strict',
          '--warnings-as-errors',
          '-f',
          '-',
        ],
        JSON.stringify(list),
      );
      expect(applied).toMatchObject({ ok: true });
      const deployment = objects.find(object => object.kind === 'Deployment');
      const [container] = deployment.spec.template.spec.containers;
      // Its environment comes from Secrets, which a test cannot render.
      const environment = {
        REDIS_URL: 'rediss://redis',
        SLACK_URL: 'https://slack.test/1',
        EVENT_WEBHOOK_URL: 'https://events.test',
      };
      expect(parseConfig(container.args, environment)).toMatchObject({
        kind: 'config',
        config: { slackUrl: environment.SLACK_URL, eventWebhook: environment.EVENT_WEBHOOK_URL },
      });
    },
  );

  test('namespaces mean Roles there, and no role in the cluster but the one for reviews', async () => {
    const objects = await chart.template({
      namespaces: ['shop', 'web'],
      rbac: { secretNames: ['prometheus'] },
    });
    const roles = objects.filter(object => object.kind.endsWith('Role'));
    expect(
      roles.map(role => `${role.kind} ${role.metadata.namespace ?? ''}/${role.metadata.name}`).sort(),
    ).toEqual([
      'ClusterRole /serin-serin-reviews',
      'Role serin/serin-lease',
      'Role shop/serin-serin',
      'Role web/serin-serin',
    ]);
    const secrets = roles.flatMap(role => role.rules).filter(rule => rule.resources.includes('secrets'));
    expect(secrets).toEqual(
      Array(2).fill({
        apiGroups: [''],
        resources: ['secrets'],
        verbs: ['get'],
        resourceNames: ['prometheus'],
      }),
    );
  });

  test('Secrets become environment and files, and none of them an argument', async () => {
    const objects = await chart.template(variants[3]?.[1]);
    const { containers, volumes } = objects.find(object => object.kind === 'Deployment').spec.template.spec;
    const fromSecrets = containers[0].env.filter((one: any) => one.valueFrom.secretKeyRef);
    expect(fromSecrets.map((one: any) => [one.name, one.valueFrom.secretKeyRef])).toEqual([
      ['REDIS_URL', { name: 'redis', key: 'url' }],
      ['EVENT_WEBHOOK_URL', { name: 'events', key: 'address' }],
      ['SLACK_URL', { name: 'slack', key: 'url' }],
    ]);
    expect(volumes.map((volume: any) => volume.secret.secretName)).toEqual(['tls', 'prometheus', 'redis-ca']);
    expect(containers[0].args).toContain('--redis-ca-file=/redis/ca.crt');
    expect(containers[0].args).toContain('--metrics-server-password-file=/metrics-server/password');
    expect(containers[0].args).toContain('--metrics-server-ca-file=/metrics-server/ca.crt');
  });

  test.each([
    [{ metricsServr: 'x' }, 'metricsServr'],
    [{ metricsServer: 'http://ann:pw@prometheus' }, 'metricsServer'],
    [{ metricsServer: 'https://p', metricsServerSecret: { tokenKey: 'token' } }, 'metricsServerSecret/name'],
    [{ metricsServerSecret: { name: 'p', tokenKey: 'token' } }, 'metricsServerSecret needs metricsServer'],
    [{ apiGroup: 'other.dev' }, 'apiGroup'],
  ])('%j is refused by name', async (values, name) => {
    await expect(chart.template(values)).rejects.toThrow(name);
  });
});

/** What the engine's ServiceAccount asked for, as one line for each kind of request, and what was refused of it. */
function asked(entries: readonly AuditEntry[]) {
  const ofResources = entries.filter(entry => entry.resource !== '');
  const nameOf = (entry: AuditEntry) =>
    `${entry.verb} ${entry.subresource ? `${entry.resource}/${entry.subresource}` : entry.resource}`;
  return {
    all: new Set(ofResources.map(nameOf)),
    refused: entries
      .filter(entry => entry.code === 403 || entry.code === 401)
      .map(entry => `${nameOf(entry)} ${entry.uri}`),
  };
}

const values = () => ({ replicas: 1, metricsServer: prometheus.url, extraArgs: ['--drain-seconds=1'] });

/** Everything that makes the engine use a right: every kind of metric, REST, a deletion. */
async function exercise(namespace: string): Promise<void> {
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'prometheus', namespace },
    stringData: { token: 't' },
  };
  const metricTemplate = {
    apiVersion: 'serin.dev/v1beta1',
    kind: 'MetricTemplate',
    metadata: { name: 'up', namespace },
    spec: {
      provider: { type: 'prometheus', address: prometheus.url, secretRef: { name: 'prometheus' } },
      query: 'vector(1)',
    },
  };
  const alertProvider = {
    apiVersion: 'serin.dev/v1beta1',
    kind: 'AlertProvider',
    metadata: { name: 'unused', namespace },
    spec: { type: 'slack', address: 'https://hooks.test/1' },
  };
  const objects = [secret, metricTemplate, alertProvider];
  await rig.plane.applyYaml(objects.map(object => JSON.stringify(object)).join('\n---\n'));
  await rig.declare(namespace, {
    analysis: {
      interval: '2s',
      stepWeights: [20, 50],
      threshold: 2,
      metrics: [
        { name: 'request-success-rate', interval: '5s', thresholdRange: { min: 99 } },
        { name: 'up', templateRef: { name: 'up' }, thresholdRange: { min: 1 } },
      ],
    },
  });
  await rig.phase(namespace, 'Initialized');
  const traffic = rig.traffic(namespace);
  await rig.release(namespace, 'v2');
  const done = await rig.phase(namespace, 'Succeeded');
  expect(done.status.checks.map((check: any) => check.outcome)).toEqual(['pass', 'pass']);
  const { url } = running!;
  const canary = `${url}/api/v1/namespaces/${namespace}/canaries/web`;
  const headers = { authorization: `Bearer ${rig.plane.tokens['player']}` };
  expect((await fetch(canary, { headers })).status).toBe(200);
  const paused = await fetch(`${canary}/pause`, { method: 'POST', headers });
  expect([202, 409]).toContain(paused.status);
  // The apex is the engine's own here, and goes with the Canary.
  const counts = await traffic.stop();
  expect({ failed: counts.failed, failures: traffic.failures.slice(0, 3) }).toEqual({
    failed: 0,
    failures: [],
  });
  await rig.api.request('DELETE', `/apis/serin.dev/v1beta1/namespaces/${namespace}/canaries/web`);
  await rig.until('the Canary is gone', async () => (await rig.canary(namespace)).code === 404);
}

/**
 * Calls that only a lost answer, a conflict, a revision that comes back, a repeated event or pods that do not come up lead to; each has a unit test.
 * One good release uses up the rest of the table, so that what it grants beyond that would show here.
 */
const UNLUCKY = [
  'get canaries',
  'patch controllerrevisions',
  'get trafficsplits',
  'patch events',
  'list pods',
];
/** An apply is a patch in the log, also where it created the object; the next test shows what it needs. */
const UNSEEN = ['create deployments', 'create services'];

test('installed: CRDs, policy, budget and a Deployment whose pods pass the restricted pod security', async () => {
  await chart.install(rig.plane, values());
  const budget = await get(`/apis/policy/v1/namespaces/${chart.NAMESPACE}/poddisruptionbudgets/serin`);
  expect(budget.body.spec).toMatchObject({ maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow' });
  const policies = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/serin-serin-commands';
  expect((await get(policies)).status).toBe(200);
  await rig.until(
    'Canaries are served',
    async () => (await get('/apis/serin.dev/v1beta1/canaries')).status === 200,
  );
  const [pod] = await rig.until('its pod is admitted', async () => {
    const { body } = await get(pods);
    return body.items.length > 0 && body.items;
  });
  expect(pod.spec.serviceAccountName).toBe('serin');
  // The same pod without its security context is not let in: the namespace does enforce it.
  const { securityContext: _context, ...spec } = pod.spec;
  const bare = { metadata: { name: 'bare' }, spec: { ...spec, nodeName: undefined } };
  const refused = await rig.plane.request('admin', 'POST', `${pods}?dryRun=All`, bare);
  expect([refused.status, refused.body.message]).toEqual([403, expect.stringContaining('PodSecurity')]);
});

test('the engine takes a release to its end under the ServiceAccount of the chart: no right is missing, none is too much', async () => {
  running = await chart.startInPod(rig.plane);
  await running.said('serin runs');
  await rig.shop('least');
  await exercise('least');
  expect(running.log.filter(line => line.level !== 'info')).toEqual([]);
  // A watch is written down when it has ended.
  await running.stop('SIGTERM');
  const { all, refused } = asked(await rig.plane.auditEvents(chart.ENGINE_USER));
  expect(refused).toEqual([]);
  const table = accessTable('serin.dev', createSmiStepper('v1alpha2').routeType);
  const granted = table
    .filter(access => access.askedBy === undefined)
    .flatMap(({ type, subresource, verbs }) =>
      verbs.map(verb => `${verb} ${subresource ? `${type.plural}/${subresource}` : type.plural}`),
    );
  // Everybody may ask for their own rights.
  expect([...all].filter(one => !granted.includes(one) && one !== 'create selfsubjectaccessreviews')).toEqual(
    [],
  );
  expect(granted.filter(one => !all.has(one) && ![...UNLUCKY, ...UNSEEN].includes(one))).toEqual([]);
});

/** The role of the chart without what `isKept` refuses; the answer puts it back. */
async function narrowRole(
  isKept: (resource: string, verb: string) => boolean,
): Promise<() => Promise<unknown>> {
  const path = `${rbac}/clusterroles/serin-serin`;
  const { body } = await get(path);
  const rules = body.rules
    .map((rule: any) => ({
      ...rule,
      verbs: rule.verbs.filter((verb: string) => isKept(rule.resources[0], verb)),
    }))
    .filter((rule: any) => rule.verbs.length > 0);
  const { resourceVersion: _version, ...metadata } = body.metadata;
  const put = (changed: object[]) =>
    rig.plane.request('admin', 'PUT', path, { ...body, metadata, rules: changed });
  await put(rules);
  return () => put(body.rules);
}

test('an apply that creates needs create as well as patch', async () => {
  const apply = async () => {
    const object = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'new', namespace: 'least' },
      spec: {
        selector: { matchLabels: { a: 'b' } },
        template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
    };
    const args = [
      'apply',
      '--server-side',
      '--dry-run=server',
      '--as',
      chart.ENGINE_USER,
      '--validate=false',
      '-f',
      '-',
    ];
    return await chart.kubectl(rig.plane, 'admin', args, JSON.stringify(object));
  };
  const restore = await narrowRole((resource, verb) => resource !== 'deployments' || verb !== 'create');
  await rig.until('the right is gone', async () =>
    /cannot create resource "deployments"/.test((await apply()).text),
  );
  await restore();
  await rig.until('the right is back', async () => (await apply()).ok);
});

test('the right to the finalizers is needed where owners of objects are checked', async () => {
  const restore = await narrowRole(resource => resource !== 'canaries/finalizers');
  running = await chart.startInPod(rig.plane);
  await rig.shop('owners');
  await rig.declare('owners', { analysis: { stepWeight: 10 } });
  const failed = await running.said('a write failed');
  expect(failed.detail).toContain('cannot set blockOwnerDeletion');
  await restore();
  await rig.phase('owners', 'Initialized');
});

test('upgraded to some namespaces: Roles there, nothing in the cluster, and the engine works under them', async () => {
  for (const namespace of ['apart', 'other']) await rig.shop(namespace);
  await chart.upgrade(rig.plane, { ...values(), namespaces: ['apart', 'other'] });
  expect((await get(`${rbac}/clusterroles/serin-serin`)).status).toBe(404);
  expect((await get(`${rbac}/namespaces/apart/roles/serin-serin`)).status).toBe(200);
  const before = (await rig.plane.auditEvents(chart.ENGINE_USER)).length;
  running = await chart.startInPod(rig.plane);
  expect(await running.said('serin runs')).toMatchObject({ namespaces: ['apart', 'other'] });
  await exercise('apart');
  const entries = (await rig.plane.auditEvents(chart.ENGINE_USER)).slice(before);
  expect(asked(entries).refused).toEqual([]);
  const inCluster = entries.filter(entry => entry.resource !== '' && entry.namespace === '');
  const reviews = ['selfsubjectaccessreviews', 'subjectaccessreviews', 'tokenreviews'];
  expect([...new Set(inCluster.map(entry => entry.resource))].sort()).toEqual(reviews);
});

test('uninstalled: nothing of it is left but the CRDs and the Canaries', async () => {
  await rig.shop('kept');
  await rig.declare('kept', { analysis: { stepWeight: 10 } });
  await chart.uninstall(rig.plane);
  const kinds =
    'all,roles,rolebindings,clusterroles,clusterrolebindings,poddisruptionbudgets,serviceaccounts,validatingadmissionpolicies,validatingadmissionpolicybindings';
  const query = ['get', kinds, '--all-namespaces', '-l', 'app.kubernetes.io/name=serin', '-o', 'name'];
  // Pods end a moment after their owners.
  await rig.until(
    'nothing is left',
    async () => (await chart.kubectl(rig.plane, 'admin', query)).text === '',
  );
  expect((await rig.canary('kept')).metadata.name).toBe('web');
});
