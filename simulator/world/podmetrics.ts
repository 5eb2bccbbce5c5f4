/**
 * What a played pod has counted, written as Prometheus text: the inbound series of a Linkerd proxy beside it, and the
 * application's own. It counts only; who asks and over which port is not its matter. The number of series is bounded.
 */

/** Upper bounds in milliseconds, as Linkerd's proxy has them: 1-5, 10-50, 100-500, 1,000-5,000, 10,000-50,000. */
export const LINKERD_LATENCY_BUCKETS_MS: readonly number[] = [1, 10, 100, 1_000, 10_000].flatMap(unit =>
  [1, 2, 3, 4, 5].map(factor => unit * factor),
);
/** Upper bounds in seconds: the defaults of Prometheus client libraries. */
export const APPLICATION_BUCKETS_SECONDS: readonly number[] = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
/** A client chooses the Host header; beyond these the authority is left empty. */
const AUTHORITIES_MAX = 8;

/** The route names of Linkerd's default policy: probes are counted apart from all other requests. */
export type RouteName = 'default' | 'probe';

export interface PodMetrics {
  /** A request has come in. */
  requested(route: RouteName, authority: string): void;
  /** Its answer has left: `latencyMs` is the time to the first byte. */
  responded(route: RouteName, authority: string, statusCode: number, latencyMs: number): void;
  linkerdText(): string;
  applicationText(): string;
}

interface Histogram {
  /** One a bound, and one for everything above; not cumulative. */
  counts: number[];
  sum: number;
  total: number;
}

interface Series extends Histogram {
  labels: string;
  classification: 'success' | 'failure';
  statusCode: number;
}

export function createPodMetrics(target: { address: string; port: number }): PodMetrics {
  const authorities = new Set<string>();
  const requests = new Map<string, number>();
  const responses = new Map<string, Series>();
  const codes = new Map<number, number>();
  const durations = histogram(APPLICATION_BUCKETS_SECONDS);
  const start = [
    '# HELP process_start_time_seconds Time that the process started (in seconds since the UNIX epoch)',
    '# TYPE process_start_time_seconds gauge',
    `process_start_time_seconds ${Date.now() / 1_000}`,
  ];

  const commonLabels = (route: RouteName, authority: string): string => {
    if (authorities.size < AUTHORITIES_MAX) authorities.add(authority);
    const known = authorities.has(authority) ? authority : '';
    return (
      `direction="inbound",authority="${escapeLabel(known)}",target_addr="${target.address}:${target.port}",` +
      `target_ip="${target.address}",target_port="${target.port}",tls="no_identity",no_tls_reason="no_tls_from_remote",` +
      `srv_group="",srv_kind="default",srv_name="all-unauthenticated",srv_port="${target.port}",` +
      `route_group="",route_kind="default",route_name="${route}"`
    );
  };

  return {
    requested(route, authority) {
      const labels = commonLabels(route, authority);
      requests.set(labels, (requests.get(labels) ?? 0) + 1);
    },
    responded(route, authority, statusCode, latencyMs) {
      const labels = `${commonLabels(route, authority)},status_code="${statusCode}"`;
      let series = responses.get(labels);
      if (series === undefined) {
        const classification = statusCode >= 500 ? 'failure' : 'success';
        series = { labels, classification, statusCode, ...histogram(LINKERD_LATENCY_BUCKETS_MS) };
        responses.set(labels, series);
      }
      observe(series, LINKERD_LATENCY_BUCKETS_MS, latencyMs);
      if (route === 'probe') return;
      codes.set(statusCode, (codes.get(statusCode) ?? 0) + 1);
      observe(durations, APPLICATION_BUCKETS_SECONDS, latencyMs / 1000);
    },
    linkerdText() {
      const out = [
        ...start,
        '# HELP request_total Total count of HTTP requests.',
        '# TYPE request_total counter',
      ];
      for (const [labels, count] of requests) out.push(`request_total{${labels}} ${count}`);
      out.push('# HELP response_total Total count of HTTP responses.', '# TYPE response_total counter');
      for (const { labels, classification, total } of responses.values()) {
        out.push(
          `response_total{${labels},classification="${classification}",grpc_status="",error=""} ${total}`,
        );
      }
      out.push(
        '# HELP response_latency_ms Time from a request to its response.',
        '# TYPE response_latency_ms histogram',
      );
      for (const series of responses.values()) {
        histogramLines(out, 'response_latency_ms', series.labels, LINKERD_LATENCY_BUCKETS_MS, series);
      }
      return `${out.join('\n')}\n`;
    },
    applicationText() {
      const out = [
        ...start,
        '# HELP http_requests_total Requests answered.',
        '# TYPE http_requests_total counter',
      ];
      for (const [code, count] of codes) out.push(`http_requests_total{code="${code}"} ${count}`);
      out.push(
        '# HELP http_request_duration_seconds Time to answer.',
        '# TYPE http_request_duration_seconds histogram',
      );
      histogramLines(out, 'http_request_duration_seconds', '', APPLICATION_BUCKETS_SECONDS, durations);
      return `${out.join('\n')}\n`;
    },
  };
}

function histogram(bounds: readonly number[]): Histogram {
  return { counts: Array.from({ length: bounds.length + 1 }, () => 0), sum: 0, total: 0 };
}

function observe(into: Histogram, bounds: readonly number[], value: number): void {
  const index = bounds.findIndex(bound => value <= bound);
  const slot = index < 0 ? bounds.length : index;
  into.counts[slot] = (into.counts[slot] ?? 0) + 1;
  into.sum += value;
  into.total += 1;
}

function histogramLines(
  out: string[],
  name: string,
  labels: string,
  bounds: readonly number[],
  from: Histogram,
): void {
  const before = labels === '' ? '' : `${labels},`;
  const around = labels === '' ? '' : `{${labels}}`;
  let cumulative = 0;
  for (const [index, bound] of bounds.entries()) {
    cumulative += from.counts[index] ?? 0;
    out.push(`${name}_bucket{${before}le="${bound}"} ${cumulative}`);
  }
  out.push(`${name}_bucket{${before}le="+Inf"} ${from.total}`);
  out.push(`${name}_sum${around} ${from.sum}`, `${name}_count${around} ${from.total}`);
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
