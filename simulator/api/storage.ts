/**
 * The stored objects, one counter of revisions, and a bounded history of changes for watches: what etcd and the watch
 * cache are to the real server. Objects are frozen when they come in and shared from then on.
 */
import { objectKey } from '../../engine/kubernetes/types.ts';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { freeze } from './json.ts';

export interface StoredEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  table: string;
  /** The state after the change; for a deletion the last state, at the revision of the deletion. */
  object: KubernetesObject;
  previous?: KubernetesObject;
  revision: number;
}

export interface Storage {
  /** The revision of the last change. */
  revision(): number;
  get(table: string, namespace: string | undefined, name: string): KubernetesObject | undefined;
  /** In the order of their keys, as etcd lists them. */
  list(table: string, namespace?: string): KubernetesObject[];
  /** Stores the object (its resourceVersion is set here) and answers the frozen copy. */
  put(table: string, object: KubernetesObject): KubernetesObject;
  remove(table: string, object: KubernetesObject): KubernetesObject;
  /** Changes of a table after `revision`, or undefined when the history does not reach back that far. */
  since(table: string, revision: number): StoredEvent[] | undefined;
  /** The oldest revision that a watch may start from. */
  oldest(table: string): number;
  /** Forgets the history up to `revision` (all of it by default): older watches then get 410. */
  compact(revision?: number): void;
  /** Called after every change, in order, inside the write. A listener must not write. */
  subscribe(listener: (event: StoredEvent) => void): () => void;
}

interface Table {
  objects: Map<string, KubernetesObject>;
  sortedKeys: string[] | undefined;
  history: StoredEvent[];
  /** The revision of the newest change that the history has forgotten. */
  forgotten: number;
}

function listTable(table: Table, namespace: string | undefined): KubernetesObject[] {
  table.sortedKeys ??= [...table.objects.keys()].sort();
  const result: KubernetesObject[] = [];
  const prefix = namespace === undefined ? '' : `${namespace}/`;
  for (const key of table.sortedKeys) {
    const object = key.startsWith(prefix) ? table.objects.get(key) : undefined;
    if (object) result.push(object);
  }
  return result;
}

function changesSince(table: Table, revision: number): StoredEvent[] | undefined {
  if (revision < table.forgotten) return undefined;
  let index = table.history.length;
  while (index > 0 && (table.history[index - 1]?.revision ?? 0) > revision) index -= 1;
  return table.history.slice(index);
}

/** `historyLimit`: changes kept for each table. */
export function createStorage(historyLimit: number): Storage {
  const tables = new Map<string, Table>();
  const listeners = new Set<(event: StoredEvent) => void>();
  let revision = 1;

  function tableOf(name: string): Table {
    let table = tables.get(name);
    if (!table) {
      table = { objects: new Map(), sortedKeys: undefined, history: [], forgotten: 0 };
      tables.set(name, table);
    }
    return table;
  }

  function record(table: Table, event: StoredEvent): void {
    table.history.push(event);
    // Trimmed in blocks: shifting one by one would cost the whole array at every write.
    if (table.history.length > historyLimit * 1.25) {
      const dropped = table.history.splice(0, table.history.length - historyLimit);
      table.forgotten = dropped.at(-1)?.revision ?? table.forgotten;
    }
    for (const listener of listeners) listener(event);
  }

  function stamped(object: KubernetesObject): KubernetesObject {
    revision += 1;
    return freeze({ ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } });
  }

  return {
    revision: () => revision,
    get: (table, namespace, name) => tableOf(table).objects.get(objectKey(namespace, name)),
    list: (table, namespace) => listTable(tableOf(table), namespace),
    put(tableName, object) {
      const table = tableOf(tableName);
      const key = objectKey(object.metadata.namespace, object.metadata.name);
      const previous = table.objects.get(key);
      const stored = stamped(object);
      table.objects.set(key, stored);
      if (!previous) table.sortedKeys = undefined;
      const change = { table: tableName, object: stored, revision };
      record(table, previous ? { type: 'MODIFIED', ...change, previous } : { type: 'ADDED', ...change });
      return stored;
    },
    remove(tableName, object) {
      const table = tableOf(tableName);
      const removed = stamped(object);
      table.objects.delete(objectKey(object.metadata.namespace, object.metadata.name));
      table.sortedKeys = undefined;
      record(table, { type: 'DELETED', table: tableName, object: removed, previous: object, revision });
      return removed;
    },
    since: (table, from) => changesSince(tableOf(table), from),
    oldest: table => tableOf(table).forgotten,
    compact(to = revision) {
      for (const table of tables.values()) {
        table.history = table.history.filter(event => event.revision > to);
        table.forgotten = Math.max(table.forgotten, to);
      }
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
