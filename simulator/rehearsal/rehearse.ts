/**
 * One rehearsal: the whole engine, as `main` composes it, takes over a workload in a cluster in memory on a virtual clock,
 * users send requests, and a new release comes. It answers how the run ended and what that cost. Equal scenarios and seeds
 * give equal answers; nothing here looks at the real time.
 */
import { settingsOf } from '../../engine/core/settings.ts';
import type { CanaryStatus } from '../../engine/api/status.ts';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { draft, type StoreChange } from '../api/inprocess.ts';
import type { Json } from '../api/json.ts';
import { StatusError } from '../api/status.ts';
import { createVirtualClock } from '../clock.ts';
import { DEPLOYMENT } from '../controllers/objects.ts';
import { createChance } from '../simulation/chance.ts';
import {
  CANARY,
  canaryOf,
  type Cluster,
  CONTAINER_PORT,
  createCluster,
  GOOD_BEHAVIOUR,
  provideNamespace,
  targetOf,
} from '../simulation/cluster.ts';
import { createEngines } from '../simulation/engines.ts';
import { createHands } from '../simulation/hands.ts';
import type { CanaryPlan } from '../simulation/plan.ts';
import type { Strikes } from '../simulation/strikes.ts';
import { createProvider } from './provider.ts';
import { DRAIN_MS } from './rules.ts';
import type { Rehearsed, Scenario } from './scenario.ts';
import { createScrapes } from './scrapes.ts';
import { createUsers, type Tally, type Users } from './users.ts';

const START_MS = Date.parse('2026-01-01T00:00:00Z');
const RESYNC_MS = 30_000;
/** Pods of the first release are ready by then. */
const FOUNDED_MS = 5_000;
const ADOPTED_MS_MAX = 120_000;
/** Releases come at any moment of the provider's and the engine's rounds. */
const RELEASED_MS_MAX = 60_000;
const PULSE_MS = 1_000;
const VERSIONS = { old: 'v1', new: 'v2' } as const;
/** What makes the endpoints that a route leads to. */
const ROUTE_KINDS: ReadonlySet<string> = new Set(['TrafficSplit', 'EndpointSlice', 'Service', 'Pod']);
const NO_STRIKES: Strikes = {
  onCall: () => undefined,
  deedOn: () => undefined,
  onTick: () => undefined,
  onWake: () => undefined,
};

export async function rehearse(scenario: Scenario, seed: string): Promise<Rehearsed> {
  const stage = createStage(scenario, seed);
  const { clock, cluster, engines, users, scrapes, plan, watched } = stage;
  engines.start();
  found(stage, scenario);
  await clock.advance(FOUNDED_MS);
  declare(stage);
  const until = async (endMs: number, isDone: () => boolean) => {
    while (clock.now() < endMs && !isDone()) await clock.advance(PULSE_MS);
  };
  await until(clock.now() + ADOPTED_MS_MAX, () => watched.status.phase === 'Initialized');
  if (watched.status.phase === 'Initialized') {
    users.begin();
    scrapes.age(`${plan.target}-primary`);
    await clock.advance(stage.chance.whole(0, Math.max(RELEASED_MS_MAX, scenario.traffic.scrapeMs)));
    release(stage, scenario);
    await until(clock.now() + scenario.endsAfterMs, () => isOver(watched.status));
  }
  engines.stop();
  cluster.stop();
  return rehearsedOf(watched, users, clock.now());
}

/** Why an API server would not take the objects of this scenario, in its words; undefined: it takes them. */
export function refusalOf(scenario: Scenario): string | undefined {
  try {
    const stage = createStage(scenario, '');
    found(stage, scenario);
    declare(stage);
    return undefined;
  } catch (error) {
    if (error instanceof StatusError) return error.message;
    throw error;
  }
}

function found({ cluster, plan }: Stage, scenario: Scenario): void {
  cluster.store.create(withPorts(targetOf(plan, VERSIONS.old, GOOD_BEHAVIOUR), scenario), 'kubectl');
}

function declare({ cluster, plan }: Stage): void {
  cluster.store.create(canaryOf(plan, plan.spec), 'kubectl');
}

interface Watched {
  status: CanaryStatus;
  /** Every step had passed, or was skipped. */
  passed: { atMs: number; tally: Tally } | undefined;
}

function createStage(scenario: Scenario, seed: string) {
  const { namespace, spec, traffic } = scenario;
  const chance = createChance(`rehearsal/${seed}`);
  const clock = createVirtualClock(START_MS);
  const plan = planOf(scenario);
  const cluster = createCluster({ seed: chance.whole(0, 2 ** 31), canaries: [plan] }, clock);
  provideTemplates(cluster, scenario);
  const users = createUsers({
    clock,
    ...cluster,
    apex: plan,
    version: VERSIONS.new,
    traffic,
    random: chance.fork('requests'),
  });
  const { metrics } = settingsOf({ namespace, spec }, { drainMs: DRAIN_MS });
  const { scrapeMs } = traffic;
  const { store } = cluster;
  const windowMs = Math.max(0, ...metrics.map(metric => metric.windowMs));
  const scrapes = createScrapes({
    clock,
    store,
    users,
    scrapeMs,
    windowMs,
    chance: chance.fork('scrapes'),
  });
  const engines = createEngines({
    plan: {
      canaries: [],
      engines: [{ offsetMs: 0, driftPpm: 0 }],
      drainMs: DRAIN_MS,
      resyncMs: RESYNC_MS,
    },
    clock,
    chance: chance.fork('engine'),
    cluster,
    strikes: NO_STRIKES,
    hands: createHands(clock.now),
    analyzer: createProvider({ clock, scrapes, metrics }),
    note: () => {},
    refusal: () => undefined,
    receiver: () => undefined,
    onTold: () => {},
    onArrival: () => {},
    perform: () => {},
    onBroken(_engine, message) {
      throw new Error(message);
    },
  });
  const watched: Watched = { status: {}, passed: undefined };
  store.subscribe(({ type, object }: StoreChange) => {
    engines.changed(object.kind ?? '');
    if (ROUTE_KINDS.has(object.kind ?? '')) users.look();
    if (object.kind === 'Pod' && type !== 'DELETED') scrapes.noticed(object);
    if (object.kind === CANARY.kind) watch(watched, object.status ?? {}, users, clock.now());
  });
  return { chance, clock, plan, cluster, users, scrapes, engines, watched };
}

type Stage = ReturnType<typeof createStage>;

function watch(watched: Watched, status: CanaryStatus, users: Users, atMs: number): void {
  watched.status = status;
  if (status.phase === 'Promoting') watched.passed ??= { atMs, tally: users.tally() };
}

function planOf({ namespace, name, spec, traffic }: Scenario): CanaryPlan {
  const target: string = spec.targetRef.name;
  return {
    namespace,
    name,
    target,
    apex: spec.service.name ?? target,
    spec,
    replicas: traffic.pods,
    strategy: undefined,
    hasService: false,
    minReadySeconds: 0,
    traffic: 'steady',
  };
}

/** Queries of users are answered without being looked at; only that they exist matters. */
function provideTemplates({ store }: Cluster, { namespace: own, spec }: Scenario): void {
  for (const { templateRef } of spec.analysis.metrics ?? []) {
    if (!templateRef) continue;
    const { name, namespace = own } = templateRef;
    const kind = { apiVersion: CANARY.apiVersion, kind: 'MetricTemplate' };
    provideNamespace(store, namespace);
    if (store.get(kind, namespace, name)) continue;
    const provider = { type: 'prometheus', address: 'http://prometheus.test:9090' };
    store.create(
      { ...kind, metadata: { namespace, name }, spec: { provider, query: 'vector(0)' } },
      'kubectl',
    );
  }
}

/** The container has the port that the Canary names. */
function withPorts(target: KubernetesObject, { spec }: Scenario): KubernetesObject {
  const { targetPort } = spec.service;
  if (typeof targetPort !== 'string') return target;
  const ports: Json[] = target.spec.template.spec.containers[0].ports;
  if (!ports.some(port => port.name === targetPort))
    ports.push({ name: targetPort, containerPort: CONTAINER_PORT + 1 });
  return target;
}

function release({ cluster, plan }: Stage, scenario: Scenario): void {
  const live = cluster.store.get(DEPLOYMENT, plan.namespace, plan.target);
  if (!live) throw new Error('the target is gone');
  const next = draft(live);
  next.spec.template = withPorts(targetOf(plan, VERSIONS.new, GOOD_BEHAVIOUR), scenario).spec.template;
  cluster.store.update(next, 'kubectl');
}

function isOver({ phase }: CanaryStatus): boolean {
  return phase === 'Succeeded' || phase === 'Failed';
}

function rehearsedOf({ status, passed }: Watched, users: Users, nowMs: number): Rehearsed {
  const told = status.transitions?.at(-1);
  const touchedAtMs = users.touchedAtMs();
  const since = (atMs: number, tally: Tally) => ({
    ms: Math.max(0, atMs - (touchedAtMs ?? atMs)),
    ...tally,
  });
  if (status.phase === 'Succeeded' && passed)
    return { outcome: 'promoted', by: undefined, ...toldOf(told), ...since(passed.atMs, passed.tally) };
  if (status.phase === 'Failed') {
    const left = users.left() ?? { atMs: nowMs, tally: users.tally() };
    const end = status.transitions?.findLast(one => one.severity === 'error') ?? told;
    return {
      outcome: 'rolledBack',
      by: enderOf(status, end),
      ...toldOf(end),
      ...since(left.atMs, left.tally),
    };
  }
  const held =
    status.conditions?.find(one => one.type === 'Accepted' && one.status === 'False') ??
    status.conditions?.find(one => one.type === 'Progressing') ??
    told;
  return { outcome: 'held', by: undefined, ...toldOf(held), ...since(nowMs, users.tally()) };
}

interface Told {
  reason: string;
  message: string;
}

function toldOf(told: Told | undefined): Told {
  return { reason: told?.reason ?? '', message: told?.message ?? '' };
}

function enderOf({ judge, run }: CanaryStatus, end: Told | undefined): NonNullable<Rehearsed['by']> {
  if (end?.reason !== 'RolledBack') return 'other';
  const isJudged = judge?.run === run?.id;
  if (isJudged && judge?.verdict === 'rollback') return judge.mode === 'threshold' ? 'guard' : 'judge';
  if (isJudged && judge?.verdict === 'Deadline') return 'deadline';
  return 'checks';
}
