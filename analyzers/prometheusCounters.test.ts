/** The reader against a local receiver that answers what Prometheus would, or what nobody should. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from 'vitest';
import { SECRET, type Situation } from './contract.ts';
import { describeCounterContract } from './counterContract.ts';
import type { CounterQuery } from './counterReader.ts';
import { createPrometheusAnalyzer } from './prometheus.ts';
import { createPrometheusCounters, PODS_OF_HISTORY_MAX, PODS_READ_MAX } from './prometheusCounters.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const AT_SECONDS = 1_700_000_000.25;
const query: CounterQuery = {
  namespace: 'shop',
  canary: { deployment: 'web', replicaSets: ['web-6d4f'] },
  primary: { deployment: 'web-primary', replicaSets: [] },
  pods: { history: '', canary: [], primary: [] },
};

type Labels = Record<string, string>;
const series = (labels: Labels, value: number | string) => ({
  metric: labels,
  value: [AT_SECONDS, String(value)],
});
const time = (seconds = AT_SECONDS) => series({ kind: 'time' }, seconds);

interface Counts {
  success?: number;
  failure?: number;
  startedAt?: number;
  series?: number;
  /** Bound to cumulative count. */
  buckets?: Record<string, number>;
}

function pod(deployment: string, name: string, counts: Counts) {
  const labels = { deployment, pod: name };
  const { success, failure, startedAt = 1_699_999_000, buckets = {} } = counts;
  return [
    ...(success === undefined
      ? []
      : [series({ ...labels, kind: 'requests', classification: 'success', status_code: '200' }, success)]),
    ...(failure === undefined
      ? []
      : [series({ ...labels, kind: 'requests', classification: 'failure', status_code: '503' }, failure)]),
    ...Object.entries(buckets).map(([le, count]) => series({ ...labels, kind: 'durations', le }, count)),
    series({ ...labels, kind: 'series' }, counts.series ?? 2),
    series({ ...labels, kind: 'startedAt' }, startedAt),
  ];
}

const success = (data: object) => JSON.stringify({ status: 'success', data });
const vector = (result: object[]) => success({ resultType: 'vector', result });

type Respond = (request: IncomingMessage, response: ServerResponse) => unknown;

async function serve(respond: Respond): Promise<string> {
  const server = createServer((request, response) => void respond(request, response));
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(
    () =>
      new Promise<void>(resolve => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  );
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

const never = new AbortController().signal;
const answering =
  (body: string): Respond =>
  (_request, response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(body);

async function readOf(body: string, asked = query) {
  const reader = createPrometheusCounters({ address: await serve(answering(body)) });
  return await reader.read(asked, never);
}

async function readingOf(result: object[]) {
  const answer = await readOf(vector(result));
  if (answer.kind !== 'reading') throw new Error(answer.message);
  return answer;
}

test('one POST with the query alone: the server takes its own time', async () => {
  const asked: { request: string; body: [string, string][] }[] = [];
  const address = await serve(async (request, response) => {
    const body = [...new URLSearchParams(await text(request))];
    asked.push({ request: `${request.method} ${request.url}`, body });
    answering(vector([time()]))(request, response);
  });
  const reader = createPrometheusCounters({ address });
  await reader.read(query, never);
  await reader.history(query, never);
  await createPrometheusAnalyzer({ address }).measure(
    [{ metric: 'm', kind: 'custom', query: 'up', windowMs: 1_000 }],
    query.pods,
    never,
  );
  expect(asked.map(one => [one.request, ...one.body.map(([name]) => name)])).toEqual(
    asked.map(() => ['POST /api/v1/query', 'query']),
  );
  expect(asked.map(one => one.body[0]?.[1])).toEqual([
    expect.stringMatching(/label_replace\(vector\(time\(\)\), "kind", "time", "", ""\)$/),
    expect.stringMatching(/\[30m:1m\]$/),
    'up',
  ]);
});

describe('a reading', () => {
  test('by pod of each arm, with the times of the server', async () => {
    const answer = await readingOf([
      ...pod('web', 'web-6d4f-aaaaa', {
        success: 90,
        failure: 10,
        series: 3,
        buckets: { '+Inf': 100, '10': 99, '5': 20 },
      }),
      ...pod('web-primary', 'web-primary-1-bbbbb', { success: 900, startedAt: 1_600_000_000.5 }),
      series({ kind: 'sampledAt' }, AT_SECONDS - 1.5),
      time(),
    ]);
    expect(answer).toEqual({
      kind: 'reading',
      sampledAtMs: 1_699_999_998_750,
      reading: {
        atMs: 1_700_000_000_250,
        canary: new Map([
          [
            'web-6d4f-aaaaa',
            {
              startedAt: 1_699_999_000_000,
              requests: new Map([
                ['success 200', { isFailure: false, count: 90 }],
                ['failure 503', { isFailure: true, count: 10 }],
              ]),
              durations: new Map([
                ['', { uppersMs: [5, 10, Number.POSITIVE_INFINITY], counts: [20, 99, 100] }],
              ]),
              summed: 3,
            },
          ],
        ]),
        primary: new Map([
          [
            'web-primary-1-bbbbb',
            {
              startedAt: 1_600_000_000_500,
              requests: new Map([['success 200', { isFailure: false, count: 900 }]]),
              durations: new Map(),
              summed: 2,
            },
          ],
        ]),
      },
    });
  });

  test('what is not a success is a failure, whatever it is called', async () => {
    const labels = { deployment: 'web-primary', pod: 'a', kind: 'requests' };
    const { reading } = await readingOf([
      series({ ...labels, classification: 'success', status_code: '200' }, 1),
      series({ ...labels, classification: 'failure' }, 2),
      series({ ...labels, status_code: '502' }, 3),
      time(),
    ]);
    const [counters] = [...(reading.primary?.values() ?? [])];
    expect([...(counters?.requests.values() ?? [])].map(one => one.isFailure)).toEqual([false, true, true]);
  });

  test.each([
    ['nothing is known of either arm', [], [undefined, undefined]],
    ['the canary has had no request', pod('web-primary', 'p', { success: 1 }), [0, 1]],
    ['the primary is not known', pod('web', 'c', { success: 1 }), [1, undefined]],
  ])('%s', async (_name, result, sizes) => {
    const { reading } = await readingOf([...result, time()]);
    expect([reading.canary?.size, reading.primary?.size]).toEqual(sizes);
  });

  test.each(['NaN', '+Inf', '-1', ''])('a pod with a count of %j is not read this time', async count => {
    const labels = { deployment: 'web', pod: 'bad' };
    const { reading } = await readingOf([
      ...pod('web', 'bad', { success: 5 }),
      series({ ...labels, kind: 'requests', classification: 'failure', status_code: '500' }, count),
      ...pod('web', 'good', { success: 5 }),
      ...pod('web-primary', 'p', { success: 5 }),
      time(),
    ]);
    expect([...(reading.canary?.keys() ?? [])]).toEqual(['good']);
  });

  test('a time that stands still or goes back is told as it is', async () => {
    const at = async (seconds: number) =>
      (await readingOf([...pod('web-primary', 'p', { success: 1 }), time(seconds)])).reading.atMs;
    expect([await at(1_000), await at(1_000), await at(999.5)]).toEqual([1_000_000, 1_000_000, 999_500]);
  });

  test('of more pods than anybody remembers always the same ones', async () => {
    const names = Array.from(
      { length: PODS_READ_MAX + 40 },
      (_one, index) => `p-${String(index).padStart(4, '0')}`,
    );
    const result = [...names].reverse().flatMap(name => pod('web-primary', name, { success: 1 }));
    const { reading } = await readingOf([...result, time()]);
    expect([...(reading.primary?.keys() ?? [])]).toEqual(names.slice(0, PODS_READ_MAX));
  });

  test.each([
    [
      'a scalar',
      success({ resultType: 'scalar', result: [1, '42'] }),
      /expected an instant vector, got a scalar/,
    ],
    ['no time', vector(pod('web-primary', 'p', { success: 1 })), /does not say its time/],
    ['a time that is no number', vector([series({ kind: 'time' }, 'NaN')]), /does not say its time/],
    ['a body without end', `"${'x'.repeat(9 * 1024 * 1024)}"`, /network_error/],
    [
      'native histograms',
      success({ resultType: 'vector', result: [{ metric: {}, histogram: [1, {}] }] }),
      /not one of the query API/,
    ],
  ])('%s is an error of the provider', async (_name, body, message) => {
    expect(await readOf(body)).toMatchObject({
      kind: 'providerError',
      message: expect.stringMatching(message),
    });
  });
});

describe('the history', () => {
  const matrix = (result: { metric: Labels; values: [number, string][] }[]) =>
    success({ resultType: 'matrix', result });
  const labels = { deployment: 'web-primary', pod: 'p' };
  const requests = (more: Labels, values: [number, string][]) => ({
    metric: { ...labels, kind: 'requests', ...more },
    values,
  });
  const historyOf = async (body: string) =>
    await createPrometheusCounters({ address: await serve(answering(body)) }).history(query, never);

  test('counters at rising times; what has no sample at one of them is not there', async () => {
    const answer = await historyOf(
      matrix([
        requests({ classification: 'failure', status_code: '500' }, [[180, '2']]),
        requests({ classification: 'success', status_code: '200' }, [
          [60, '100'],
          [120, '150'],
          [180, '220'],
        ]),
      ]),
    );
    if (answer.kind !== 'history') throw new Error(answer.kind);
    expect(answer.samples.map(one => one.atMs)).toEqual([60_000, 120_000, 180_000]);
    expect(answer.samples.map(one => [...(one.pods.get('p')?.requests.values() ?? [])])).toEqual([
      [{ isFailure: false, count: 100 }],
      [{ isFailure: false, count: 150 }],
      [
        { isFailure: true, count: 2 },
        { isFailure: false, count: 220 },
      ],
    ]);
  });

  test('of a primary that nobody knows it is empty', async () => {
    expect(await historyOf(matrix([]))).toEqual({ kind: 'history', samples: [] });
  });

  test('a vector is no history', async () => {
    expect(await historyOf(vector([]))).toMatchObject({
      kind: 'providerError',
      message: 'prometheus: expected a matrix, got a vector',
    });
  });

  test('of many pods some are asked for, by name', async () => {
    let asked = '';
    const address = await serve(async (request, response) => {
      asked = new URLSearchParams(await text(request)).get('query') ?? '';
      answering(matrix([]))(request, response);
    });
    const reader = createPrometheusCounters({ address });
    const primary = Array.from({ length: 100 }, (_one, index) => ({ name: `p.${100 + index}`, ip: '' }));
    await reader.history({ ...query, pods: { ...query.pods, primary } }, never);
    const [, names = ''] = /deployment="web-primary",[^}]*pod=~"([^"]*)"/.exec(asked) ?? [];
    expect(names.split('|')).toHaveLength(PODS_OF_HISTORY_MAX);
    expect(names).toMatch(/^p\[\.\]100\|p\[\.\]101\|/);
    await reader.history({ ...query, pods: { ...query.pods, primary: primary.slice(0, 64) } }, never);
    expect(asked).not.toContain('p[.]');
  });
});

const respondTo: Record<Exclude<Situation['kind'], 'traffic'>, Respond> = {
  noTraffic: answering(vector([time()])),
  page: (_request, response) =>
    response.writeHead(200, { 'content-type': 'text/html' }).end(`<html>${SECRET}</html>`),
  forbidden: (_request, response) => response.writeHead(403, { 'content-type': 'text/plain' }).end(SECRET),
  redirect: (request, response) => {
    if (request.url?.includes(SECRET)) answering(vector([time()]))(request, response);
    else response.writeHead(307, { location: `/${SECRET}` }).end();
  },
  silent: () => {},
  down: () => {},
};

describeCounterContract('prometheus', async (situation, timeoutMs) => {
  const counts = { requests: 0, failures: 0 };
  let atSeconds = AT_SECONDS;
  const add = (requests: number, failures: number) => {
    counts.requests += requests;
    counts.failures += failures;
    atSeconds += 2;
  };
  const traffic: Respond = (request, response) => {
    const { requests, failures } = counts;
    const all = { success: requests - failures, failure: failures };
    const buckets = { '100': 0, '200': requests, '+Inf': requests };
    const arms = ['web', 'web-primary'].flatMap(name => pod(name, `${name}-1`, { ...all, buckets }));
    const sampledAt = series({ kind: 'sampledAt' }, atSeconds - 1);
    answering(vector([...arms, sampledAt, time(atSeconds)]))(request, response);
  };
  if (situation.kind === 'traffic') add(situation.requests, situation.failures);
  const url = await serve(situation.kind === 'traffic' ? traffic : respondTo[situation.kind]);
  const address = situation.kind === 'down' ? 'http://127.0.0.1:1' : url;
  return {
    reader: createPrometheusCounters({ address, timeoutMs, username: 'ann', password: SECRET }),
    query,
    serve: async (requests, failures) => add(requests, failures),
    stop: async () => {},
  };
});
