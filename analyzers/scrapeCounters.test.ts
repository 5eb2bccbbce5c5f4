/** Raw counters from real pods on loopback: the contract, looks that are shared, and when an arm is stale. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../engine/clock.ts';
import { createVirtualClock } from '../simulator/clock.ts';
import type { PodMetrics } from '../simulator/world/podmetrics.ts';
import type { ArmPods } from './analyzer.ts';
import { SECRET, type Situation } from './contract.ts';
import { describeCounterContract } from './counterContract.ts';
import type { CounterQuery } from './counterReader.ts';
import { createScrapeAnalyzer } from './scrape.ts';
import { answering, metered, type Respond, type ServedPods, servePods } from './scrape/servedPods.ts';
import { linkerdSource } from './scrape/sources.ts';

let served: ServedPods;
let metrics: PodMetrics[];

beforeAll(async () => {
  served = await servePods(10);
});
afterAll(() => served.close());
beforeEach(() => {
  metrics = metered(served.pods);
});

const never = new AbortController().signal;
const addresses = (from: number, to: number) =>
  served.pods.slice(from, to).map(({ name, ip }) => ({ name, ip }));
/** Two pods each. */
const both = (): ArmPods => ({
  history: 'shop/web/run',
  canary: addresses(0, 2),
  primary: addresses(2, 4),
});
const asked = () => served.pods.slice(0, 4).map(pod => pod.asked);
const queryOf = (pods: ArmPods): CounterQuery => ({
  namespace: 'shop',
  canary: { deployment: 'web', replicaSets: [] },
  primary: { deployment: 'web-primary', replicaSets: [] },
  pods,
});
const isDead: Respond = request => request.socket.destroy();

function serve(pod: number, count: number, status = 200): void {
  for (let index = 0; index < count; index++) metrics[pod]!.responded('default', 'web.shop', status, 150);
}

function start(options: { timeoutMs?: number } = {}) {
  const clock = createVirtualClock(1_700_000_000_000);
  const { port } = served;
  const analyzer = createScrapeAnalyzer({ clock, source: linkerdSource, port, path: '/metrics', ...options });
  const read = (pods = both()) => analyzer.counters.read(queryOf(pods), never);
  return { clock, analyzer, read };
}

const totals = (
  pods: ReadonlyMap<string, { requests: ReadonlyMap<string, { count: number }> }> | undefined,
) =>
  pods &&
  [...pods].map(([name, { requests }]) => [
    name,
    [...requests.values()].reduce((sum, one) => sum + one.count, 0),
  ]);

const respondTo: Record<Exclude<Situation['kind'], 'traffic' | 'noTraffic' | 'down'>, Respond> = {
  page: answering(() => `<html>${SECRET}</html>`),
  forbidden: answering(() => SECRET, 403),
  redirect: (request, response) => {
    if (request.url?.includes(SECRET)) response.end(metrics[0]!.linkerdText());
    else response.writeHead(307, { location: `/${SECRET}` }).end();
  },
  silent: () => {},
};

describeCounterContract('scrape', async (situation, timeoutMs) => {
  const { port } = served;
  const analyzer = createScrapeAnalyzer({
    clock: systemClock,
    source: linkerdSource,
    port,
    path: '/metrics',
    timeoutMs,
  });
  const pods = both();
  const { kind } = situation;
  if (kind === 'down') pods.canary = pods.primary = [{ name: 'gone', ip: '127.7.99.99' }];
  else if (kind !== 'traffic' && kind !== 'noTraffic')
    for (const pod of served.pods) pod.respond = respondTo[kind];
  const add = (requests: number, failures: number) => {
    for (const [good, bad] of [
      [0, 1],
      [2, 3],
    ] as const) {
      serve(good, requests - failures);
      serve(bad, failures, 500);
    }
  };
  if (kind === 'traffic') add(situation.requests, situation.failures);
  return {
    reader: analyzer.counters,
    query: queryOf(pods),
    async serve(requests, failures) {
      add(requests, failures);
      // The next look must be another one.
      await systemClock.sleep(250);
    },
    stop: async () => analyzer.close(),
  };
});

test('both arms are looked at once, and checks share the look', async () => {
  const { analyzer, clock, read } = start();
  serve(0, 5);
  serve(1, 2, 503);
  serve(2, 7);
  const [answer, again] = await Promise.all([read(), read()]);
  expect(again).toEqual(answer);
  expect(answer).toMatchObject({ kind: 'reading', sampledAtMs: clock.now(), reading: { atMs: clock.now() } });
  if (answer.kind !== 'reading') throw new Error(answer.message);
  expect(totals(answer.reading.canary)).toEqual([
    ['pod-0', 5],
    ['pod-1', 2],
  ]);
  expect(totals(answer.reading.primary)).toEqual([
    ['pod-2', 7],
    ['pod-3', 0],
  ]);
  const kind = 'request-success-rate' as const;
  await analyzer.measure([{ metric: kind, kind, query: undefined, windowMs: 5_000 }], both(), never);
  expect(asked()).toEqual([1, 1, 1, 1]);
  await clock.advance(2_000);
  serve(0, 1);
  const [rate] = await analyzer.measure(
    [{ metric: kind, kind, query: undefined, windowMs: 5_000 }],
    both(),
    never,
  );
  expect(rate).toEqual({ kind: 'value', value: 100, sampleCount: 1 });
  await read();
  expect(asked()).toEqual([2, 2, 2, 2]);
});

test('a look of which one arm is older has the time of the older one', async () => {
  const { analyzer, clock, read } = start();
  await analyzer.arms.look(both(), 'canary', []);
  await clock.advance(100);
  expect(await read()).toMatchObject({
    reading: { atMs: clock.now() - 100 },
    sampledAtMs: clock.now(),
  });
});

test('an arm of which too few pods answer is stale, the other one is not', async () => {
  const { read } = start();
  served.pods[1]!.respond = isDead;
  const answer = await read();
  expect(answer).toMatchObject({ kind: 'reading', reading: { canary: undefined } });
  expect(answer.kind === 'reading' && answer.reading.primary?.size).toBe(2);
});

test('an arm without a ready pod is stale; without any there is nothing to read', async () => {
  const { read } = start();
  const answer = await read({ ...both(), canary: [] });
  expect(answer).toMatchObject({ kind: 'reading', reading: { canary: undefined } });
  expect(await read({ ...both(), canary: [], primary: [] })).toEqual({
    kind: 'providerError',
    message: 'scrape: neither arm has a ready pod to read',
  });
});

test('neither arm answers: an error that says what to look for', async () => {
  const { read } = start();
  for (const pod of served.pods) pod.respond = isDead;
  expect(await read()).toEqual({
    kind: 'providerError',
    message: `scrape: 0 of 2 ready pods answered on port ${served.port}, 2 are needed; pod-0: connection reset; does a policy block the port, or is --scrape-port another one?`,
  });
});

test('a pod that is silent this time keeps what it had, and catches up', async () => {
  const { clock, read } = start();
  const pods: ArmPods = { ...both(), canary: addresses(0, 10), primary: [] };
  const counted = async () => {
    const answer = await read(pods);
    await clock.advance(2_000);
    return answer.kind === 'reading' && Object.fromEntries(totals(answer.reading.canary) ?? [])['pod-3'];
  };
  serve(3, 5);
  const { respond } = served.pods[3]!;
  const seen = [await counted()];
  serve(3, 4);
  served.pods[3]!.respond = isDead;
  seen.push(await counted());
  served.pods[3]!.respond = respond;
  seen.push(await counted());
  expect(seen).toEqual([5, 5, 9]);
});

test('there is no history: what is read from now on has to do', async () => {
  const { analyzer } = start();
  expect(await analyzer.counters.history(queryOf(both()), never)).toEqual({ kind: 'none' });
  expect(asked()).toEqual([0, 0, 0, 0]);
});

test('what nobody follows is forgotten by the readings of others', async () => {
  const { analyzer, clock, read } = start();
  await read();
  await clock.advance(11 * 60_000);
  await read({ ...both(), history: 'shop/other/run' });
  expect(analyzer.arms.size()).toBe(1);
});
