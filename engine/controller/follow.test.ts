/** Which canaries an analyzer is told to look at: those of a run that is judged, and nobody else. */
import { describe, expect, test } from 'vitest';
import type { Followed } from '../../analyzers/analyzer.ts';
import { createSmiStepper } from '../../steppers/smi.ts';
import { createVirtualClock } from '../../simulator/clock.ts';
import type { CanaryStatus } from '../api/status.ts';
import type { KubernetesObject, Store } from '../kubernetes/types.ts';
import { hashTemplate } from '../workloads/revisions.ts';
import { createFollow, judgedArms } from './follow.ts';
import type { World } from './world.ts';

const template = (version: string) => ({ spec: { containers: [{ name: 'app', image: `web:${version}` }] } });
const revision = hashTemplate(template('v2'));
const run = { id: 'abc.2', revision, generation: 2, startedAt: '2026-01-01T00:00:00Z' };
const metrics = [
  { name: 'request-success-rate', interval: '30s', thresholdRange: { min: 99 } },
  { name: 'request-duration', thresholdRange: { max: 500 } },
  { name: 'mine', interval: '1s', query: 'up', thresholdRange: { min: 1 } },
];

function canaryOf(status: Partial<CanaryStatus>, spec: object = {}): KubernetesObject {
  return {
    apiVersion: 'serin.dev/v1beta1',
    kind: 'Canary',
    metadata: { namespace: 'shop', name: 'web', uid: 'u', generation: 1, resourceVersion: '1' },
    spec: {
      targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
      service: { port: 80 },
      analysis: { interval: '1m', stepWeight: 10, metrics },
      ...spec,
    },
    status: { run, ...status },
  };
}

const paused = { paused: true, annotations: { 'serin.dev/paused': 'true' } };

function targetOf({ paused: isPaused, annotations }: typeof paused): KubernetesObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace: 'shop', name: 'web', uid: 'd', annotations },
    spec: {
      replicas: 1,
      paused: isPaused,
      selector: { matchLabels: { app: 'web' } },
      template: template('v2'),
    },
  };
}

function replicaSetOf(version: string): KubernetesObject {
  const ownerReferences = [
    { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', uid: 'd', controller: true },
  ];
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { namespace: 'shop', name: `web-${version}`, uid: version, ownerReferences },
    spec: { template: template(version) },
    status: { replicas: 1, availableReplicas: 1 },
  };
}

const slice = (service: string, pod: string, ip: string, ready = true): KubernetesObject => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { namespace: 'shop', name: pod, labels: { 'kubernetes.io/service-name': service } },
  endpoints: [{ addresses: [ip], conditions: { ready }, targetRef: { name: pod } }],
});

function storeOf(objects: KubernetesObject[]): Store {
  return {
    all: () => objects,
    find: (_namespace: string, name: string) =>
      objects.filter(one => (one.metadata.labels?.['kubernetes.io/service-name'] ?? name) === name),
    get: (_namespace: string, name: string) => objects.find(one => one.metadata.name === name),
    liveAt: () => Date.now(),
    synced: () => true,
    type: { plural: 'x' },
  } as unknown as Store;
}

/** What an analyzer is told of one canary. */
function watched(
  canary: KubernetesObject,
  { isActive = true, target = targetOf(paused), versions = ['v2'] } = {},
): Followed | undefined {
  const slices = [
    slice('web-canary', 'web-1', '10.0.0.1'),
    slice('web-canary', 'web-2', '10.0.0.2', false),
    slice('web-primary', 'web-primary-1', '10.0.0.3'),
  ];
  const none = storeOf([]);
  const world = {
    clock: createVirtualClock(0),
    stepper: createSmiStepper('v1alpha2'),
    served: () => ({ trafficSplit: ['v1alpha2'] }),
    lacks: () => [],
    memory: { isLost: () => false },
    selectorLabels: ['app'],
    defaults: { drainMs: 0 },
    notified: () => 0,
    stores: {
      canaries: storeOf([canary]),
      endpointSlices: storeOf(slices),
      deployments: storeOf([target]),
      replicaSets: storeOf(versions.map(replicaSetOf)),
      services: none,
      routes: none,
      controllerRevisions: none,
      metricTemplates: none,
      alertProviders: none,
    },
  } as unknown as World;
  let answer: Followed | undefined;
  const follow = createFollow({
    world: () => world,
    isActive: () => isActive,
    analyzer: { provider: 'x', measure: async () => [], follow: (_key, watch) => (answer = watch()) },
  });
  follow('shop/web');
  return answer;
}

test('a run that is judged: its ready pods, its windows, and the run that they belong to', () => {
  expect(watched(canaryOf({ phase: 'Progressing' }))).toEqual({
    arms: ['canary'],
    windowsMs: [30_000, 60_000],
    pods: {
      history: 'shop/web/abc.2',
      canary: [{ name: 'web-1', ip: '10.0.0.1' }],
      primary: [{ name: 'web-primary-1', ip: '10.0.0.3' }],
    },
  });
});

test('a canary that may have pods of another revision is not looked at yet, and is not forgotten', () => {
  const progressing = canaryOf({ phase: 'Progressing' });
  const user = targetOf({ ...paused, annotations: { 'serin.dev/paused': 'no' } });
  expect(watched(progressing, { target: user })).toMatchObject({ arms: [] });
  expect(watched(progressing, { versions: ['v1', 'v2'] })).toMatchObject({ arms: [] });
  expect(watched(progressing, { versions: ['v1'] })).toMatchObject({ arms: [] });
  const shifting = canaryOf({ phase: 'Promoting', stage: 'shift' });
  expect(watched(shifting, { versions: ['v1'] })).toMatchObject({ arms: ['primary'] });
});

describe('nobody is looked at', () => {
  test.each<[string, Partial<CanaryStatus>, object]>([
    ['between runs', { phase: 'Succeeded' }, {}],
    ['before the first', {}, {}],
    ['while a user has paused the target', { phase: 'Waiting' }, {}],
    ['while it is finalised', { phase: 'Finalising' }, {}],
    ['on the way back', { phase: 'Promoting', stage: 'back' }, {}],
    [
      'when it names a server of its own',
      { phase: 'Progressing' },
      { metricsServer: 'http://prometheus:9090' },
    ],
    ['when it is suspended', { phase: 'Progressing' }, { suspend: true }],
    ['when its analysis is skipped', { phase: 'Progressing' }, { skipAnalysis: true }],
    [
      'when only its own queries judge',
      { phase: 'Progressing' },
      { analysis: { stepWeight: 10, metrics: metrics.slice(2) } },
    ],
    ['when it is not valid', { phase: 'Progressing' }, { analysis: { stepWeight: 0 } }],
  ])('%s', (_name, status, spec) => {
    expect(watched(canaryOf(status, spec))).toBeUndefined();
  });

  test('by a replica that makes no checks', () => {
    expect(watched(canaryOf({ phase: 'Progressing' }), { isActive: false })).toBeUndefined();
  });

  test('by an analyzer that keeps no history', () => {
    const follow = createFollow({
      world: () => expect.unreachable(),
      isActive: () => true,
      analyzer: { provider: 'prometheus', measure: async () => [] },
    });
    follow('shop/web');
  });
});

test('the arms that may be judged next', () => {
  expect(judgedArms({ phase: 'WaitingPromotion' })).toEqual(['canary']);
  expect(judgedArms({ phase: 'Promoting' })).toEqual(['canary']);
  expect(judgedArms({ phase: 'Promoting', stage: 'primary' })).toEqual(['canary']);
  expect(judgedArms({ phase: 'Promoting', stage: 'shift' })).toEqual(['canary', 'primary']);
  expect(judgedArms({ phase: 'Promoting', stage: 'bake' })).toEqual(['primary']);
  expect(judgedArms({ phase: 'Promoting', stage: 'skip' })).toEqual([]);
});
