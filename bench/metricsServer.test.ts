/** The stand-in as the engine's analyzer sees it: checks and raw counters agree on what the benchmark chose. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { CounterQuery } from '../analyzers/counterReader.ts';
import { countedBetween, countersAt, type Reading } from '../analyzers/judge/counters.ts';
import { historyOf, paceOf, totalOf } from '../analyzers/judge/history.ts';
import { createPrometheusAnalyzer } from '../analyzers/prometheus.ts';
import { successRate } from '../analyzers/queries/linkerd.ts';
import { type MetricsServer, startMetricsServer } from './metricsServer.ts';
import { createPlayedCounters } from './playedCounters.ts';

let server: MetricsServer;
let nowMs: number;
beforeEach(async () => {
  nowMs = 1_700_000_000_000;
  server = await startMetricsServer(() => nowMs);
});
afterEach(() => server.stop());

const never = new AbortController().signal;
const query: CounterQuery = {
  namespace: 'shop',
  canary: { deployment: 'web-1', replicaSets: ['web-1-abc'] },
  primary: { deployment: 'web-1-primary', replicaSets: [] },
  pods: { history: '', canary: [], primary: [] },
};

async function read(): Promise<Reading> {
  const answer = await createPrometheusAnalyzer({ address: server.url }).counters!.read(query, never);
  if (answer.kind !== 'reading') throw new Error(answer.message);
  return answer.reading;
}

/** Requests and failures of both arms in the next two seconds. */
async function served(): Promise<number[][]> {
  const first = await read();
  nowMs += 2_000;
  const arms = { canary: first.canary!, primary: first.primary! };
  const { counters } = countedBetween(countersAt(arms, [100]), arms, [100], first.atMs);
  const second = await read();
  const counted = countedBetween(
    counters,
    { canary: second.canary!, primary: second.primary! },
    [100],
    first.atMs,
  );
  return [counted.canary, counted.primary].map(({ total, failures }) => [total, failures]);
}

test('both arms are good until something else is said, and then it is of the named one', async () => {
  expect(await served()).toEqual([
    [2_000, 0],
    [2_000, 0],
  ]);
  server.answer('"web-1"', { successPercent: 20, latencyMs: 12 });
  expect(await served()).toEqual([
    [2_000, 1_600],
    [2_000, 0],
  ]);
  expect(server.count()).toBe(4);
});

test('a pod is born when it is first asked for, and each revision has its own', async () => {
  const first = await read();
  expect([...first.canary!.keys(), ...first.primary!.keys()]).toEqual([
    'web-1-abc-00000',
    'web-1-primary-00000',
  ]);
  const [pod] = first.canary!.values();
  expect([...pod!.requests.values()].map(one => one.count)).toEqual([0, 0]);
});

test('readings are no checks', async () => {
  await read();
  const scope = { namespace: 'shop', deployment: 'web-1', replicaSets: [], window: '1m' };
  const check = {
    metric: 'm',
    kind: 'request-success-rate' as const,
    windowMs: 1,
    query: successRate(scope),
  };
  const [value] = await createPrometheusAnalyzer({ address: server.url }).measure([check], query.pods, never);
  expect(value).toEqual({ kind: 'value', value: 100 });
  expect(server.answersAbout('"web-1"')).toHaveLength(1);
});

test('half an hour of the same lies behind', async () => {
  server.answer('"web-1-primary"', { successPercent: 99, latencyMs: 12 });
  const answer = await createPrometheusAnalyzer({ address: server.url }).counters!.history(query, never);
  if (answer.kind !== 'history') throw new Error(answer.kind);
  const history = historyOf(answer.samples);
  expect(paceOf(history)).toBe(1_000);
  const { requests, failures } = totalOf(history);
  expect(failures / requests).toBeCloseTo(0.01, 6);
});

test('what was counted before it was told otherwise stays', () => {
  let atMs = 1_000;
  let successPercent = 100;
  const counters = createPlayedCounters(
    () => ({ successPercent, latencyMs: 700 }),
    () => atMs,
  );
  const text = 'response_total{namespace="shop",deployment="web"} "kind", "time"';
  const counts = () => {
    const { result } = counters.answer(text, 'counters') as { result: { metric: any; value: any[] }[] };
    return ['requests', 'durations'].map(kind =>
      result.filter(one => one.metric.kind === kind).map(one => Number(one.value[1])),
    );
  };
  counts();
  atMs += 2_000;
  counters.settle();
  successPercent = 0;
  atMs += 1_000;
  const [requests, durations] = counts();
  expect(requests).toEqual([2_000, 1_000]);
  expect(new Set(durations)).toEqual(new Set([0, 3_000]));
});
