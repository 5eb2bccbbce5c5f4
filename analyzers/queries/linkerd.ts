/**
 * The built-in metrics as Linkerd's proxies export them, measured where the pods receive (`inbound`). The kubelet's
 * probes are inbound HTTP too and always succeed, so they are left out, or a pod without traffic would look healthy.
 */

export interface BuiltInScope {
  namespace: string;
  /** The Deployment's name: the label that the scrape puts on every pod's series. */
  deployment: string;
  /**
   * The ReplicaSets of the revision that is judged. Their pods alone are counted, gone ones included: what the window still
   * holds of another revision's pods must neither save this one nor condemn it. Empty: every pod of the Deployment.
   */
  replicaSets: readonly string[];
  /** A duration as Prometheus reads it, e.g. `60s`. */
  window: string;
}

function selector(scope: BuiltInScope, more = ''): string {
  const quote = (text: string) => JSON.stringify(text);
  // Names hold letters, digits, dots and hyphens; a pod's adds one hyphen and five letters to its ReplicaSet's.
  const sets = scope.replicaSets.map(name => name.replaceAll('.', '[.]')).join('|');
  const pods = sets === '' ? '' : `,pod=~${quote(`(${sets})-[a-z0-9]+`)}`;
  return `{namespace=${quote(scope.namespace)},deployment=${quote(scope.deployment)}${pods},direction="inbound",route_name!="probe"${more}}`;
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
