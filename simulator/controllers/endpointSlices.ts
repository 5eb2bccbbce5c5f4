/**
 * The played EndpointSlice controller: for each Service with a selector one slice for each set of resolved ports, with
 * the pods that have an address. It does not split slices of more than 100 endpoints and knows IPv4 only.
 */
import type { KubernetesObject, ObjectMeta } from '../../engine/kubernetes/types.ts';
import { draft } from '../api/inprocess.ts';
import { canonical, equal } from '../api/json.ts';
import type { Json } from '../api/json.ts';
import {
  controllerReference,
  ENDPOINT_SLICE,
  isFinished,
  keyOf,
  MANAGER,
  NODE,
  POD,
  readySince,
  SERVICE,
  splitKey,
} from './objects.ts';
import type { ControllerContext } from './objects.ts';
import { createKeyQueue } from './queue.ts';

const SERVICE_LABEL = 'kubernetes.io/service-name';
const MANAGED_BY_LABEL = 'endpointslice.kubernetes.io/managed-by';
const MANAGED_BY = 'endpointslice-controller.k8s.io';
const HEADLESS_LABEL = 'service.kubernetes.io/headless';

export function startEndpointSlices(context: ControllerContext): () => void {
  const { store } = context;
  const queue = createKeyQueue(context.clock, context.latencyMs, key => {
    const [namespace, name] = splitKey(key);
    const service = store.get(SERVICE, namespace, name);
    if (service?.spec.selector && service.metadata.deletionTimestamp === undefined)
      reconcile(context, service);
  });
  const wakeByPod = (pod: KubernetesObject | undefined) => {
    if (!pod) return;
    for (const service of store.list(SERVICE, pod.metadata.namespace))
      if (selects(service, pod)) queue.add(keyOf(service));
  };
  const stop = store.subscribe(({ object, previous }) => {
    if (object.kind === 'Service') queue.add(keyOf(object));
    const service = object.kind === 'EndpointSlice' ? object.metadata.labels?.[SERVICE_LABEL] : undefined;
    if (service) queue.add(`${object.metadata.namespace}/${service}`);
    if (object.kind === 'Node') for (const known of store.list(SERVICE)) queue.add(keyOf(known));
    if (object.kind !== 'Pod') return;
    wakeByPod(object);
    if (!equal(previous?.metadata.labels, object.metadata.labels)) wakeByPod(previous);
  });
  for (const service of store.list(SERVICE)) queue.add(keyOf(service));
  return () => {
    stop();
    queue.stop();
  };
}

function selects(service: KubernetesObject, pod: KubernetesObject): boolean {
  const selector = Object.entries(service.spec.selector ?? {});
  return selector.length > 0 && selector.every(([key, value]) => pod.metadata.labels?.[key] === value);
}

function resolvePort(port: Json, pod: KubernetesObject): number | undefined {
  if (typeof port.targetPort === 'number') return port.targetPort;
  for (const container of pod.spec.containers)
    for (const candidate of container.ports ?? [])
      if (candidate.name === port.targetPort && candidate.protocol === port.protocol)
        return candidate.containerPort;
  return undefined;
}

function portsFor(service: KubernetesObject, pod: KubernetesObject): Json[] {
  const ports: Json[] = [];
  for (const port of service.spec.ports ?? []) {
    const number = resolvePort(port, pod);
    if (number === undefined) continue;
    const { appProtocol } = port;
    ports.push({
      name: port.name ?? '',
      port: number,
      protocol: port.protocol,
      ...(appProtocol ? { appProtocol } : {}),
    });
  }
  return ports;
}

function endpointFor(service: KubernetesObject, pod: KubernetesObject): Json {
  const serving = readySince(pod) !== undefined;
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const ready = service.spec.publishNotReadyAddresses === true || (serving && !terminating);
  return {
    addresses: [pod.status.podIP],
    conditions: { ready, serving, terminating },
    ...(pod.spec.nodeName ? { nodeName: pod.spec.nodeName } : {}),
    targetRef: {
      kind: 'Pod',
      namespace: pod.metadata.namespace,
      name: pod.metadata.name,
      uid: pod.metadata.uid,
    },
  };
}

/** The real controller leaves out pods that are bound to no Node, or to one that does not exist. */
function isOnNode(context: ControllerContext, pod: KubernetesObject): boolean {
  const { nodeName } = pod.spec;
  return Boolean(nodeName) && context.store.get(NODE, undefined, nodeName) !== undefined;
}

/** Lists that would be empty are null, as the real controller writes them. */
interface Wanted {
  ports: Json[] | null;
  endpoints: Json[] | null;
}

function wantedSlices(context: ControllerContext, service: KubernetesObject): Wanted[] {
  const groups = new Map<string, Wanted>();
  for (const pod of context.store.list(POD, service.metadata.namespace)) {
    if (!selects(service, pod) || isFinished(pod) || !pod.status?.podIP) continue;
    if (!isOnNode(context, pod) && service.spec.publishNotReadyAddresses !== true) continue;
    const ports = portsFor(service, pod);
    const key = canonical(ports);
    const group = groups.get(key) ?? { ports: ports.length > 0 ? ports : null, endpoints: [] };
    group.endpoints?.push(endpointFor(service, pod));
    groups.set(key, group);
  }
  return groups.size > 0 ? [...groups.values()] : [{ ports: null, endpoints: null }];
}

function labelsFor(service: KubernetesObject): Record<string, string> {
  return {
    ...service.metadata.labels,
    [SERVICE_LABEL]: service.metadata.name,
    [MANAGED_BY_LABEL]: MANAGED_BY,
    ...(service.spec.clusterIP === 'None' ? { [HEADLESS_LABEL]: '' } : {}),
  };
}

function reconcile(context: ControllerContext, service: KubernetesObject): void {
  const { store } = context;
  const existing = store
    .list(ENDPOINT_SLICE, service.metadata.namespace)
    .filter(
      slice =>
        slice.metadata.labels?.[SERVICE_LABEL] === service.metadata.name &&
        slice.metadata.labels[MANAGED_BY_LABEL] === MANAGED_BY &&
        slice.metadata.deletionTimestamp === undefined,
    );
  const labels = labelsFor(service);
  for (const wanted of wantedSlices(context, service)) {
    const index = existing.findIndex(slice => equal(slice.ports ?? null, wanted.ports));
    // An empty placeholder is filled rather than replaced.
    const reused = existing.splice(index >= 0 ? index : 0, 1)[0];
    if (!reused) store.create(newSlice(service, labels, wanted), MANAGER);
    else if (
      !equal(reused.endpoints ?? null, wanted.endpoints) ||
      !equal(reused.ports ?? null, wanted.ports) ||
      !equal(reused.metadata.labels, labels)
    ) {
      const next = { ...draft(reused), ...wanted };
      next.metadata.labels = labels;
      store.update(next, MANAGER);
    }
  }
  for (const slice of existing) store.delete(slice);
}

function newSlice(
  service: KubernetesObject,
  labels: Record<string, string>,
  wanted: Wanted,
): KubernetesObject {
  return {
    ...ENDPOINT_SLICE,
    metadata: {
      name: '',
      generateName: `${service.metadata.name}-`,
      namespace: service.metadata.namespace ?? '',
      labels,
      ownerReferences: [controllerReference(service)],
    } as ObjectMeta,
    addressType: 'IPv4',
    ...wanted,
  };
}
