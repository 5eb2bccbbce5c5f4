/**
 * One running engine on a client that is given: stores, controller, scheduler, events, in the order in which they must
 * start and stop. `main` gives it a real cluster, the demo and the tests give it what they like. It decides nothing.
 */
import type { Clock } from './clock.ts';
import { type Controller, createController, type Listener } from './controller/controller.ts';
import { createLanded } from './controller/landed.ts';
import type { Judging } from './controller/judging.ts';
import type { Sighting } from './controller/observe.ts';
import { createStatusMemory } from './controller/memory.ts';
import { createAcceptance } from './controller/acceptance.ts';
import { acceptedIn, refusedStatus } from './controller/refusal.ts';
import type { Scheduler } from './controller/scheduler.ts';
import { createTeller, type Teller, type TellOptions } from './controller/tell.ts';
import { INDEXES, OWNER_LABEL, type Stores, type World } from './controller/world.ts';
import type { Judgement, Problem } from './core/observation.ts';
import type { PrioritisedClient } from './kubernetes/client.ts';
import { createEventRecorder } from './kubernetes/events.ts';
import * as resources from './kubernetes/resources.ts';
import { createStore, type StoreOptions, type WatchedStore } from './kubernetes/store.ts';
import { createStoreSet, type StoreSet } from './kubernetes/storeSet.ts';
import type { WatchState } from './kubernetes/watch.ts';
import {
  ApiError,
  type KubernetesObject,
  objectKey,
  type ResourceType,
  type Store,
} from './kubernetes/types.ts';
import type { ServedVersions } from '../steppers/registry.ts';
import type { Stepper } from '../steppers/stepper.ts';
import {
  withoutManagedFields,
  withoutTemplate,
  withSmallMetadata,
  withWriteTimes,
} from './workloads/kept.ts';

export interface EngineOptions {
  clock: Clock;
  client: PrioritisedClient;
  /** Uniform in [0, 1). */
  random: () => number;
  stepper: Stepper;
  /** Default: what the stepper writes, and nothing else. */
  served?: () => ServedVersions;
  /** What the engine itself lacks in a namespace, e.g. rights: no rollout goes on there. Default: nothing. */
  lacks?: (namespace: string) => Problem[];
  /** The API server dropped what the status of a Canary remembers. Nothing is done on that one until `trustMemory`. */
  onMemoryLost?: () => void;
  scheduler: Scheduler;
  apiGroup: string;
  /** Empty: the whole cluster. */
  namespaces: readonly string[];
  selectorLabels: readonly string[];
  drainMs: number;
  resyncMs: number;
  isActive(): boolean;
  /** Whether this one of several active replicas looks after what another was killed over. Default: no. */
  isLeader?(): boolean;
  measure(sighting: Sighting, arm: 'canary' | 'primary', signal: AbortSignal): Promise<Judgement>;
  /** Absent: neither judge nor guard. */
  judging?: Judging | undefined;
  inspect(client: PrioritisedClient, sighting: Sighting): Promise<Problem[]>;
  inspectAutoscalers(client: PrioritisedClient, sighting: Sighting): Promise<Problem[]>;
  inspectPods(client: PrioritisedClient, sighting: Sighting): Promise<Problem[]>;
  /** Default: true. */
  allowsCrossNamespaceRefs?: boolean;
  /** Absent: nobody is told of anything, but by events. */
  tell?: TellOptions;
  /** Told of every canary (`namespace/name`) that may have come under analysis. */
  follow?(key: string): void;
  log: Log;
}

export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface Engine {
  readonly world: World;
  readonly controller: Controller;
  /** Resolves when every watch has its first list and ticks run. */
  start(): Promise<void>;
  /** Serves one more namespace; only where the engine was given namespaces. */
  serve(namespace: string): void;
  /** The CRDs are whole: a memory that is lost was taken by somebody, and the canary is acted on again. */
  trustMemory(): void;
  /** This replica has become the active one: tells people what nobody is known to have told. */
  tellAgain(): void;
  /** This replica has become the one that says whether MetricTemplates and AlertProviders can be used. */
  sayAcceptance(): void;
  stop(graceMs: number): Promise<void>;
}

/** Steps of a run are told of the Canary alone: of the workload people want to know how a release began and ended. */
const STEPS: readonly string[] = ['WeightRaised', 'Shifting', 'Waiting'];
const SYNC_POLL_MS = 20;
/** What Canaries refer to is better known before they are looked at, but no rollout waits for whom it would tell. */
const REFERENCES_SYNC_MS_MAX = 10_000;

export function createEngine(options: EngineOptions): Engine {
  const { clock, client, random, log, scheduler } = options;
  const types = resources.canaryTypes(options.apiGroup);
  const running: { start(): void; stop(): Promise<void> }[] = [];
  /** One for each type that is watched in the given namespaces. */
  const ofNamespaces: StoreSet[] = [];
  const sets: StoreSet[] = [];
  const stopping = new AbortController();

  const storeOptions = (type: ResourceType, extra: Partial<StoreOptions> = {}) => ({
    clock,
    random,
    ...extra,
    onState: watchReporter(log, type),
    onError: (error: unknown) =>
      log.error({ resource: type.plural, error: String(error) }, 'a watch handler failed'),
  });

  /** Of the whole cluster, or of each namespace that the engine may see. */
  function watched(type: ResourceType, extra: Partial<StoreOptions> = {}): Store {
    if (options.namespaces.length === 0) {
      const store: WatchedStore = createStore(client, type, storeOptions(type, extra));
      running.push(store);
      return store;
    }
    const set = createStoreSet(client, type, storeOptions(type, extra));
    ofNamespaces.push(set);
    running.push({
      start: () => options.namespaces.forEach(namespace => set.follow(namespace)),
      stop: () => set.stop(),
    });
    return set;
  }

  /** Only in namespaces that have canaries. */
  function followed(type: ResourceType, extra: Partial<StoreOptions> = {}): Store {
    const set = createStoreSet(client, type, storeOptions(type, extra));
    sets.push(set);
    return set;
  }

  const own = { labelSelector: OWNER_LABEL, transform: withoutManagedFields };
  const stores: Stores = {
    canaries: watched(types.canaries, {
      statusIsOurs: true,
      indexBy: INDEXES.canaries,
      transform: withoutManagedFields,
    }),
    metricTemplates: watched(types.metricTemplates, {
      statusIsOurs: true,
      transform: withoutManagedFields,
    }),
    alertProviders: watched(types.alertProviders, { statusIsOurs: true, transform: withoutManagedFields }),
    endpointSlices: watched(resources.endpointSlices, { ...own, indexBy: INDEXES.endpointSlices }),
    controllerRevisions: watched(resources.controllerRevisions, {
      ...own,
      indexBy: INDEXES.controllerRevisions,
    }),
    routes: watched(options.stepper.routeType, { ...own, transform: withWriteTimes }),
    deployments: followed(resources.deployments, { transform: withSmallMetadata }),
    replicaSets: followed(resources.replicaSets, {
      indexBy: INDEXES.replicaSets,
      transform: withoutTemplate,
    }),
    services: followed(resources.services, { transform: withSmallMetadata }),
  };
  const memory = createStatusMemory(() => options.onMemoryLost?.());
  const world: World = {
    clock,
    client,
    urgentClient: client.urgent,
    stores,
    stepper: options.stepper,
    memory,
    lacks: options.lacks ?? (() => []),
    served: options.served ?? (() => ({ trafficSplit: [options.stepper.routeType.version] })),
    types: { canaries: types.canaries },
    selectorLabels: options.selectorLabels,
    defaults: { drainMs: options.drainMs },
    allowsCrossNamespaceRefs: options.allowsCrossNamespaceRefs ?? true,
    notified: (canary, status) => teller?.notified(canary, status) ?? status.notified ?? 0,
  };
  const events = createEventRecorder(client, { clock, reportingComponent: 'serin' });

  const warn = (object: KubernetesObject, { reason, message }: { reason: string; message: string }) =>
    events.record({ object, type: 'Warning', reason, message });

  const acceptance = createAcceptance({
    client,
    stores,
    clock,
    speaks: () => !stopping.signal.aborted && (options.isLeader ?? options.isActive)(),
    onRefused: warn,
    onFailed: ({ kind, metadata }, message) =>
      log.warn(
        { kind, namespace: metadata.namespace, name: metadata.name, detail: message },
        'Accepted could not be written',
      ),
  });

  const teller: Teller | undefined =
    options.tell &&
    createTeller(options.tell, () => world, {
      trouble: warn,
      used: (provider, trouble) => acceptance.used(provider, trouble),
    });
  const landed = createLanded();

  const listener: Listener = {
    decided(sighting, decision) {
      const key = objectKey(sighting.names.namespace, sighting.canary.name);
      const transitions = [
        ...landed.of(sighting.canary.uid, sighting.observation.status),
        ...decision.transitions,
      ];
      options.follow?.(key);
      teller?.told(sighting.object, sighting.canary, transitions);
      for (const transition of transitions) {
        log.info(
          { canary: key, rule: decision.rule, reason: transition.reason, detail: transition.message },
          'transition',
        );
        const type = transition.severity === 'info' ? 'Normal' : 'Warning';
        events.record({
          object: sighting.object,
          type,
          reason: transition.reason,
          message: transition.message,
        });
        if (sighting.target && !STEPS.includes(transition.reason))
          events.record({
            object: sighting.target,
            type,
            reason: transition.reason,
            message: transition.message,
          });
      }
    },
    interrupted: (sighting, decision) => landed.doubt(sighting.canary.uid, decision.transitions),
    failed(key, message) {
      log.warn({ canary: key, detail: message }, 'a write failed');
    },
    refused(object, problems) {
      void reportRefusal(object, problems).catch(error =>
        log.warn({ error: String(error) }, 'a refusal could not be written'),
      );
    },
  };

  /** An object that cannot even be decoded still gets its condition and an event, once for each generation. */
  async function reportRefusal(object: KubernetesObject, problems: Problem[]): Promise<void> {
    const [problem] = problems;
    const generation = object.metadata.generation ?? 0;
    if (!problem || !options.isActive() || acceptedIn(object)?.observedGeneration === generation) return;
    const at = new Date(clock.now()).toISOString();
    const message = problems
      .map(one => `${one.field ? `${one.field}: ` : ''}${one.message}`)
      .join('; ')
      .slice(0, 1024);
    const status = refusedStatus(object, { reason: problem.reason, message }, at, true);
    try {
      stores.canaries.absorb(await client.replaceStatus(types.canaries, { ...object, status }));
      events.record({ object, type: 'Warning', reason: problem.reason, message });
    } catch (error) {
      if (!(error instanceof ApiError) || error.kind !== 'conflict') throw error;
    }
  }

  const controller = createController({
    world,
    scheduler,
    measure: (sighting, arm, signal) => options.measure(sighting, arm, signal),
    judging: options.judging,
    inspect: sighting => options.inspect(client, sighting),
    inspectAutoscalers: sighting => options.inspectAutoscalers(client, sighting),
    inspectPods: sighting => options.inspectPods(client, sighting),
    listener,
    isSynced,
    isActive: () => options.isActive(),
  });

  function isSynced(namespace: string): boolean {
    return sets.every(set => set.synced(namespace));
  }

  /** Namespaces come with their first canary. */
  function followNamespaceOf(object: KubernetesObject): void {
    for (const set of sets) set.follow(object.metadata.namespace ?? '');
  }

  async function untilSynced(stores: readonly Store[], deadlineMs = Infinity): Promise<void> {
    const deadline = clock.now() + deadlineMs;
    while (!stopping.signal.aborted && clock.now() < deadline && !stores.every(store => store.synced()))
      await clock.sleep(SYNC_POLL_MS, stopping.signal);
  }

  async function resyncForever(): Promise<void> {
    while (!stopping.signal.aborted) {
      // Runs that were under way before this engine started or became active.
      for (const object of stores.canaries.all()) options.follow?.(keyOf(object));
      await controller.resync().catch(error => log.error({ error: String(error) }, 'resync failed'));
      if (options.isLeader?.()) teller?.tellLate();
      acceptance.walk();
      await clock.sleep(options.resyncMs, stopping.signal);
    }
  }

  return {
    world,
    controller,
    async start() {
      for (const store of running) store.start();
      await untilSynced([stores.canaries, stores.routes, stores.endpointSlices, stores.controllerRevisions]);
      await untilSynced([stores.metricTemplates, stores.alertProviders], REFERENCES_SYNC_MS_MAX);
      stores.canaries.all().forEach(followNamespaceOf);
      await untilSynced(sets);
      // From here on a new namespace is followed before its canary is woken: handlers run in order.
      stores.canaries.onChange(followNamespaceOf);
      stores.canaries.onChange((object, deleted) => deleted && memory.forget(object));
      // Runs that another replica has started or moved: own writes are told of by `decided`.
      stores.canaries.onChange(object => options.follow?.(keyOf(object)));
      acceptance.start();
      controller.start();
      if (options.isActive()) teller?.tellAgain();
      await scheduler.start((key, signal) => tickWhenSynced(key, signal));
      void resyncForever();
    },
    trustMemory() {
      memory.forgive();
      void controller.resync();
    },
    serve(namespace) {
      for (const set of ofNamespaces) set.follow(namespace);
    },
    tellAgain: () => teller?.tellAgain(),
    sayAcceptance: () => acceptance.walk(),
    async stop(graceMs) {
      stopping.abort();
      await scheduler.stop(graceMs);
      await events.flush(graceMs);
      await Promise.all([...running.map(store => store.stop()), ...sets.map(set => set.stop())]);
    },
  };

  async function tickWhenSynced(key: string, signal: AbortSignal): Promise<number | undefined> {
    if (!isSynced(key.split('/')[0] ?? '')) return SYNC_POLL_MS;
    return await controller.tick(key, signal);
  }
}

/** Says once that a watch is broken, and why; it is tried again by itself, and says so when it is whole. */
function watchReporter(log: Log, { plural }: ResourceType) {
  const broken = new Map<string, string>();
  return (state: WatchState, namespace = ''): void => {
    const where = { resource: plural, ...(namespace ? { namespace } : {}) };
    if ('error' in state) {
      const reason = state.error.message;
      if (broken.get(namespace) === reason) return;
      broken.set(namespace, reason);
      log.warn({ ...where, phase: state.phase, reason }, 'watch is broken');
    } else if (state.phase === 'watching' && broken.delete(namespace)) {
      log.info(where, 'watch is whole again');
    }
  };
}

function keyOf({ metadata }: KubernetesObject): string {
  return objectKey(metadata.namespace, metadata.name);
}
