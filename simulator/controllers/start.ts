/**
 * Starts the played kube-controller-manager beside an in-memory API: Deployments, ReplicaSets, EndpointSlices, garbage
 * collection, Namespaces. There is no kubelet here: somebody else makes pods ready and ends them.
 */
import type { Clock } from '../../engine/clock.ts';
import type { ProcessStore } from '../api/inprocess.ts';
import { startDeployments } from './deployments.ts';
import { startEndpointSlices } from './endpointSlices.ts';
import { startGarbageCollector } from './garbage.ts';
import { startNamespaces } from './namespaces.ts';
import { startReplicaSets } from './replicaSets.ts';

/** What a real controller takes from a watch event to its write, about. */
const DEFAULT_LATENCY_MS = 5;

export interface Controllers {
  stop(): void;
}

export function startControllers(options: {
  store: ProcessStore;
  clock: Clock;
  latencyMs?: number;
}): Controllers {
  const context = {
    store: options.store,
    clock: options.clock,
    latencyMs: options.latencyMs ?? DEFAULT_LATENCY_MS,
  };
  const stops = [
    startDeployments(context),
    startReplicaSets(context),
    startEndpointSlices(context),
    startGarbageCollector(context),
    startNamespaces(context),
  ];
  return {
    stop() {
      for (const stop of stops) stop();
    },
  };
}
