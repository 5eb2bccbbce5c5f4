/**
 * The built-in metrics as Linkerd's proxies export them, measured where the pods receive (`inbound`). The kubelet's
 * probes are inbound HTTP too and always succeed, so they are left out, or a pod without traffic would look healthy.
 */

/** One arm. */
export interface ArmSelector {
  namespace: string;
  /** The Deployment's name: the label that the scrape puts on every pod's series. */
  deployment: string;
  /**
   * The ReplicaSets of the revision that is judged. Their pods alone are counted, gone ones included: what the window still
   * holds of another revision's pods must neither save this one nor condemn it. Empty: every pod of the Deployment.
   */
  replicaSets: readonly string[];
}

export interface BuiltInScope extends ArmSelector {
  /** A duration as Prometheus reads it, e.g. `60s`. */
  window: string;
}

const quote = (text: string) => JSON.stringify(text);
/** Names hold letters, digits, dots and hyphens. */
const anyOf = (names: readonly string[]) => names.map(name => name.replaceAll('.', '[.]')).join('|');

function workload({ namespace, deployment, replicaSets }: ArmSelector): string {
  // A pod's name adds one hyphen and five letters to its ReplicaSet's.
  const pods = replicaSets.length === 0 ? '' : `,pod=~${quote(`(${anyOf(replicaSets)})-[a-z0-9]+`)}`;
  return `namespace=${quote(namespace)},deployment=${quote(deployment)}${pods}`;
}

function selector(scope: ArmSelector, more = ''): string {
  return `{${workload(scope)},direction="inbound",route_name!="probe"${more}}`;
}

/**
 * Percent of the requests that were answered without a failure. A revision that fails all of its requests has no series
 * of successes: that is 0 %, taken from the denominator; without any request the division is NaN, which is no data.
 */
export function successRate(scope: BuiltInScope): string {
  const total = `sum(rate(response_total${selector(scope)}[${scope.window}]))`;
  const succeeded = `sum(rate(response_total${selector(scope, ',classification="success"')}[${scope.window}]))`;
  return `100 * (${succeeded} or 0 * ${total}) / ${total}`;
}

/** 99th percentile in milliseconds. Linkerd counts to the first byte of the body. */
export function duration(scope: BuiltInScope): string {
  return `histogram_quantile(0.99, sum(rate(response_latency_ms_bucket${selector(scope)}[${scope.window}])) by (le))`;
}

/**
 * What a sample of `counters` is, said by its label `kind`:
 * `requests` by deployment, pod, classification and status code; `durations` by deployment, pod and le, milliseconds;
 * `series`: how many series the requests of this pod are the sum of; `startedAt`: when its proxy began, seconds since the
 * epoch; `sampledAt`: when the newest sample was scraped; `time`: the evaluation time, by the provider's clock.
 */
export type CounterKind = 'requests' | 'durations' | 'series' | 'startedAt' | 'sampledAt' | 'time';

const labelled = (kind: CounterKind, query: string) => `label_replace(${query}, "kind", "${kind}", "", "")`;

/** @param more further matchers, each with a comma before it */
function podCounters(arms: readonly ArmSelector[], more: string): string[] {
  const both = (metric: string) => arms.map(arm => `${metric}${selector(arm, more)}`).join(' or ');
  // Two jobs that scrape the same proxy would count every request twice, and so every piece of evidence.
  const once = (metric: string) => `max without (job, instance) (${both(metric)})`;
  const starts = arms.map(arm => `process_start_time_seconds{${workload(arm)}${more}}`).join(' or ');
  const requests = once('response_total');
  return [
    labelled('requests', `sum by (deployment, pod, classification, status_code) (${requests})`),
    labelled('durations', `sum by (deployment, pod, le) (${once('response_latency_ms_bucket')})`),
    labelled('series', `count by (deployment, pod) (${requests})`),
    // Other containers of the pod export a start of their own: the proxy's comes from where its counters come from.
    labelled(
      'startedAt',
      `max by (deployment, pod) ((${starts}) and on (job, instance, pod) (${both('response_total')}))`,
    ),
  ];
}

/**
 * Raw cumulative counters of all arms at one evaluation time: a vector whose samples `CounterKind` describes.
 *
 * Inbound as well, though what never reaches a pod is not counted there. Linkerd's outbound series do have `dst_pod`, but
 * they are recorded above the client that reconnects: to an endpoint that refuses connections the balancer sends nothing,
 * and a request that fails fast because all of them do is counted without an endpoint. Besides they are kept by each
 * client, so that they begin anew whenever a client does, and clients without a proxy are missing. A proxy whose
 * application refuses answers for it, and that is inbound; a pod that cannot be reached at all is not ready, which
 * the engine acts on by itself. Source: linkerd2-proxy, app/outbound/src/http/endpoint.rs.
 */
export function counters(arms: readonly ArmSelector[]): string {
  // Only of a plain selector does `timestamp` tell when a sample was taken.
  const timestamps = arms.map(arm => `timestamp(response_total${selector(arm)})`).join(' or ');
  return [
    ...podCounters(arms, ''),
    labelled('sampledAt', `max(${timestamps})`),
    labelled('time', 'vector(time())'),
  ].join(' or ');
}

/**
 * The same of one arm at each full minute of the last 30: a matrix. A subquery, because it ends at the provider's time,
 * where a range query would end at ours.
 * @param pods if not empty, only these
 */
export function counterHistory(arm: ArmSelector, pods: readonly string[]): string {
  const more = pods.length === 0 ? '' : `,pod=~${quote(anyOf(pods))}`;
  return `(${podCounters([arm], more).join(' or ')})[30m:1m]`;
}
