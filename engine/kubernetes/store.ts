/**
 * The local copy of one watched resource type, read-your-writes: an answer of a write counts at once, and an older watch
 * event never overwrites it. Handlers run synchronously, after the copy was changed; one that throws harms nobody else.
 */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../clock.ts';
import { createEntries, type IndexBy } from './entries.ts';
import {
  type ApiClient,
  type KubernetesObject,
  type ObjectKey,
  type ObjectList,
  objectKey,
  type ResourceType,
  type Store,
  type WatchEvent,
} from './types.ts';
import { createTombstones, isNewer } from './versions.ts';
import { createWatcher, type WatchState } from './watch.ts';

export interface StoreOptions {
  clock: Clock;
  /** Uniform in [0, 1); jitters watches and backoff. */
  random: () => number;
  /** Watches one namespace instead of the cluster. */
  namespace?: string;
  labelSelector?: string;
  /**
   * Nobody but the engine writes the status of these objects: an own write that changed nothing but the status wakes
   * nobody when the watch shows it. Without this every version that the watch shows wakes, own or not, because an
   * apply that changed nothing answers with a version that another made.
   */
  statusIsOurs?: boolean;
  /** What `find` finds objects by, within their namespace; undefined: not at all. */
  indexBy?: IndexBy;
  /** Gives the object to keep, e.g. without `managedFields`. Must keep the rest of `metadata`. */
  transform?: (object: KubernetesObject) => KubernetesObject;
  onState?: (state: WatchState) => void;
  /** A handler, `onState` or `transform` threw. */
  onError?: (error: unknown) => void;
}

export type WatchedStore = Store & {
  start(): void;
  /** Resolves when the watch has ended. Reads keep working on what was cached. */
  stop(): Promise<void>;
  state(): WatchState;
};

interface Change {
  object: KubernetesObject;
  deleted: boolean;
}

/** Own writes to one object that are ahead of the watch. More would mean a dead watch; then waking once too often is harmless. */
const MOST_OWN_VERSIONS = 16;

export function createStore(client: ApiClient, type: ResourceType, options: StoreOptions): WatchedStore {
  const { clock, onError } = options;
  const entries = createEntries(options.indexBy);
  const handlers: ((object: KubernetesObject, deleted: boolean) => void)[] = [];
  const tombstones = createTombstones();
  let isSynced = false;
  let liveAtMs = 0;

  /** Runs code that is not ours. */
  function guarded<T>(run: () => T, otherwise: T): T {
    try {
      return run();
    } catch (error) {
      onError?.(error);
      return otherwise;
    }
  }

  function transformed(object: KubernetesObject): KubernetesObject {
    const { transform } = options;
    return transform ? guarded(() => transform(object), object) : object;
  }

  function announce({ object, deleted }: Change): void {
    for (const handler of handlers) guarded(() => handler(object, deleted), undefined);
  }

  /** Takes an object that the watch or a list showed. Gives the changes to announce. */
  function observe(incoming: KubernetesObject, byList: boolean): Change[] {
    const key = keyOf(incoming);
    const entry = entries.get(key);
    const { uid, resourceVersion: version = '' } = incoming.metadata;
    if (!entry) {
      if (tombstones.covers(uid, version)) return [];
      tombstones.remove(uid);
      const object = transformed(incoming);
      entries.put(key, { object, seenVersion: version, ownVersions: [] });
      return [{ object, deleted: false }];
    }
    if (entry.object.metadata.uid !== uid) {
      if (isNewer(entry.object, incoming)) return [];
      const gone = entry.object;
      tombstones.add(gone);
      const object = transformed(incoming);
      entries.put(key, { object, seenVersion: version, ownVersions: [] });
      return [
        { object: gone, deleted: true },
        { object, deleted: false },
      ];
    }
    if (version !== '' && version === entry.seenVersion) return [];
    // A list shows only the last of several changes, so an own version in it may hide another's change before it.
    const isOwn = !byList && entry.ownVersions.includes(version);
    entry.seenVersion = version;
    if (isNewer(incoming, entry.object)) {
      entries.replace(entry, transformed(incoming));
      entry.ownVersions = [];
    } else {
      entry.ownVersions = entry.ownVersions.filter(own => own !== version && !isOlderVersion(own, incoming));
    }
    // An older version that is not ours is a change by somebody else which our newer copy contains: it still wakes.
    return isOwn ? [] : [{ object: entry.object, deleted: false }];
  }

  function observeDeletion(incoming: KubernetesObject): Change[] {
    const key = keyOf(incoming);
    const entry = entries.get(key);
    const wasForgotten = tombstones.has(incoming.metadata.uid);
    tombstones.add(incoming);
    if (!entry) return wasForgotten ? [] : [{ object: transformed(incoming), deleted: true }];
    if (entry.object.metadata.uid !== incoming.metadata.uid && isNewer(entry.object, incoming)) {
      // Its successor is already here by an own write: say that something happened, not that it is gone.
      return [{ object: entry.object, deleted: false }];
    }
    entries.remove(key);
    return [{ object: transformed(incoming), deleted: true }];
  }

  function observeList(list: ObjectList): void {
    const changes: Change[] = [];
    const listed = new Set<ObjectKey>();
    for (const item of list.items) {
      listed.add(keyOf(item));
      changes.push(...observe(item, true));
    }
    for (const [key, entry] of entries) {
      // What an own write created after the list's snapshot is not missing from it.
      if (listed.has(key) || isOlderVersion(list.resourceVersion, entry.object)) continue;
      tombstones.add(entry.object);
      entries.remove(key);
      changes.push({ object: entry.object, deleted: true });
    }
    isSynced = true;
    liveAtMs = clock.now();
    changes.forEach(announce);
  }

  function observeEvent(event: WatchEvent): void {
    liveAtMs = clock.now();
    if (event.type === 'BOOKMARK') return;
    const changes = event.type === 'DELETED' ? observeDeletion(event.object) : observe(event.object, false);
    changes.forEach(announce);
  }

  function absorb(object: KubernetesObject): void {
    assert(
      object.kind === type.kind,
      `a store of ${type.kind} cannot absorb a ${object.kind} (the answer of a subresource?)`,
    );
    const { uid, namespace, resourceVersion: version = '' } = object.metadata;
    if (options.namespace !== undefined && namespace !== options.namespace) return;
    if (tombstones.has(uid)) return;
    const key = keyOf(object);
    const entry = entries.get(key);
    if (entry && !isNewer(object, entry.object)) return;
    const kept = transformed(object);
    if (!entry || entry.object.metadata.uid !== uid) {
      if (entry) tombstones.add(entry.object);
      entries.put(key, { object: kept, seenVersion: '', ownVersions: [] });
      return;
    }
    if (options.statusIsOurs && differsInStatusOnly(entry.object, kept)) entry.ownVersions.push(version);
    entries.replace(entry, kept);
    if (entry.ownVersions.length > MOST_OWN_VERSIONS) entry.ownVersions.shift();
  }

  const onState = (state: WatchState) => guarded(() => options.onState?.(state), undefined);
  const watcher = createWatcher(
    client,
    type,
    { listed: observeList, event: observeEvent },
    { ...options, onState },
  );

  return {
    type,
    get: (namespace, name) => entries.get(objectKey(type.namespaced ? namespace : undefined, name))?.object,
    all: namespace => entries.all(namespace),
    find(namespace, name) {
      assert(options.indexBy, `the store of ${type.plural} has no index`);
      return entries.find(namespace, name);
    },
    absorb,
    forget(namespace, name) {
      const key = objectKey(type.namespaced ? namespace : undefined, name);
      const entry = entries.get(key);
      if (!entry) return;
      tombstones.add(entry.object);
      entries.remove(key);
    },
    synced: () => isSynced,
    liveAt: () => liveAtMs,
    onChange(handler) {
      handlers.push(handler);
    },
    start: () => watcher.start(),
    stop: () => watcher.stop(),
    state: () => watcher.state(),
  };
}

function keyOf(object: KubernetesObject): ObjectKey {
  return objectKey(object.metadata.namespace, object.metadata.name);
}

/** `generation` stands for the spec, which the API server counts; of the metadata only what users write is compared. */
function differsInStatusOnly(before: KubernetesObject, after: KubernetesObject): boolean {
  const written = ({ metadata }: KubernetesObject) => {
    const { generation, deletionTimestamp, labels, annotations, finalizers, ownerReferences } = metadata;
    return [generation, deletionTimestamp, labels, annotations, finalizers, ownerReferences];
  };
  return isDeepStrictEqual(written(before), written(after));
}

/** True when `version` is lower than the version of `object`. */
function isOlderVersion(version: string, object: KubernetesObject): boolean {
  return isNewer(object, { metadata: { resourceVersion: version } });
}
