/** What an engine does at its start about what happened while there was none: no watch event will say so again. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { createMemoryApi } from '../../simulator/api/memory.ts';
import { createVirtualClock } from '../../simulator/clock.ts';
import { trafficSplitCrd } from '../../simulator/world/manifests.ts';
import { createSmiStepper } from '../../steppers/smi.ts';
import { createEngine } from '../engine.ts';
import { createApiClient } from '../kubernetes/client.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';
import { revisionOf } from '../workloads/revisions.ts';
import { createInProcessScheduler } from './schedulerInProcess.ts';
import { FINALIZER, ownerReferenceOf, ownLabels } from './world.ts';

const folder = join(import.meta.dirname, '../../charts/serin/crds');
const crds = [
  ...readdirSync(folder).map(file => parse(readFileSync(join(folder, file), 'utf8'))),
  trafficSplitCrd(),
];
const stepper = createSmiStepper('v1alpha2');
const split = { apiVersion: 'split.smi-spec.io/v1alpha2', kind: 'TrafficSplit' };
const log = { info: () => {}, warn: () => {}, error: () => {} };
const named = (name: string, extra: object = {}) => ({ name, namespace: 'shop', ...extra });

/** A canary at 20 % of a revision that its user has taken back meanwhile. */
function revertedWorld() {
  const clock = createVirtualClock(1_000_000);
  const memory = createMemoryApi({ clock, crds });
  const create = (object: KubernetesObject) => memory.store.create(object, 'test');
  create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
  const target = create({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: named('web', { labels: { app: 'web' } }),
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: { containers: [{ name: 'app', image: 'web:1' }] },
      },
    },
  });
  const canary = create({
    apiVersion: 'serin.dev/v1beta1',
    kind: 'Canary',
    metadata: named('web', { finalizers: [FINALIZER] }),
    spec: {
      targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
      service: { port: 80 },
      analysis: { interval: '1m', stepWeights: [20, 50] },
    },
  });
  const good = { hash: revisionOf(target), generation: 1 };
  const run = { id: 'a1-bad.2', revision: 'a1-bad', generation: 2, startedAt: '1970-01-01T00:16:00.000Z' };
  const status = { phase: 'Progressing', epoch: 5, routeEpoch: 5, canaryWeight: 20, run };
  memory.store.update(
    { ...canary, status: { ...status, lastGood: good, promoted: good, lastAppliedSpec: run.revision } },
    'test',
    'status',
  );
  const labels = ownLabels(canary);
  const routes = stepper.desired(
    {
      namespace: 'shop',
      apex: 'web',
      primary: 'web-primary',
      canary: 'web-canary',
      labels,
      ownerReference: ownerReferenceOf(canary),
    },
    { canaryWeight: 20, primaryWeight: 80 },
    { epoch: 5, run: run.id, end: '' },
  );
  routes.forEach(create);
  create({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: named('web-primary-1', {
      labels: { ...labels, 'kubernetes.io/service-name': 'web-primary' },
    }),
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.244.0.1'], conditions: { ready: true } }],
  });
  return { clock, memory };
}

test('traffic that has to leave does so at the start, in a replica that does not lead', async () => {
  const { clock, memory } = revertedWorld();
  const engine = createEngine({
    clock,
    client: createApiClient(memory.transport(), { clock }),
    random: () => 0,
    stepper,
    scheduler: createInProcessScheduler({ clock, log }),
    apiGroup: 'serin.dev',
    namespaces: [],
    selectorLabels: ['app'],
    drainMs: 0,
    resyncMs: 30_000,
    isActive: () => false,
    measure: () => Promise.reject(new Error('nobody is judged')),
    inspect: async () => [],
    inspectAutoscalers: async () => [],
    inspectPods: async () => [],
    log,
  });
  const started = engine.start();
  await clock.advance(1_000);
  await started;
  await clock.advance(1_000);
  const [primary, canary] = ['web-primary', 'web-canary'].map(
    service =>
      memory.store
        .get(split, 'shop', 'web')
        ?.spec.backends.find((backend: { service: string }) => backend.service === service).weight,
  );
  expect({ primary, canary }).toEqual({ primary: 100, canary: 0 });
  const stopped = engine.stop(1_000);
  await clock.advance(10_000);
  await stopped;
});
