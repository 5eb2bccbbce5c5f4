/**
 * The cluster that a simulation plays in: the API in memory, its controllers and light pods, one namespace for each
 * that the plan names, and the objects that users bring. It knows no engine.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Clock } from '../../engine/clock.ts';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import type { ProcessStore } from '../api/inprocess.ts';
import type { Json } from '../api/json.ts';
import { createMemoryApi, type MemoryApi } from '../api/memory.ts';
import { POD } from '../controllers/objects.ts';
import { startControllers } from '../controllers/start.ts';
import { trafficSplitCrd } from '../world/manifests.ts';
import { refusalOf } from './network.ts';
import type { Behaviour, CanaryPlan, Plan } from './plan.ts';
import { RECEIVER_NAME, RECEIVER_URL } from './receivers.ts';
import { TEMPLATE_NAME, TEMPLATE_QUERY } from './specs.ts';
import { environmentOf, NODE_NAME, type Pods, startPods } from './pods.ts';

export interface Cluster {
  api: MemoryApi;
  store: ProcessStore;
  pods: Pods;
  /** Pods cannot be created in this namespace until then. */
  limit(namespace: string, untilMs: number): void;
  stop(): void;
}

export const CANARY = { apiVersion: 'serin.dev/v1beta1', kind: 'Canary' };
export const SPLIT = { apiVersion: 'split.smi-spec.io/v1alpha1', kind: 'TrafficSplit' };
export const CONTAINER_PORT = 8080;
const HISTORY_LIMIT = 2_000;

export const GOOD_BEHAVIOUR: Behaviour = {
  errorPercent: 0,
  latencyMs: 20,
  readyAfterMs: 1_500,
  neverReady: false,
  crashEveryMs: 0,
  flapEveryMs: 0,
};

let crds: KubernetesObject[] | undefined;

/** As they are installed on a cluster: the engine's own from the chart, and the mesh's. */
function servedCrds(): KubernetesObject[] {
  const folder = join(import.meta.dirname, '../../charts/serin/crds');
  crds ??= [
    ...readdirSync(folder).map(file => parse(readFileSync(join(folder, file), 'utf8')) as KubernetesObject),
    trafficSplitCrd(),
  ];
  return crds;
}

export function templateOf(canary: CanaryPlan, version: string, behaviour: Behaviour): Json {
  return {
    metadata: { labels: { app: canary.target } },
    spec: {
      // Bound from the start: no scheduler is played.
      nodeName: NODE_NAME,
      containers: [
        {
          name: 'app',
          image: `example.com/${canary.target}:${version}`,
          ports: [{ name: 'http', containerPort: CONTAINER_PORT }],
          env: environmentOf(version, behaviour),
        },
      ],
    },
  };
}

export function targetOf(canary: CanaryPlan, version: string, behaviour: Behaviour): KubernetesObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace: canary.namespace, name: canary.target, labels: { app: canary.target } },
    spec: {
      replicas: canary.replicas,
      minReadySeconds: canary.minReadySeconds,
      strategy: canary.strategy,
      selector: { matchLabels: { app: canary.target } },
      template: templateOf(canary, version, behaviour),
    },
  };
}

export function serviceOf(canary: CanaryPlan): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: canary.namespace, name: canary.apex },
    spec: {
      selector: { app: canary.target },
      ports: [{ name: 'http', port: 80, targetPort: CONTAINER_PORT }],
    },
  };
}

export function canaryOf(canary: CanaryPlan, spec: Json): KubernetesObject {
  return { ...CANARY, metadata: { namespace: canary.namespace, name: canary.name }, spec };
}

function metricTemplate(namespace: string): KubernetesObject {
  const provider = { type: 'prometheus', address: 'http://prometheus.test:9090' };
  return {
    apiVersion: CANARY.apiVersion,
    kind: 'MetricTemplate',
    metadata: { namespace, name: TEMPLATE_NAME },
    spec: { provider, query: TEMPLATE_QUERY },
  };
}

function alertProvider(namespace: string): KubernetesObject {
  return {
    apiVersion: CANARY.apiVersion,
    kind: 'AlertProvider',
    metadata: { namespace, name: RECEIVER_NAME },
    spec: { type: 'webhook', address: RECEIVER_URL },
  };
}

/** Some are there from the beginning. */
export function provideNamespace(store: ProcessStore, name: string): void {
  const kind = { apiVersion: 'v1', kind: 'Namespace' };
  if (!store.get(kind, undefined, name)) store.create({ ...kind, metadata: { name } }, 'kubectl');
}

export function createCluster(plan: Pick<Plan, 'seed' | 'canaries'>, clock: Clock): Cluster {
  const api = createMemoryApi({
    clock,
    seed: plan.seed,
    crds: servedCrds(),
    historyLimit: HISTORY_LIMIT,
    unrecordedManagers: ['kubelet', 'kube-controller-manager'],
  });
  api.isAuditing = false;
  const { store } = api;
  const limitedUntilMs = new Map<string, number>();
  const limited: ProcessStore = {
    ...store,
    create(object, manager) {
      const namespace = object.metadata.namespace ?? '';
      if (object.kind === POD.kind && (limitedUntilMs.get(namespace) ?? 0) > clock.now())
        throw refusalOf(403);
      return store.create(object, manager);
    },
  };
  const controllers = startControllers({ store: limited, clock });
  const pods = startPods({ clock, store });
  store.create({ apiVersion: 'v1', kind: 'Node', metadata: { name: NODE_NAME } }, 'kubelet');
  for (const namespace of new Set(plan.canaries.map(canary => canary.namespace))) {
    provideNamespace(store, namespace);
    store.create(metricTemplate(namespace), 'kubectl');
    store.create(alertProvider(namespace), 'kubectl');
  }
  return {
    api,
    store,
    pods,
    limit: (namespace, untilMs) => limitedUntilMs.set(namespace, untilMs),
    stop: () => controllers.stop(),
  };
}
