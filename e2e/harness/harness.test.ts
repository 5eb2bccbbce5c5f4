/** The rig itself: every real part starts, does what the tests build on, and can be taken away and brought back. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ControlPlane, startControlPlane } from './controlplane.ts';
import { ready, startProgram, waitFor } from './programs.ts';
import { type RealPrometheus, startPrometheus } from './prometheus.ts';
import { startRedis } from './redis.ts';
import { helmPath, kubectlPath } from './tools.ts';

const run = promisify(execFile);
const POD_ADDRESS = '10.244.77.7';
const DEPLOYMENTS = '/apis/apps/v1/namespaces/rig/deployments';

const deployment = `
apiVersion: v1
kind: Namespace
metadata: {name: rig}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: rig}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web:1
        ports: [{name: http, containerPort: 8080}, {name: linkerd-admin, containerPort: 4191}]
`;

let plane: ControlPlane;
beforeAll(async () => {
  plane = await startControlPlane();
  await plane.applyYaml(deployment);
});
afterAll(async () => {
  await plane?.stop();
});

async function pods(count: number): Promise<any[]> {
  return await waitFor(`${count} pods`, async () => {
    const { body } = await plane.request('admin', 'GET', '/api/v1/namespaces/rig/pods');
    return body.items.length === count ? body.items : undefined;
  });
}

describe('the control plane', () => {
  test('a Deployment becomes a ReplicaSet and its Pods', async () => {
    const [pod] = await pods(2);
    const { body } = await plane.request('admin', 'GET', '/apis/apps/v1/namespaces/rig/replicasets');
    expect(body.items).toHaveLength(1);
    expect(pod.metadata.ownerReferences[0]).toMatchObject({ name: body.items[0].metadata.name });
    expect(pod.metadata.labels['pod-template-hash']).toBeTruthy();
  });

  test('the audit log counts the requests of the engine exactly, and of nobody else', async () => {
    const path = '/api/v1/namespaces/rig/pods';
    const requests = Array.from({ length: 40 }, () => plane.request('engine', 'GET', path));
    const others = Array.from({ length: 5 }, () => plane.request('player', 'GET', path));
    const answers = await Promise.all([...requests, ...others]);
    expect(answers.map(answer => answer.status)).toEqual([...Array(40).fill(403), ...Array(5).fill(200)]);
    const events = await plane.auditEvents('engine');
    expect(events).toHaveLength(40);
    expect(plane.audit()).toEqual(events);
    expect(events[0]).toMatchObject({
      verb: 'list',
      resource: 'pods',
      namespace: 'rig',
      name: '',
      code: 403,
    });
    expect(Number.isFinite(Date.parse(events[0]!.requestReceivedTimestamp))).toBe(true);
  });

  test('a token of a ServiceAccount is real, and a forged one is not', async () => {
    await plane.applyYaml(
      '{apiVersion: v1, kind: ServiceAccount, metadata: {name: steering, namespace: rig}}',
    );
    const token = await plane.serviceAccountToken('rig', 'steering');
    const review = async (tokenToCheck: string) => {
      const spec = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        spec: { token: tokenToCheck },
      };
      const path = '/apis/authentication.k8s.io/v1/tokenreviews';
      return (await plane.request('admin', 'POST', path, spec)).body.status;
    };
    expect(await review(token)).toMatchObject({
      authenticated: true,
      user: { username: 'system:serviceaccount:rig:steering' },
    });
    expect((await review(`${token}x`)).authenticated).not.toBe(true);
  });

  test('an admission policy refuses what it says', async () => {
    await plane.applyYaml(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-forbidden}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]
  validations: [{expression: "!('forbidden' in object.data)", message: not this one}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-forbidden}
spec: {policyName: no-forbidden, validationActions: [Deny]}
`);
    const create = (data: object) =>
      plane.request('admin', 'POST', '/api/v1/namespaces/rig/configmaps?dryRun=All', {
        metadata: { name: 'any' },
        data,
      });
    const refused = await waitFor('the policy is in force', async () => {
      const answer = await create({ forbidden: 'x' });
      return answer.status === 422 ? answer : undefined;
    });
    expect(refused.body.message).toContain('not this one');
    expect((await create({ allowed: 'x' })).status).toBe(201);
  });

  test('a CRD is installed and served when installCrds is done', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'serin-crds-'));
    const schema = { openAPIV3Schema: { type: 'object' } };
    const names = { plural: 'things', singular: 'thing', kind: 'Thing' };
    const crd = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'things.rig.example' },
      spec: {
        group: 'rig.example',
        scope: 'Namespaced',
        names,
        versions: [{ name: 'v1', served: true, storage: true, schema }],
      },
    };
    writeFileSync(join(folder, 'things.yaml'), JSON.stringify(crd));
    try {
      await plane.installCrds(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
    expect((await plane.request('admin', 'GET', '/apis/rig.example/v1/things')).status).toBe(200);
    const [thing] = await plane.applyYaml('{apiVersion: rig.example/v1, kind: Thing, metadata: {name: one}}');
    expect(thing.metadata).toMatchObject({ name: 'one', namespace: 'default' });
  });

  test('kubectl and helm speak to it', async () => {
    const kubeconfig = plane.kubeconfig('admin');
    const { stdout } = await run(kubectlPath(), [
      '--kubeconfig',
      kubeconfig,
      'auth',
      'can-i',
      'list',
      'pods',
      '--as=engine',
    ]).catch((error: { stdout: string }) => error);
    expect(stdout.trim()).toBe('no');
    const helm = await run(helmPath(), [
      '--kubeconfig',
      kubeconfig,
      'list',
      '--all-namespaces',
      '-o',
      'json',
    ]);
    expect(JSON.parse(helm.stdout)).toEqual([]);
  });

  test('goes on after its API server was killed, after it was restarted, and after etcd was frozen', async () => {
    const scale = async (replicas: number) => {
      const answer = await plane.request('admin', 'PATCH', `${DEPLOYMENTS}/web`, { spec: { replicas } });
      expect(answer.status).toBe(200);
      await pods(replicas);
    };
    await plane.killApiServer();
    await expect(plane.request('admin', 'GET', '/readyz')).rejects.toThrow();
    await plane.startApiServer();
    await scale(3);
    await plane.restartApiServer();
    await scale(2);
    plane.pauseEtcd();
    const write = plane.request('admin', 'PATCH', `${DEPLOYMENTS}/web`, { metadata: { labels: { a: 'b' } } });
    const first = await Promise.race([write, new Promise(resolve => setTimeout(resolve, 500, 'nothing'))]);
    expect(first).toBe('nothing');
    plane.resumeEtcd();
    expect((await write).status).toBe(200);
  });
});

describe('Prometheus', () => {
  let prometheus: RealPrometheus;
  let app: Server;
  beforeAll(async () => {
    app = createServer((_, response) => response.end('response_total{classification="success"} 42\n'));
    await new Promise<void>(resolve => app.listen(4191, POD_ADDRESS, resolve));
    prometheus = await startPrometheus({ controlPlane: plane });
  });
  afterAll(async () => {
    await prometheus?.stop();
    app?.closeAllConnections();
    app?.close();
  });
  const series = () =>
    waitFor('a sample', async () => {
      const [sample] = await prometheus.query('response_total');
      return sample;
    });

  test('scrapes the proxy port of a pod, under the labels that Linkerd gives it', async () => {
    const [pod] = await pods(2);
    const path = `/api/v1/namespaces/rig/pods/${pod.metadata.name}/status`;
    const status = { phase: 'Running', podIP: POD_ADDRESS, podIPs: [{ ip: POD_ADDRESS }] };
    expect((await plane.request('player', 'PATCH', path, { status })).status).toBe(200);
    const { labels, value } = await series();
    expect(value).toBe(42);
    expect(labels).toMatchObject({
      namespace: 'rig',
      pod: pod.metadata.name,
      deployment: 'web',
      app: 'web',
      classification: 'success',
      instance: `${POD_ADDRESS}:4191`,
    });
    await expect(prometheus.query('up')).resolves.toHaveLength(1);
  });

  test('killed, it answers nothing; started again, it still knows', async () => {
    await prometheus.kill();
    await expect(prometheus.query('up')).rejects.toThrow();
    await prometheus.start();
    expect((await series()).value).toBe(42);
  });
});

describe('Redis', () => {
  test.each([
    [false, null],
    [true, 'kept'],
  ])('append-only %s: after a graceful restart it holds %s', async (appendOnly, kept) => {
    const redis = await startRedis({ appendOnly });
    const client = new Redis(redis.url);
    client.on('error', () => {});
    try {
      expect(await client.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
      await client.set('key', 'kept');
      const pid = redis.pid();
      await redis.restart();
      expect(redis.pid()).not.toBe(pid);
      expect(await client.get('key')).toBe(kept);
      await redis.flush();
      expect(await client.get('key')).toBe(null);
    } finally {
      client.disconnect();
      await redis.stop();
    }
  });
});

describe('a program that does not start', () => {
  test.each([
    ['ends at once', 'sh', ['-c', 'echo the reason >&2; exit 3'], 'the reason'],
    ['is not there', '/nowhere/program', [], 'ENOENT'],
  ])('%s: the error says why', async (_, path, args, reason) => {
    const folder = mkdtempSync(join(tmpdir(), 'serin-program-'));
    const program = startProgram('broken', path, args, join(folder, 'log'));
    await expect(ready(program, async () => false)).rejects.toThrow(reason);
    rmSync(folder, { recursive: true });
  });
});
