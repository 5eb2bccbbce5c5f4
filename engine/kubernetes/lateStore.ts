/**
 * A store that is not there yet, for whoever needs one before the API server can be watched: empty and not synced until it
 * becomes a real one. It keeps nothing itself.
 */
import type { KubernetesObject, ResourceType, Store } from './types.ts';

export type LateStore = Store & { become(store: Store): void; isThere(): boolean };

export function createLateStore(type: ResourceType): LateStore {
  const handlers: ((object: KubernetesObject, deleted: boolean) => void)[] = [];
  let real: Store | undefined;
  return {
    type,
    become(store) {
      real = store;
      for (const handler of handlers.splice(0)) store.onChange(handler);
    },
    isThere: () => real !== undefined,
    get: (namespace, name) => real?.get(namespace, name),
    all: namespace => real?.all(namespace) ?? [],
    find: (namespace, name) => real?.find(namespace, name) ?? [],
    absorb: object => real?.absorb(object),
    forget: (namespace, name) => real?.forget(namespace, name),
    synced: namespace => real?.synced(namespace) ?? false,
    liveAt: namespace => real?.liveAt(namespace) ?? 0,
    onChange: handler => (real ? real.onChange(handler) : void handlers.push(handler)),
  };
}
