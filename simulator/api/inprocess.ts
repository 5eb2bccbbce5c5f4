/**
 * The store as played controllers see it: synchronous reads of shared frozen objects, writes through the same path as
 * HTTP requests, and every change as it happens. Refusals are thrown as `StatusError`.
 */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { copy } from './json.ts';
import { apiVersionOf } from './kinds.ts';
import type { Kind } from './kinds.ts';
import type { Server } from './server.ts';
import { conflict, MODIFIED, notFound } from './status.ts';
import type { StoredEvent } from './storage.ts';
import { createObject, deleteObject, replaceObject } from './write.ts';
import type { DeleteOptions } from './write.ts';

/** The words by which a controller names a kind. */
export interface KindName {
  apiVersion: string;
  kind: string;
}

export interface StoreChange {
  type: StoredEvent['type'];
  object: KubernetesObject;
  previous: KubernetesObject | undefined;
}

export interface ProcessStore {
  get(kind: KindName, namespace: string | undefined, name: string): KubernetesObject | undefined;
  list(kind: KindName, namespace?: string): KubernetesObject[];
  create(object: KubernetesObject, manager: string): KubernetesObject;
  /** Replaces the object, or with `subresource` only its status; its resourceVersion, if set, is the precondition. */
  update(object: KubernetesObject, manager: string, subresource?: 'status' | 'finalize'): KubernetesObject;
  /** False when it was gone already. */
  delete(object: KubernetesObject, options?: DeleteOptions): boolean;
  /** Called inside each write, in order; it must not write by itself. Answers how to stop. */
  subscribe(listener: (change: StoreChange) => void): () => void;
  /** All kinds that are served, each in the version in which it is stored. */
  kinds(): (KindName & { namespaced: boolean })[];
}

/** `unrecorded`: managers whose ownership of fields is not kept, for worlds in which nobody asks and speed counts. */
export function createProcessStore(
  server: Server,
  unrecorded: ReadonlySet<string> = new Set(),
): ProcessStore {
  function kindOf(name: KindName): Kind {
    const kind = server.registry.of(name);
    if (!kind) throw new Error(`the in-memory API does not serve ${name.apiVersion} ${name.kind}`);
    return kind;
  }
  function scope(kind: Kind, namespace: string | undefined): string | undefined {
    return kind.namespaced ? namespace : undefined;
  }
  return {
    get(name, namespace, objectName) {
      const kind = kindOf(name);
      return server.storage.get(kind.table, scope(kind, namespace), objectName);
    },
    list(name, namespace) {
      const kind = kindOf(name);
      return server.storage.list(kind.table, scope(kind, namespace));
    },
    create(object, manager) {
      const kind = kindOf(object);
      const owners = unrecorded.has(manager) ? { managedFields: [] } : {};
      return createObject(server, kind, object.metadata.namespace, object, { manager, ...owners });
    },
    update(object, manager, subresource) {
      const kind = kindOf(object);
      const { namespace, name } = object.metadata;
      const live = server.storage.get(kind.table, scope(kind, namespace), name);
      if (!live) throw notFound(kind, name);
      const owners = unrecorded.has(manager) ? { managedFields: live.metadata.managedFields ?? [] } : {};
      return replaceObject(server, kind, live, object, {
        manager,
        ...(subresource ? { subresource } : {}),
        ...owners,
      });
    },
    delete(object, options = {}) {
      const kind = kindOf(object);
      const { namespace, name } = object.metadata;
      const live = server.storage.get(kind.table, scope(kind, namespace), name);
      if (!live) return false;
      if (live.metadata.uid !== object.metadata.uid) throw conflict(kind, name, MODIFIED);
      deleteObject(server, kind, live, options);
      return true;
    },
    subscribe: listener =>
      server.storage.subscribe(event =>
        listener({ type: event.type, object: event.object, previous: event.previous }),
      ),
    kinds: () =>
      server.registry
        .all()
        .filter(kind => kind.version === kind.storageVersion)
        .map(kind => ({ apiVersion: apiVersionOf(kind), kind: kind.kind, namespaced: kind.namespaced })),
  };
}

/** A mutable copy of a stored object, to change and hand back to `update`. */
export function draft(object: KubernetesObject): KubernetesObject {
  return copy(object);
}
