/**
 * What is true of each canary's objects at this moment and was before, read from the API in memory by its own eyes:
 * weights, endpoints, pods, templates, statuses, commands. It shares no code with the engine or its steppers, judges
 * nothing and writes nothing.
 */
import type { ProcessStore, StoreChange } from '../api/inprocess.ts';
import { equal, type Json } from '../api/json.ts';
import { ENDPOINT_SLICE, POD } from '../controllers/objects.ts';
import type { Hand } from './hands.ts';
import { createHistory, type History } from './history.ts';
import type { CanaryPlan, Plan } from './plan.ts';
import { behaviourOf } from './pods.ts';

export interface RouteView {
  exists: boolean;
  canaryWeight: number;
  primaryWeight: number;
  epoch: number;
  run: string;
  end: string;
}

export interface WorkloadView {
  exists: boolean;
  uid: string;
  generation: number;
  version: string;
  replicas: number;
  pausedBy: 'nobody' | 'engine' | 'user';
  strategy: string;
}

/** Pods that are there, by version: all, and those ready. */
export type PodCounts = ReadonlyMap<string, { total: number; ready: number }>;

export interface StatusView {
  atMs: number;
  /** See `Hand`. */
  chain: string | undefined;
  askedAtMs: number;
  sawAtMs: number | undefined;
  status: Json;
}

export interface CommandView {
  atMs: number;
  verb: string;
  revision: string;
  id: string;
}

export interface CanaryView {
  index: number;
  plan: CanaryPlan;
  /** Undefined while the Canary does not exist. */
  uid: string | undefined;
  isDeleting: boolean;
  /** When the deletion began. */
  deletedAtMs: number | undefined;
  /** Who wrote the route last, and when somebody else than an engine did. */
  routeHand: Hand['who'];
  routeTouchedMs: number;
  route: History<RouteView>;
  /** What the route gives the canary; 0 without a route. */
  weight: History<number>;
  /** Epoch in the route's stamp. */
  epoch: History<number>;
  /** When each run was first recorded. */
  runSinceMs: Map<string, number>;
  /** Ready endpoints behind each Service. */
  endpoints: { apex: History<number>; primary: History<number>; canary: History<number> };
  target: History<WorkloadView>;
  primary: History<WorkloadView>;
  targetPods: History<PodCounts>;
  primaryPods: History<PodCounts>;
  apexSelects: History<string>;
  status: History<Json>;
  /** Every status that landed, by its epoch. */
  statuses: Map<number, StatusView[]>;
  /** Newest last. */
  specs: { atMs: number; generation: number; spec: Json }[];
  commands: CommandView[];
  /** Version of each stored revision, by hash; it stays known when the object is gone. */
  versions: Map<string, string>;
  stored: Set<string>;
}

export interface Witness {
  canaries: readonly CanaryView[];
  /** The canaries that this object belongs to, after their views were brought up to date. */
  observe(change: StoreChange, hand: Hand): CanaryView[];
}

/** Of one canary: an hour of restless decisions. */
const STATUSES_MAX = 2_000;

const NO_ROUTE: RouteView = {
  exists: false,
  canaryWeight: 0,
  primaryWeight: 100,
  epoch: 0,
  run: '',
  end: '',
};
const NO_WORKLOAD: WorkloadView = {
  exists: false,
  uid: '',
  generation: 0,
  version: '',
  replicas: 0,
  pausedBy: 'nobody',
  strategy: '',
};

export function routeViewOf(split: Json, canary: CanaryPlan): RouteView {
  const weightOf = (service: string) =>
    (split.spec?.backends ?? [])
      .filter((one: Json) => one.service === service)
      .reduce((sum: number, one: Json) => sum + Number(one.weight ?? 0), 0);
  const [epoch = '', run = '', end = ''] = String(
    split.metadata.annotations?.['serin.dev/stamp'] ?? '',
  ).split('/');
  return {
    exists: true,
    canaryWeight: weightOf(`${canary.apex}-canary`),
    primaryWeight: weightOf(`${canary.apex}-primary`),
    epoch: Number(epoch) || 0,
    run,
    end,
  };
}

function workloadViewOf(object: Json): WorkloadView {
  const { metadata, spec } = object;
  const isEngine = metadata.annotations?.['serin.dev/paused'] === 'true';
  return {
    exists: true,
    uid: metadata.uid,
    generation: metadata.generation ?? 0,
    version: behaviourOf(spec.template).version,
    replicas: spec.replicas ?? 1,
    pausedBy: spec.paused ? (isEngine ? 'engine' : 'user') : 'nobody',
    strategy: spec.strategy?.type ?? 'RollingUpdate',
  };
}

export function isPodReady(pod: Json): boolean {
  return (pod.status?.conditions ?? []).some((one: Json) => one.type === 'Ready' && one.status === 'True');
}

export function createWitness(plan: Plan, store: ProcessStore, now: () => number): Witness {
  const views = plan.canaries.map((canary, index) => createView(canary, index, now()));

  function countPods(view: CanaryView, label: string): PodCounts {
    const counts = new Map<string, { total: number; ready: number }>();
    for (const pod of store.list(POD, view.plan.namespace)) {
      if (pod.metadata.labels?.['app'] !== label || pod.metadata.deletionTimestamp !== undefined) continue;
      const { version } = behaviourOf(pod);
      const count = counts.get(version) ?? { total: 0, ready: 0 };
      count.total += 1;
      if (isPodReady(pod)) count.ready += 1;
      counts.set(version, count);
    }
    return counts;
  }

  function endpointsOf(view: CanaryView, service: string): number {
    const ready = new Set<string>();
    for (const slice of store.list(ENDPOINT_SLICE, view.plan.namespace)) {
      if (slice.metadata.labels?.['kubernetes.io/service-name'] !== service) continue;
      for (const endpoint of slice['endpoints'] ?? [])
        if (endpoint.conditions?.ready !== false && endpoint.conditions?.terminating !== true)
          ready.add(endpoint.targetRef?.uid ?? '');
    }
    return ready.size;
  }

  function observeCanary(view: CanaryView, { type, object }: StoreChange, hand: Hand): void {
    const atMs = now();
    if (type === 'DELETED') {
      view.uid = undefined;
      view.isDeleting = false;
      view.status.set(atMs, {});
      return;
    }
    if (view.uid !== object.metadata.uid) {
      view.uid = object.metadata.uid;
      view.statuses.clear();
      view.specs.length = 0;
    }
    view.isDeleting = object.metadata.deletionTimestamp !== undefined;
    view.deletedAtMs = view.isDeleting ? (view.deletedAtMs ?? atMs) : undefined;
    const { generation = 0 } = object.metadata;
    if (view.specs.at(-1)?.generation !== generation)
      view.specs.push({ atMs, generation, spec: object.spec });
    if (!equal(view.status.current(), object.status ?? {})) {
      view.status.set(atMs, object.status ?? {});
      const run: string | undefined = object.status?.run?.id;
      if (run && !view.runSinceMs.has(run)) view.runSinceMs.set(run, atMs);
      nameRevision(view, object.status?.run);
      const epoch: number = object.status?.epoch ?? 0;
      const { chain, askedAtMs, sawAtMs } = hand;
      const landed = { atMs, chain, askedAtMs, sawAtMs, status: object.status };
      view.statuses.set(epoch, [...(view.statuses.get(epoch) ?? []), landed]);
      if (view.statuses.size > STATUSES_MAX) view.statuses.delete(view.statuses.keys().next().value!);
    }
    const text = object.metadata.annotations?.['serin.dev/command'] ?? '';
    const [verb = '', revision = '', id = ''] = text.split(' ');
    if (id && !view.commands.some(one => one.id === id)) view.commands.push({ atMs, verb, revision, id });
  }

  /** A run that ended before its template was stored: the target had it at the generation that the run says. */
  function nameRevision(view: CanaryView, run: Json): void {
    if (!run || view.versions.has(run.revision)) return;
    const target = view.target.during(0).findLast(one => one.generation === run.generation);
    if (target) view.versions.set(run.revision, target.version);
  }

  function observeRevision(view: CanaryView, { type, object }: StoreChange): void {
    const hash = object.metadata.labels?.['serin.dev/revision'];
    if (!hash || !object.metadata.ownerReferences?.some(owner => owner.name === view.plan.name)) return;
    view.versions.set(hash, behaviourOf(object['data']?.template).version);
    if (type === 'DELETED') view.stored.delete(hash);
    else view.stored.add(hash);
  }

  /** Brings one view up to date; false when the object is none of its. */
  function update(view: CanaryView, change: StoreChange, hand: Hand): boolean {
    const { type, object } = change;
    const { name, labels } = object.metadata;
    const { plan: canary } = view;
    const atMs = now();
    const isGone = type === 'DELETED';
    switch (object.kind) {
      case 'TrafficSplit':
        if (name !== canary.apex) return false;
        view.route.set(atMs, isGone ? NO_ROUTE : routeViewOf(object, canary));
        view.routeHand = hand.who;
        if (hand.who !== 'engine') view.routeTouchedMs = atMs;
        view.weight.set(atMs, view.route.current().canaryWeight);
        view.epoch.set(atMs, view.route.current().epoch);
        return true;
      case 'Deployment': {
        const history =
          name === canary.target
            ? view.target
            : name === `${canary.target}-primary`
              ? view.primary
              : undefined;
        history?.set(atMs, isGone ? NO_WORKLOAD : workloadViewOf(object));
        return history !== undefined;
      }
      case 'Service':
        if (name === canary.apex) view.apexSelects.set(atMs, isGone ? '' : (object.spec.selector?.app ?? ''));
        return [canary.apex, `${canary.apex}-primary`, `${canary.apex}-canary`].includes(name);
      case 'EndpointSlice': {
        const service = labels?.['kubernetes.io/service-name'] ?? '';
        const arm =
          service === canary.apex
            ? 'apex'
            : service === `${canary.apex}-primary`
              ? 'primary'
              : service === `${canary.apex}-canary`
                ? 'canary'
                : undefined;
        if (arm) view.endpoints[arm].set(atMs, endpointsOf(view, service));
        return arm !== undefined;
      }
      case 'Pod': {
        const label = labels?.['app'] ?? '';
        const pods =
          label === canary.target
            ? view.targetPods
            : label === `${canary.target}-primary`
              ? view.primaryPods
              : undefined;
        pods?.set(atMs, countPods(view, label));
        return pods !== undefined;
      }
      case 'Canary':
        if (name !== canary.name) return false;
        observeCanary(view, change, hand);
        return true;
      case 'ControllerRevision':
        observeRevision(view, change);
        return object.metadata.ownerReferences?.some(owner => owner.name === canary.name) ?? false;
      default:
        return false;
    }
  }

  return {
    canaries: views,
    observe: (change, hand) =>
      views.filter(
        view => view.plan.namespace === change.object.metadata.namespace && update(view, change, hand),
      ),
  };
}

function createView(plan: CanaryPlan, index: number, atMs: number): CanaryView {
  const none: PodCounts = new Map();
  return {
    index,
    plan,
    uid: undefined,
    isDeleting: false,
    deletedAtMs: undefined,
    routeHand: 'cluster',
    routeTouchedMs: 0,
    route: createHistory(atMs, NO_ROUTE),
    weight: createHistory(atMs, 0),
    epoch: createHistory(atMs, 0),
    runSinceMs: new Map(),
    endpoints: {
      apex: createHistory(atMs, 0),
      primary: createHistory(atMs, 0),
      canary: createHistory(atMs, 0),
    },
    target: createHistory(atMs, NO_WORKLOAD),
    primary: createHistory(atMs, NO_WORKLOAD),
    targetPods: createHistory(atMs, none),
    primaryPods: createHistory(atMs, none),
    apexSelects: createHistory(atMs, ''),
    status: createHistory<Json>(atMs, {}),
    statuses: new Map(),
    specs: [],
    commands: [],
    versions: new Map(),
    stored: new Set(),
  };
}
