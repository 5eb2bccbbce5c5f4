/**
 * An engine that starts before what it needs is there: alive, not ready, one clear line for each thing that is missing,
 * the same on the Canaries; and it goes on by itself as things come.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { trafficSplitCrd } from '../simulator/world/manifests.ts';
import { type ControlPlane, startControlPlane, waitFor } from './harness/controlplane.ts';
import { type FollowedEngine, startFollowed } from './harness/followedEngine.ts';

const root = join(import.meta.dirname, '..');
const running: FollowedEngine[] = [];
let plane: ControlPlane;

beforeAll(async () => {
  plane = await startControlPlane();
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') console.log(running.map(engine => engine.log.slice(-20)));
  for (const engine of running.splice(0)) await engine.stop('SIGKILL');
});
afterAll(async () => {
  await plane?.stop();
});

async function start(...flags: string[]): Promise<FollowedEngine> {
  const engine = await startFollowed(['--kubeconfig', plane.kubeconfig('engine'), ...flags]);
  running.push(engine);
  return engine;
}

const missing = (engine: FollowedEngine) =>
  engine.log
    .filter(line => line.msg === 'something that the engine needs is missing')
    .map(line => line.reason);

/** The rights of the chart but for one verb. */
async function grant(withheld?: { resource: string; verb: string }): Promise<void> {
  const { rules } = parse(readFileSync(join(root, 'charts/serin/files/clusterrole.yaml'), 'utf8'));
  const granted = rules.map((rule: any) => ({
    ...rule,
    verbs: rule.verbs.filter(
      (verb: string) => !(rule.resources[0] === withheld?.resource && verb === withheld?.verb),
    ),
  }));
  const rbac = 'rbac.authorization.k8s.io';
  const role = { apiVersion: `${rbac}/v1`, kind: 'ClusterRole', metadata: { name: 'serin' }, rules: granted };
  const subjects = [{ kind: 'User', name: 'engine', apiGroup: rbac }];
  const roleRef = { apiGroup: rbac, kind: 'ClusterRole', name: 'serin' };
  const binding = {
    apiVersion: `${rbac}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name: 'serin' },
    subjects,
    roleRef,
  };
  await plane.applyYaml(`${JSON.stringify(role)}\n---\n${JSON.stringify(binding)}`);
}

const canaries = '/apis/serin.dev/v1beta1/namespaces/default/canaries';
const accepted = async () => {
  const { body } = await plane.request('admin', 'GET', `${canaries}/web`);
  return body.status?.conditions?.find((one: any) => one.type === 'Accepted');
};

test('what is missing comes one after the other: the engine says each thing once and starts when all is there', async () => {
  const engine = await start('--leader-election-namespace', 'serin');
  await waitFor('it has looked', () => missing(engine).length === 4);
  expect(missing(engine)).toEqual(['CrdsMissing', 'ProviderNotServed', 'Forbidden', 'Forbidden']);
  expect((await fetch(`${engine.url}/healthz`)).status).toBe(200);
  const readyz = await fetch(`${engine.url}/readyz`);
  expect([readyz.status, ((await readyz.json()) as any).reasons.length]).toEqual([503, 4]);

  await plane.installCrds(join(root, 'charts/serin/crds'));
  await grant({ resource: 'trafficsplits', verb: 'patch' });
  await plane.request('admin', 'POST', canaries, {
    apiVersion: 'serin.dev/v1beta1',
    kind: 'Canary',
    metadata: { name: 'web' },
    spec: {
      targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
      service: { port: 80 },
      analysis: { stepWeight: 10 },
    },
  });
  await waitFor(
    'the Canary says that TrafficSplits are missing',
    async () => (await accepted())?.reason === 'ProviderNotServed',
  );

  await plane.applyYaml(JSON.stringify(trafficSplitCrd()));
  const condition = await waitFor('the Canary says which right is missing', async () => {
    const now = await accepted();
    return now?.reason === 'Forbidden' && now;
  });
  expect(condition.message).toContain(
    'in the whole cluster; it may not: patch trafficsplits.split.smi-spec.io.',
  );

  await grant();
  const lease = await waitFor('only the namespace of the Lease is missing', () =>
    engine.log.find(line => line.reason === 'LeaseUnavailable'),
  );
  expect(lease.detail).toContain('namespaces "serin" not found; create the namespace');
  expect((await fetch(`${engine.url}/readyz`)).status).toBe(503);

  await plane.applyYaml('{apiVersion: v1, kind: Namespace, metadata: {name: serin}}');
  await engine.said('serin runs');
  await waitFor('it is ready', async () => (await fetch(`${engine.url}/readyz`)).status === 200);
  await waitFor('the Canary is looked at', async () => (await accepted())?.reason === 'TargetNotFound');
  // Each thing once, however often it was looked for.
  const lines = engine.log.filter(line => line.msg === 'something that the engine needs is missing');
  expect(new Set(lines.map(line => line.detail)).size).toBe(lines.length);
  expect(await engine.stop('SIGTERM')).toBe(0);
});

test('an API server that is away is waited for; an engine that waits ends at once when told to', async () => {
  await plane.killApiServer();
  const engine = await start('--leader-election-namespace', 'default');
  await waitFor('it says so', () => missing(engine).includes('ApiServerUnreachable'));
  const impatient = await start('--leader-election-namespace', 'default');
  await waitFor('it says so', () => missing(impatient).includes('ApiServerUnreachable'));
  expect(await impatient.stop('SIGTERM')).toBe(0);
  await plane.startApiServer();
  await engine.said('serin runs');
});

test('what cannot pass by itself ends the process with one line', async () => {
  const engine = await startFollowed(['--kubeconfig', '/nowhere/config'], false);
  running.push(engine);
  expect(await engine.ended()).toBe(1);
  expect(engine.log.map(line => [line.msg, line.reason])).toEqual([
    ['serin cannot run', 'kubeconfig /nowhere/config cannot be used: it does not exist'],
  ]);
});
