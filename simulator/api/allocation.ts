/**
 * What the server's registries add to an object by themselves: ClusterIPs and IP families of Services, the first
 * status of Pods, Namespaces and CustomResourceDefinitions. Works in place on an object that is about to be stored.
 */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { timestamp } from './context.ts';
import type { WriteContext } from './context.ts';
import type { Json } from './json.ts';
import type { Kind } from './kinds.ts';

/** ClusterIPs are taken from 10.96.0.0/16; addresses of deleted Services are not given out again before it is used up. */
const CLUSTER_IPS = 65_000;

function nextClusterIp(context: WriteContext): string {
  const taken = new Set(context.storage.list('services').map(service => service.spec.clusterIP));
  for (let tries = 0; tries < CLUSTER_IPS; tries += 1) {
    const offset = 10 + (context.addresses.next++ % CLUSTER_IPS);
    const address = `10.96.${offset >> 8}.${offset & 255}`;
    if (!taken.has(address)) return address;
  }
  throw new Error('the range of ClusterIPs is used up');
}

function giveClusterIp(context: WriteContext, spec: Json): void {
  if (spec.type === 'ExternalName') return;
  spec.clusterIP ??= nextClusterIp(context);
  if (spec.clusterIP === '') spec.clusterIP = nextClusterIp(context);
  spec.clusterIPs ??= [spec.clusterIP];
  spec.ipFamilies ??= ['IPv4'];
  spec.ipFamilyPolicy ??= 'SingleStack';
}

function condition(type: string, status: string, reason: string, message: string, at: string): Json {
  return { lastTransitionTime: at, message, reason, status, type };
}

/** Completes an object that is being created. */
export function initialise(context: WriteContext, kind: Kind, object: KubernetesObject): void {
  if (!kind.isBuiltin) return;
  const now = timestamp(context.clock);
  switch (kind.kind) {
    case 'Service':
      giveClusterIp(context, object.spec);
      object.status = { loadBalancer: {} };
      return;
    case 'Deployment':
      object.status = {};
      return;
    case 'ReplicaSet':
      object.status = { replicas: 0 };
      return;
    case 'Pod':
      object.status = { phase: 'Pending', qosClass: 'BestEffort' };
      return;
    case 'HorizontalPodAutoscaler':
      object.status = { desiredReplicas: 0, currentMetrics: null };
      return;
    case 'PodDisruptionBudget':
      object.status = { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 };
      return;
    case 'Namespace':
      object.spec = { finalizers: ['kubernetes'] };
      object.status = { phase: 'Active' };
      return;
    case 'CustomResourceDefinition':
      object.status = {
        conditions: [
          condition('NamesAccepted', 'True', 'NoConflicts', 'no conflicts found', now),
          condition(
            'Established',
            'True',
            'InitialNamesAccepted',
            'the initial names have been accepted',
            now,
          ),
        ],
        acceptedNames: { ...object.spec?.names },
        storedVersions: (object.spec?.versions ?? [])
          .filter((version: Json) => version.storage)
          .map((version: Json) => version.name),
      };
      return;
    default:
  }
}

/** Restores on update what a client may leave out because the server chose it. */
export function allocate(
  context: WriteContext,
  kind: Kind,
  live: KubernetesObject,
  next: KubernetesObject,
): void {
  if (kind.kind !== 'Service' || !kind.isBuiltin) return;
  const [from, to] = [live.spec, next.spec];
  if (to.type === 'ExternalName') return;
  if (from.type !== 'ExternalName') {
    if (!to.clusterIP) to.clusterIP = from.clusterIP;
    if (to.clusterIP === from.clusterIP) to.clusterIPs ??= from.clusterIPs;
    to.ipFamilies ??= from.ipFamilies;
    to.ipFamilyPolicy ??= from.ipFamilyPolicy;
  }
  giveClusterIp(context, to);
}
