/**
 * What the series mean that pods export about themselves: Linkerd's proxy beside an application, or the application's
 * own counter and histogram under names that the user gave. Requests that no user sent (probes, scrapes) mean nothing.
 * Pure.
 */
import { ExpositionError, type Sample } from './exposition.ts';

export type Meaning =
  | { kind: 'requests'; isFailure: boolean }
  /** One cumulative bucket of the answers' durations. */
  | { kind: 'durations'; upperMs: number }
  /** When the process began, milliseconds since the epoch: its counters were zero then. */
  | { kind: 'startedAt'; at: number };

export interface CounterSource {
  /** Names of what is read, for messages to people; undefined: the metric that needs it cannot be answered. */
  readonly requests: string | undefined;
  readonly durations: string | undefined;
  wants(name: string): boolean;
  /** Undefined: the sample is of no interest. Throws ExpositionError when it cannot be understood. */
  meaningOf(sample: Sample): Meaning | undefined;
}

/** Exported by Linkerd's proxy and by most client libraries, in seconds since the epoch. */
const PROCESS_START = 'process_start_time_seconds';

const LINKERD_REQUESTS = 'response_total';
const LINKERD_DURATIONS = 'response_latency_ms';

/**
 * Linkerd's proxy, measured where the pod receives. The same choice as the PromQL in `queries/linkerd.ts`: inbound, without
 * the kubelet's probes, which always succeed and are counted under a route of their own.
 */
export const linkerdSource: CounterSource = {
  requests: LINKERD_REQUESTS,
  durations: LINKERD_DURATIONS,
  wants: name =>
    name === LINKERD_REQUESTS || name === `${LINKERD_DURATIONS}_bucket` || name === PROCESS_START,
  meaningOf(sample) {
    const { name, labels } = sample;
    if (name === PROCESS_START) return startedAt(sample);
    if (labels.get('direction') !== 'inbound' || labels.get('route_name') === 'probe') return undefined;
    if (name === LINKERD_REQUESTS)
      return { kind: 'requests', isFailure: labels.get('classification') !== 'success' };
    return { kind: 'durations', upperMs: upperBound(sample) };
  },
};

export interface ApplicationNames {
  /** Counter of answered requests, e.g. `http_requests_total`; the `_count` of a histogram does as well. */
  requestCounter: string | undefined;
  /** Labels in which the counter may hold the HTTP status; the first that a series has is used. */
  statusLabels: readonly string[];
  /** Histogram without its `_bucket`, e.g. `http_request_duration_seconds`. */
  durationHistogram: string | undefined;
  durationUnit: 'seconds' | 'milliseconds';
  /** Series that name one of these paths are probes or scrapes. */
  excludedPaths: readonly string[];
}

/** Labels in which client libraries and frameworks put the path or its template. */
const PATH_LABELS = ['path', 'handler', 'uri', 'route', 'endpoint', 'url', 'http_route'];
/** `200`, and `2xx` as instrumentations that group say it. */
const STATUS = /^[1-5](?:\d\d|xx)$/i;

export function applicationSource(names: ApplicationNames): CounterSource {
  const { requestCounter, durationHistogram } = names;
  const bucketName = durationHistogram === undefined ? undefined : `${durationHistogram}_bucket`;
  const factor = names.durationUnit === 'seconds' ? 1_000 : 1;
  const excluded = new Set(names.excludedPaths);

  function requestsOf(labels: ReadonlyMap<string, string>): Meaning | undefined {
    const status = names.statusLabels.map(label => labels.get(label)).find(value => value !== undefined);
    if (status === undefined) {
      throw new ExpositionError(
        `${requestCounter} has none of the labels ${names.statusLabels.join(', ')}: name the one that holds the HTTP status by --scrape-status-labels`,
      );
    }
    // Words such as UNKNOWN stand for requests that nobody answered, mostly because the client left: nobody's success or failure.
    return STATUS.test(status) ? { kind: 'requests', isFailure: status.startsWith('5') } : undefined;
  }

  return {
    requests: requestCounter,
    durations: durationHistogram,
    wants: name => name === requestCounter || name === bucketName || name === PROCESS_START,
    meaningOf(sample) {
      const { name, labels } = sample;
      if (name === PROCESS_START) return startedAt(sample);
      if (PATH_LABELS.some(label => excluded.has(labels.get(label) ?? ''))) return undefined;
      if (name === requestCounter) return requestsOf(labels);
      return { kind: 'durations', upperMs: upperBound(sample) * factor };
    },
  };
}

function startedAt({ value }: Sample): Meaning | undefined {
  return value > 0 && Number.isFinite(value) ? { kind: 'startedAt', at: value * 1_000 } : undefined;
}

function upperBound({ name, labels }: Sample): number {
  const text = labels.get('le') ?? '';
  const upper = /^\+?Inf$/i.test(text) ? Number.POSITIVE_INFINITY : Number(text.trim() || Number.NaN);
  if (Number.isNaN(upper)) throw new ExpositionError(`${name} has a series without a bound in the label le`);
  return upper;
}
