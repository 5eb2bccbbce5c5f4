/**
 * What a benchmark stands on: a real control plane, cheap pods, a metrics server that counts, a watcher, if wanted a real
 * Redis, and the engine as a process. It creates apps with canaries and releases them; it measures nothing itself.
 */
import { type Cluster, created, NODE, startCluster } from '../e2e/harness/cluster.ts';
import type { AuditEntry } from '../e2e/harness/controlplane.ts';
import { type RealRedis, startRedis } from '../e2e/harness/redis.ts';
import type { KubernetesObject } from '../engine/kubernetes/types.ts';
import { deployment } from '../simulator/world/manifests.ts';
import { type CheapPods, playCheapPods } from './cheapPods.ts';
import { type EngineOptions, type EngineProcess, startEngineProcess } from './engineProcess.ts';
import { type MetricsServer, startMetricsServer } from './metricsServer.ts';
import { type Timeline, until, watchTimeline } from './timeline.ts';

export interface World extends Cluster {
  metrics: MetricsServer;
  redis: RealRedis | undefined;
  timeline: Timeline;
  startEngine(options?: Pick<EngineOptions, 'flags' | 'replica'>): Promise<EngineProcess>;
  /** Creates namespaces, Deployments and Canaries. Gives the keys `namespace/name`. */
  addApps(count: number, options: AppOptions): Promise<string[]>;
  /** Resolves when each is adopted: Initialized, and its target at zero. */
  adopted(keys: readonly string[]): Promise<void>;
  /** Ships a version of each, as many at once as the API server takes. Gives when each request was sent. */
  release(keys: readonly string[], version: string): Promise<Map<string, number>>;
  /** Resolves when the engine has asked nothing but its Lease for 3 s: events are sent, rollouts are over. */
  quiet(): Promise<void>;
  stop(): Promise<void>;
}

export interface AppOptions {
  /** Apps in one namespace. */
  perNamespace?: number;
  /** The apps are numbered from here. */
  first?: number;
  analysis: object;
}

/** What users judge by: both built-in metrics, at every step. */
export const BUILT_IN_METRICS = [
  { name: 'request-success-rate', interval: '1m', thresholdRange: { min: 99 } },
  { name: 'request-duration', interval: '1m', thresholdRange: { max: 500 } },
];

const PER_NAMESPACE = 20;
const ADOPTION_DEADLINE_MS = 300_000;
const QUIET_MS = 3_000;
const QUIET_DEADLINE_MS = 120_000;
/** Requests of ours that are under way at once. */
const PARALLEL = 16;

const now = () => performance.timeOrigin + performance.now();

export async function startWorld(options: { redis?: boolean } = {}): Promise<World> {
  const cluster = await startCluster();
  const { plane, api } = cluster;
  const timeline = watchTimeline(api);
  const pods: CheapPods = playCheapPods(api, (pod, atMs) => {
    const { namespace, labels } = pod.metadata;
    timeline.note(`${namespace}/${labels?.['app'] ?? ''}`, 'pod', atMs);
  });
  const metrics = await startMetricsServer();
  const redis = options.redis ? await startRedis({ appendOnly: true }) : undefined;
  await Promise.all([timeline.synced, pods.synced]);
  const engines: EngineProcess[] = [];

  return {
    ...cluster,
    metrics,
    redis,
    timeline,
    async startEngine(more = {}) {
      const engine = await startEngineProcess({
        kubeconfig: plane.kubeconfig('engine'),
        metricsServer: metrics.url,
        ...(redis ? { redisUrl: redis.url } : {}),
        ...more,
      });
      engines.push(engine);
      return engine;
    },
    addApps: (count, app) => addApps(cluster, count, app),
    async adopted(keys) {
      await until(
        'every canary is adopted',
        () => {
          const phases = timeline.phases();
          return keys.every(key => phases.get(key) === 'Initialized') || undefined;
        },
        ADOPTION_DEADLINE_MS,
      );
      await inParallel(keys, key => untilAtZero(cluster, key));
    },
    async release(keys, version) {
      const sentAt = new Map<string, number>();
      await inParallel(keys, async key => {
        const [namespace = '', name = ''] = key.split('/');
        const { spec } = workload(namespace, name, version);
        const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`;
        sentAt.set(key, now());
        const answer = await api.request('PATCH', path, { spec: { template: spec.template } });
        if (answer.status !== 200) throw new Error(`${path}: ${answer.status}`);
      });
      return sentAt;
    },
    quiet: () => untilQuiet(cluster),
    async stop() {
      for (const engine of engines) await engine.end();
      await pods.close();
      await timeline.close();
      await metrics.stop();
      await redis?.stop();
      await api.close();
      await plane.stop();
    },
  };
}

async function addApps({ api }: Cluster, count: number, options: AppOptions): Promise<string[]> {
  const { perNamespace = PER_NAMESPACE, first = 0, analysis } = options;
  const keys = Array.from({ length: count }, (_, index) => ({
    namespace: `shop-${Math.floor((first + index) / perNamespace)}`,
    name: `app-${first + index}`,
  }));
  const namespaces = [...new Set(keys.map(key => key.namespace))];
  await inParallel(namespaces, async name => {
    const answer = await api.request('POST', '/api/v1/namespaces', { metadata: { name } });
    if (answer.status !== 201 && answer.status !== 409) throw new Error(`${name}: ${answer.status}`);
  });
  await inParallel(keys, async ({ namespace, name }) => {
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments`;
    await created(api, path, workload(namespace, name, 'v1'));
    await created(api, `/apis/serin.dev/v1beta1/namespaces/${namespace}/canaries`, {
      apiVersion: 'serin.dev/v1beta1',
      kind: 'Canary',
      metadata: { name, namespace },
      spec: {
        targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name },
        service: { port: 80, targetPort: 8080 },
        analysis,
      },
    });
  });
  return keys.map(({ namespace, name }) => `${namespace}/${name}`);
}

/** Pods that are born on their Node and leave at once, so that playing one costs a single write. */
function workload(namespace: string, name: string, version: string): KubernetesObject {
  const object = deployment({ namespace, name, version, replicas: 1 });
  const { template } = object.spec;
  Object.assign(template.spec, { nodeName: NODE, terminationGracePeriodSeconds: 0 });
  return object;
}

async function untilAtZero({ api }: Cluster, key: string): Promise<void> {
  const [namespace, name] = key.split('/');
  const endMs = now() + ADOPTION_DEADLINE_MS;
  for (;;) {
    const { body } = await api.request('GET', `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`);
    if (body.spec.replicas === 0 && body.status?.observedGeneration === body.metadata.generation) return;
    if (now() > endMs) throw new Error(`${key} is not scaled to zero`);
    await new Promise(resolve => setTimeout(resolve, 100));
  }
}

export const isLease = (entry: AuditEntry) => entry.resource === 'leases';
export const isWatch = (entry: AuditEntry) => entry.verb === 'watch';
export const isEvent = (entry: AuditEntry) => entry.resource === 'events';
export const isRead = (entry: AuditEntry) => entry.verb === 'get' || entry.verb === 'list';

async function untilQuiet({ plane }: Cluster): Promise<void> {
  const endMs = now() + QUIET_DEADLINE_MS;
  const count = () => plane.audit().filter(entry => !isLease(entry) && !isWatch(entry)).length;
  for (let before = count(); ; ) {
    await new Promise(resolve => setTimeout(resolve, QUIET_MS));
    const after = count();
    if (after === before) return;
    if (now() > endMs) throw new Error('the engine does not become quiet');
    before = after;
  }
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = [...items];
  const worker = async () => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
}
