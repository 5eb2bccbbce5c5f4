/**
 * The flags that say where pods export their own metrics and under which names, and what they mean together: Linkerd's
 * proxy unless the user names a counter or a histogram of the application.
 */
import { expecting, flag, listOf, oneOf, optional, whole } from './flagReaders.ts';
import { applicationSource, type CounterSource, linkerdSource } from '../analyzers/scrape/sources.ts';

const METRIC = expecting('the name of a metric', given =>
  /^[a-zA-Z_:][a-zA-Z0-9_:]{0,199}$/.test(given) ? given : undefined,
);
const PATH = /^\/[^\s?#]{0,199}$/;

export const scrapeFlags = {
  'scrape-port': flag(
    whole(1, 65_535),
    "port on which pods export their own metrics, read when there is no metrics server; the default is that of Linkerd's proxy",
    { argument: 'port', fallback: '4191' },
  ),
  'scrape-path': flag(
    expecting('a path that begins with /', given => (PATH.test(given) ? given : undefined)),
    'path of the metrics on that port',
    { argument: 'path', fallback: '/metrics' },
  ),
  'scrape-request-counter': optional(
    METRIC,
    "counter of answered requests that the application exports, for request-success-rate; 5xx are failures (example: http_requests_total); absent, with no histogram either: Linkerd's proxy",
    { argument: 'metric' },
  ),
  'scrape-status-labels': flag(
    listOf(/^[a-zA-Z_][a-zA-Z0-9_]{0,99}$/, 'names of labels, separated by commas', 1),
    'labels in which that counter may hold the HTTP status; the first that a series has is used',
    { argument: 'names', fallback: 'code,status,status_code,http_response_status_code' },
  ),
  'scrape-duration-histogram': optional(
    METRIC,
    'histogram of durations that the application exports, without _bucket, for request-duration (example: http_request_duration_seconds)',
    { argument: 'metric' },
  ),
  'scrape-duration-unit': optional(
    oneOf('seconds', 'milliseconds'),
    'unit of that histogram: seconds or milliseconds; absent: what its name ends in (_seconds, _milliseconds, _ms)',
    { argument: 'unit' },
  ),
  'scrape-exclude-paths': flag(
    listOf(PATH, 'paths, separated by commas, each beginning with /', 0),
    "paths whose series are not users' requests, where the application has a label for the path (path, handler, uri, route, endpoint, url or http_route)",
    { argument: 'paths', fallback: '/metrics,/healthz,/readyz,/livez' },
  ),
};

export interface ScrapeNames {
  scrapeRequestCounter: string | undefined;
  scrapeStatusLabels: string[];
  scrapeDurationHistogram: string | undefined;
  scrapeDurationUnit: 'seconds' | 'milliseconds' | undefined;
  scrapeExcludePaths: string[];
}

const SUFFIXES = { seconds: /_seconds$/, milliseconds: /_(ms|millis|milliseconds)$/ } as const;

/** What the name itself says; undefined when it says nothing. */
function unitOf(histogram: string): 'seconds' | 'milliseconds' | undefined {
  if (SUFFIXES.milliseconds.test(histogram)) return 'milliseconds';
  return SUFFIXES.seconds.test(histogram) ? 'seconds' : undefined;
}

/** A wrong unit judges a thousand times too mildly or too harshly, so it is never guessed. */
export function scrapeDisagreement(names: ScrapeNames): string | undefined {
  const { scrapeDurationHistogram: histogram, scrapeDurationUnit: unit } = names;
  if (histogram === undefined)
    return unit === undefined
      ? undefined
      : '--scrape-duration-unit: expected --scrape-duration-histogram too';
  if (histogram.endsWith('_bucket')) return '--scrape-duration-histogram: expected the name without _bucket';
  const named = unitOf(histogram);
  if (unit === undefined && named === undefined)
    return '--scrape-duration-unit: expected seconds or milliseconds, because the name of the histogram does not say it';
  if (unit !== undefined && named !== undefined && unit !== named)
    return `--scrape-duration-unit: expected ${named}, which the name of the histogram says, got ${JSON.stringify(unit)}`;
  return undefined;
}

/** What pods are asked for. The flags have been checked by `scrapeDisagreement`. */
export function scrapeSourceOf(names: ScrapeNames): CounterSource {
  const { scrapeRequestCounter: requestCounter, scrapeDurationHistogram: durationHistogram } = names;
  if (requestCounter === undefined && durationHistogram === undefined) return linkerdSource;
  return applicationSource({
    requestCounter,
    statusLabels: names.scrapeStatusLabels,
    durationHistogram,
    durationUnit: names.scrapeDurationUnit ?? unitOf(durationHistogram ?? '') ?? 'seconds',
    excludedPaths: names.scrapeExcludePaths,
  });
}
