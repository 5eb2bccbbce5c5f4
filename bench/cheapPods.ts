/**
 * Plays pods as cheaply as the controllers accept: one status write that says ready, for pods whose template binds them to
 * a Node and gives them no time to shut down. For benchmarks of hundreds of pods on a machine that also runs the control
 * plane; nothing answers at a pod's address.
 */
import type { KubernetesObject } from '../engine/kubernetes/types.ts';
import { createAddressPool } from '../simulator/world/addresses.ts';
import type { WorldApi } from '../simulator/world/api.ts';
import { podStatus } from '../simulator/world/podstatus.ts';
import { watchObjects } from '../simulator/world/watch.ts';
import { createWorkQueue } from '../simulator/world/workqueue.ts';

export interface CheapPods {
  readonly synced: Promise<void>;
  close(): Promise<void>;
}

const CONCURRENCY = 8;
const RETRY_MS = 200;

/** `onReady` is called when the API server has taken a pod's readiness, with the time in milliseconds since the epoch. */
export function playCheapPods(
  api: WorldApi,
  onReady: (pod: KubernetesObject, atMs: number) => void,
): CheapPods {
  const pool = createAddressPool('10.244.0.0');
  const addresses = new Map<string, string>();
  const waiting = new Map<string, KubernetesObject>();
  const queue = createWorkQueue(CONCURRENCY, async key => {
    const pod = waiting.get(key);
    if (pod === undefined) return;
    try {
      await makeReady(pod, key);
      waiting.delete(key);
    } catch (error) {
      console.error(`cheap pod ${pod.metadata.name}: ${(error as Error).message}`);
      queue.addAfter(key, RETRY_MS);
    }
  });

  async function makeReady(pod: KubernetesObject, key: string): Promise<void> {
    const address = addresses.get(key) ?? pool.take();
    addresses.set(key, address);
    const now = Date.now();
    const status = podStatus({
      pod,
      state: { kind: 'running', isReady: true },
      address,
      acceptedAt: now,
      startedAt: now,
      crash: undefined,
      restartCount: 0,
      now,
    });
    const { namespace, name, uid } = pod.metadata;
    const answer = await api.request('PATCH', `/api/v1/namespaces/${namespace}/pods/${name}/status`, {
      metadata: { uid },
      status,
    });
    // The pod has left meanwhile.
    if (answer.status === 404 || answer.status === 409) return;
    if (answer.status !== 200) throw new Error(`its status was refused with ${answer.status}`);
    onReady(pod, performance.timeOrigin + performance.now());
  }

  const watch = watchObjects({
    api,
    path: () => Promise.resolve('/api/v1/pods'),
    onChange(pod, deleted) {
      const key = pod.metadata.uid ?? '';
      if (deleted) {
        waiting.delete(key);
        const address = addresses.get(key);
        addresses.delete(key);
        if (address !== undefined) pool.free(address);
      } else if (!addresses.has(key) && !waiting.has(key)) {
        waiting.set(key, pod);
        queue.add(key);
      }
    },
  });
  return {
    synced: watch.synced,
    async close() {
      await watch.close();
      await queue.close();
    },
  };
}
