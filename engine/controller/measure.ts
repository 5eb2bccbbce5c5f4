/**
 * From a canary's metrics to a judgement: queries rendered, providers chosen, answers turned into checks. It never
 * throws and decides nothing: what a check without a value means is the core's affair.
 */
import type { Judgement } from '../core/observation.ts';
import { checkedMetrics } from '../core/judged.ts';
import type { MetricSetting } from '../core/settings.ts';
import { checkOf } from '../core/verdict.ts';
import * as resources from '../kubernetes/resources.ts';
import { ApiError, type KubernetesObject } from '../kubernetes/types.ts';
import { readyPods } from '../workloads/service.ts';
import type { Analyzer, Arm, ArmPods, Measurement, MetricQuery } from '../../analyzers/analyzer.ts';
import { createPrometheusAnalyzer, type PrometheusOptions } from '../../analyzers/prometheus.ts';
import type { Sighting } from './observe.ts';
import { queryOf, templateOf } from './query.ts';
import type { World } from './world.ts';

/** All metrics of one check together. */
const CHECK_DEADLINE_MS = 15_000;

export interface MeasureOptions {
  world(): World;
  /** Answers built-in and inline metrics of canaries that name no server of their own. */
  analyzer: Analyzer;
  /** Reaches a server that a canary or a template names. Absent: over HTTP. */
  connect?: (server: PrometheusOptions) => Analyzer;
}

/** One analyzer for each metrics server that canaries name, so that each keeps its connections. */
export function createServers(
  own: Analyzer,
  connect: (server: PrometheusOptions) => Analyzer,
): (address: string | undefined) => Analyzer {
  const byAddress = new Map<string, Analyzer>();
  return address => {
    if (address === undefined) return own;
    const known = byAddress.get(address) ?? connect({ address });
    byAddress.set(address, known);
    return known;
  };
}

export function createMeasure(options: MeasureOptions) {
  const connect = options.connect ?? createPrometheusAnalyzer;
  const serverOf = createServers(options.analyzer, connect);

  async function one(
    sighting: Sighting,
    metric: MetricSetting,
    arm: Arm,
    signal: AbortSignal,
  ): Promise<Measurement> {
    const resolved = await resolve(options.world(), sighting, metric, arm, { serverOf, connect });
    if (!resolved.ok) return { kind: 'providerError', message: resolved.message };
    const [measurement] = await resolved.analyzer.measure(
      [resolved.query],
      podsOf(options.world(), sighting),
      signal,
    );
    return measurement ?? { kind: 'providerError', message: 'the provider did not answer' };
  }

  return async function measure(sighting: Sighting, arm: Arm, signal: AbortSignal): Promise<Judgement> {
    const { observation } = sighting;
    const { settings } = observation;
    // A promoted primary is judged by what is known of every workload; custom queries speak of the target alone.
    const asked =
      arm === 'primary'
        ? settings.metrics.filter(metric => metric.kind !== 'custom')
        : checkedMetrics(settings);
    // Not `AbortSignal.any`: Node never forgets a composite signal that anybody listens to, and analyzers listen.
    const limit = new AbortController();
    const cut = () => limit.abort();
    const timer = options.world().clock.setTimer(cut, CHECK_DEADLINE_MS);
    signal.addEventListener('abort', cut);
    if (signal.aborted) cut();
    try {
      const measurements = await Promise.all(
        asked.map(metric =>
          one(sighting, metric, arm, limit.signal).catch(
            (error: unknown): Measurement => ({
              kind: 'providerError',
              message: `the check failed: ${(error as Error).name}`,
            }),
          ),
        ),
      );
      const checks = asked.map((metric, index) =>
        checkOf(metric, measurements[index] ?? { kind: 'providerError', message: 'no answer' }),
      );
      const epoch = observation.route?.stamp.epoch ?? 0;
      return { runId: observation.status.run?.id ?? '', epoch, arm, checks, at: options.world().clock.now() };
    } finally {
      timer.cancel();
      signal.removeEventListener('abort', cut);
    }
  };
}

type Resolved = { ok: true; analyzer: Analyzer; query: MetricQuery } | { ok: false; message: string };

async function resolve(
  world: World,
  sighting: Sighting,
  metric: MetricSetting,
  arm: Arm,
  servers: { serverOf(address: string | undefined): Analyzer; connect(server: PrometheusOptions): Analyzer },
): Promise<Resolved> {
  const { names, canary, observation } = sighting;
  const asked = { names, canary, run: observation.status.run, now: world.clock.now() };
  const rendered = queryOf(world, asked, metric, arm);
  if (!rendered.ok) return rendered;
  const { name, kind, windowMs } = metric;
  const { intervalMs, bakeMs } = sighting.observation.settings;
  // What was counted since the last check, or since the primary has all the traffic: less is known only after a restart.
  const sinceMs = arm === 'canary' ? intervalMs : Math.min(intervalMs, bakeMs);
  const leastWindowMs = Math.min(windowMs, sinceMs);
  const query: MetricQuery = { metric: name, kind, windowMs, leastWindowMs, arm, query: rendered.query };
  if (!metric.template)
    return { ok: true, analyzer: servers.serverOf(sighting.canary.spec.metricsServer), query };
  const found = templateOf(world, canary.namespace, metric);
  if (!found.ok) return found;
  const { provider } = found.template.spec;
  const secret = await credentialsOf(world, metric.template.namespace, provider.secretRef?.name);
  if (!secret.ok) return secret;
  if (provider.address === undefined)
    return { ok: false, message: `MetricTemplate ${metric.template.name} has no provider.address` };
  const { address, headers, insecureSkipVerify } = provider;
  const analyzer = servers.connect({ address, headers, insecureSkipVerify, ...secret.credentials });
  return { ok: true, analyzer, query };
}

type Credentials = { username?: string; password?: string; bearerToken?: string };

/** Keys as Flagger's: `username` and `password`, or `token`. Read when used, so that a rotated Secret counts at once. */
async function credentialsOf(
  world: World,
  namespace: string,
  name: string | undefined,
): Promise<{ ok: true; credentials: Credentials } | { ok: false; message: string }> {
  if (name === undefined) return { ok: true, credentials: {} };
  let secret: KubernetesObject | undefined;
  try {
    secret = await world.client.get(resources.secrets, namespace, name);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { ok: false, message: `Secret ${namespace}/${name} cannot be read: ${error.message}` };
  }
  if (!secret) return { ok: false, message: `Secret ${namespace}/${name} does not exist` };
  const text = (key: string): string | undefined => {
    const encoded = secret.data?.[key];
    return encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString('utf8').trim();
  };
  const [username, password, bearerToken] = [text('username'), text('password'), text('token')];
  if (bearerToken) return { ok: true, credentials: { bearerToken } };
  if (username && password) return { ok: true, credentials: { username, password } };
  // Asking without credentials would look like an answer of somebody else's.
  return { ok: false, message: `Secret ${namespace}/${name} has neither token nor username and password` };
}

/** The ready pods of both arms, and the run that what they count belongs to. */
export function podsOf(world: World, sighting: Sighting): ArmPods {
  const { names, observation } = sighting;
  const podsBehind = (service: string) =>
    readyPods(world.stores.endpointSlices.find(names.namespace, service), service);
  return {
    history: `${names.namespace}/${sighting.canary.name}/${observation.status.run?.id ?? ''}`,
    canary: podsBehind(names.canary),
    primary: podsBehind(names.primary),
  };
}
