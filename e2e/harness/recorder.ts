/**
 * Writes down what the API server says about rollouts, by watches of its own: every weight that a route had, every image
 * that a primary had, and each Canary as it is now. Tests wait on it without asking the API server again and again, and
 * prove by it what never happened. It shares no code with the engine, and writes nothing.
 */
import type { WorldApi } from '../../simulator/world/api.ts';
import { watchObjects } from '../../simulator/world/watch.ts';

export interface SeenSplit {
  canaryWeight: number;
  primaryWeight: number;
  epoch: number;
  /** Revision, generation and command; empty before the first run. */
  run: string;
  /** Empty on a raise. */
  end: string;
}

export interface Recorder {
  /** The Canary `web` as it is now; undefined when there is none. */
  canary(namespace: string): any;
  /** The Deployment as it is now. */
  deployment(namespace: string, name: string): any;
  /** Every state of the TrafficSplit `web`, oldest first. */
  splits(namespace: string): readonly SeenSplit[];
  /** The version at which each object of the engine's own was deleted, by kind and name: they order all of etcd. */
  deletions(namespace: string): Readonly<Record<string, number>>;
  /** Every image that the Deployment `web-primary` had, each once, in the order of their first appearance. */
  primaryImages(namespace: string): readonly string[];
  close(): Promise<void>;
}

const PATHS = {
  canaries: '/apis/serin.dev/v1beta1/canaries',
  deployments: '/apis/apps/v1/deployments',
  splits: '/apis/split.smi-spec.io/v1alpha2/trafficsplits',
  services: '/api/v1/services',
};

/** Resolves when everything that there is has been seen. */
export async function startRecorder(api: WorldApi): Promise<Recorder> {
  const canaries = new Map<string, any>();
  const deployments = new Map<string, any>();
  const splits = new Map<string, SeenSplit[]>();
  const images = new Map<string, Set<string>>();
  const deletions = new Map<string, Record<string, number>>();
  const keyOf = (object: any) => `${object.metadata.namespace}/${object.metadata.name}`;

  const isDeleted = (kind: string, object: any): void => {
    const { namespace, name, resourceVersion } = object.metadata;
    deletions.set(namespace, {
      ...deletions.get(namespace),
      [`${kind}/${name}`]: Number(resourceVersion),
    });
  };
  const keep = (objects: Map<string, any>) => (object: any, deleted: boolean) => {
    if (deleted) objects.delete(keyOf(object));
    else objects.set(keyOf(object), object);
  };
  const watches = [
    watchObjects({ api, path: async () => PATHS.canaries, onChange: keep(canaries) }),
    watchObjects({
      api,
      path: async () => PATHS.deployments,
      onChange(object: any, deleted) {
        keep(deployments)(object, deleted);
        if (!object.metadata.name.endsWith('-primary')) return;
        const seen = images.get(keyOf(object)) ?? new Set();
        images.set(keyOf(object), seen.add(object.spec.template.spec.containers[0].image));
      },
    }),
    watchObjects({
      api,
      path: async () => PATHS.splits,
      onChange(object: any, deleted) {
        if (deleted) return isDeleted('trafficsplit', object);
        splits.set(keyOf(object), [...(splits.get(keyOf(object)) ?? []), splitOf(object)]);
      },
    }),
    watchObjects({
      api,
      path: async () => PATHS.services,
      onChange(object, deleted) {
        if (deleted) isDeleted('service', object);
      },
    }),
  ];
  await Promise.all(watches.map(watch => watch.synced));
  return {
    canary: namespace => canaries.get(`${namespace}/web`),
    deployment: (namespace, name) => deployments.get(`${namespace}/${name}`),
    splits: namespace => splits.get(`${namespace}/web`) ?? [],
    deletions: namespace => deletions.get(namespace) ?? {},
    primaryImages: namespace => [...(images.get(`${namespace}/web-primary`) ?? [])],
    async close() {
      await Promise.all(watches.map(watch => watch.close()));
    },
  };
}

function splitOf(object: any): SeenSplit {
  const weightOf = (suffix: string): number =>
    object.spec.backends
      .filter((backend: any) => backend.service.endsWith(suffix))
      .reduce((sum: number, backend: any) => sum + Number(backend.weight), 0);
  const [epoch = '', run = '', end = ''] = (object.metadata.annotations?.['serin.dev/stamp'] ?? '').split(
    '/',
  );
  return {
    canaryWeight: weightOf('-canary'),
    primaryWeight: weightOf('-primary'),
    epoch: Number(epoch),
    run,
    end,
  };
}
