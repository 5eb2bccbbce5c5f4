/**
 * Several namespaces' stores of one type, shown as one Store, for an engine that may see only some namespaces or needs a
 * type only where canaries are. It knows nothing of a namespace that it does not follow.
 */
import { createStore, type StoreOptions, type WatchedStore } from './store.ts';
import type { ApiClient, KubernetesObject, ResourceType, Store } from './types.ts';
import type { WatchState } from './watch.ts';

export type StoreSet = Store & {
  /** Starts to watch a namespace; nothing happens if it is followed already. */
  follow(namespace: string): void;
  /** Stops watching a namespace and drops its objects without calling the handlers. Resolves when its watch has ended. */
  unfollow(namespace: string): Promise<void>;
  namespaces(): string[];
  /** Stops all. Reads keep working on what was cached. */
  stop(): Promise<void>;
  /** The state of one namespace's watch; undefined when it is not followed. */
  state(namespace: string): WatchState | undefined;
};

export type StoreSetOptions = Omit<StoreOptions, 'namespace' | 'onState'> & {
  onState?: (state: WatchState, namespace: string) => void;
};

/** `type` must be namespaced. Without `namespace`, `synced` means all followed ones and `liveAt` is the oldest of theirs. */
export function createStoreSet(client: ApiClient, type: ResourceType, options: StoreSetOptions): StoreSet {
  const { onState, ...shared } = options;
  const stores = new Map<string, WatchedStore>();
  const handlers: ((object: KubernetesObject, deleted: boolean) => void)[] = [];

  function storeFor(namespace: string | undefined): WatchedStore | undefined {
    return namespace === undefined ? undefined : stores.get(namespace);
  }

  return {
    type,
    follow(namespace) {
      if (stores.has(namespace)) return;
      const store = createStore(client, type, {
        ...shared,
        namespace,
        ...(onState ? { onState: state => onState(state, namespace) } : {}),
      });
      handlers.forEach(handler => store.onChange(handler));
      stores.set(namespace, store);
      store.start();
    },
    async unfollow(namespace) {
      const store = stores.get(namespace);
      stores.delete(namespace);
      await store?.stop();
    },
    namespaces: () => [...stores.keys()],
    async stop() {
      await Promise.all(Array.from(stores.values(), store => store.stop()));
    },
    state: namespace => stores.get(namespace)?.state(),
    get: (namespace, name) => storeFor(namespace)?.get(namespace, name),
    all(namespace) {
      if (namespace !== undefined) return stores.get(namespace)?.all() ?? [];
      return Array.from(stores.values(), store => store.all()).flat();
    },
    find: (namespace, name) => stores.get(namespace)?.find(namespace, name) ?? [],
    absorb(object) {
      storeFor(object.metadata.namespace)?.absorb(object);
    },
    forget(namespace, name) {
      storeFor(namespace)?.forget(namespace, name);
    },
    synced(namespace) {
      if (namespace !== undefined) return stores.get(namespace)?.synced() ?? false;
      return Array.from(stores.values()).every(store => store.synced());
    },
    liveAt(namespace) {
      if (namespace !== undefined) return stores.get(namespace)?.liveAt() ?? 0;
      // Nothing followed: nothing can be out of date.
      if (stores.size === 0) return options.clock.now();
      return Math.min(...Array.from(stores.values(), store => store.liveAt()));
    },
    onChange(handler) {
      handlers.push(handler);
      for (const store of stores.values()) store.onChange(handler);
    },
  };
}
