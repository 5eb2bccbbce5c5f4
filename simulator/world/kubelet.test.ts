/** The played kubelet: what pods report, serve and count in each state of their life. */
import { request } from 'undici';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { startKubelet } from './kubelet.ts';
import type { Kubelet } from './kubelet.ts';
import { deployment } from './manifests.ts';
import type { DeploymentOptions } from './manifests.ts';
import { podOf, startTestServer, waitUntil } from './testserver.ts';
import type { TestServer } from './testserver.ts';

const PORT = 18_080;
let server: TestServer;
let kubelet: Kubelet;
const problems: string[] = [];

beforeEach(async () => {
  problems.length = 0;
  server = await startTestServer();
  kubelet = start();
});

afterEach(async () => {
  await kubelet.close();
  await server.close();
});

function start(): Kubelet {
  return startKubelet({
    api: server.api,
    addresses: { base: '127.77.0.0' },
    lingerMs: 200,
    terminationMs: 20,
    probeIntervalMs: 20,
    onProblem: message => problems.push(message),
  });
}

function addPod(name: string, options: Partial<DeploymentOptions> = {}): void {
  server.put(
    podOf(deployment({ namespace: 'shop', name: 'web', version: 'v1', port: PORT, ...options }), name),
  );
}

const pod = (name: string): KubernetesObject =>
  server.get('Pod', 'shop', name) ?? expect.fail(`no pod ${name}`);
const statusOf = (name: string, type: string): string | undefined =>
  server.get('Pod', 'shop', name)?.status?.conditions?.find((known: { type: string }) => known.type === type)
    ?.status;
const isReady = (name: string): boolean => statusOf(name, 'Ready') === 'True';
const played = (name: string) => kubelet.pods().find(known => known.name === name);
const get = (address: string | undefined, path = '/', port = PORT) =>
  request(`http://${address}:${port}${path}`);

test('a pod becomes ready, serves under its own address and says which release it is', async () => {
  addPod('web-1');
  addPod('web-2');
  await waitUntil('both pods ready', () => isReady('web-1') && isReady('web-2'));
  const { status } = pod('web-1');
  expect(status.phase).toBe('Running');
  expect(status.podIPs).toEqual([{ ip: status.podIP }]);
  expect(status.podIP).not.toBe(pod('web-2').status.podIP);
  expect(pod('web-1').spec.nodeName).toBe('played-node');
  expect(status.startTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  expect(
    status.conditions.map((known: { type: string; status: string }) => [known.type, known.status]),
  ).toEqual([
    ['PodScheduled', 'True'],
    ['Initialized', 'True'],
    ['ContainersReady', 'True'],
    ['Ready', 'True'],
  ]);
  expect(status.containerStatuses).toMatchObject([
    { name: 'app', ready: true, restartCount: 0, state: { running: {} } },
  ]);

  const answer = await get(status.podIP);
  expect([answer.statusCode, answer.headers['x-version'], answer.headers['x-pod']]).toEqual([
    200,
    'v1',
    'web-1',
  ]);
  expect(await answer.body.text()).toContain('v1');
});

test('settled pods cost no further write', async () => {
  addPod('web-1');
  await waitUntil('ready', () => isReady('web-1'));
  const writes = server.writes.length;
  // One Node, one binding, and at most two reports.
  expect(writes).toBeLessThanOrEqual(4);
  // An unrelated change of the pod is seen (the label shows) and answered with silence.
  server.put({
    ...pod('web-1'),
    metadata: { ...pod('web-1').metadata, labels: { app: 'web', seen: 'yes' } },
  });
  await waitUntil('the label', () => played('web-1')?.labels['seen'] === 'yes');
  addPod('web-2');
  await waitUntil('another pod ready', () => isReady('web-2'));
  expect(server.writes.slice(writes).filter(write => write.includes('web-1'))).toEqual([]);
});

test('two hundred pods at once all become ready, within three writes each', async () => {
  for (let index = 0; index < 200; index++) addPod(`web-${index}`);
  await waitUntil('200 ready pods', () => kubelet.pods().filter(known => known.isReady).length === 200);
  await waitUntil('200 ready reports', () =>
    Array.from({ length: 200 }, (_, index) => index).every(index => isReady(`web-${index}`)),
  );
  expect(server.writes.length).toBeLessThanOrEqual(601);
  expect(new Set(kubelet.pods().map(known => known.address)).size).toBe(200);
});

test('NEVER_READY runs and is not ready; an override of another pod changes nothing', async () => {
  addPod('web-1', { neverReady: true });
  kubelet.setBehaviour({ pod: 'web-9' }, { neverReady: false });
  await waitUntil('running', () => pod('web-1').status?.phase === 'Running');
  expect(isReady('web-1')).toBe(false);
  expect(pod('web-1').status.conditions[3]).toMatchObject({
    reason: 'ContainersNotReady',
    message: 'containers with unready status: [app]',
  });
  const probe = await get(pod('web-1').status.podIP, '/healthz');
  expect(probe.statusCode).toBe(503);
  await probe.body.dump();
});

test('UNREADY_AFTER_MS takes readiness away while the pod goes on serving', async () => {
  addPod('web-1', { readyAfterMs: 0, unreadyAfterMs: 100 });
  await waitUntil('ready', () => isReady('web-1'));
  await waitUntil('not ready', () => statusOf('web-1', 'Ready') === 'False');
  const answer = await get(pod('web-1').status.podIP);
  expect(answer.statusCode).toBe(200);
  await answer.body.dump();
});

test('CRASH_AFTER_MS: CrashLoopBackOff and connections refused', async () => {
  addPod('web-1', { crashAfterMs: 100 });
  await waitUntil('crash', () => pod('web-1').status?.containerStatuses?.[0].restartCount === 1);
  const container = pod('web-1').status.containerStatuses[0];
  expect(container).toMatchObject({ ready: false, lastState: { terminated: { exitCode: 1 } } });
  expect(container.state.waiting.reason).toBe('CrashLoopBackOff');
  expect(container.state.waiting.message).toContain('restarting failed container=app pod=web-1_shop(');
  expect(isReady('web-1')).toBe(false);
  await expect(get(pod('web-1').status.podIP)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('IMAGE_PULL_FAIL says what a kubelet says, first the error, then the back-off', async () => {
  addPod('web-1', { imagePullFail: true });
  const waiting = () => pod('web-1').status?.containerStatuses?.[0].state.waiting;
  await waitUntil('ErrImagePull', () => waiting()?.reason === 'ErrImagePull');
  expect(waiting().message).toContain('failed to resolve reference "example.com/web:v1"');
  expect(pod('web-1').status.phase).toBe('Pending');
  await waitUntil('ImagePullBackOff', () => waiting()?.reason === 'ImagePullBackOff');
  expect(waiting().message).toBe('Back-off pulling image "example.com/web:v1"');
  expect(isReady('web-1')).toBe(false);
});

test('an image that can be pulled after all starts the pod', async () => {
  const heal = kubelet.setBehaviour({ version: 'v1' }, { imagePullFail: true });
  addPod('web-1');
  await waitUntil('ErrImagePull', () => pod('web-1').status?.phase === 'Pending');
  heal();
  await waitUntil('ready', () => isReady('web-1'));
});

test('UNSCHEDULABLE has the scheduler’s sentence and no address', async () => {
  addPod('web-1', { unschedulable: true });
  await waitUntil('the condition', () => statusOf('web-1', 'PodScheduled') === 'False');
  const { status } = pod('web-1');
  expect(status.conditions).toMatchObject([
    {
      type: 'PodScheduled',
      reason: 'Unschedulable',
      message: expect.stringContaining('0/3 nodes are available'),
    },
  ]);
  expect([status.phase, status.podIP, status.containerStatuses]).toEqual(['Pending', undefined, undefined]);
  expect(pod('web-1').spec.nodeName).toBeUndefined();
});

test('overrides make a running pod fail, crash and recover; the latest wins', async () => {
  addPod('web-1');
  addPod('api-1', { version: 'v2' });
  await waitUntil('ready', () => isReady('web-1') && isReady('api-1'));
  const address = pod('web-1').status.podIP;
  const codeOf = async (from: string): Promise<number> => {
    const answer = await get(from);
    await answer.body.dump();
    return answer.statusCode;
  };
  const heal = kubelet.setBehaviour({ version: 'v1' }, { errorPercent: 100 });
  expect(await codeOf(address)).toBe(500);
  expect(await codeOf(pod('api-1').status.podIP)).toBe(200);
  const better = kubelet.setBehaviour({ labels: { app: 'web' }, version: 'v1' }, { errorPercent: 0 });
  expect(await codeOf(address)).toBe(200);
  better();
  expect(await codeOf(address)).toBe(500);
  heal();
  expect(await codeOf(address)).toBe(200);

  const restore = kubelet.setBehaviour({ namespace: 'shop', pod: 'web-1' }, { crashAfterMs: 0 });
  await waitUntil('crashed', () => statusOf('web-1', 'Ready') === 'False');
  await expect(get(address)).rejects.toThrow('ECONNREFUSED');
  restore();
  await waitUntil('ready again', () => isReady('web-1'));
  expect(pod('web-1').status.containerStatuses[0].restartCount).toBe(1);
  expect(await codeOf(pod('web-1').status.podIP)).toBe(200);
});

test('a terminating pod is deleted for good, its server stays for the linger time and then closes', async () => {
  addPod('web-1');
  await waitUntil('ready', () => isReady('web-1'));
  const address = pod('web-1').status.podIP;
  const { metadata } = pod('web-1');
  server.put({ ...pod('web-1'), metadata: { ...metadata, deletionTimestamp: '2030-01-01T00:00:00Z' } });
  await waitUntil('deletion', () => server.get('Pod', 'shop', 'web-1') === undefined);
  await waitUntil('the kubelet to see it', () => played('web-1')?.isGone === true);
  const answer = await get(address);
  expect(answer.statusCode).toBe(200);
  await answer.body.dump();
  await waitUntil('the end', () => played('web-1') === undefined);
  await expect(get(address)).rejects.toThrow('ECONNREFUSED');
});

test('a restarted kubelet takes its pods over at their addresses', async () => {
  // The first address of the range goes to a pod that is gone by then: the other keeps its own, not the next free one.
  addPod('web-0');
  await waitUntil('the first ready', () => isReady('web-0'));
  addPod('web-1');
  await waitUntil('ready', () => isReady('web-1'));
  server.remove('Pod', 'shop', 'web-0');
  const before = pod('web-1').status;
  await kubelet.close();
  await expect(get(before.podIP)).rejects.toThrow('ECONNREFUSED');
  kubelet = start();
  await waitUntil('serving again', () => played('web-1')?.isReady === true && isReady('web-1'));
  expect(pod('web-1').status).toMatchObject({ podIP: before.podIP, startTime: before.startTime });
  const answer = await get(before.podIP);
  expect(answer.statusCode).toBe(200);
  await answer.body.dump();
});

test('changes are seen across broken and expired watches, deletions included', async () => {
  addPod('web-1');
  await waitUntil('ready', () => isReady('web-1'));
  server.breakWatches(false);
  addPod('web-2');
  await waitUntil('ready after a resume', () => isReady('web-2'));
  server.breakWatches(true);
  server.remove('Pod', 'shop', 'web-1');
  await waitUntil('deletion seen after a new list', () => played('web-1')?.isGone === true);
});

test('an environment that cannot be read is a problem of that pod alone', async () => {
  addPod('web-1', { environment: { LATENCY_MS: 'fast' } });
  addPod('web-2');
  await waitUntil('the other ready', () => isReady('web-2'));
  expect(problems).toEqual(['shop/web-1: LATENCY_MS=fast is not a number of 0 or more']);
});

test('probes are counted apart from requests, in the metrics beside the pod and not in the application’s', async () => {
  addPod('web-1');
  await waitUntil('ready', () => isReady('web-1'));
  const address = pod('web-1').status.podIP;
  for (let index = 0; index < 3; index++) await (await get(address)).body.dump();
  const linkerd = async (): Promise<string> => (await get(address, '/metrics', 4191)).body.text();
  const sumOf = (text: string, route: string): number =>
    text
      .split('\n')
      .filter(line => line.startsWith('response_total{') && line.includes(`route_name="${route}"`))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  let text = '';
  while (sumOf(text, 'probe') === 0) text = await linkerd();
  expect(sumOf(text, 'default')).toBe(3);
  expect(text).not.toContain('direction="outbound"');
  const application = await (await get(address, '/metrics')).body.text();
  expect(application).toContain('http_requests_total{code="200"} 3');
});
