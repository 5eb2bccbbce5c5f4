/**
 * The three Services: apex, which clients call, primary and canary. What the engine creates it applies whole; an apex
 * that was there before keeps everything but its selector, and gets that back on deletion. Pure: no I/O.
 */
import type { KubernetesObject, OwnerReference } from '../kubernetes/types.ts';
import { type SelectorLabel, WRITE_STAMP_ANNOTATION } from './deployment.ts';

/** The selector that an adopted apex Service had, as JSON. */
export const ORIGINAL_SELECTOR_ANNOTATION = 'serin.dev/original-selector';

export interface ServiceSettings {
  port: number;
  portName: string;
  targetPort: number | string;
  appProtocol?: string;
  portDiscovery: boolean;
  trafficDistribution?: string;
  metadata: Partial<
    Record<
      'apex' | 'primary' | 'canary',
      { labels?: Record<string, string>; annotations?: Record<string, string> }
    >
  >;
}

/** Containers that meshes inject: their ports are not the application's. */
const SIDECARS = ['istio-proxy', 'envoy', 'linkerd-proxy'];

/**
 * The ports of a Service of an arm. Every port of the root must exist on both backends, or that backend gets nothing of
 * it: a user's apex alone says which there are, and of the engine's own the arms keep what it still has beside the spec's.
 */
export function portsOf(
  settings: ServiceSettings,
  target: KubernetesObject,
  apex: KubernetesObject | undefined,
  isOwnApex: boolean,
): ServicePort[] {
  const ofApex: ServicePort[] = (apex?.spec.ports ?? []).map(({ nodePort: _nodePort, ...port }: any) => port);
  if (apex && !isOwnApex) return ofApex;
  const asked = portsAsked(settings, target);
  const keys = new Set(asked.map(keyOf));
  const names = new Set(asked.map(port => port.name));
  const kept = ofApex.filter(port => !keys.has(keyOf(port)));
  // Names are unique in a Service, and the spec may have given this one to another port.
  return [
    ...asked,
    ...kept.map(port => (names.has(port.name) ? { ...port, name: `was-${nameOf(port)}` } : port)),
  ];
}

export interface ServicePort {
  name?: string;
  port: number;
  targetPort?: number | string;
  protocol?: string;
  appProtocol?: string;
}

function keyOf({ port, protocol = 'TCP' }: ServicePort): string {
  return `${port}/${protocol}`;
}

function nameOf(port: ServicePort): string {
  return keyOf(port).replace('/', '-').toLowerCase();
}

function portsAsked(settings: ServiceSettings, target: KubernetesObject): ServicePort[] {
  const first: ServicePort = {
    name: settings.portName,
    port: settings.port,
    targetPort: settings.targetPort,
    protocol: 'TCP',
    ...(settings.appProtocol ? { appProtocol: settings.appProtocol } : {}),
  };
  const ports = [first];
  if (!settings.portDiscovery) return ports;
  for (const container of target.spec.template.spec.containers ?? []) {
    if (SIDECARS.includes(container.name)) continue;
    for (const { name, containerPort, protocol = 'TCP' } of container.ports ?? []) {
      const isFirst =
        containerPort === settings.targetPort ||
        name === settings.targetPort ||
        containerPort === settings.port;
      const port: ServicePort = {
        name: name ?? `tcp-${container.name}-${containerPort}`.slice(0, 15),
        port: containerPort,
        targetPort: name ?? containerPort,
        protocol,
      };
      // A container may say the same port twice; a Service may not.
      if (!isFirst && !ports.some(one => keyOf(one) === keyOf(port))) ports.push(port);
    }
  }
  return ports;
}

export function armService(input: {
  arm: 'apex' | 'primary' | 'canary';
  name: string;
  namespace: string;
  selector: Record<string, string>;
  ports: object[];
  settings: ServiceSettings;
  labels: Record<string, string>;
  owner: OwnerReference;
}): KubernetesObject {
  const extra = input.settings.metadata[input.arm] ?? {};
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: input.name,
      namespace: input.namespace,
      labels: { ...extra.labels, ...input.labels },
      ...(extra.annotations ? { annotations: extra.annotations } : {}),
      ownerReferences: [input.owner],
    },
    spec: {
      type: 'ClusterIP',
      selector: input.selector,
      ports: input.ports,
      ...(input.settings.trafficDistribution
        ? { trafficDistribution: input.settings.trafficDistribution }
        : {}),
    },
  };
}

export function primarySelector(label: SelectorLabel): Record<string, string> {
  return { [label.key]: `${label.value}-primary` };
}

export function targetSelector(label: SelectorLabel): Record<string, string> {
  return { [label.key]: label.value };
}

export function isSameSelector(a: Record<string, string> | undefined, b: Record<string, string>): boolean {
  const keys = Object.keys(a ?? {});
  return keys.length === Object.keys(b).length && keys.every(key => a?.[key] === b[key]);
}

/** Points an apex that is the user's own at other pods, remembers what it selected, or gives that back. */
export function apexPatch(
  apex: KubernetesObject,
  selector: Record<string, string>,
  at: 'primary' | 'target',
  stamp: string,
): object {
  const current: Record<string, string> = apex.spec.selector ?? {};
  const original = apex.metadata.annotations?.[ORIGINAL_SELECTOR_ANNOTATION];
  const restored = at === 'target' && original ? (JSON.parse(original) as Record<string, string>) : selector;
  const gone = Object.fromEntries(
    Object.keys(current)
      .filter(key => !(key in restored))
      .map(key => [key, null]),
  );
  return {
    metadata: {
      resourceVersion: apex.metadata.resourceVersion,
      annotations: {
        [ORIGINAL_SELECTOR_ANNOTATION]: at === 'target' ? null : originalOf(current, selector, original),
        [WRITE_STAMP_ANNOTATION]: at === 'target' ? null : stamp,
      },
    },
    spec: { selector: { ...gone, ...restored } },
  };
}

/**
 * What is given back one day: what the apex selects now when those are the target's pods (a chart may have added to it),
 * otherwise what was remembered before, or the target's own label. What somebody pointed it at elsewhere is not to come
 * back: when the Canary goes, the target serves.
 */
function originalOf(
  current: Record<string, string>,
  primary: Record<string, string>,
  remembered: string | undefined,
): string {
  const isTargets = Object.entries(primary).every(([key, value]) => `${current[key]}-primary` === value);
  if (isTargets) return JSON.stringify(current);
  const target = Object.entries(primary).map(([key, value]) => [key, value.replace(/-primary$/, '')]);
  return remembered ?? JSON.stringify(Object.fromEntries(target));
}

/** Ready endpoints of a Service, by pod. */
export function readyEndpoints(slices: readonly KubernetesObject[], service: string): number {
  const ready = new Set<string>();
  for (const slice of slices) {
    if (slice.metadata.labels?.['kubernetes.io/service-name'] !== service) continue;
    for (const endpoint of slice['endpoints'] ?? []) {
      if (endpoint.conditions?.ready === false || endpoint.conditions?.terminating === true) continue;
      ready.add(endpoint.targetRef?.name ?? endpoint.addresses?.[0] ?? '');
    }
  }
  return ready.size;
}

/** Addresses of the ready pods of a Service, for analyzers that ask the pods. */
export function readyPods(
  slices: readonly KubernetesObject[],
  service: string,
): { name: string; ip: string }[] {
  const pods = new Map<string, string>();
  for (const slice of slices) {
    if (slice.metadata.labels?.['kubernetes.io/service-name'] !== service) continue;
    for (const endpoint of slice['endpoints'] ?? []) {
      if (endpoint.conditions?.ready === false || endpoint.conditions?.terminating === true) continue;
      const ip = endpoint.addresses?.[0];
      if (ip) pods.set(endpoint.targetRef?.name ?? ip, ip);
    }
  }
  return [...pods].map(([name, ip]) => ({ name, ip }));
}
