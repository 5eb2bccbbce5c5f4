/** The whole played world on the in-memory API over HTTP: pods from creation to graceful deletion, and splits. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../engine/clock.ts';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { createMemoryApi } from '../api/memory.ts';
import { createWorldApi } from './api.ts';
import type { WorldApi } from './api.ts';
import { startKubelet } from './kubelet.ts';
import type { Kubelet } from './kubelet.ts';
import { deployment, namespace, service, trafficSplit, trafficSplitCrd } from './manifests.ts';
import { startSplitter } from './splitter.ts';
import type { Splitter } from './splitter.ts';
import { podOf, waitUntil } from './testserver.ts';
import { startTraffic } from './traffic.ts';

const PORT = 18_082;
const TOKEN = 'token-of-the-world';
const problems: string[] = [];
let close: () => Promise<void>;
let api: WorldApi;
let kubelet: Kubelet;
let splitter: Splitter;

beforeEach(async () => {
  problems.length = 0;
  const served = await createMemoryApi({ clock: systemClock }).serve({ tokens: { [TOKEN]: 'admin' } });
  api = createWorldApi({ baseUrl: served.url, bearerToken: TOKEN });
  kubelet = startKubelet({
    api,
    addresses: { base: '127.79.0.0' },
    lingerMs: 100,
    terminationMs: 20,
    onProblem: message => problems.push(message),
  });
  splitter = await startSplitter({ api });
  close = async () => {
    await splitter.close();
    await kubelet.close();
    await api.close();
    await served.close();
  };
  await post('/api/v1/namespaces', namespace('shop'));
});

afterEach(async () => {
  await close();
  // Nothing in the world was refused or had to be mended.
  expect(problems).toEqual([]);
});

async function post(path: string, body: KubernetesObject): Promise<void> {
  const answer = await api.request('POST', path, body);
  expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 201 });
}

async function addPod(name: string, app: string, version: string): Promise<string> {
  const of = deployment({ namespace: 'shop', name: app, version, port: PORT });
  await post('/api/v1/namespaces/shop/pods', podOf(of, name));
  const played = () => kubelet.pods().find(known => known.name === name);
  await waitUntil(`${name} ready`, () => played()?.isReady === true);
  return played()?.address ?? '';
}

async function status(name: string): Promise<any> {
  return (await api.request('GET', `/api/v1/namespaces/shop/pods/${name}`)).body.status;
}

test('pods are bound, become ready, and end gracefully when they are deleted', async () => {
  const address = await addPod('web-1', 'web', 'v1');
  let seen = await status('web-1');
  while (
    seen.phase !== 'Running' ||
    !seen.conditions.every((known: { status: string }) => known.status === 'True')
  ) {
    seen = await status('web-1');
  }
  expect(seen.podIP).toBe(address);
  const bound = await api.request('GET', '/api/v1/namespaces/shop/pods/web-1');
  expect(bound.body.spec.nodeName).toBe('played-node');
  const deleted = await api.request('DELETE', '/api/v1/namespaces/shop/pods/web-1');
  // A bound pod gets its time to end; the kubelet then removes it.
  expect(deleted.body.metadata.deletionTimestamp).toBeDefined();
  await waitUntil('the end', () => kubelet.pods().length === 0);
  expect((await api.request('GET', '/api/v1/namespaces/shop/pods/web-1')).status).toBe(404);
});

test('a split whose CRD is installed later is found, obeyed in each change, and forgotten when it is deleted', async () => {
  await splitter.synced;
  expect(splitter.weights('shop', 'web')).toBeUndefined();
  await post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', trafficSplitCrd());
  const split = (primary: number, canary: number): KubernetesObject => {
    const backends = { 'web-primary': primary, 'web-canary': canary };
    return trafficSplit({ namespace: 'shop', name: 'web', root: 'web', backends });
  };
  const path = '/apis/split.smi-spec.io/v1alpha2/namespaces/shop/trafficsplits';
  await post(path, split(90, 10));
  const canaryWeight = (): number | undefined => splitter.weights('shop', 'web')?.['web-canary'];
  await waitUntil('the first weights', () => canaryWeight() === 10);
  await api.request('PATCH', `${path}/web`, { spec: split(100, 0).spec });
  await waitUntil('weight 0', () => canaryWeight() === 0);
  // Another version of the same object: a quantity, as older writers have it.
  const backends = [
    { service: 'web-primary', weight: '1' },
    { service: 'web-canary', weight: '500m' },
  ];
  await api.request('PATCH', `${path.replace('v1alpha2', 'v1alpha1')}/web`, { spec: { backends } });
  await waitUntil('a quantity', () => canaryWeight() === 0.5);
  await api.request('DELETE', `${path}/web`);
  await waitUntil('no split', () => splitter.weights('shop', 'web') === undefined);
});

test('a Service without endpoints fails its users, and the account says why', async () => {
  await post('/api/v1/namespaces/shop/services', service({ namespace: 'shop', name: 'web' }));
  await splitter.synced;
  const traffic = startTraffic({
    target: splitter,
    service: 'web',
    namespace: 'shop',
    requestsPerSecond: 200,
  });
  await waitUntil('requests', () => traffic.counts().total > 20);
  const counts = await traffic.stop();
  expect(counts.failedBy).toEqual({ release: {}, noEndpoint: counts.total, connection: 0, timeout: 0 });
});
