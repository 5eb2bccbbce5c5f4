/**
 * For tests: engines on an API in memory and a virtual clock, whose pods are ready at once, whose metrics say what they
 * are told to, and whose receivers answer as scripted. It plays the world around the engine and none of its rules.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Analyzer } from '../../analyzers/analyzer.ts';
import { draft } from '../../simulator/api/inprocess.ts';
import { createMemoryApi } from '../../simulator/api/memory.ts';
import { createVirtualClock } from '../../simulator/clock.ts';
import { POD } from '../../simulator/controllers/objects.ts';
import { startControllers } from '../../simulator/controllers/start.ts';
import { deployment, namespace, service, trafficSplitCrd } from '../../simulator/world/manifests.ts';
import { createSmiStepper } from '../../steppers/smi.ts';
import type { CanaryStatus } from '../api/status.ts';
import { createEngine, type Engine, type EngineOptions } from '../engine.ts';
import { createApiClient } from '../kubernetes/client.ts';
import { ApiError, type KubernetesObject, type Transport } from '../kubernetes/types.ts';
import { createDelivery, type Delivery, type DeliveryOutcome } from '../notifiers/delivery.ts';
import type { PostAnswer, PostRequest } from '../notifiers/post.ts';
import { createMeasure } from './measure.ts';
import type { FlagReceivers } from './receivers.ts';
import { createInProcessScheduler } from './schedulerInProcess.ts';
import type { SharedTold } from './tell.ts';

export const GROUP = 'serin.dev/v1beta1';
const root = join(import.meta.dirname, '../..');
const crdFolder = join(root, 'charts/serin/crds');
const crds = [
  ...readdirSync(crdFolder).map(file => parse(readFileSync(join(crdFolder, file), 'utf8'))),
  trafficSplitCrd(),
];

export interface Posted {
  url: string;
  headers: Record<string, string>;
  body: any;
  /** Which engine sent it. */
  by: string;
}

export interface RunningEngine {
  engine: Engine;
  delivery: Delivery;
  outcomes: [string, DeliveryOutcome][];
  /** As SIGKILL: nothing that it does from now on reaches anybody. */
  kill(): void;
}

type Change = Partial<Omit<EngineOptions, 'tell'>> &
  FlagReceivers & { clusterName?: string; shared?: SharedTold };

export async function startTelling() {
  const clock = createVirtualClock(Date.parse('2026-01-01T00:00:00Z'));
  const api = createMemoryApi({ clock, crds });
  const controllers = startControllers({ store: api.store, clock });
  const posted: Posted[] = [];
  const logged: string[] = [];
  const script = {
    /** What the success rate of the canary is, in percent. */
    value: 100,
    answer: (_request: PostRequest): PostAnswer | Error | 'hang' => ({ status: 200, body: 'ok' }),
    /** Stands between an engine and the API. */
    transport: (inner: Transport): Transport => inner,
  };
  const analyzer: Analyzer = {
    provider: 'scripted',
    measure: async queries => queries.map(() => ({ kind: 'value', value: script.value })),
  };

  const create = (object: KubernetesObject) => api.store.create(object, 'user');
  create({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node' } });
  create(namespace('shop'));
  create(deployment({ namespace: 'shop', name: 'web', version: 'v1', replicas: 1 }));
  create(service({ namespace: 'shop', name: 'web' }));

  function makeReady(): void {
    for (const pod of api.store.list(POD)) {
      if (pod.metadata.deletionTimestamp) api.store.delete(pod, { gracePeriodSeconds: 0 });
      else if (pod.status?.phase !== 'Running') {
        const bound = { ...draft(pod), spec: { ...draft(pod)['spec'], nodeName: 'node' } };
        const placed = pod.spec.nodeName ? pod : api.store.update(bound, 'scheduler');
        const lastTransitionTime = new Date(clock.now()).toISOString().replace(/\.\d+Z/, 'Z');
        const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime }];
        const status = { phase: 'Running', podIP: '10.244.1.1', podIPs: [{ ip: '10.244.1.1' }], conditions };
        api.store.update({ ...draft(placed), status }, 'kubelet', 'status');
      }
    }
  }

  async function advance(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) {
      await clock.advance(50);
      makeReady();
    }
  }

  const canary = (name = 'web') =>
    api.store.get({ apiVersion: GROUP, kind: 'Canary' }, 'shop', name) as KubernetesObject & {
      status: CanaryStatus;
    };

  return {
    clock,
    api,
    script,
    posted,
    logged,
    create,
    advance,
    canary,
    status: (): CanaryStatus => canary().status ?? {},
    /** What was posted to this host, as reasons. */
    toldTo: (host: string): string[] =>
      posted.filter(one => new URL(one.url).host === host).map(one => one.body.reason ?? reasonIn(one.body)),
    events: (kind: string): KubernetesObject[] =>
      api.store
        .list({ apiVersion: 'v1', kind: 'Event' })
        .filter(event => event['involvedObject'].kind === kind),
    async until(isDone: () => boolean, withinMs = 120_000): Promise<void> {
      const deadline = clock.now() + withinMs;
      while (!isDone()) {
        if (clock.now() >= deadline)
          throw new Error(
            `not reached: ${JSON.stringify(canary()?.status, undefined, 1)}\n${logged.slice(-10).join('\n')}`,
          );
        await advance(50);
      }
    },
    declare(analysis: object = {}): void {
      create({
        apiVersion: GROUP,
        kind: 'Canary',
        metadata: { name: 'web', namespace: 'shop' },
        spec: {
          targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
          service: { port: 80, targetPort: 'http' },
          analysis: {
            interval: '2s',
            threshold: 2,
            stepWeights: [20, 50],
            metrics: [
              {
                name: 'errors',
                query: 'rate(errors{namespace="{{ namespace }}"}[{{ interval }}])',
                thresholdRange: { min: 99 },
              },
            ],
            ...analysis,
          },
        },
      });
    },
    release(version: string): void {
      const next = draft(api.store.get({ apiVersion: 'apps/v1', kind: 'Deployment' }, 'shop', 'web')!);
      next['spec'].template = deployment({ namespace: 'shop', name: 'web', version })['spec'].template;
      api.store.update(next, 'user');
    },
    async start(name: string, change: Change = {}): Promise<RunningEngine> {
      const { slack, eventWebhook, clusterName, shared, ...options } = change;
      let isKilled = false;
      const line = (fields: object, message: string) =>
        void (isKilled || logged.push(`${name}: ${message} ${JSON.stringify(fields)}`));
      const log = { info: line, warn: line, error: line };
      const outcomes: RunningEngine['outcomes'] = [];
      const delivery = createDelivery({
        clock,
        random: () => 0.5,
        log,
        onOutcome: (outcome, key) => outcomes.push([key, outcome]),
        onOver: id => isKilled || shared?.add(id),
        async post(request) {
          if (isKilled) return await new Promise<never>(() => {});
          const { url, headers, body } = request;
          posted.push({ url, headers, body: JSON.parse(body), by: name });
          const given = script.answer(request);
          if (given instanceof Error) throw given;
          return given === 'hang' ? await new Promise<never>(() => {}) : given;
        },
      });
      const transport = script.transport(api.transport('engine'));
      const client = createApiClient(
        request => {
          if (isKilled) throw new ApiError('network', 'killed');
          return transport(request);
        },
        { clock },
      );
      const engine = createEngine({
        clock,
        client,
        random: () => 0.5,
        stepper: createSmiStepper('v1alpha2'),
        scheduler: createInProcessScheduler({ clock, log }),
        apiGroup: 'serin.dev',
        namespaces: [],
        selectorLabels: ['app'],
        drainMs: 500,
        resyncMs: 30_000,
        isActive: () => !isKilled,
        measure: createMeasure({ world: () => engine.world, analyzer }),
        inspect: async () => [],
        inspectAutoscalers: async () => [],
        inspectPods: async () => [],
        log,
        ...options,
        tell: { delivery, shared, slack, eventWebhook, clusterName, asksPrometheus: true },
      });
      const starting = engine.start();
      await advance(200);
      await starting;
      return {
        engine,
        delivery,
        outcomes,
        kill() {
          isKilled = true;
          void engine.stop(0);
          void delivery.close();
        },
      };
    },
    stop: () => controllers.stop(),
  };
}

/** Slack's messages carry the reason as their first field. */
function reasonIn(body: any): string {
  return body.attachments?.[0]?.fields?.[0]?.value ?? '';
}

export const webhookTo = (host: string) => ({ type: 'webhook', address: `https://${host}/events` });

export function alertProvider(name: string, spec: object, where = 'shop'): KubernetesObject {
  return { apiVersion: GROUP, kind: 'AlertProvider', metadata: { name, namespace: where }, spec };
}

export function secret(name: string, data: Record<string, string>, where = 'shop'): KubernetesObject {
  const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: where },
    data: Object.fromEntries(encoded),
  };
}
