/** The metrics text of a played pod: it parses, and it counts right. */
import { expect, test } from 'vitest';
import { createPodMetrics, LINKERD_LATENCY_BUCKETS_MS } from './podmetrics.ts';

interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** A reader of the Prometheus text format, strict about what it meets. */
function parse(text: string): Sample[] {
  expect(text.endsWith('\n')).toBe(true);
  const samples: Sample[] = [];
  for (const line of text.trimEnd().split('\n')) {
    if (/^# (HELP [a-z_]+ .+|TYPE [a-z_]+ (counter|gauge|histogram))$/.test(line)) continue;
    const match = /^([a-z_]+)(?:\{(.*)\})? ([0-9.e+-]+)$/.exec(line);
    if (!match) throw new Error(`not a sample: ${line}`);
    const labels: Record<string, string> = {};
    const rest = (match[2] ?? '').replaceAll(
      /([a-z_]+)="((?:[^"\\]|\\.)*)"(?:,|$)/g,
      (_, name: string, value: string) => {
        labels[name] = value;
        return '';
      },
    );
    expect(rest).toBe('');
    samples.push({ name: match[1] ?? '', labels, value: Number(match[3]) });
  }
  return samples;
}

const target = { address: '10.244.0.7', port: 8080 };

test('the buckets are those of Linkerd’s proxy', () => {
  expect(LINKERD_LATENCY_BUCKETS_MS).toHaveLength(25);
  expect([
    LINKERD_LATENCY_BUCKETS_MS[0],
    LINKERD_LATENCY_BUCKETS_MS[5],
    LINKERD_LATENCY_BUCKETS_MS[24],
  ]).toEqual([1, 10, 50_000]);
});

test('responses are counted by class, status and route, with cumulative latencies', () => {
  const metrics = createPodMetrics(target);
  for (const [route, status, latencyMs] of [
    ['default', 200, 0.4],
    ['default', 200, 35],
    ['default', 500, 70_000],
    ['probe', 200, 0],
  ] as const) {
    metrics.requested(route, 'web.shop');
    metrics.responded(route, 'web.shop', status, latencyMs);
  }
  metrics.requested('default', 'web.shop');
  const samples = parse(metrics.linkerdText());
  const find = (name: string, labels: Record<string, string>): number[] =>
    samples
      .filter(
        sample =>
          sample.name === name &&
          Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
      )
      .map(sample => sample.value);
  const [start, ...counters] = samples;
  expect(start).toEqual({ name: 'process_start_time_seconds', labels: {}, value: expect.any(Number) });
  expect(Math.abs((start?.value ?? 0) * 1_000 - Date.now())).toBeLessThan(60_000);
  expect(counters.every(sample => sample.labels['direction'] === 'inbound')).toBe(true);
  expect(find('request_total', { route_name: 'default', authority: 'web.shop' })).toEqual([4]);
  expect(find('request_total', { route_name: 'probe' })).toEqual([1]);
  expect(
    find('response_total', { route_name: 'default', classification: 'success', status_code: '200' }),
  ).toEqual([2]);
  expect(
    find('response_total', { route_name: 'default', classification: 'failure', status_code: '500' }),
  ).toEqual([1]);
  expect(find('response_total', { route_name: 'probe', classification: 'success' })).toEqual([1]);
  const ok = { route_name: 'default', status_code: '200' };
  expect(find('response_latency_ms_bucket', { ...ok, le: '1' })).toEqual([1]);
  expect(find('response_latency_ms_bucket', { ...ok, le: '30' })).toEqual([1]);
  expect(find('response_latency_ms_bucket', { ...ok, le: '40' })).toEqual([2]);
  expect(find('response_latency_ms_bucket', { ...ok, le: '+Inf' })).toEqual([2]);
  expect(find('response_latency_ms_sum', ok)).toEqual([35.4]);
  expect(find('response_latency_ms_count', ok)).toEqual([2]);
  const failed = { route_name: 'default', status_code: '500' };
  expect(find('response_latency_ms_bucket', { ...failed, le: '50000' })).toEqual([0]);
  expect(find('response_latency_ms_bucket', { ...failed, le: '+Inf' })).toEqual([1]);
});

test('the application counts by code and in seconds, without probes', () => {
  const metrics = createPodMetrics(target);
  metrics.responded('default', 'web.shop', 200, 20);
  metrics.responded('default', 'web.shop', 503, 300);
  metrics.responded('probe', 'web.shop', 200, 0);
  const samples = parse(metrics.applicationText());
  const value = (name: string, label = ''): number | undefined =>
    samples.find(
      sample => sample.name === name && (label === '' || Object.values(sample.labels).includes(label)),
    )?.value;
  expect(value('http_requests_total', '200')).toBe(1);
  expect(value('http_requests_total', '503')).toBe(1);
  expect(value('http_request_duration_seconds_bucket', '0.025')).toBe(1);
  expect(value('http_request_duration_seconds_bucket', '0.5')).toBe(2);
  expect(value('http_request_duration_seconds_sum')).toBeCloseTo(0.32, 9);
  expect(value('http_request_duration_seconds_count')).toBe(2);
});

test('clients cannot break the text nor make it grow by their Host headers', () => {
  const metrics = createPodMetrics(target);
  metrics.requested('default', 'a"b\\c');
  for (let index = 0; index < 100; index++) metrics.requested('default', `host-${index}`);
  const samples = parse(metrics.linkerdText()).filter(sample => sample.name === 'request_total');
  expect(samples.length).toBeLessThanOrEqual(9);
  expect(samples.reduce((sum, sample) => sum + sample.value, 0)).toBe(101);
});
