/**
 * The played kubelet, and scheduler: watches all pods, binds each to its one Node, gives it an address and a real HTTP
 * server, reports status as a real kubelet does, and ends pods that are deleted. It writes nothing but that Node,
 * bindings, pod status and the final deletion of a terminating pod.
 */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { createAddressPool } from './addresses.ts';
import type { AddressPool } from './addresses.ts';
import type { WorldApi } from './api.ts';
import { startApp } from './app.ts';
import type { App } from './app.ts';
import { behaviourOf, environmentOf, isMatch, settingOf, stateAt } from './behaviour.ts';
import type { Behaviour, BehaviourLayer, PodMatch, PodState } from './behaviour.ts';
import { podStatus } from './podstatus.ts';
import { watchObjects } from './watch.ts';
import { createWorkQueue } from './workqueue.ts';
import type { WorkQueue } from './workqueue.ts';

/** Pods worked on at once: each costs at most one request and two listens at a time. */
const DEFAULT_CONCURRENCY = 16;
/** Real kubelets and proxies go on serving a pod that has left, while its endpoint is still known to clients. */
const DEFAULT_LINGER_MS = 1_500;
/** How long a terminating pod plays its shutdown before it is deleted for good. */
const DEFAULT_TERMINATION_MS = 300;
const DEFAULT_PROBE_INTERVAL_MS = 1_000;
/** After a write that failed or a server that could not be started. */
const RETRY_MS = 500;
/** Addresses tried when others on this machine hold the ports of the first ones. */
const ADDRESS_TRIES_MAX = 64;
const DEFAULT_PORT = 8080;
const DEFAULT_NODE = 'played-node';
const ADMIN_PORT_NAME = 'linkerd-admin';

export interface KubeletOptions {
  api: WorldApi;
  /** `base` is a /16 of addresses that this machine can bind, e.g. `10.244.0.0` or `127.1.0.0`. */
  addresses: { base: string };
  /**
   * The Node that pods are bound to; created when absent. A real EndpointSlice controller publishes no pod that is not
   * bound to a Node that exists, and a real API server deletes an unbound pod without a shutdown.
   */
  node?: string;
  lingerMs?: number;
  terminationMs?: number;
  probeIntervalMs?: number;
  concurrency?: number;
  random?: () => number;
  /** Told of what a person must mend: a behaviour that cannot be read, an address that cannot be bound, a refused write. */
  onProblem?: (message: string) => void;
}

export interface PlayedPod {
  namespace: string;
  name: string;
  labels: Record<string, string>;
  version: string;
  /** Undefined before it has one. */
  address: string | undefined;
  port: number;
  adminPort: number | undefined;
  isReady: boolean;
  /** True when the API server has forgotten the pod and only its server lingers. */
  isGone: boolean;
}

export interface Kubelet {
  /** Resolves when every pod that there was at the start is known (not yet running). */
  readonly synced: Promise<void>;
  pods(): PlayedPod[];
  /**
   * Overrides behaviour for pods that match, running and future ones; the latest override of a field wins. Returns
   * what takes the override away again (a pod that had crashed then starts anew).
   */
  setBehaviour(match: PodMatch, behaviour: Partial<Behaviour>): () => void;
  /** Ends the watch and every pod's server, at once. Pod objects stay as they are. */
  close(): Promise<void>;
}

interface PodRecord {
  pod: KubernetesObject;
  key: string;
  isBound: boolean;
  version: string;
  port: number;
  adminPort: number | undefined;
  environment: Behaviour;
  acceptedAt: number;
  /** When this kubelet saw the pod first: after `acceptedAt` when it took the pod over from an earlier one. */
  seenAt: number;
  address: string | undefined;
  app: App | undefined;
  state: PodState;
  startedAt: number | undefined;
  crash: { startedAt: number; finishedAt: number } | undefined;
  restartCount: number;
  /** The last status that the API server took, as JSON. */
  reported: string;
  terminatingSince: number | undefined;
  goneAt: number | undefined;
}

interface Override {
  match: PodMatch;
  behaviour: Partial<Behaviour>;
  since: number;
}

interface Context {
  api: WorldApi;
  node: string;
  /** Undefined until it was asked for, and again when that failed. */
  nodeCreated: Promise<void> | undefined;
  pool: AddressPool;
  queue: WorkQueue;
  records: Map<string, PodRecord>;
  overrides: Set<Override>;
  /** Servers that are closing. */
  endings: Set<Promise<void>>;
  lingerMs: number;
  terminationMs: number;
  random: () => number;
  onProblem: (message: string) => void;
}

export function startKubelet(options: KubeletOptions): Kubelet {
  const records = new Map<string, PodRecord>();
  const onProblem = options.onProblem ?? (message => console.error(`played kubelet: ${message}`));
  const queue = createWorkQueue(options.concurrency ?? DEFAULT_CONCURRENCY, async key => {
    const record = records.get(key);
    if (record === undefined) return;
    try {
      await reconcile(context, record);
    } catch (error) {
      onProblem(`${record.pod.metadata.namespace}/${record.pod.metadata.name}: ${(error as Error).message}`);
      queue.addAfter(key, RETRY_MS);
    }
  });
  const context: Context = {
    api: options.api,
    node: options.node ?? DEFAULT_NODE,
    nodeCreated: undefined,
    pool: createAddressPool(options.addresses.base),
    queue,
    records,
    overrides: new Set(),
    endings: new Set(),
    lingerMs: options.lingerMs ?? DEFAULT_LINGER_MS,
    terminationMs: options.terminationMs ?? DEFAULT_TERMINATION_MS,
    random: options.random ?? Math.random,
    onProblem,
  };
  const watch = watchObjects({
    api: options.api,
    path: () => Promise.resolve('/api/v1/pods'),
    onChange: (pod, deleted) => observe(context, pod, deleted),
  });
  const probes = setInterval(() => {
    for (const record of records.values()) record.app?.probe();
  }, options.probeIntervalMs ?? DEFAULT_PROBE_INTERVAL_MS);
  probes.unref();

  const wakeMatching = (match: PodMatch): void => {
    for (const record of records.values())
      if (isMatch(match, record.pod, record.version)) queue.add(record.key);
  };
  return {
    synced: watch.synced,
    pods: () => [...records.values()].map(view),
    setBehaviour(match, behaviour) {
      const override = { match, behaviour, since: Date.now() };
      context.overrides.add(override);
      wakeMatching(match);
      return () => {
        if (context.overrides.delete(override)) wakeMatching(match);
      };
    },
    async close() {
      clearInterval(probes);
      await watch.close();
      await queue.close();
      for (const { app } of records.values()) if (app !== undefined) context.endings.add(app.kill());
      await Promise.all(context.endings);
      records.clear();
    },
  };
}

function view(record: PodRecord): PlayedPod {
  const { pod, version, address, port, adminPort, state, goneAt } = record;
  return {
    namespace: pod.metadata.namespace ?? '',
    name: pod.metadata.name,
    labels: pod.metadata.labels ?? {},
    version,
    address,
    port,
    adminPort,
    isReady: state.kind === 'running' && state.isReady && record.app !== undefined,
    isGone: goneAt !== undefined,
  };
}

function observe(context: Context, pod: KubernetesObject, deleted: boolean): void {
  const key = pod.metadata.uid ?? '';
  let record = context.records.get(key);
  if (record === undefined) {
    if (deleted) return;
    record = accept(context, pod, key);
    if (record === undefined) return;
    context.records.set(key, record);
  }
  record.pod = pod;
  if (deleted) record.goneAt ??= Date.now();
  else if (pod.metadata.deletionTimestamp !== undefined) record.terminatingSince ??= Date.now();
  context.queue.add(key);
}

function accept(context: Context, pod: KubernetesObject, key: string): PodRecord | undefined {
  const environment = environmentOf(pod);
  let behaviour: Behaviour;
  try {
    behaviour = behaviourOf(environment);
  } catch (error) {
    context.onProblem(`${pod.metadata.namespace}/${pod.metadata.name}: ${(error as Error).message}`);
    return undefined;
  }
  const now = Date.now();
  const { startTime, podIP } = pod.status ?? {};
  return {
    pod,
    key,
    isBound: pod.spec?.nodeName !== undefined,
    version: environment['VERSION'] ?? '',
    ...portsOf(pod),
    environment: behaviour,
    acceptedAt: startTime === undefined ? now : Date.parse(startTime),
    seenAt: now,
    // After a restart of the kubelet a pod keeps the address that clients know.
    address: podIP !== undefined && context.pool.claim(podIP) ? podIP : undefined,
    app: undefined,
    state: { kind: 'running', isReady: false },
    startedAt: undefined,
    crash: undefined,
    restartCount: pod.status?.containerStatuses?.[0]?.restartCount ?? 0,
    reported: '',
    terminatingSince: undefined,
    goneAt: undefined,
  };
}

function portsOf(pod: KubernetesObject): { port: number; adminPort: number | undefined } {
  const containers: { ports?: { name?: string; containerPort: number }[] }[] = pod.spec?.containers ?? [];
  const ports = containers.flatMap(container => container.ports ?? []);
  const admin = ports.find(port => port.name === ADMIN_PORT_NAME);
  const main = ports.find(port => port.name === 'http') ?? ports.find(port => port !== admin);
  return { port: main?.containerPort ?? DEFAULT_PORT, adminPort: admin?.containerPort };
}

function layersOf(context: Context, record: PodRecord): BehaviourLayer[] {
  const startedAt = record.startedAt ?? record.seenAt;
  const layers: BehaviourLayer[] = [{ behaviour: record.environment, since: startedAt }];
  for (const { match, behaviour, since } of context.overrides) {
    if (isMatch(match, record.pod, record.version)) {
      layers.push({ behaviour, since: Math.max(since, startedAt) });
    }
  }
  return layers;
}

/** One look at one pod: makes sockets and status what its state asks for, and appoints the next look. */
async function reconcile(context: Context, record: PodRecord): Promise<void> {
  const now = Date.now();
  if (record.goneAt !== undefined) return linger(context, record, record.goneAt, now);
  if (record.terminatingSince !== undefined) {
    const restMs = record.terminatingSince + context.terminationMs - now;
    if (restMs > 0) return context.queue.addAfter(record.key, restMs);
    return remove(context, record);
  }
  let { state, nextAt } = stateAt(layersOf(context, record), now);
  if (state.kind !== 'unschedulable') {
    if (!record.isBound && !(await bind(context, record))) return;
    record.address ??= context.pool.take();
  }
  if (state.kind === 'running') {
    if (record.app === undefined) {
      await start(context, record);
      ({ state, nextAt } = stateAt(layersOf(context, record), Date.now()));
    }
  } else {
    if (state.kind === 'crashed' && record.state.kind !== 'crashed') bookCrash(record);
    const { app } = record;
    record.app = undefined;
    await app?.kill();
  }
  record.state = state;
  if (Number.isFinite(nextAt)) context.queue.addAfter(record.key, Math.max(1, nextAt - Date.now()));
  await report(context, record);
}

function bookCrash(record: PodRecord): void {
  const finishedAt = Date.now();
  record.crash = { startedAt: record.startedAt ?? finishedAt, finishedAt };
  record.restartCount += 1;
}

/** What a scheduler does. False: the pod has left meanwhile, and the watch is about to say so. */
async function bind(context: Context, record: PodRecord): Promise<boolean> {
  context.nodeCreated ??= createNode(context);
  await context.nodeCreated;
  const { namespace, name, uid } = record.pod.metadata;
  const answer = await context.api.request('POST', `/api/v1/namespaces/${namespace}/pods/${name}/binding`, {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name, namespace, uid },
    target: { apiVersion: 'v1', kind: 'Node', name: context.node },
  });
  if (answer.status === 404) return false;
  // 409: bound by an earlier try whose answer was lost, or leaving; either way there is nothing more to bind.
  if (answer.status >= 300 && answer.status !== 409) throw new Error(refusal('its binding', answer));
  record.isBound = true;
  return true;
}

async function createNode(context: Context): Promise<void> {
  try {
    const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: context.node } };
    const answer = await context.api.request('POST', '/api/v1/nodes', node);
    if (answer.status >= 300 && answer.status !== 409)
      throw new Error(refusal(`Node ${context.node}`, answer));
  } catch (error) {
    context.nodeCreated = undefined;
    throw error;
  }
}

/** Starts the pod's program, on another address when somebody else on this machine holds a port of its own. */
async function start(context: Context, record: PodRecord): Promise<void> {
  for (let tries = 1; record.address !== undefined; tries++) {
    try {
      record.app = await startApp({
        address: record.address,
        port: record.port,
        adminPort: record.adminPort,
        podName: record.pod.metadata.name,
        version: record.version,
        traits: () => traitsOf(context, record),
        random: context.random,
      });
      record.startedAt = Date.now();
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || tries >= ADDRESS_TRIES_MAX) throw error;
      const next = context.pool.take();
      context.pool.free(record.address);
      record.address = next;
    }
  }
}

function traitsOf(
  context: Context,
  record: PodRecord,
): { errorPercent: number; latencyMs: number; latencyJitterMs: number; isReady: boolean } {
  const layers = layersOf(context, record);
  return {
    errorPercent: settingOf(layers, 'errorPercent').value,
    latencyMs: settingOf(layers, 'latencyMs').value,
    latencyJitterMs: settingOf(layers, 'latencyJitterMs').value,
    isReady: record.state.kind === 'running' && record.state.isReady,
  };
}

async function report(context: Context, record: PodRecord): Promise<void> {
  const status = podStatus({ ...record, now: Date.now() });
  // Transition times come from the pod as last seen: a report that differs only in them says nothing new.
  const text = JSON.stringify(status, (key, value: unknown) =>
    key === 'lastTransitionTime' ? undefined : value,
  );
  if (text === record.reported) return;
  const { namespace, name, uid } = record.pod.metadata;
  const answer = await context.api.request('PATCH', `/api/v1/namespaces/${namespace}/pods/${name}/status`, {
    // The uid is a precondition: another pod of that name is not this one's.
    metadata: { uid },
    status,
  });
  // 404 and 409: the pod has left or been replaced, and the watch is about to say so.
  if (answer.status === 404 || answer.status === 409) return;
  if (answer.status !== 200) throw new Error(refusal('its status', answer));
  record.reported = text;
  // The event of this write may still be on its way; the next report needs these transition times.
  record.pod = { ...record.pod, status: answer.body.status };
}

async function remove(context: Context, record: PodRecord): Promise<void> {
  const { namespace, name, uid } = record.pod.metadata;
  const answer = await context.api.request('DELETE', `/api/v1/namespaces/${namespace}/pods/${name}`, {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    gracePeriodSeconds: 0,
    preconditions: { uid },
  });
  if (answer.status === 404 || answer.status === 409 || answer.status < 300) return;
  throw new Error(refusal('its deletion', answer));
}

function refusal(what: string, answer: { status: number; body: any }): string {
  return `${what} was refused with ${answer.status}: ${answer.body?.message ?? ''}`;
}

function linger(context: Context, record: PodRecord, goneAt: number, now: number): void {
  const restMs = goneAt + context.lingerMs - now;
  if (restMs > 0) return context.queue.addAfter(record.key, restMs);
  context.queue.forget(record.key);
  context.records.delete(record.key);
  // Not awaited: a request that is still running in a leaving pod must not hold up the pods that come.
  const ending = (record.app?.stop() ?? Promise.resolve()).then(() => {
    if (record.address !== undefined) context.pool.free(record.address);
    context.endings.delete(ending);
  });
  context.endings.add(ending);
}
