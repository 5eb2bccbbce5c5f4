/** Flags of the scrape: what the command line as a whole makes of them. */
import { describe, expect, test } from 'vitest';
import { parseConfig } from './config.ts';
import { scrapeSourceOf } from './scrapeFlags.ts';

function sourceOf(...args: string[]) {
  const parsed = parseConfig(args, {});
  if (parsed.kind !== 'config') throw new Error(JSON.stringify(parsed));
  return scrapeSourceOf(parsed.config);
}

function refusal(...args: string[]): string {
  const parsed = parseConfig(args, {});
  return parsed.kind === 'refused' ? parsed.message : JSON.stringify(parsed);
}

const bucket = (name: string, le: string) => ({
  name: `${name}_bucket`,
  labels: new Map([['le', le]]),
  value: 1,
});

describe('what is accepted', () => {
  test("without a flag it is Linkerd's proxy on its own port", () => {
    const parsed = parseConfig([], {});
    expect(parsed).toMatchObject({
      config: {
        scrapePort: 4191,
        scrapePath: '/metrics',
        scrapeStatusLabels: ['code', 'status', 'status_code', 'http_response_status_code'],
        scrapeExcludePaths: ['/metrics', '/healthz', '/readyz', '/livez'],
      },
    });
    expect(sourceOf()).toMatchObject({ requests: 'response_total', durations: 'response_latency_ms' });
  });

  test('names of an application', () => {
    const source = sourceOf(
      '--scrape-request-counter=http_requests_total',
      '--scrape-status-labels=outcome',
      '--scrape-duration-histogram=http_request_duration_seconds',
      '--scrape-exclude-paths=',
    );
    expect(source).toMatchObject({
      requests: 'http_requests_total',
      durations: 'http_request_duration_seconds',
    });
    const labels = new Map([
      ['outcome', '500'],
      ['path', '/metrics'],
    ]);
    expect(source.meaningOf({ name: 'http_requests_total', labels, value: 1 })).toEqual({
      kind: 'requests',
      isFailure: true,
    });
  });

  test.each([
    [['--scrape-duration-histogram=a_seconds'], 'a_seconds', 250],
    [['--scrape-duration-histogram=a_ms'], 'a_ms', 0.25],
    [
      ['--scrape-duration-histogram=a_milliseconds', '--scrape-duration-unit=milliseconds'],
      'a_milliseconds',
      0.25,
    ],
    [['--scrape-duration-histogram=a', '--scrape-duration-unit=seconds'], 'a', 250],
    [['--scrape-duration-histogram=a', '--scrape-duration-unit=milliseconds'], 'a', 0.25],
  ])('%j: the unit', (args, name, upperMs) => {
    expect(sourceOf(...args).meaningOf(bucket(name, '0.25'))).toEqual({ kind: 'durations', upperMs });
  });
});

test.each<[string[], string]>([
  [['--scrape-port=0'], '--scrape-port: expected a whole number from 1 to 65535, got "0"'],
  [['--scrape-path=metrics'], '--scrape-path: expected a path that begins with /, got "metrics"'],
  [['--scrape-request-counter=a-b'], '--scrape-request-counter: expected the name of a metric, got "a-b"'],
  [
    ['--scrape-status-labels=,'],
    '--scrape-status-labels: expected names of labels, separated by commas, got ","',
  ],
  [
    ['--scrape-exclude-paths=healthz'],
    '--scrape-exclude-paths: expected paths, separated by commas, each beginning with /, got "healthz"',
  ],
  [
    ['--scrape-duration-histogram=a_seconds_bucket'],
    '--scrape-duration-histogram: expected the name without _bucket',
  ],
  [
    ['--scrape-duration-histogram=http_latency'],
    '--scrape-duration-unit: expected seconds or milliseconds, because the name of the histogram does not say it',
  ],
  [
    ['--scrape-duration-histogram=a_seconds', '--scrape-duration-unit=milliseconds'],
    '--scrape-duration-unit: expected seconds, which the name of the histogram says, got "milliseconds"',
  ],
  [['--scrape-duration-unit=seconds'], '--scrape-duration-unit: expected --scrape-duration-histogram too'],
  [
    ['--scrape-duration-unit=hours'],
    '--scrape-duration-unit: expected one of seconds, milliseconds, got "hours"',
  ],
])('%j is refused', (args, message) => {
  expect(refusal(...args)).toBe(message);
});
