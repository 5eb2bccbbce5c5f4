/**
 * Flagger's own objects in place: under Flagger's CRD, which drops what Serin remembers, the engine touches nothing and
 * says so; under Serin's superset of it a release goes its way; and when the CRD is set back it stops in time.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { FLAGGER_GROUP, generateCrds } from '../engine/api/crd.ts';
import { canaryStatusSchema } from '../engine/api/status.ts';
import { type FollowedEngine, startFollowed } from './harness/followedEngine.ts';
import * as chart from './harness/chart.ts';
import { type RealPrometheus, startPrometheus } from './harness/prometheus.ts';
import { type Rig, startRig } from './harness/rig.ts';

const root = join(import.meta.dirname, '..');
/** Of `status` in Flagger's CRD. */
const FLAGGERS_STATUS = [
  'phase',
  'failedChecks',
  'canaryWeight',
  'iterations',
  'lastAppliedSpec',
  'lastPromotedSpec',
  'lastTransitionTime',
  'trackedConfigs',
  'conditions',
];

let rig: Rig;
let prometheus: RealPrometheus;
let engine: FollowedEngine;

/** The generated CRDs with the status of Flagger's. */
function flaggersCrds(): object[] {
  const [canaries, ...others] = generateCrds({ group: FLAGGER_GROUP });
  const properties = canaries!.spec.versions[0]!.schema.openAPIV3Schema.properties!['status']!.properties!;
  for (const field of Object.keys(properties)) if (!FLAGGERS_STATUS.includes(field)) delete properties[field];
  expect(Object.keys(canaryStatusSchema.shape).length).toBeGreaterThan(Object.keys(properties).length);
  return [canaries!, ...others];
}

async function installFlaggersCrds(): Promise<void> {
  await rig.plane.applyYaml(
    flaggersCrds()
      .map(crd => JSON.stringify(crd))
      .join('\n---\n'),
  );
}

/** As the guide says. */
async function installSuperset(): Promise<void> {
  const crds = execFileSync(
    process.execPath,
    [join(root, 'engine/api/generate.ts'), '--api-group', FLAGGER_GROUP],
    { encoding: 'utf8' },
  );
  const args = ['apply', '--server-side', '--force-conflicts', '-f', '-'];
  expect(await chart.kubectl(rig.plane, 'admin', args, crds)).toMatchObject({ ok: true });
}

async function grantGroup(): Promise<void> {
  const { rules } = parse(readFileSync(join(root, 'charts/serin/files/clusterrole.yaml'), 'utf8'));
  const ofFlagger = rules.map((rule: any) =>
    rule.apiGroups[0] === 'serin.dev' ? { ...rule, apiGroups: [FLAGGER_GROUP] } : rule,
  );
  const role = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'serin' },
    rules: ofFlagger,
  };
  await rig.plane.applyYaml(JSON.stringify(role));
}

function start(): Promise<FollowedEngine> {
  const flags = ['--api-group=flagger.app', '--mesh-provider=linkerd', `--metrics-server=${prometheus.url}`];
  const more = ['--leader-election-namespace=default', '--drain-seconds=1'];
  return startFollowed(['--kubeconfig', rig.plane.kubeconfig('engine'), ...flags, ...more]);
}

beforeAll(async () => {
  rig = await startRig();
  prometheus = await startPrometheus(rig.kubelet);
  await grantGroup();
  await installFlaggersCrds();
  for (const namespace of ['podinfo', 'older']) await rig.shop(namespace);
  await rig.plane.applyYaml(objects.replace('METRICS', prometheus.url));
  engine = await start();
});
afterAll(async () => {
  await engine?.stop('SIGKILL');
  await prometheus?.stop();
  await rig?.stop();
});

/** What a user of Flagger on Linkerd has: names, defaults and an apex Service that does not exist yet. */
const objects = `
apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata: {name: not-found, namespace: podinfo}
spec:
  provider: {type: prometheus, address: "METRICS"}
  query: '0 * sum(rate(response_total{namespace="{{ namespace }}",deployment="{{ target }}"}[{{ interval }}])) or vector(0)'
---
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: web, namespace: podinfo}
spec:
  provider: linkerd
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  progressDeadlineSeconds: 60
  service: {port: 80, targetPort: 8080}
  analysis:
    interval: 2s
    threshold: 2
    maxWeight: 50
    stepWeight: 25
    metrics:
      - {name: request-success-rate, thresholdRange: {min: 99}, interval: 5s}
      - {name: request-duration, thresholdRange: {max: 500}, interval: 5s}
      - {name: not found, templateRef: {name: not-found}, thresholdRange: {max: 5}, interval: 5s}
---
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: web, namespace: older}
spec:
  provider: smi:v1alpha1
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  service: {port: 80, targetPort: 8080}
  analysis: {interval: 2s, threshold: 2, maxWeight: 50, stepWeight: 50}
---
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: newest, namespace: older}
spec:
  provider: smi:v1alpha4
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: other}
  service: {port: 80}
  analysis: {interval: 2s, threshold: 2, maxWeight: 50, stepWeight: 50}
`;

const canary = async (namespace: string, name = 'web') =>
  (await rig.api.request('GET', `/apis/flagger.app/v1beta1/namespaces/${namespace}/canaries/${name}`)).body;
const condition = async (namespace: string, type: string, name = 'web') =>
  (await canary(namespace, name)).status?.conditions?.find((one: any) => one.type === type);
const phase = (namespace: string, wanted: string) =>
  rig.until(`${namespace} is ${wanted}`, async () => {
    const now = await canary(namespace);
    return now.status?.phase === wanted && now;
  });

test('under the CRD of Flagger it says what is dropped, and touches nothing', async () => {
  const said = await engine.said('something that the engine needs is missing');
  expect(said).toMatchObject({ reason: 'CrdsOutdated', level: 'error' });
  expect(said.detail).toMatch(
    /canaries\.flagger\.app lacks status\..*status\.epoch.* more fields: npm run -s crds -- --api-group flagger\.app \| kubectl/,
  );
  const readyz = await fetch(`${engine.url}/readyz`);
  expect([readyz.status, await readyz.text()]).toEqual([503, expect.stringContaining('CrdsOutdated')]);
  const accepted = await rig.until('the Canary says so', () => condition('podinfo', 'Accepted'));
  expect(accepted).toMatchObject({ status: 'False', reason: 'CrdsOutdated', message: said.detail });
  const { body } = await rig.api.request('GET', '/apis/apps/v1/namespaces/podinfo/deployments');
  expect(body.items.map((one: any) => [one.metadata.name, one.spec.replicas])).toEqual([['web', 2]]);
  expect((await canary('podinfo')).metadata.finalizers).toBeUndefined();
  const writes = (await rig.plane.auditEvents('engine')).filter(
    entry => !['get', 'list', 'watch'].includes(entry.verb),
  );
  const harmless = ['selfsubjectaccessreviews', 'leases', 'canaries'];
  expect(writes.filter(entry => !harmless.includes(entry.resource))).toEqual([]);
});

test('under the superset it goes on by itself, and a release of each SMI name goes its way', async () => {
  await installSuperset();
  await engine.said('serin runs');
  for (const namespace of ['podinfo', 'older']) await phase(namespace, 'Initialized');
  expect((await fetch(`${engine.url}/readyz`)).status).toBe(200);
  const traffic = rig.traffic('podinfo');
  for (const namespace of ['podinfo', 'older']) await rig.release(namespace, 'v2');
  const done = await phase('podinfo', 'Succeeded');
  expect(done.status.checks.map((check: any) => check.outcome)).toEqual(['pass', 'pass', 'pass']);
  expect(done.status.conditions).toContainEqual(
    expect.objectContaining({ type: 'Accepted', status: 'True' }),
  );
  const template = '/apis/flagger.app/v1beta1/namespaces/podinfo/metrictemplates/not-found';
  expect((await rig.api.request('GET', template)).body.status.conditions).toContainEqual(
    expect.objectContaining({ type: 'Accepted', status: 'True', observedGeneration: 1 }),
  );
  await phase('older', 'Succeeded');
  const { body } = await rig.api.request(
    'GET',
    '/apis/split.smi-spec.io/v1alpha1/namespaces/older/trafficsplits/web',
  );
  expect(body.metadata.ownerReferences[0]).toMatchObject({
    apiVersion: 'flagger.app/v1beta1',
    kind: 'Canary',
  });
  const counts = await traffic.stop();
  expect({ failed: counts.failed, failures: traffic.failures.slice(0, 3) }).toEqual({
    failed: 0,
    failures: [],
  });
});

test('a version of SMI that is not served is refused by name', async () => {
  const refused = await rig.until('it is refused', async () => {
    const now = await condition('older', 'Accepted', 'newest');
    return now?.reason === 'ProviderNotServed' && now;
  });
  expect(refused.message).toContain('Provider smi:v1alpha4 needs TrafficSplits in v1alpha4');
});

test('when the CRD is set back while it runs, it ends rather than lose its memory, and waits when it is started again', async () => {
  const before = (await canary('podinfo')).status;
  await installFlaggersCrds();
  const said = await engine.said('the CRDs were replaced: the engine ends');
  expect(said.reason).toBe('CrdsOutdated');
  expect(await engine.ended()).toBe(1);
  engine = await start();
  expect((await engine.said('something that the engine needs is missing')).reason).toBe('CrdsOutdated');
  await installSuperset();
  await engine.said('serin runs');
  const { phase: ended, lastGood, epoch } = (await canary('podinfo')).status;
  expect({ phase: ended, lastGood, epoch }).toEqual({
    phase: 'Succeeded',
    lastGood: before.lastGood,
    epoch: before.epoch,
  });
});
