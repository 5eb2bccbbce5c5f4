/**
 * What the Services of a canary should be, as its spec and the apex Service ask for it, and which of those that are there
 * differ. Only what the engine writes is compared: what the API server fills in and what others add is never a difference.
 * Pure: no I/O, no clock.
 */
import { createHash } from 'node:crypto';
import type { Canary } from '../api/decode.ts';
import {
  ABSENT_VERSION,
  FIELD_MANAGER,
  type KubernetesObject,
  type OwnerReference,
} from '../kubernetes/types.ts';
import type { SelectorLabel } from './deployment.ts';
import { canonicalJson } from './revisions.ts';
import {
  armService,
  isSameSelector,
  portsOf,
  primarySelector,
  type ServiceSettings,
  targetSelector,
} from './service.ts';

/** On a Service of the engine: generation of the Canary that it was written for, and a hash of all that was asked for. */
export const SETTINGS_ANNOTATION = 'serin.dev/settings';
const HASH_DIGITS = 16;

/** A named port that no pod has is served by no slice, ever: the apex follows all the same. */
const SERVED_MS_MAX = 10_000;

type Arm = 'apex' | 'primary' | 'canary';
/** `outdated`: something else was asked for when it was written. `drifted`: somebody else has changed it since. */
export type ServiceState = 'asAsked' | 'outdated' | 'drifted';

export interface ServiceInput {
  canary: Canary;
  names: Readonly<Record<Arm | 'namespace', string>>;
  label: SelectorLabel | undefined;
  target: KubernetesObject | undefined;
  /** By name, in the namespace of the canary. */
  service(name: string): KubernetesObject | undefined;
  slices(name: string): readonly KubernetesObject[];
  isOwn(object: KubernetesObject | undefined): boolean;
  labels: Record<string, string>;
  owner: OwnerReference;
  /** The spec is the one that stands in the API, not the last one that was accepted. */
  isCurrent: boolean;
  now: number;
  /** In which everybody has heard of a change, milliseconds. */
  drainMs: number;
}

export interface ServicePlan {
  /** The Services of both arms are there, and select the pods of their arm. */
  isWhole: boolean;
  state: ServiceState;
  /** What is to be applied, in this order, with preconditions. Empty when nothing is known of the target. */
  writes: readonly KubernetesObject[];
  /** For an apex that does not exist. */
  newApex: KubernetesObject | undefined;
  /** The same text for the same wish. */
  asked: string;
  /** The apex follows when its arms serve what it will ask of them, at the latest then; milliseconds since the epoch. */
  waitsUntil: number | undefined;
}

/** Plans with nothing to write, by the primary's Service, and what they were made of. */
const settled = new WeakMap<KubernetesObject, { madeOf: readonly unknown[]; plan: ServicePlan }>();

export function planServices(input: ServiceInput): ServicePlan {
  const { canary, names, label, target } = input;
  const [apex, primary, other] = [names.apex, names.primary, names.canary].map(input.service);
  if (!label || !target) {
    // Without a target nobody knows what they should select, and nothing could mend them.
    const isWhole = input.isOwn(primary) && input.isOwn(other);
    return { isWhole, state: 'asAsked', writes: [], newApex: undefined, asked: '', waitsUntil: undefined };
  }
  const pods = canary.spec.service.portDiscovery ? target : `${label.key}=${label.value}`;
  const madeOf = [canary.spec, canary.generation, apex, other, pods, input.isCurrent];
  const known = primary && settled.get(primary);
  if (known && known.madeOf.every((one, index) => one === madeOf[index])) return known.plan;
  const plan = planFor(input, label, target);
  const isSettled = plan.writes.length === 0 && plan.waitsUntil === undefined;
  if (primary && isSettled) settled.set(primary, { madeOf, plan });
  return plan;
}

function planFor(input: ServiceInput, label: SelectorLabel, target: KubernetesObject): ServicePlan {
  const { names } = input;
  const apex = input.service(names.apex);
  const settings = settingsOf(input.canary);
  const isOwnApex = input.isOwn(apex);
  const portsOfArms = portsOf(settings, target, apex, isOwnApex);
  const wanted = (arm: Arm) =>
    stamped(input, {
      arm,
      name: names[arm],
      namespace: names.namespace,
      selector: arm === 'canary' ? targetSelector(label) : primarySelector(label),
      ports: arm === 'apex' ? portsOf(settings, target, undefined, false) : portsOfArms,
      settings,
      labels: input.labels,
      owner: input.owner,
    });
  const arms = (['primary', 'canary'] as const).map(arm => {
    const live = input.service(names[arm]);
    const object = wanted(arm);
    const isThere = input.isOwn(live) && isSameSelector(live?.spec?.selector, object.spec.selector);
    // Somebody may be about to make the apex anew: its ports are not guessed meanwhile.
    const isKnown = input.isCurrent && apex !== undefined;
    const state = live && isThere && isKnown ? stateOf(live, object) : 'asAsked';
    return { live, object, isThere, state };
  });
  const writes = arms
    .filter(arm => !arm.isThere || arm.state !== 'asAsked')
    .map(arm => prepared(input, input.isOwn(arm.live) ? arm.live : undefined, arm.object));
  const isWhole = arms.every(arm => arm.isThere);
  const wantedApex = wanted('apex');
  const plan: ServicePlan = {
    isWhole,
    state: worst(arms.map(arm => arm.state)),
    writes,
    newApex: prepared(input, undefined, wantedApex),
    asked: [...arms.map(arm => arm.object), wantedApex].map(hashIn).join(),
    waitsUntil: undefined,
  };
  if (!apex || !isOwnApex || !input.isCurrent || writes.length > 0) return plan;
  const state = stateOf(apex, wantedApex);
  if (state === 'asAsked') return plan;
  const waitsUntil = servedAt(input, arms);
  if (waitsUntil !== undefined) return { ...plan, waitsUntil };
  return { ...plan, state, writes: [prepared(input, apex, ofLive(apex, wantedApex))] };
}

/** Selector and type of an apex are not followed here: the one is looked after by itself, the other may be a user's. */
function ofLive(apex: KubernetesObject, object: KubernetesObject): KubernetesObject {
  const { selector, type } = apex.spec;
  return { ...object, spec: { ...object.spec, selector, type } };
}

function worst(states: readonly ServiceState[]): ServiceState {
  return states.find(one => one === 'outdated') ?? states.find(one => one === 'drifted') ?? 'asAsked';
}

/** Whether a Service that is there is what was asked for. What was written for a later spec than this is not judged. */
export function stateOf(live: KubernetesObject, wanted: KubernetesObject): ServiceState {
  const [generation, hash] = partsOf(live);
  if (hash === undefined) return 'drifted';
  if (generation > partsOf(wanted)[0]) return 'asAsked';
  if (hash !== hashIn(wanted)) return 'outdated';
  const ports: Port[] = live.spec?.ports ?? [];
  const isServed = (port: Port) => ports.some(one => isSamePort(one, port));
  return (wanted.spec.ports as Port[]).every(isServed) ? 'asAsked' : 'drifted';
}

type Port = Record<string, unknown>;

/** Of the fields that were asked for alone: the others the API server fills in. */
function isSamePort(live: Port, wanted: Port): boolean {
  return Object.entries(wanted).every(([field, value]) => live[field] === value);
}

function partsOf(service: KubernetesObject): [generation: number, hash: string | undefined] {
  const [generation, hash] = (service.metadata.annotations?.[SETTINGS_ANNOTATION] ?? '').split('/');
  return [Number(generation), hash];
}

function hashIn(service: KubernetesObject): string {
  return partsOf(service)[1] ?? '';
}

function stamped(input: ServiceInput, asked: Parameters<typeof armService>[0]): KubernetesObject {
  const object = armService(asked);
  const { labels, annotations } = object.metadata;
  const text = canonicalJson({ labels, annotations, spec: object.spec });
  const hash = createHash('sha256').update(text).digest('hex').slice(0, HASH_DIGITS);
  const stamp = { [SETTINGS_ANNOTATION]: `${input.canary.generation}/${hash}` };
  return { ...object, metadata: { ...object.metadata, annotations: { ...annotations, ...stamp } } };
}

/** With its preconditions, and with metadata that is others' by the spec as they have left it. */
function prepared(
  input: ServiceInput,
  live: KubernetesObject | undefined,
  object: KubernetesObject,
): KubernetesObject {
  if (!live) return { ...object, metadata: { ...object.metadata, resourceVersion: ABSENT_VERSION } };
  const { uid, resourceVersion } = live.metadata;
  const unmanaged = input.canary.spec.service.unmanagedMetadata;
  const labels = asLeft(object.metadata.labels, live.metadata.labels, unmanaged?.labels);
  const annotations = asLeft(object.metadata.annotations, live.metadata.annotations, unmanaged?.annotations);
  const metadata = { ...object.metadata, labels, annotations };
  return {
    ...object,
    metadata: { ...metadata, ...(uid ? { uid } : {}), ...(resourceVersion ? { resourceVersion } : {}) },
  };
}

function asLeft(
  wanted: Record<string, string> = {},
  live: Record<string, string> = {},
  unmanaged: readonly string[] = [],
): Record<string, string> {
  const entries = Object.entries(wanted).flatMap(([key, value]) => {
    if (!unmanaged.includes(key)) return [[key, value] as const];
    const left = live[key];
    return left === undefined ? [] : [[key, left] as const];
  });
  return Object.fromEntries(entries);
}

/**
 * Until when the apex waits for its arms: data planes hear of the ports of these first, or its clients would find nobody
 * behind what it asks for. Undefined: no longer.
 */
function servedAt(
  input: ServiceInput,
  arms: readonly { live: KubernetesObject | undefined; object: KubernetesObject }[],
): number | undefined {
  const writtenAt = Math.max(...arms.map(arm => writtenAtOf(arm.live)));
  const isServed = arms.every(({ object }) => {
    const slices = input.slices(object.metadata.name);
    const names = new Set(
      slices.flatMap(slice => (slice['ports'] ?? []).map((port: any) => port.name ?? '')),
    );
    const hasPods = slices.some(slice => (slice['endpoints'] ?? []).length > 0);
    return !hasPods || object.spec.ports.every((port: any) => names.has(port.name ?? ''));
  });
  const at = writtenAt + (isServed ? input.drainMs : SERVED_MS_MAX);
  return input.now < at ? at : undefined;
}

/** When the engine wrote it last, by the clock of the API server, milliseconds since the epoch; 0 when nobody knows. */
function writtenAtOf(service: KubernetesObject | undefined): number {
  const times = (service?.metadata.managedFields ?? [])
    .filter(entry => entry.manager === FIELD_MANAGER)
    .map(entry => Date.parse(entry.time ?? ''));
  return Math.max(0, ...times.filter(time => !Number.isNaN(time)));
}

function settingsOf(canary: Canary): ServiceSettings {
  const { service } = canary.spec;
  const metadata: ServiceSettings['metadata'] = {};
  for (const arm of ['apex', 'primary', 'canary'] as const) {
    const extra = service[arm];
    if (extra)
      metadata[arm] = {
        ...(extra.labels ? { labels: extra.labels } : {}),
        ...(extra.annotations ? { annotations: extra.annotations } : {}),
      };
  }
  return {
    port: service.port,
    portName: service.portName ?? 'http',
    targetPort: (service.targetPort as number | string | undefined) ?? service.port,
    ...(service.appProtocol ? { appProtocol: service.appProtocol } : {}),
    portDiscovery: service.portDiscovery ?? false,
    ...(service.trafficDistribution ? { trafficDistribution: service.trafficDistribution } : {}),
    metadata,
  };
}
