/** Which kinds are served now: the built-in ones, and those of the stored CustomResourceDefinitions. */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { apiVersionOf, builtinKinds, kindsOfCrd } from './kinds.ts';
import type { Kind } from './kinds.ts';
import type { Storage } from './storage.ts';

export interface Registry {
  find(group: string, version: string, plural: string): Kind | undefined;
  /** The kind of an object that a controller holds. */
  of(object: { apiVersion: string; kind: string }): Kind | undefined;
  all(): Kind[];
}

const CRDS = 'customresourcedefinitions.apiextensions.k8s.io';

/** Follows the CustomResourceDefinitions in the storage by itself. */
export function createRegistry(storage: Storage): Registry {
  const byPath = new Map<string, Kind>();
  const byKind = new Map<string, Kind>();
  const pathKey = (group: string, version: string, plural: string) => `${group}/${version}/${plural}`;

  function add(kind: Kind): void {
    byPath.set(pathKey(kind.group, kind.version, kind.plural), kind);
    byKind.set(`${apiVersionOf(kind)}/${kind.kind}`, kind);
  }

  function drop(crd: KubernetesObject): void {
    for (const kind of kindsOfCrd(crd)) {
      byPath.delete(pathKey(kind.group, kind.version, kind.plural));
      byKind.delete(`${apiVersionOf(kind)}/${kind.kind}`);
    }
  }

  for (const kind of builtinKinds) add(kind);
  storage.subscribe(event => {
    if (event.table !== CRDS) return;
    if (event.previous) drop(event.previous);
    if (event.type !== 'DELETED') for (const kind of kindsOfCrd(event.object)) add(kind);
  });
  return {
    find: (group, version, plural) => byPath.get(pathKey(group, version, plural)),
    of: object => byKind.get(`${object.apiVersion}/${object.kind}`),
    all: () => [...byPath.values()],
  };
}
