/** The resource types that the engine knows by name. */
import type { ResourceType } from './types.ts';

function type(group: string, version: string, plural: string, kind: string, namespaced = true): ResourceType {
  return { group, version, plural, kind, namespaced };
}

export const namespaces = type('', 'v1', 'namespaces', 'Namespace', false);
export const services = type('', 'v1', 'services', 'Service');
export const pods = type('', 'v1', 'pods', 'Pod');
export const secrets = type('', 'v1', 'secrets', 'Secret');
export const events = type('', 'v1', 'events', 'Event');
export const deployments = type('apps', 'v1', 'deployments', 'Deployment');
export const replicaSets = type('apps', 'v1', 'replicasets', 'ReplicaSet');
export const controllerRevisions = type('apps', 'v1', 'controllerrevisions', 'ControllerRevision');
export const endpointSlices = type('discovery.k8s.io', 'v1', 'endpointslices', 'EndpointSlice');
export const leases = type('coordination.k8s.io', 'v1', 'leases', 'Lease');
export const horizontalPodAutoscalers = type(
  'autoscaling',
  'v2',
  'horizontalpodautoscalers',
  'HorizontalPodAutoscaler',
);
export const networkPolicies = type('networking.k8s.io', 'v1', 'networkpolicies', 'NetworkPolicy');
export const podDisruptionBudgets = type('policy', 'v1', 'poddisruptionbudgets', 'PodDisruptionBudget');
export const scaledObjects = type('keda.sh', 'v1alpha1', 'scaledobjects', 'ScaledObject');
export const podMonitors = type('monitoring.coreos.com', 'v1', 'podmonitors', 'PodMonitor');
/** The engine's own kinds, in `serin.dev` or, when it serves Flagger's objects in place, in `flagger.app`. */
export function canaryTypes(group: string): {
  canaries: ResourceType;
  metricTemplates: ResourceType;
  alertProviders: ResourceType;
} {
  return {
    canaries: type(group, 'v1beta1', 'canaries', 'Canary'),
    metricTemplates: type(group, 'v1beta1', 'metrictemplates', 'MetricTemplate'),
    alertProviders: type(group, 'v1beta1', 'alertproviders', 'AlertProvider'),
  };
}
