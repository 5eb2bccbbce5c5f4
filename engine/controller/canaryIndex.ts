/** From the name of a watched object to the canaries that it concerns. It holds names only, and is brought up to date by events. */
import type { KubernetesObject } from '../kubernetes/types.ts';
import { primaryName } from '../workloads/deployment.ts';

export function createCanaryIndex() {
  const keysByName = new Map<string, Set<string>>();
  const namesByKey = new Map<string, string[]>();
  function remove(key: string): void {
    for (const name of namesByKey.get(key) ?? []) keysByName.get(name)?.delete(key);
    namesByKey.delete(key);
  }
  return {
    set(key: string, canary: KubernetesObject) {
      const target: string | undefined = canary.spec?.targetRef?.name;
      if (target === undefined) return;
      const apex: string = canary.spec?.service?.name ?? target;
      const namespace = canary.metadata.namespace ?? '';
      const names = [target, primaryName(target), apex, `${apex}-primary`, `${apex}-canary`].map(
        name => `${namespace}/${name}`,
      );
      if (namesByKey.get(key)?.join() === names.join()) return;
      remove(key);
      namesByKey.set(key, names);
      for (const name of names) keysByName.set(name, (keysByName.get(name) ?? new Set()).add(key));
    },
    remove,
    find: (namespace: string, name: string): string[] => [...(keysByName.get(`${namespace}/${name}`) ?? [])],
  };
}
