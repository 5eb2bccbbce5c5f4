/**
 * The objects of a store, found by their key, by their namespace, and by one more name that the store chooses (an owner, a
 * label), so that nobody has to walk through a namespace for the few objects of one canary. It compares no versions.
 */
import { type KubernetesObject, type ObjectKey, objectKey } from './types.ts';

export interface Entry {
  object: KubernetesObject;
  /** The newest version that the watch or a list has shown; empty while only `absorb` knows the object. */
  seenVersion: string;
  /** Versions of own status writes that the watch has not shown yet: they wake nobody when they come. */
  ownVersions: string[];
}

export interface Entries {
  get(key: ObjectKey): Entry | undefined;
  put(key: ObjectKey, entry: Entry): void;
  /** Another version of the same object. */
  replace(entry: Entry, object: KubernetesObject): void;
  remove(key: ObjectKey): void;
  all(namespace?: string): KubernetesObject[];
  /** Those of a namespace whose name under `indexBy` is this. */
  find(namespace: string, name: string): KubernetesObject[];
  [Symbol.iterator](): IterableIterator<[ObjectKey, Entry]>;
}

export type IndexBy = (object: KubernetesObject) => string | undefined;

export function createEntries(indexBy: IndexBy | undefined): Entries {
  const entries = new Map<ObjectKey, Entry>();
  const byNamespace = new Map<string, Set<Entry>>();
  const byName = new Map<string, Set<Entry>>();

  const namespaceOf = ({ object }: Entry) => object.metadata.namespace ?? '';
  function nameOf(entry: Entry): string | undefined {
    const name = indexBy?.(entry.object);
    return name === undefined ? undefined : `${namespaceOf(entry)}/${name}`;
  }

  function drop(key: ObjectKey): void {
    const entry = entries.get(key);
    if (!entry) return;
    entries.delete(key);
    leave(byNamespace, namespaceOf(entry), entry);
    leave(byName, nameOf(entry), entry);
  }

  return {
    get: key => entries.get(key),
    put(key, entry) {
      drop(key);
      entries.set(key, entry);
      join(byNamespace, namespaceOf(entry), entry);
      join(byName, nameOf(entry), entry);
    },
    replace(entry, object) {
      const before = nameOf(entry);
      entry.object = object;
      const after = nameOf(entry);
      if (before === after) return;
      leave(byName, before, entry);
      join(byName, after, entry);
    },
    remove: drop,
    all: namespace =>
      Array.from(
        namespace === undefined ? entries.values() : (byNamespace.get(namespace) ?? []),
        entry => entry.object,
      ),
    find: (namespace, name) =>
      Array.from(byName.get(objectKey(namespace, name)) ?? [], entry => entry.object),
    [Symbol.iterator]: () => entries.entries(),
  };
}

function join(sets: Map<string, Set<Entry>>, name: string | undefined, entry: Entry): void {
  if (name === undefined) return;
  const set = sets.get(name);
  if (set) set.add(entry);
  else sets.set(name, new Set([entry]));
}

function leave(sets: Map<string, Set<Entry>>, name: string | undefined, entry: Entry): void {
  if (name === undefined) return;
  const set = sets.get(name);
  set?.delete(entry);
  if (set?.size === 0) sets.delete(name);
}
