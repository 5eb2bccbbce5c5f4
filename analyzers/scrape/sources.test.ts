/** What series mean: Linkerd's, and those of applications as their client libraries write them. */
import { expect, test } from 'vitest';
import { type ApplicationNames, applicationSource, linkerdSource } from './sources.ts';

const sample = (name: string, labels: Record<string, string> = {}, value = 1) => ({
  name,
  labels: new Map(Object.entries(labels)),
  value,
});
const success = { kind: 'requests', isFailure: false };
const failure = { kind: 'requests', isFailure: true };

test.each<[string, Record<string, string>, object | undefined]>([
  ['response_total', { direction: 'inbound', route_name: 'default', classification: 'success' }, success],
  ['response_total', { direction: 'inbound', classification: 'success' }, success],
  ['response_total', { direction: 'inbound', classification: 'failure' }, failure],
  ['response_total', { direction: 'inbound', route_name: 'probe', classification: 'success' }, undefined],
  ['response_total', { direction: 'outbound', classification: 'failure' }, undefined],
  ['response_latency_ms_bucket', { direction: 'inbound', le: '50' }, { kind: 'durations', upperMs: 50 }],
  [
    'response_latency_ms_bucket',
    { direction: 'inbound', le: '+Inf' },
    { kind: 'durations', upperMs: Infinity },
  ],
  ['response_latency_ms_bucket', { direction: 'inbound', route_name: 'probe', le: '1' }, undefined],
])('Linkerd: %s %j', (name, labels, meaning) => {
  expect(linkerdSource.wants(name)).toBe(true);
  expect(linkerdSource.meaningOf(sample(name, labels))).toEqual(meaning);
});

test('Linkerd: other names are not read at all', () => {
  for (const name of [
    'request_total',
    'response_latency_ms_count',
    'outbound_http_route_request_statuses_total',
    'http_requests_total',
  ])
    expect(linkerdSource.wants(name)).toBe(false);
});

test('the start of the process is exported in seconds', () => {
  for (const source of [linkerdSource, application()]) {
    expect(source.wants('process_start_time_seconds')).toBe(true);
    expect(source.meaningOf(sample('process_start_time_seconds', {}, 1_700_000_000.5))).toEqual({
      kind: 'startedAt',
      at: 1_700_000_000_500,
    });
    expect(source.meaningOf(sample('process_start_time_seconds', {}, Number.NaN))).toBeUndefined();
  }
});

function application(names: Partial<ApplicationNames> = {}) {
  return applicationSource({
    requestCounter: 'http_requests_total',
    statusLabels: ['code', 'status'],
    durationHistogram: 'http_request_duration_seconds',
    durationUnit: 'seconds',
    excludedPaths: ['/metrics', '/healthz'],
    ...names,
  });
}

test.each<[Record<string, string>, object | undefined]>([
  [{ code: '200' }, success],
  [{ code: '404' }, success],
  [{ code: '500' }, failure],
  [{ status: '503' }, failure],
  [{ status: '5xx' }, failure],
  [{ status: '2XX' }, success],
  [{ code: '200', status: 'error' }, success],
  [{ status: 'UNKNOWN' }, undefined],
  [{ code: '0' }, undefined],
  [{ code: '200', path: '/healthz' }, undefined],
  [{ code: '200', handler: '/metrics' }, undefined],
  [{ code: '500', uri: '/healthz/orders' }, failure],
])('an application: status %j', (labels, meaning) => {
  expect(application().meaningOf(sample('http_requests_total', labels))).toEqual(meaning);
});

test('an application: a counter without a status is no counter of failures, and the flag is named', () => {
  expect(() => application().meaningOf(sample('http_requests_total', { method: 'GET' }))).toThrow(
    'http_requests_total has none of the labels code, status: name the one that holds the HTTP status by --scrape-status-labels',
  );
});

test('an application: durations in its unit', () => {
  const bucket = (le: string, name = 'http_request_duration_seconds_bucket') =>
    sample(name, { le, path: '/a' });
  expect(application().meaningOf(bucket('0.25'))).toEqual({ kind: 'durations', upperMs: 250 });
  expect(application().meaningOf(bucket('+Inf'))).toEqual({ kind: 'durations', upperMs: Infinity });
  const inMs = application({ durationHistogram: 'latency_ms', durationUnit: 'milliseconds' });
  expect(inMs.meaningOf(bucket('250', 'latency_ms_bucket'))).toEqual({ kind: 'durations', upperMs: 250 });
  expect(() => application().meaningOf(bucket('wide'))).toThrow('without a bound in the label le');
});

test('an application: the count of a histogram does as a counter', () => {
  const source = application({ requestCounter: 'http_request_duration_seconds_count' });
  expect(source.wants('http_request_duration_seconds_count')).toBe(true);
  expect(source.meaningOf(sample('http_request_duration_seconds_count', { code: '502' }))).toEqual(failure);
});
