/**
 * The embedded world of the demo: an API server in memory over HTTP, its controllers, a played kubelet whose pods are
 * real HTTP servers on loopback, a data plane that obeys TrafficSplits, a steady stream of real requests, and the real
 * engine against all of it by its normal adapters.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { createScrapeAnalyzer } from '../../analyzers/scrape.ts';
import { linkerdSource } from '../../analyzers/scrape/sources.ts';
import { systemClock } from '../../engine/clock.ts';
import { createFollow } from '../../engine/controller/follow.ts';
import { createJudging } from '../../engine/controller/judging.ts';
import { createMeasure } from '../../engine/controller/measure.ts';
import { createInProcessScheduler } from '../../engine/controller/schedulerInProcess.ts';
import { createEngine, type Engine } from '../../engine/engine.ts';
import { createApiClient } from '../../engine/kubernetes/client.ts';
import { createTransport } from '../../engine/kubernetes/transport.ts';
import { autoscalerProblems, inspectPods, inspectTarget } from '../../engine/workloads/inspect.ts';
import { createSmiStepper } from '../../steppers/smi.ts';
import { createMemoryApi } from '../api/memory.ts';
import { startControllers } from '../controllers/start.ts';
import { createWorldApi, type WorldApi } from '../world/api.ts';
import { startKubelet } from '../world/kubelet.ts';
import { deployment, namespace, service, trafficSplitCrd } from '../world/manifests.ts';
import { startSplitter } from '../world/splitter.ts';
import { startTraffic, type Traffic } from '../world/traffic.ts';

export const NAMESPACE = 'shop';
export const NAME = 'web';
/** Unusual, so that nothing on this machine listens on it on every address. */
const POD_PORT = 18_480;
/** Where the played pods have what is Linkerd's 4191. */
const ADMIN_PORT = 18_491;
const POD_PORTS = { port: POD_PORT, adminPort: ADMIN_PORT };
const REQUESTS_PER_SECOND = 60;

export interface DemoWorld {
  api: WorldApi;
  traffic: Traffic;
  canary(): Promise<any>;
  release(version: string, errorPercent: number): Promise<void>;
  stop(): Promise<void>;
}

const root = join(import.meta.dirname, '../..');

function crds() {
  const folder = join(root, 'charts/serin/crds');
  return [
    ...readdirSync(folder).map(file => parse(readFileSync(join(folder, file), 'utf8'))),
    trafficSplitCrd(),
  ];
}

export async function startDemoWorld(onEvent: (fields: object, message: string) => void): Promise<DemoWorld> {
  const clock = systemClock;
  const memory = createMemoryApi({ clock, crds: crds(), allowsLoopbackEndpoints: true });
  const served = await memory.serve();
  const controllers = startControllers({ store: memory.store, clock });
  const api = createWorldApi({ baseUrl: served.url });
  const kubelet = startKubelet({ api, addresses: { base: '127.1.0.0' } });
  const splitter = await startSplitter({ api });
  await Promise.all([kubelet.synced, splitter.synced]);

  await post(api, '/api/v1/namespaces', namespace(NAMESPACE));
  const workload = deployment({
    namespace: NAMESPACE,
    name: NAME,
    version: 'v1',
    replicas: 2,
    ...POD_PORTS,
  });
  await post(api, `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`, workload);
  await post(api, `/api/v1/namespaces/${NAMESPACE}/services`, service({ namespace: NAMESPACE, name: NAME }));
  await untilServing(api);

  const traffic = startTraffic({
    target: splitter,
    service: NAME,
    namespace: NAMESPACE,
    requestsPerSecond: REQUESTS_PER_SECOND,
  });
  const kubeConfig = {
    cluster: { name: 'demo', server: served.url, skipTLSVerify: true },
    user: { name: 'demo' },
    namespace: 'default',
  };
  const { transport, close } = createTransport(kubeConfig, { clock, version: 'demo' });
  const log = { info: onEvent, warn: onEvent, error: onEvent };
  // There is no Prometheus: the pods say themselves what they answered.
  const analyzer = createScrapeAnalyzer({ clock, source: linkerdSource, port: ADMIN_PORT, path: '/metrics' });
  const engine: Engine = createEngine({
    clock,
    client: createApiClient(transport, { clock }),
    random: Math.random,
    stepper: createSmiStepper('v1alpha2'),
    scheduler: createInProcessScheduler({ clock, log }),
    apiGroup: 'serin.dev',
    namespaces: [],
    selectorLabels: ['app'],
    drainMs: 500,
    resyncMs: 30_000,
    isActive: () => true,
    measure: createMeasure({ world: () => engine.world, analyzer }),
    judging: createJudging({ world: () => engine.world, countersOf: () => analyzer.counters }),
    follow: createFollow({ world: () => engine.world, analyzer, isActive: () => true }),
    inspect: inspectTarget,
    inspectAutoscalers: autoscalerProblems,
    inspectPods,
    log,
  });
  await engine.start();
  await post(api, `/apis/serin.dev/v1beta1/namespaces/${NAMESPACE}/canaries`, {
    apiVersion: 'serin.dev/v1beta1',
    kind: 'Canary',
    metadata: { name: NAME, namespace: NAMESPACE },
    spec: {
      targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: NAME },
      service: { port: 80, targetPort: 'http' },
      analysis: {
        interval: '2s',
        threshold: 2,
        stepWeights: [10, 30, 50],
        metrics: [
          { name: 'request-success-rate', thresholdRange: { min: 99 } },
          { name: 'request-duration', thresholdRange: { max: 500 } },
        ],
      },
    },
  });

  return {
    api,
    traffic,
    canary: async () =>
      (await api.request('GET', `/apis/serin.dev/v1beta1/namespaces/${NAMESPACE}/canaries/${NAME}`)).body,
    async release(version, errorPercent) {
      const next = deployment({ namespace: NAMESPACE, name: NAME, version, errorPercent, ...POD_PORTS });
      const path = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/${NAME}`;
      await api.request('PATCH', path, { spec: { template: next['spec'].template } });
    },
    async stop() {
      await traffic.stop();
      await engine.stop(2_000);
      analyzer.close();
      await close();
      await splitter.close();
      await kubelet.close();
      await api.close();
      controllers.stop();
      await served.close();
    },
  };
}

async function post(api: WorldApi, path: string, body: object): Promise<void> {
  const answer = await api.request('POST', path, body);
  if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
}

const SERVING_DEADLINE_MS = 15_000;
const POLL_MS = 50;

async function untilServing(api: WorldApi): Promise<void> {
  const deadline = systemClock.now() + SERVING_DEADLINE_MS;
  for (;;) {
    const { body } = await api.request(
      'GET',
      `/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE}/endpointslices`,
    );
    const ready = (body.items ?? [])
      .flatMap((slice: any) => slice.endpoints ?? [])
      .filter((one: any) => one.conditions?.ready);
    if (ready.length >= 2) return;
    if (systemClock.now() > deadline) throw new Error('the pods of the demo do not become ready');
    await systemClock.sleep(POLL_MS);
  }
}
