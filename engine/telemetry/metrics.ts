/**
 * The engine's Prometheus metrics: its own under `serin_`, and those that dashboards and alerts made for Flagger read,
 * under Flagger's names and meanings. State is read from the store when it is scraped, so that it cannot drift from it.
 * It never labels by anything without a bound (tokens, users, object names outside the cache).
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type CanaryStatus, PHASES } from '../api/status.ts';
import type { Clock } from '../clock.ts';
import type { RequestInfo } from '../kubernetes/client.ts';
import { DELIVERY_OUTCOMES, type DeliveryOutcome } from '../notifiers/delivery.ts';
import { type KubernetesObject, objectKey } from '../kubernetes/types.ts';

export interface MetricsOptions {
  clock: Clock;
  version: string;
  meshProvider: string;
  /** For how long the scheduler has been silent, milliseconds; asked when scraped. */
  schedulerSilentMs?: () => number;
  /** Whether memory, CPU and event loop of this process are measured too. */
  ofProcess?: boolean;
}

export interface Metrics {
  readonly contentType: string;
  /** Sets the series of these canaries and removes those of all others. Called when scraped. */
  observe: (canaries: readonly KubernetesObject[]) => void;
  /** One request to the Kubernetes API server: for `onRequest` of the client. */
  apiRequest: (info: RequestInfo) => void;
  /** The safety limit delayed a request: for `onLimited` of the limiter. */
  apiLimited: (delayMs: number) => void;
  /** How the way of one notification to one receiver ended: for `onOutcome` of the delivery. */
  notification: (outcome: DeliveryOutcome) => void;
  /** One request that the engine's own server answered. */
  served: (method: string, code: number) => void;
  /** The exposition text. */
  text: () => Promise<string>;
}

const STATUS_PROGRESSING = 0;
const STATUS_OTHER = 1;
const STATUS_FAILED = 2;

/** Counters of one canary: what ended since this process started, without counting anything twice. */
interface Seen {
  /** By strategy and analysis status: whoever edits a canary starts new series. */
  labelSets: Map<string, Record<string, string>>;
  /** `endedAt` of the newest rollout that was counted, milliseconds since the epoch. */
  countedUntil: number;
}

export function createMetrics(options: MetricsOptions): Metrics {
  const { clock } = options;
  const registry = new Registry();
  if (options.ofProcess) collectDefaultMetrics({ register: registry });
  const canaries = createCanarySeries(registry, clock.now());
  const server = createServerSeries(registry);
  new Gauge({
    name: 'flagger_info',
    help: 'Version and mesh provider of the engine; always 1.',
    labelNames: ['version', 'mesh_provider'],
    registers: [registry],
  }).set({ version: options.version, mesh_provider: options.meshProvider }, 1);

  const { schedulerSilentMs = () => 0 } = options;
  new Gauge({
    name: 'serin_scheduler_silent_seconds',
    help: 'For how long the shared scheduler has not answered; 0 while it does.',
    registers: [registry],
    collect() {
      this.set(schedulerSilentMs() / 1_000);
    },
  });

  return {
    contentType: registry.contentType,
    observe: canaries,
    ...server,
    text: () => registry.metrics(),
  };
}

function createServerSeries(
  registry: Registry,
): Pick<Metrics, 'apiRequest' | 'apiLimited' | 'notification' | 'served'> {
  const registers = [registry];
  const requests = new Counter({
    name: 'serin_api_requests_total',
    help: 'Requests to the Kubernetes API server; code 0: no answer.',
    labelNames: ['verb', 'resource', 'code'],
    registers,
  });
  const duration = new Histogram({
    name: 'serin_api_request_duration_seconds',
    help: 'Time until the API server answered; for a watch, until its first byte.',
    labelNames: ['verb'],
    buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const limited = new Counter({
    name: 'serin_api_limited_seconds_total',
    help: 'Time that requests waited for the client-side safety limit.',
    registers,
  });
  const answers = new Counter({
    name: 'serin_http_requests_total',
    help: "Requests that the engine's own server answered.",
    labelNames: ['method', 'code'],
    registers,
  });
  const notifications = new Counter({
    name: 'serin_notifications_total',
    help: 'Messages to receivers by how they ended: delivered, refused, givenUp (tries spent) or dropped (queue full).',
    labelNames: ['outcome'],
    registers,
  });
  // Series that are there from the start let `increase()` see the first loss.
  for (const outcome of DELIVERY_OUTCOMES) notifications.inc({ outcome }, 0);
  return {
    notification: outcome => notifications.inc({ outcome }),
    apiRequest({ verb, resource, code, durationMs }) {
      requests.inc({ verb, resource, code: String(code) });
      duration.observe({ verb }, durationMs / 1_000);
    },
    apiLimited: delayMs => limited.inc(Math.max(0, delayMs) / 1_000),
    served: (method, code) => answers.inc({ method, code: String(code) }),
  };
}

function createGauges(registry: Registry) {
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new Gauge<Label>({ name, help, labelNames: [...labelNames], registers: [registry] });
  return {
    total: gauge('flagger_canary_total', 'Canaries in a namespace.', ['namespace']),
    status: gauge('flagger_canary_status', 'Last outcome: 0 running, 1 successful, 2 failed.', [
      'name',
      'namespace',
    ]),
    weight: gauge('flagger_canary_weight', 'Traffic weight in percent.', ['workload', 'namespace']),
    analysis: gauge('flagger_canary_metric_analysis', 'Last measured value of a metric.', [
      'name',
      'namespace',
      'metric',
    ]),
    phase: gauge('serin_canary_phase', 'Phase of a canary: 1 for the phase that it is in.', [
      'name',
      'namespace',
      'phase',
    ]),
    failedChecks: gauge('serin_canary_failed_checks', 'Failed checks of the run.', ['name', 'namespace']),
    evidence: gauge(
      'serin_canary_evidence_ratio',
      'Evidence against the canary of the run, as part of what rolls back (logarithms): 1 rolls back.',
      ['name', 'namespace'],
    ),
    paused: gauge('serin_canary_paused', '1 while a person has paused the run.', ['name', 'namespace']),
  };
}

/** `startedAtMs`: rollouts that ended before are history, not counted. */
function createCanarySeries(registry: Registry, startedAtMs: number): Metrics['observe'] {
  const gauges = createGauges(registry);
  const labelNames = ['name', 'namespace', 'deployment_strategy', 'analysis_status'] as const;
  const counter = (name: string, help: string) =>
    new Counter({ name, help, labelNames: [...labelNames], registers: [registry] });
  const successes = counter('flagger_canary_successes_total', 'Rollouts that were promoted.');
  const failures = counter('flagger_canary_failures_total', 'Rollouts that failed.');
  const seen = new Map<string, Seen>();

  function countRollouts(key: string, object: KubernetesObject, name: string, namespace: string): void {
    const status: CanaryStatus = object.status ?? {};
    const known = seen.get(key) ?? { labelSets: new Map(), countedUntil: startedAtMs };
    const labels = {
      name,
      namespace,
      deployment_strategy: strategyOf(object),
      analysis_status: object.spec?.skipAnalysis === true ? 'skipped' : 'completed',
    };
    known.labelSets.set(`${name} ${labels.deployment_strategy} ${labels.analysis_status}`, labels);
    // A series that is there from the start lets `increase()` see the first rollout.
    successes.inc(labels, 0);
    failures.inc(labels, 0);
    let newest = known.countedUntil;
    for (const rollout of status.history ?? []) {
      const endedAt = Date.parse(rollout.endedAt);
      if (!(endedAt > known.countedUntil)) continue;
      newest = Math.max(newest, endedAt);
      if (rollout.outcome === 'Succeeded') successes.inc(labels);
      if (rollout.outcome === 'Failed') failures.inc(labels);
    }
    seen.set(key, { ...known, countedUntil: newest });
  }

  function removeCounters({ labelSets }: Seen): void {
    for (const labels of labelSets.values()) for (const one of [successes, failures]) one.remove(labels);
  }

  return canaries => {
    for (const gauge of Object.values(gauges)) gauge.reset();
    const present = new Set<string>();
    for (const object of canaries) {
      const name: unknown = object.spec?.targetRef?.name;
      const namespace = object.metadata.namespace ?? '';
      gauges.total.inc({ namespace });
      if (typeof name !== 'string') continue; // Quarantined: it has no target to speak of.
      const key = objectKey(namespace, object.metadata.name);
      present.add(key);
      setGauges(gauges, object, name, namespace);
      countRollouts(key, object, name, namespace);
    }
    for (const [key, known] of seen) {
      if (present.has(key)) continue;
      seen.delete(key);
      removeCounters(known);
    }
  };
}

function setGauges(
  gauges: ReturnType<typeof createGauges>,
  object: KubernetesObject,
  name: string,
  namespace: string,
): void {
  const status: CanaryStatus = object.status ?? {};
  const labels = { name, namespace };
  const code =
    status.phase === 'Progressing'
      ? STATUS_PROGRESSING
      : status.phase === 'Failed'
        ? STATUS_FAILED
        : STATUS_OTHER;
  gauges.status.set(labels, code);
  const weight = status.canaryWeight ?? 0;
  gauges.weight.set({ workload: name, namespace }, weight);
  gauges.weight.set({ workload: `${name}-primary`, namespace }, 100 - weight);
  for (const phase of PHASES) gauges.phase.set({ ...labels, phase }, status.phase === phase ? 1 : 0);
  gauges.failedChecks.set(labels, status.failedChecks ?? 0);
  gauges.paused.set(labels, status.paused ? 1 : 0);
  const { judge } = status;
  if (judge && judge.run === status.run?.id)
    gauges.evidence.set(labels, Math.max(0, judge.logEvidence / judge.logNeeded));
  for (const check of status.checks ?? []) {
    if (check.value !== undefined) gauges.analysis.set({ ...labels, metric: check.metric }, check.value);
  }
}

function strategyOf(object: KubernetesObject): string {
  const analysis = object.spec?.analysis ?? {};
  if (analysis.match?.length > 0 && analysis.iterations > 0) return 'ab-testing';
  if (analysis.iterations > 0) return 'blue-green';
  return 'canary';
}
