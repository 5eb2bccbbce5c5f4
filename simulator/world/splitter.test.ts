/** The played data plane with real sockets: shares, fallbacks, errors, and the account that the traffic keeps of them. */
import { createServer } from 'node:http';
import { request } from 'undici';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startApp } from './app.ts';
import type { App, AppTraits } from './app.ts';
import { service, trafficSplit } from './manifests.ts';
import { startSplitter } from './splitter.ts';
import type { Splitter, SplitterOptions } from './splitter.ts';
import { sliceOf, startTestServer, waitUntil } from './testserver.ts';
import type { TestServer } from './testserver.ts';
import { causeOfAnswer, startTraffic } from './traffic.ts';

const PORT = 18_081;
const PRIMARY = '127.78.0.1';
const CANARY = '127.78.0.2';
/** Where nobody listens. */
const NOBODY = '127.78.0.9';
const healthy: AppTraits = { errorPercent: 0, latencyMs: 0, latencyJitterMs: 0, isReady: true };

let server: TestServer;
let splitter: Splitter;
let closers: (() => Promise<unknown>)[];
let traits: Record<string, AppTraits>;

beforeEach(async () => {
  traits = { [PRIMARY]: healthy, [CANARY]: healthy };
  server = await startTestServer();
  closers = [];
  const primary = await app(PRIMARY, 'v1');
  const canary = await app(CANARY, 'v2');
  closers.push(
    () => primary.kill(),
    () => canary.kill(),
  );
  for (const name of ['web', 'web-primary', 'web-canary']) server.put(service({ namespace: 'shop', name }));
  server.put(sliceOf('web', PORT, { [PRIMARY]: true }));
  server.put(sliceOf('web-primary', PORT, { [PRIMARY]: true }));
  server.put(sliceOf('web-canary', PORT, { [CANARY]: true }));
});

afterEach(async () => {
  for (const close of closers.toReversed()) await close();
  await server.close();
});

function app(address: string, version: string): Promise<App> {
  return startApp({
    address,
    port: PORT,
    adminPort: undefined,
    podName: `pod-${version}`,
    version,
    traits: () => traits[address] ?? healthy,
  });
}

async function startSplit(options: Partial<SplitterOptions> = {}): Promise<void> {
  splitter = await startSplitter({ api: server.api, ...options });
  const started = splitter;
  closers.push(() => started.close());
  await splitter.synced;
}

function split(primary: number, canary: number): void {
  const backends = { 'web-primary': primary, 'web-canary': canary };
  server.put(trafficSplit({ namespace: 'shop', name: 'web', root: 'web', backends }));
}

async function seen(weights: Record<string, number>): Promise<void> {
  await waitUntil(
    'the split',
    () => JSON.stringify(splitter.weights('shop', 'web')) === JSON.stringify(weights),
  );
}

async function ask(
  host = 'web.shop',
  path = '/',
): Promise<{ status: number; version: string; error: string; backend: string }> {
  const answer = await request(`http://${splitter.host}:${splitter.port}${path}`, { headers: { host } });
  await answer.body.dump();
  const header = (name: string): string => String(answer.headers[name] ?? '');
  return {
    status: answer.statusCode,
    version: header('x-version'),
    error: header('x-split-error'),
    backend: header('x-split-backend'),
  };
}

async function askMany(count: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const workers = Array.from({ length: 8 }, async () => {
    for (let index = 0; index < count / 8; index++) {
      const { version, error } = await ask();
      counts[version || error] = (counts[version || error] ?? 0) + 1;
    }
  });
  await Promise.all(workers);
  return counts;
}

/** Mulberry32: a fixed sequence, so that a test of shares cannot fail by bad luck. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test('2,000 requests at 90/10 are within 3 standard errors, and observed() says the same', async () => {
  split(90, 10);
  await startSplit({ random: seeded(1) });
  const counts = await askMany(2_000);
  const standardError = Math.sqrt(2_000 * 0.1 * 0.9);
  expect(Math.abs((counts['v2'] ?? 0) - 200)).toBeLessThan(3 * standardError);
  expect((counts['v1'] ?? 0) + (counts['v2'] ?? 0)).toBe(2_000);
  expect(splitter.observed()).toEqual({
    'shop/web': { 'web-primary': counts['v1'], 'web-canary': counts['v2'] },
  });
  expect(splitter.observed()).toEqual({});
});

test('weight 0 receives nothing', async () => {
  split(100, 0);
  await startSplit();
  expect(await askMany(400)).toEqual({ v1: 400 });
});

test('a new weight is obeyed at once', async () => {
  split(100, 0);
  await startSplit();
  expect((await ask()).version).toBe('v1');
  split(0, 100);
  await seen({ 'web-primary': 0, 'web-canary': 100 });
  expect(await ask()).toEqual({ status: 200, version: 'v2', error: '', backend: 'web-canary' });
});

test('without a split, and before its CRD exists, the Service’s own endpoints serve; the split is found later', async () => {
  server.setSplitsServed(false);
  split(0, 100);
  await startSplit();
  expect(splitter.weights('shop', 'web')).toBeUndefined();
  expect(await ask('web.shop.svc.cluster.local')).toMatchObject({ version: 'v1', backend: 'web' });
  server.setSplitsServed(true);
  await seen({ 'web-primary': 0, 'web-canary': 100 });
  expect((await ask()).version).toBe('v2');
  server.remove('TrafficSplit', 'shop', 'web');
  await waitUntil('no split', () => splitter.weights('shop', 'web') === undefined);
  expect((await ask()).version).toBe('v1');
});

test('a backend without ready endpoints is skipped and its share goes to the other', async () => {
  split(10, 90);
  server.put(sliceOf('web-canary', PORT, { [CANARY]: false }));
  await startSplit();
  expect(await askMany(80)).toEqual({ v1: 80 });
});

test('all backends unusable: the apex Service’s own endpoints; none there either: 503', async () => {
  split(0, 100);
  server.put(sliceOf('web-canary', PORT, {}));
  await startSplit();
  expect(await ask()).toMatchObject({ version: 'v1', backend: 'web' });
  split(0, 0);
  await seen({ 'web-primary': 0, 'web-canary': 0 });
  expect(await ask()).toMatchObject({ version: 'v1', backend: 'web' });
  server.put(sliceOf('web', PORT, { [PRIMARY]: false }));
  let answer = await ask();
  while (answer.status === 200) answer = await ask();
  expect(answer).toEqual({ status: 503, version: '', error: 'no-endpoint', backend: '' });
});

test('a backend whose Service lacks the root’s port gets nothing', async () => {
  split(50, 50);
  const other = service({ namespace: 'shop', name: 'web-canary' });
  other.spec.ports[0].port = 81;
  server.put(other);
  await startSplit();
  expect(await askMany(80)).toEqual({ v1: 80 });
});

test('unknown Services and hosts are said', async () => {
  await startSplit();
  expect(await ask('gone.shop')).toMatchObject({ status: 503, error: 'no-service' });
  expect(await ask('localhost')).toMatchObject({ status: 404, error: 'unknown-host' });
});

test('ready endpoints take turns', async () => {
  server.put(sliceOf('web', PORT, { [PRIMARY]: true, [CANARY]: true }));
  await startSplit();
  const versions: string[] = [];
  for (let index = 0; index < 4; index++) versions.push((await ask()).version);
  expect(versions).toEqual(['v1', 'v2', 'v1', 'v2']);
});

test('a pod that cannot be connected to is a 502, or another endpoint where retries are on', async () => {
  server.put(sliceOf('web', PORT, { [PRIMARY]: true, [NOBODY]: true }));
  await startSplit();
  const plain = [await ask(), await ask()];
  expect(plain.map(answer => answer.status)).toEqual([200, 502]);
  expect(plain[1]).toMatchObject({ error: 'connection' });
  await startSplit({ retryOnConnectFailure: true });
  for (let index = 0; index < 4; index++) expect(await ask()).toMatchObject({ status: 200, version: 'v1' });
});

test('bodies reach the pod and come back whole, headers of one connection do not', async () => {
  const echo = createServer((incoming, outgoing) => {
    outgoing.setHeader('x-seen', Object.keys(incoming.headers).join(' '));
    incoming.pipe(outgoing);
  });
  await new Promise<void>(resolve => echo.listen(PORT, '127.78.0.3', resolve));
  closers.push(() => new Promise(resolve => echo.close(resolve)));
  server.put(sliceOf('web', PORT, { '127.78.0.3': true }));
  await startSplit();
  const body = 'x'.repeat(300_000);
  const url = `http://${splitter.host}:${splitter.port}/`;
  const answer = await request(url, {
    method: 'POST',
    body,
    headers: { host: 'web.shop', te: 'trailers', 'x-mine': '1' },
  });
  expect(await answer.body.text()).toBe(body);
  expect(String(answer.headers['x-seen']).split(' ')).toEqual(
    expect.arrayContaining(['x-mine', 'host', 'content-length']),
  );
  expect(String(answer.headers['x-seen']).split(' ')).not.toContain('te');
});

test('an endpoint that leaves loses no request under steady traffic', async () => {
  server.put(sliceOf('web', PORT, { [PRIMARY]: true, [CANARY]: true }));
  await startSplit();
  const traffic = startTraffic({
    target: splitter,
    service: 'web',
    namespace: 'shop',
    requestsPerSecond: 400,
  });
  closers.push(() => traffic.stop());
  await waitUntil('both pods serving', () => Object.keys(traffic.counts().byVersion).length === 2);
  server.put(sliceOf('web', PORT, { [PRIMARY]: true }));
  const before = traffic.counts().total;
  await waitUntil('more requests', () => traffic.counts().total > before + 200);
  const counts = await traffic.stop();
  expect([counts.failed, traffic.failures]).toEqual([0, []]);
});

test('the account: failures of the release by version, the others by cause, and everything adds up', async () => {
  split(0, 100);
  traits[CANARY] = { ...healthy, errorPercent: 50 };
  await startSplit();
  const traffic = startTraffic({
    target: splitter,
    service: 'web',
    namespace: 'shop',
    requestsPerSecond: 500,
  });
  closers.push(() => traffic.stop());
  await waitUntil('failures of v2', () => (traffic.counts().failedBy.release['v2'] ?? 0) > 20);
  server.put(sliceOf('web-canary', PORT, { [NOBODY]: true }));
  await waitUntil('connection failures', () => traffic.counts().failedBy.connection > 20);
  server.put(sliceOf('web-canary', PORT, {}));
  server.put(sliceOf('web', PORT, {}));
  await waitUntil('no endpoint', () => traffic.counts().failedBy.noEndpoint > 20);
  expect(traffic.recent(60_000).byVersion['v2']).toBeGreaterThan(20);
  const counts = await traffic.stop();
  const { release, noEndpoint, connection, timeout } = counts.failedBy;
  expect(Object.keys(release)).toEqual(['v2']);
  expect((release['v2'] ?? 0) + noEndpoint + connection + timeout).toBe(counts.failed);
  expect(counts.succeeded + counts.failed).toBe(counts.total);
  expect(counts.byVersion['v2']).toEqual({
    total: counts.succeeded + (release['v2'] ?? 0),
    failed: release['v2'],
  });
  expect(traffic.failures).toHaveLength(counts.failed);
  expect(counts.inFlight).toBe(0);
});

test('a pod that does not answer in time is a timeout, and what exceeds the concurrency is skipped, not failed', async () => {
  traits[PRIMARY] = { ...healthy, latencyMs: 60_000 };
  await startSplit();
  const traffic = startTraffic({
    target: splitter,
    service: 'web',
    namespace: 'shop',
    requestsPerSecond: 200,
    concurrency: 4,
    timeoutMs: 300,
  });
  closers.push(() => traffic.stop());
  await waitUntil('a timeout', () => traffic.counts().failedBy.timeout > 0);
  const counts = await traffic.stop();
  expect(counts.failedBy).toMatchObject({ release: {}, connection: 0, noEndpoint: 0 });
  expect(counts.failedBy.timeout).toBe(counts.total);
  expect(counts.skipped).toBeGreaterThan(0);
});

test.each([
  [{ status: 200, pod: 'a', splitError: '' }, undefined],
  [{ status: 404, pod: 'a', splitError: '' }, undefined],
  [{ status: 500, pod: 'a', splitError: '' }, 'release'],
  [{ status: 502, pod: '', splitError: '' }, 'connection'],
  [{ status: 502, pod: '', splitError: 'connection' }, 'connection'],
  [{ status: 504, pod: '', splitError: 'timeout' }, 'timeout'],
  [{ status: 503, pod: '', splitError: 'no-endpoint' }, 'noEndpoint'],
  [{ status: 503, pod: '', splitError: 'no-service' }, 'noEndpoint'],
])('the cause of %j is %s', (answer, cause) => {
  expect(causeOfAnswer(answer)).toBe(cause);
});
