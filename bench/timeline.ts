/**
 * When a watcher beside the engine saw what: phases and weights of canaries, weights of routes, readiness of pods. Its
 * times are those of this process' clock when the watch delivered, so they hold the API server's share too.
 */
import { objectKey, type KubernetesObject } from '../engine/kubernetes/types.ts';
import type { WorldApi } from '../simulator/world/api.ts';
import { watchObjects } from '../simulator/world/watch.ts';

export type Mark =
  | `phase ${string}`
  /** The route gives the canary this many percent. */
  | `weight ${number}`
  /** The canary's Service has a ready endpoint. */
  | 'endpoint'
  /** The last pod of the target so far has been told ready. */
  | 'pod';

export interface Timeline {
  readonly synced: Promise<void>;
  /** The first time at or after `sinceMs` of a mark of the app `namespace/name`, milliseconds since the epoch. */
  at(key: string, mark: Mark, sinceMs: number): number | undefined;
  /** All marks of an app that begin so, at or after `sinceMs`, in order. */
  marks(key: string, prefix: string, sinceMs: number): { mark: Mark; atMs: number }[];
  note(key: string, mark: Mark, atMs: number): void;
  phases(): Map<string, string>;
  close(): Promise<void>;
}

const POLL_MS = 10;

const now = () => performance.timeOrigin + performance.now();

export function watchTimeline(api: WorldApi): Timeline {
  const marks = new Map<string, { mark: Mark; atMs: number }[]>();
  const last = new Map<string, string>();

  function note(key: string, mark: Mark, atMs = now()): void {
    const list = marks.get(key);
    if (list) list.push({ mark, atMs });
    else marks.set(key, [{ mark, atMs }]);
  }

  /** Notes a value when it is another than the last one of its kind. */
  function change(key: string, kind: string, value: string | number | undefined): void {
    const field = `${key} ${kind}`;
    if (value === undefined || last.get(field) === String(value)) return;
    last.set(field, String(value));
    note(key, `${kind} ${value}` as Mark);
  }

  const on = (path: string, observe: (object: KubernetesObject, key: string) => void) =>
    watchObjects({
      api,
      path: () => Promise.resolve(path),
      onChange(object, deleted) {
        if (!deleted) observe(object, objectKey(object.metadata.namespace, object.metadata.name));
      },
    });
  const watches = [
    on('/apis/serin.dev/v1beta1/canaries', (object, key) => change(key, 'phase', object.status?.phase)),
    on('/apis/split.smi-spec.io/v1alpha2/trafficsplits', (object, key) =>
      change(key, 'weight', weightOf(object)),
    ),
    on('/apis/discovery.k8s.io/v1/endpointslices', object => {
      const service = object.metadata.labels?.['kubernetes.io/service-name'] ?? '';
      const isReady = (object['endpoints'] ?? []).some((one: any) => one.conditions?.ready === true);
      if (service.endsWith('-canary') && isReady)
        note(objectKey(object.metadata.namespace, service.slice(0, -'-canary'.length)), 'endpoint');
    }),
  ];

  return {
    synced: Promise.all(watches.map(watch => watch.synced)).then(() => undefined),
    at: (key, mark, sinceMs) => marks.get(key)?.find(one => one.mark === mark && one.atMs >= sinceMs)?.atMs,
    marks: (key, prefix, sinceMs) =>
      (marks.get(key) ?? []).filter(one => one.mark.startsWith(prefix) && one.atMs >= sinceMs),
    note,
    phases: () =>
      new Map(
        [...last]
          .filter(([field]) => field.endsWith(' phase'))
          .map(([field, phase]) => [field.slice(0, -' phase'.length), phase]),
      ),
    async close() {
      await Promise.all(watches.map(watch => watch.close()));
    },
  };
}

function weightOf(split: KubernetesObject): number | undefined {
  const backend = split.spec?.backends?.find((one: any) => String(one.service).endsWith('-canary'));
  return backend?.weight;
}

/** Polls this process' own memory, so it costs nobody anything. */
export async function until<T>(what: string, isThere: () => T | undefined, deadlineMs: number): Promise<T> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const answer = isThere();
    if (answer !== undefined) return answer;
    if (performance.now() > endMs) throw new Error(`not within ${deadlineMs / 1_000} s: ${what}`);
    await new Promise(resolve => setTimeout(resolve, POLL_MS));
  }
}
