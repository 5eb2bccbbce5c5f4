/** The composition root: configuration, adapters, controller, signals, in that order; nothing else. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { systemClock } from './clock.ts';
import { parseConfig, type Config } from './config.ts';
import { createFollow } from './controller/follow.ts';
import { createMeasure } from './controller/measure.ts';
import { createBullmqScheduler } from './controller/schedulerBullmq.ts';
import { createInProcessScheduler } from './controller/schedulerInProcess.ts';
import { createSilenceWatch, type SilenceWatch } from './controller/silence.ts';
import { createEngine, type Engine, type Log } from './engine.ts';
import { createApiClient } from './kubernetes/client.ts';
import { createDiscovery } from './kubernetes/discovery.ts';
import { loadKubeConfig } from './kubernetes/kubeconfig.ts';
import { createLease } from './kubernetes/lease.ts';
import { createLimiter } from './kubernetes/limiter.ts';
import { createTransport } from './kubernetes/transport.ts';
import { createDelivery } from './notifiers/delivery.ts';
import type { Receiver } from './notifiers/notifier.ts';
import { createPost } from './notifiers/post.ts';
import { scrapeSourceOf } from './scrapeFlags.ts';
import { createServer } from './server/server.ts';
import { createLog } from './telemetry/log.ts';
import { createMetrics } from './telemetry/metrics.ts';
import { createPrometheusAnalyzer } from '../analyzers/prometheus.ts';
import { createScrapeAnalyzer } from '../analyzers/scrape.ts';
import { inspectPods, inspectTarget } from './workloads/inspect.ts';
import { chooseStepper } from '../steppers/registry.ts';

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

async function run(config: Config, log: Log): Promise<void> {
  const clock = systemClock;
  const random = Math.random;
  const kubeConfig = loadKubeConfig(config.kubeconfig === undefined ? {} : { kubeconfig: config.kubeconfig });
  const { transport, close } = createTransport(kubeConfig, { clock, version: VERSION });
  const metrics = createMetrics({
    clock,
    version: VERSION,
    meshProvider: config.meshProvider,
    schedulerSilentMs: () => silence?.silentMs() ?? 0,
    ofProcess: true,
  });
  const limiter = createLimiter({
    clock,
    perSecond: config.kubeconfigQps,
    burst: config.kubeconfigBurst,
    onLimited: metrics.apiLimited,
  });
  const client = createApiClient(transport, { clock, limiter, onRequest: metrics.apiRequest });
  const trafficSplit = await createDiscovery(client).servedVersions('split.smi-spec.io');
  const chosen = chooseStepper(config.meshProvider, { trafficSplit });
  if (!chosen.ok) throw new Error(chosen.message);

  const isShared = config.redisUrl !== undefined;
  const lease = createLease(client.urgent, {
    namespace: config.leaderElectionNamespace,
    name: LEASE_NAME,
    identity: process.env['POD_NAME'] ?? hostname(),
    nonce: randomUUID(),
    clock,
    random,
  });
  const scrape = createScrapeAnalyzer({
    clock,
    source: scrapeSourceOf(config),
    port: config.scrapePort,
    path: config.scrapePath,
  });
  const analyzer =
    config.metricsServer === undefined ? scrape : createPrometheusAnalyzer({ address: config.metricsServer });
  const scheduler = isShared
    ? createBullmqScheduler({
        redisUrl: config.redisUrl ?? '',
        prefix: config.redisPrefix,
        concurrency: config.tickConcurrency,
        clock,
        log,
      })
    : createInProcessScheduler({ clock, log, concurrency: config.tickConcurrency });
  const { post, close: closePost } = createPost({ environment: process.env });
  const delivery = createDelivery({ clock, random, log, post, onOutcome: metrics.notification });
  // On one Redis every replica takes ticks; without it the one that holds the Lease does.
  const isActive = () => isShared || lease.isLeader();
  const engine: Engine = createEngine({
    clock,
    client,
    random,
    stepper: chosen.stepper,
    scheduler,
    apiGroup: config.apiGroup,
    namespaces: config.namespace,
    selectorLabels: config.selectorLabels,
    drainMs: config.drainSeconds * 1_000,
    resyncMs: config.resyncSeconds * 1_000,
    isActive,
    measure: createMeasure({ world: () => engine.world, analyzer }),
    follow: createFollow({ world: () => engine.world, analyzer, isActive }),
    inspect: inspectTarget,
    inspectPods,
    allowsCrossNamespaceRefs: !config.noCrossNamespaceRefs,
    tell: {
      delivery,
      slack: config.slackUrl === undefined ? undefined : slackOf(config, config.slackUrl),
      eventWebhook:
        config.eventWebhook === undefined ? undefined : { type: 'webhook', address: config.eventWebhook },
      clusterName: config.clusterName,
      asksPrometheus: config.metricsServer !== undefined,
    },
    log,
  });

  const silence: SilenceWatch | undefined = isShared
    ? createSilenceWatch({ clock, scheduler, controller: engine.controller, isLeader: lease.isLeader, log })
    : undefined;

  const { tlsCertFile, tlsKeyFile } = config;
  let isStarted = false;
  const server = createServer({
    clock,
    stores: engine.world.stores,
    client,
    canaryType: engine.world.types.canaries,
    metrics,
    // A silent scheduler is said, but REST goes on: people must be able to abort.
    isReady: () =>
      isStarted
        ? { ok: true, reasons: scheduler.isHealthy() ? [] : ['the scheduler is silent'] }
        : { ok: false, reasons: ['the caches are not filled yet'] },
    insecureHttp: config.insecureHttp,
    bindAddress:
      config.bindAddress ?? (process.env['KUBERNETES_SERVICE_HOST'] === undefined ? '127.0.0.1' : '0.0.0.0'),
    port: config.port,
    ...(tlsCertFile !== undefined && tlsKeyFile !== undefined
      ? { tls: { certFile: tlsCertFile, keyFile: tlsKeyFile } }
      : {}),
    log,
  });
  await server.start();

  const stopping = new AbortController();
  lease.onChange(isLeader => {
    log.info({ isLeader }, isLeader ? 'this replica is active' : 'this replica stands by');
    if (!isLeader) return;
    // On one Redis all replicas act from their start on, and tell again what was left then.
    if (!isShared) engine.tellAgain();
    void engine.controller.resync();
  });
  await engine.start();
  isStarted = true;
  const competing = lease.run(stopping.signal);
  void silence?.run(stopping.signal);
  log.info(
    { version: VERSION, provider: chosen.stepper.provider, namespaces: config.namespace },
    'serin runs',
  );

  await new Promise<void>(resolve => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  log.info({}, 'stopping');
  await server.close();
  await engine.stop(config.shutdownGraceSeconds * 1_000);
  scrape.close();
  await lease.release();
  stopping.abort();
  await competing;
  // Whoever takes over does not wait for this; what is cut off here is told again from the status.
  await delivery.flush(TELL_GRACE_MS);
  await delivery.close();
  await closePost();
  await close();
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
