/** The analyzer over real pods on loopback: the contract, what each situation is called, and looks between checks. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../engine/clock.ts';
import { createVirtualClock } from '../simulator/clock.ts';
import type { PodMetrics } from '../simulator/world/podmetrics.ts';
import type { Arm, ArmPods, Followed, MetricQuery } from './analyzer.ts';
import { describeAnalyzerContract, SECRET, type Situation } from './contract.ts';
import { createScrapeAnalyzer } from './scrape.ts';
import { answering, metered, type Respond, type ServedPods, servePods } from './scrape/servedPods.ts';
import { applicationSource, linkerdSource } from './scrape/sources.ts';

let served: ServedPods;
let metrics: PodMetrics[];
const PODS = 3;

beforeAll(async () => {
  served = await servePods(PODS);
});
afterAll(() => served.close());
beforeEach(() => {
  metrics = metered(served.pods);
});

const never = new AbortController().signal;
const query = (kind: MetricQuery['kind'], arm: Arm = 'canary', windowMs = 5_000): MetricQuery => ({
  metric: kind,
  kind,
  query: undefined,
  arm,
  windowMs,
});
const rate = query('request-success-rate');
const duration = query('request-duration');
const pods = (): ArmPods => ({ history: 'shop/web/run', canary: served.pods, primary: [] });

function serve(pod: number, count: number, status = 200, latencyMs = 20): void {
  for (let index = 0; index < count; index++) {
    metrics[pod]!.requested('default', 'web.shop');
    metrics[pod]!.responded('default', 'web.shop', status, latencyMs);
  }
}

function start(options: { clock?: ReturnType<typeof createVirtualClock>; timeoutMs?: number } = {}) {
  const clock = options.clock ?? createVirtualClock(1_700_000_000_000);
  const analyzer = createScrapeAnalyzer({
    clock,
    source: linkerdSource,
    port: served.port,
    path: '/metrics',
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
  });
  return {
    clock,
    analyzer,
    measure: (...queries: MetricQuery[]) => analyzer.measure(queries, pods(), never),
  };
}

const situations: Record<Situation['kind'], (situation: Situation) => Respond | undefined> = {
  traffic: () => undefined,
  noTraffic: () => undefined,
  down: () => undefined,
  page: () => answering(() => `<html>${SECRET}</html>`),
  forbidden: () => answering(() => SECRET, 403),
  redirect: () => (request, response) => {
    if (request.url?.includes(SECRET)) response.end(metrics[0]!.linkerdText());
    else response.writeHead(307, { location: `/${SECRET}` }).end();
  },
  silent: () => () => {},
};

describeAnalyzerContract('scrape', async (situation, timeoutMs) => {
  const analyzer = createScrapeAnalyzer({
    clock: systemClock,
    source: linkerdSource,
    port: served.port,
    path: '/metrics',
    timeoutMs,
  });
  const found = pods();
  if (situation.kind === 'down') found.canary = [{ name: 'gone', ip: '127.7.99.99' }];
  else await analyzer.measure([rate, duration], found, never);
  // The second look must be another one.
  await systemClock.sleep(250);
  if (situation.kind === 'traffic') {
    serve(0, situation.requests - situation.failures, 200, 150);
    serve(1, situation.failures, 500, 150);
  }
  for (const pod of served.pods) pod.respond = situations[situation.kind](situation) ?? pod.respond;
  return {
    analyzer,
    pods: found,
    queryOf: asked => (asked === 'successRate' ? rate : duration),
    stop: async () => analyzer.close(),
  };
});

describe('a check', () => {
  test('the first look says so; the second answers both metrics from one scrape of each pod', async () => {
    const { clock, measure } = start();
    serve(0, 1_000, 500, 4_000);
    expect(await measure(rate, duration)).toEqual(
      ['canary', 'canary'].map(() => ({
        kind: 'noData',
        message: `this was the first look at 3 pods on port ${served.port}; a value needs a second one`,
      })),
    );
    await clock.advance(2_000);
    serve(0, 90, 200, 15);
    serve(1, 10, 503, 180);
    metrics[2]!.requested('probe', 'web.shop');
    metrics[2]!.responded('probe', 'web.shop', 200, 0);
    const answers = await measure(rate, duration);
    expect(answers).toEqual([
      { kind: 'value', value: 90, sampleCount: 100 },
      { kind: 'value', value: 190, sampleCount: 100 },
    ]);
    expect(served.pods.map(pod => pod.asked)).toEqual([2, 2, 2]);
  });

  test('after a restart a check that comes too soon holds: the little that was seen is no evidence', async () => {
    const { clock, measure } = start();
    const checked = { ...rate, leastWindowMs: 4_000 };
    await measure(checked);
    serve(0, 3);
    await clock.advance(2_000);
    expect(await measure(checked)).toEqual([
      { kind: 'noData', message: '3 pods have been looked at for 2.0 s; a value needs 4.0 s' },
    ]);
    serve(1, 3, 500);
    await clock.advance(2_000);
    expect(await measure(checked)).toEqual([{ kind: 'value', value: 50, sampleCount: 6 }]);
  });

  test('probes are no traffic', async () => {
    const { clock, measure } = start();
    serve(0, 1);
    await measure(rate);
    await clock.advance(2_000);
    for (const one of metrics) one.responded('probe', 'web.shop', 200, 0);
    expect(await measure(rate, duration)).toEqual([
      { kind: 'noData', message: 'no request of a user was counted by response_total at 3 pods in 2.0 s' },
      {
        kind: 'noData',
        message: 'no request of a user was counted by response_latency_ms at 3 pods in 2.0 s',
      },
    ]);
  });

  test('pods that have not counted anything yet say so by name', async () => {
    const { clock, measure } = start();
    await measure(rate);
    await clock.advance(2_000);
    expect(await measure(rate)).toEqual([
      {
        kind: 'noData',
        message: `3 pods on port ${served.port} export no response_total of users' requests yet`,
      },
    ]);
  });

  test('no ready pod is no data', async () => {
    expect(await start().measure(query('request-duration', 'primary'))).toEqual([
      { kind: 'noData', message: 'the primary has no ready pod to read' },
    ]);
  });

  test('too few answers are stale, and counted', async () => {
    const { clock, measure } = start();
    await measure(rate);
    await clock.advance(2_000);
    serve(0, 10);
    served.pods[2]!.respond = answering(() => '', 503);
    expect(await measure(rate)).toEqual([
      {
        kind: 'providerError',
        message: `scrape: 2 of 3 ready pods answered on port ${served.port}, 3 are needed; pod-2: HTTP 503`,
      },
    ]);
  });

  test('a port that is blocked is named', async () => {
    const { analyzer } = start();
    const gone = [{ name: 'web-1', ip: '127.7.99.99' }];
    expect(await analyzer.measure([rate], { ...pods(), canary: gone }, never)).toEqual([
      {
        kind: 'providerError',
        message: `scrape: 0 of 1 ready pods answered on port ${served.port}, 1 are needed; web-1: connection refused; does a policy block the port, or is --scrape-port another one?`,
      },
    ]);
  });

  test('a query needs a server', async () => {
    const [answer] = await start().measure({ ...query('custom'), query: 'up' });
    expect(answer).toEqual({
      kind: 'providerError',
      message:
        'scrape: a query needs a metrics server: set --metrics-server, spec.metricsServer or a MetricTemplate with an address',
    });
    expect(served.pods[0]!.asked).toBe(0);
  });

  test('a run says nothing about the next one', async () => {
    const { analyzer, clock, measure } = start();
    await measure(rate);
    serve(0, 10, 500);
    await clock.advance(2_000);
    const [answer] = await analyzer.measure([rate], { ...pods(), history: 'shop/web/next' }, never);
    expect(answer?.kind).toBe('noData');
  });
});

describe('an application', () => {
  async function answers(names: { requestCounter?: string; durationHistogram?: string }) {
    const clock = createVirtualClock(1_700_000_000_000);
    const source = applicationSource({
      requestCounter: names.requestCounter,
      statusLabels: ['code'],
      durationHistogram: names.durationHistogram,
      durationUnit: 'seconds',
      excludedPaths: [],
    });
    for (const [index, pod] of served.pods.entries())
      pod.respond = answering(() => metrics[index]!.applicationText());
    const analyzer = createScrapeAnalyzer({ clock, source, port: served.port, path: '/metrics' });
    await analyzer.measure([rate], pods(), never);
    await clock.advance(2_000);
    serve(0, 19, 200, 80);
    serve(1, 1, 500, 80);
    return await analyzer.measure([rate, duration], pods(), never);
  }

  test('is judged by its own counter and histogram', async () => {
    const measured = await answers({
      requestCounter: 'http_requests_total',
      durationHistogram: 'http_request_duration_seconds',
    });
    expect(measured).toEqual([
      { kind: 'value', value: 95, sampleCount: 20 },
      { kind: 'value', value: expect.closeTo(99.5, 6), sampleCount: 20 },
    ]);
  });

  test('of which a name is missing says which flag gives it', async () => {
    const [, noHistogram] = await answers({ requestCounter: 'http_requests_total' });
    expect(noHistogram).toEqual({
      kind: 'providerError',
      message: 'scrape: request-duration needs --scrape-duration-histogram',
    });
    const [noCounter] = await answers({ durationHistogram: 'http_request_duration_seconds' });
    expect(noCounter).toEqual({
      kind: 'providerError',
      message: 'scrape: request-success-rate needs --scrape-request-counter',
    });
  });
});

/** Real sockets beside a clock that stands still: waits until what was begun has been answered. */
async function untilAsked(counts: number[]): Promise<void> {
  await expect.poll(() => served.pods.map(pod => pod.asked)).toEqual(counts);
}

describe('between checks', () => {
  const followed = (over: Partial<Followed> = {}): Followed => ({
    pods: pods(),
    arms: ['canary'],
    windowsMs: [10_000],
    ...over,
  });

  test('a canary that is not under analysis costs nothing', async () => {
    const { analyzer, clock } = start();
    for (let times = 0; times < 3; times++) analyzer.follow('shop/web', () => undefined);
    expect(clock.pending()).toBe(0);
    await clock.advance(60_000);
    expect([analyzer.arms.size(), ...served.pods.map(pod => pod.asked)]).toEqual([0, 0, 0, 0]);
  });

  test('one under analysis is looked at from the start, so that its first check has a value', async () => {
    const { analyzer, clock, measure } = start();
    analyzer.follow('shop/web', () => followed());
    await untilAsked([1, 1, 1]);
    await expect.poll(() => analyzer.arms.last('shop/web/run', 'canary')?.answered).toBe(3);
    serve(0, 8);
    serve(1, 2, 500);
    await clock.advance(2_000);
    expect(await measure(rate)).toEqual([{ kind: 'value', value: 80, sampleCount: 10 }]);
    analyzer.close();
  });

  test('twice in the shortest window, less what checks have looked at, and no more when it is over', async () => {
    const { analyzer, clock, measure } = start();
    let isOver = false;
    analyzer.follow('shop/web', () => (isOver ? undefined : followed({ windowsMs: [60_000, 10_000] })));
    await expect.poll(() => analyzer.arms.last('shop/web/run', 'canary')?.answered).toBe(3);
    await clock.advance(5_000);
    await untilAsked([2, 2, 2]);
    await clock.advance(4_000);
    await measure(rate);
    await untilAsked([3, 3, 3]);
    await clock.advance(1_000);
    await untilAsked([3, 3, 3]);
    isOver = true;
    await clock.advance(5_000);
    expect([clock.pending(), analyzer.arms.size()]).toEqual([0, 0]);
    await clock.advance(60_000);
    await untilAsked([3, 3, 3]);
  });

  test('an arm that comes under analysis is looked at at once, and an earlier run is forgotten', async () => {
    const { analyzer, clock } = start();
    let now = followed({ pods: { ...pods(), primary: [] } });
    const watch = () => now;
    analyzer.follow('shop/web', watch);
    await expect.poll(() => analyzer.arms.last('shop/web/run', 'canary')?.answered).toBe(3);
    now = { ...now, arms: ['canary', 'primary'], pods: { ...pods(), primary: [served.pods[0]!] } };
    analyzer.follow('shop/web', watch);
    await expect.poll(() => analyzer.arms.last('shop/web/run', 'primary')?.answered).toBe(1);
    await untilAsked([2, 1, 1]);
    now = followed({ pods: { ...pods(), history: 'shop/web/next' } });
    analyzer.follow('shop/web', watch);
    await expect.poll(() => analyzer.arms.last('shop/web/next', 'canary')?.answered).toBe(3);
    expect(analyzer.arms.size()).toBe(1);
    now = followed({ arms: [] });
    analyzer.close();
    expect([clock.pending(), analyzer.arms.size()]).toEqual([0, 0]);
  });

  test('a pod that becomes ready is looked at when the engine hears of it', async () => {
    const { analyzer, clock, measure } = start();
    const [first, ...others] = served.pods;
    let now = followed({ pods: { ...pods(), canary: [first!] } });
    const watch = () => now;
    analyzer.follow('shop/web', watch);
    await expect.poll(() => analyzer.arms.last('shop/web/run', 'canary')?.answered).toBe(1);
    await clock.advance(1_000);
    now = followed({ pods: { ...pods(), canary: others } });
    analyzer.follow('shop/web', watch);
    await expect.poll(() => analyzer.arms.last('shop/web/run', 'canary')?.answered).toBe(2);
    analyzer.follow('shop/web', watch);
    serve(1, 5);
    await clock.advance(1_000);
    expect(await measure(rate)).toEqual([{ kind: 'value', value: 100, sampleCount: 5 }]);
    expect(served.pods.map(pod => pod.asked)).toEqual([2, 2, 2]);
    analyzer.close();
  });

  test('pods that do not answer at all are left to the checks', async () => {
    const { analyzer, clock, measure } = start();
    for (const pod of served.pods) pod.respond = answering(() => '', 403);
    analyzer.follow('shop/web', () => followed());
    await expect.poll(() => analyzer.arms.last('shop/web/run', 'canary')?.answered).toBe(0);
    await clock.advance(60_000);
    expect(served.pods.map(pod => pod.asked)).toEqual([1, 1, 1]);
    await measure(rate);
    expect(served.pods.map(pod => pod.asked)).toEqual([2, 2, 2]);
    analyzer.close();
  });
});
