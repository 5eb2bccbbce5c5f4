/**
 * The decoded Canary of a cached object, and what its spec asks for, kept as long as the spec stays the same: each canary is
 * looked at on every event of all that belongs to it, and most of these change its status or nothing of it. It decides
 * nothing, and answers what `decodeCanary` and `settingsOf` would.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Canary, decodeCanary } from '../api/decode.ts';
import { type EngineDefaults, type Settings, settingsOf } from '../core/settings.ts';
import { type KubernetesObject, objectKey, type Store } from '../kubernetes/types.ts';

type Decoded = ReturnType<typeof decodeCanary>;
type Accepted = Extract<Decoded, { ok: true }>;

/** Objects of a cache are never changed. */
const decodedObjects = new WeakMap<KubernetesObject, Decoded>();
/** The last version of each canary of a store that was valid. */
const lastValid = new WeakMap<Store, Map<string, { object: KubernetesObject; decoded: Accepted }>>();
const settingsOfSpecs = new WeakMap<object, Settings>();

export function decodedOf(store: Store, object: KubernetesObject): Decoded {
  const known = decodedObjects.get(object);
  if (known) return known;
  const key = objectKey(object.metadata.namespace, object.metadata.name);
  const ofStore = lastValid.get(store) ?? new Map();
  lastValid.set(store, ofStore);
  const last = ofStore.get(key);
  const isSame = last !== undefined && isDeepStrictEqual(last.object.spec, object.spec);
  const decoded: Decoded = isSame
    ? { ok: true, canary: { ...last.decoded.canary, ...metadataOf(object) } }
    : decodeCanary(object);
  decodedObjects.set(object, decoded);
  if (decoded.ok) ofStore.set(key, { object, decoded });
  return decoded;
}

/** A canary that is gone needs no place in memory. */
export function forgetDecoded(store: Store, namespace: string, name: string): void {
  lastValid.get(store)?.delete(objectKey(namespace, name));
}

const bareObjects = new WeakMap<KubernetesObject, Canary>();

/**
 * A canary whose spec is refused, by the names of its target and Services alone: enough to keep users off its revision and
 * to give the workload back. An engine that has just started knows no earlier spec of it, and must not be blind.
 * @returns undefined when not even the names can be read
 */
export function bareOf(object: KubernetesObject): Canary | undefined {
  const known = bareObjects.get(object);
  if (known) return known;
  const { targetRef, service = {} } = object.spec ?? {};
  // Nothing is judged by it: a refused canary holds.
  const analysis = { iterations: 1 };
  const whole = decodeCanary({ ...object, spec: { targetRef, service, analysis } });
  // Services are made of all that is said of them; who gives a workload back makes none.
  const isLeaving = object.metadata.deletionTimestamp !== undefined;
  const { name, port } = service;
  const least = isLeaving
    ? decodeCanary({ ...object, spec: { targetRef, service: { name, port }, analysis } })
    : whole;
  const decoded = whole.ok ? whole : least;
  if (!decoded.ok) return undefined;
  bareObjects.set(object, decoded.canary);
  return decoded.canary;
}

/** What a status write or a user may change beside the spec. */
export function metadataOf(object: KubernetesObject): Omit<Canary, 'spec' | 'deletionTimestamp'> & {
  deletionTimestamp?: string | undefined;
} {
  const { metadata } = object;
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: metadata.uid ?? '',
    generation: metadata.generation ?? 0,
    resourceVersion: metadata.resourceVersion ?? '',
    creationTimestamp: metadata.creationTimestamp ?? '',
    deletionTimestamp: metadata.deletionTimestamp,
    annotations: metadata.annotations ?? {},
    labels: metadata.labels ?? {},
    finalizers: metadata.finalizers ?? [],
  };
}

export function cachedSettings(canary: Canary, defaults: EngineDefaults): Settings {
  const known = settingsOfSpecs.get(canary.spec);
  if (known) return known;
  const settings = settingsOf(canary, defaults);
  settingsOfSpecs.set(canary.spec, settings);
  return settings;
}
