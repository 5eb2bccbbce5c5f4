/** The composition root: configuration, adapters, controller, signals, in that order; nothing else. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { systemClock } from './clock.ts';
import { parseConfig, type Config } from './config.ts';
import { createFollow } from './controller/follow.ts';
import { createJudging } from './controller/judging.ts';
import { createMeasure, createServers } from './controller/measure.ts';
import type { Scheduler } from './controller/scheduler.ts';
import { createInProcessScheduler } from './controller/schedulerInProcess.ts';
import { createSilenceWatch, type SilenceWatch } from './controller/silence.ts';
import type { SharedTold, TellOptions } from './controller/tell.ts';
import { createEgress } from './egress.ts';
import { createEngine, type Engine, type Log } from './engine.ts';
import { createApiClient, type PrioritisedClient } from './kubernetes/client.ts';
import { loadKubeConfig } from './kubernetes/kubeconfig.ts';
import { createLateStore, type LateStore } from './kubernetes/lateStore.ts';
import { createLease, type LeaseElection } from './kubernetes/lease.ts';
import { createLimiter } from './kubernetes/limiter.ts';
import { canaryTypes } from './kubernetes/resources.ts';
import { createTransport } from './kubernetes/transport.ts';
import { type Changes, createPrerequisites, type Met, type Prerequisites } from './prerequisites.ts';
import { redisAuthorities } from './redisAuthorities.ts';
import { createDelivery } from './notifiers/delivery.ts';
import type { Receiver } from './notifiers/notifier.ts';
import { createPost } from './notifiers/post.ts';
import { scrapeSourceOf } from './scrapeFlags.ts';
import { createServer } from './server/server.ts';
import type { Wanted } from './survey.ts';
import { createLog } from './telemetry/log.ts';
import { createMetrics, type Metrics } from './telemetry/metrics.ts';
import type { Analyzer } from '../analyzers/analyzer.ts';
import { createPrometheusAnalyzer, type PrometheusOptions } from '../analyzers/prometheus.ts';
import { createScrapeAnalyzer } from '../analyzers/scrape.ts';
import { autoscalerProblems, inspectPods, inspectTarget } from './workloads/inspect.ts';

const VERSION = '0.1.0';
const LEASE_NAME = 'serin';
/** A receiver that answers at all does so within this; a pod has 30 s to end in all. */
const TELL_GRACE_MS = 5_000;

function slackOf({ slackUser, slackChannel }: Config, address: string): Receiver {
  return {
    type: 'slack',
    address,
    username: slackUser,
    ...(slackChannel === undefined ? {} : { channel: slackChannel }),
  };
}

/** What `serve` works with, whichever namespaces and provider there turn out to be. */
interface Adapters {
  config: Config;
  log: Log;
  client: PrioritisedClient;
  prerequisites: Prerequisites;
  /** Aborts when the process is to end. */
  stopping: AbortController;
  parts: Parts;
  metrics: Metrics;
}

/** What health, metrics and REST look at, from the moment at which it is there. */
interface Parts {
  canaries: LateStore;
  scheduler?: Scheduler;
  silence?: SilenceWatch;
}

async function run(config: Config, log: Log): Promise<void> {
  const clock = systemClock;
  const kubeConfig = loadKubeConfig(config.kubeconfig === undefined ? {} : { kubeconfig: config.kubeconfig });
  const { transport, close } = createTransport(kubeConfig, { clock, version: VERSION });
  const { canaries: canaryType } = canaryTypes(config.apiGroup);
  const parts: Parts = { canaries: createLateStore(canaryType) };
  const metrics = createMetrics({
    clock,
    version: VERSION,
    meshProvider: config.meshProvider,
    schedulerSilentMs: () => parts.silence?.silentMs() ?? 0,
    ofProcess: true,
  });
  const limiter = createLimiter({
    clock,
    perSecond: config.kubeconfigQps,
    burst: config.kubeconfigBurst,
    onLimited: metrics.apiLimited,
  });
  const client = createApiClient(transport, {
    clock,
    limiter,
    onRequest(request) {
      metrics.apiRequest(request);
      prerequisites.noticed(request);
    },
  });
  const prerequisites = createPrerequisites({ client, clock, log, wanted: wantedBy(config) });
  const server = createServer({
    clock,
    stores: { canaries: parts.canaries },
    client,
    canaryType,
    metrics,
    isReady: () => readiness(parts, prerequisites),
    ...listening(config),
    log,
  });
  await server.start();

  const stopping = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopping.abort());
  const met = await prerequisites.met(stopping.signal);
  const ending = met && (await serve(met, { config, log, client, prerequisites, stopping, parts, metrics }));
  log.info({}, 'stopping');
  prerequisites.stop();
  await server.close();
  await ending?.();
  await close();
}

function wantedBy(config: Config): Wanted {
  const { apiGroup, namespace: namespaces, meshProvider: provider } = config;
  const lease = { namespace: config.leaderElectionNamespace, name: LEASE_NAME };
  return { apiGroup, namespaces, provider, lease };
}

function readiness(
  { canaries, scheduler }: Parts,
  prerequisites: Prerequisites,
): { ok: boolean; reasons: string[] } {
  const reasons = prerequisites.lacks().map(lack => `${lack.reason}: ${lack.message}`);
  // A silent scheduler is said, but REST goes on: people must be able to abort.
  if (scheduler?.isHealthy() === false) reasons.push('the scheduler is silent');
  if (canaries.isThere()) return { ok: true, reasons };
  return { ok: false, reasons: reasons.length > 0 ? reasons : ['the caches are not filled yet'] };
}

function listening(config: Config) {
  const { tlsCertFile, tlsKeyFile, insecureHttp, port } = config;
  const isInPod = process.env['KUBERNETES_SERVICE_HOST'] !== undefined;
  return {
    insecureHttp,
    port,
    bindAddress: config.bindAddress ?? (isInPod ? '0.0.0.0' : '127.0.0.1'),
    ...(tlsCertFile !== undefined && tlsKeyFile !== undefined
      ? { tls: { certFile: tlsCertFile, keyFile: tlsKeyFile } }
      : {}),
  };
}

/** Runs the engine until the process is to end. The answer stops it. */
async function serve(met: Met, adapters: Adapters): Promise<() => Promise<void>> {
  const { config, log, client, prerequisites, stopping, parts } = adapters;
  const clock = systemClock;
  const isShared = config.redisUrl !== undefined;
  const lease = leaseOf(config, client);
  const scheduler = await schedulerOf(config, log);
  // On one Redis every replica takes ticks; without it the one that holds the Lease does.
  const isActive = () => isShared || lease.isLeader();
  const analysis = analysisOf(config);
  const { analyzer } = analysis;
  const telling = tellingOf(adapters, scheduler.told);
  const egress = createEgress(config.egressAllow);
  const connect = (server: PrometheusOptions) => createPrometheusAnalyzer({ ...server, egress });
  const serverOf = createServers(analyzer, connect);
  const engine: Engine = createEngine({
    clock,
    client,
    random: Math.random,
    stepper: met.stepper,
    served: prerequisites.served,
    lacks: prerequisites.problemsIn,
    onMemoryLost: prerequisites.suspect,
    scheduler,
    apiGroup: config.apiGroup,
    namespaces: met.namespaces,
    selectorLabels: config.selectorLabels,
    drainMs: config.drainSeconds * 1_000,
    resyncMs: config.resyncSeconds * 1_000,
    isActive,
    isLeader: lease.isLeader,
    measure: createMeasure({ world: () => engine.world, analyzer, connect }),
    judging: createJudging({ world: () => engine.world, countersOf: address => serverOf(address).counters }),
    follow: createFollow({ world: () => engine.world, analyzer, isActive }),
    inspect: inspectTarget,
    inspectAutoscalers: autoscalerProblems,
    inspectPods,
    allowsCrossNamespaceRefs: !config.noCrossNamespaceRefs,
    tell: telling.options,
    log,
  });
  const { controller } = engine;
  const silence = isShared
    ? createSilenceWatch({ clock, scheduler, controller, isLeader: lease.isLeader, log })
    : undefined;
  Object.assign(parts, { scheduler, silence });
  prerequisites.follow(changesFor(engine, adapters));
  lease.onChange(isLeader => {
    log.info({ isLeader }, isLeader ? 'this replica is active' : 'this replica stands by');
    if (!isLeader) return;
    // On one Redis all replicas act from their start on, and tell again what was left then.
    if (!isShared) engine.tellAgain();
    engine.sayAcceptance();
    void controller.resync();
  });
  const stopped = aborted(stopping.signal);
  const competing = new AbortController();
  await Promise.race([engine.start(), stopped]);
  if (!stopping.signal.aborted) parts.canaries.become(engine.world.stores.canaries);
  const election = lease.run(competing.signal);
  void silence?.run(competing.signal);
  const { provider } = met.stepper;
  log.info({ version: VERSION, provider, namespaces: met.namespaces }, 'serin runs');
  await stopped;
  return async () => {
    await engine.stop(config.shutdownGraceSeconds * 1_000);
    analysis.close();
    await lease.release();
    competing.abort();
    await election;
    await telling.close();
  };
}

function changesFor(engine: Engine, { log, stopping }: Adapters): Changes {
  return {
    onNamespace: namespace => engine.serve(namespace),
    onChange: () => void engine.controller.resync(),
    onWhole: () => engine.trustMemory(),
    onOutdated({ reason, message }) {
      // What is written now would lose fields; started again, the engine waits for the right CRDs.
      log.error({ reason, detail: message }, 'the CRDs were replaced: the engine ends');
      process.exitCode = 1;
      stopping.abort();
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function leaseOf(config: Config, client: PrioritisedClient): LeaseElection {
  return createLease(client.urgent, {
    namespace: config.leaderElectionNamespace,
    name: LEASE_NAME,
    identity: process.env['POD_NAME'] ?? hostname(),
    nonce: randomUUID(),
    clock: systemClock,
    random: Math.random,
  });
}

/** BullMQ is loaded only where there is a Redis: it takes 25 MB. */
async function schedulerOf(config: Config, log: Log): Promise<Scheduler & { told?: SharedTold }> {
  const { redisUrl, redisCaFile, redisPrefix, tickConcurrency } = config;
  const shared = { clock: systemClock, log, concurrency: tickConcurrency };
  if (redisUrl === undefined) return createInProcessScheduler(shared);
  const { createBullmqScheduler } = await import('./controller/schedulerBullmq.ts');
  const redisCa = redisCaFile === undefined ? undefined : await redisAuthorities(redisCaFile);
  return createBullmqScheduler({ ...shared, redisUrl, redisCa, prefix: redisPrefix });
}

/** What answers the metrics: a server, or without one the pods themselves. */
function analysisOf(config: Config): { analyzer: Analyzer; close(): void } {
  const { metricsServer, scrapePort: port, scrapePath: path } = config;
  if (metricsServer === undefined) {
    const scrape = createScrapeAnalyzer({ clock: systemClock, source: scrapeSourceOf(config), port, path });
    return { analyzer: scrape, close: () => scrape.close() };
  }
  const analyzer = createPrometheusAnalyzer({
    address: metricsServer,
    username: config.metricsServerUsername,
    passwordFile: config.metricsServerPasswordFile,
    bearerTokenFile: config.metricsServerTokenFile,
    caFile: config.metricsServerCaFile,
  });
  return { analyzer, close: () => {} };
}

function tellingOf(
  { config, log, metrics }: Adapters,
  shared: SharedTold | undefined,
): { options: TellOptions; close(): Promise<void> } {
  const { slackUrl, eventWebhook, clusterName } = config;
  // What the operator named by flags may be told without being on the list for users.
  const own = [slackUrl, eventWebhook].flatMap(one => (one === undefined ? [] : new URL(one).hostname));
  const egress = createEgress(config.egressAllow.length === 0 ? [] : [...config.egressAllow, ...own]);
  const { post, close } = createPost({ environment: process.env, egress });
  const onOutcome = metrics.notification;
  const onOver = (id: string) => shared?.add(id);
  const random = Math.random;
  const delivery = createDelivery({ clock: systemClock, random, log, post, onOutcome, onOver });
  return {
    options: {
      delivery,
      shared,
      slack: slackUrl === undefined ? undefined : slackOf(config, slackUrl),
      eventWebhook: eventWebhook === undefined ? undefined : { type: 'webhook', address: eventWebhook },
      clusterName,
      asksPrometheus: config.metricsServer !== undefined,
    },
    async close() {
      // Whoever takes over does not wait for this; what is cut off here is told again from the status.
      await delivery.flush(TELL_GRACE_MS);
      await delivery.close();
      await close();
    },
  };
}

const parsed = parseConfig(process.argv.slice(2), process.env);
switch (parsed.kind) {
  case 'help':
    process.stdout.write(parsed.text);
    break;
  case 'refused':
    process.stderr.write(`serin: ${parsed.message}\n`);
    process.exitCode = 2;
    break;
  case 'config': {
    const log = createLog(parsed.config.logLevel);
    await run(parsed.config, log).catch((error: Error) => {
      log.error({ reason: error.message }, 'serin cannot run');
      process.exitCode = 1;
    });
    break;
  }
  default:
    parsed satisfies never;
}
