/**
 * Every call that the engine makes to an API server, as RBAC names it: one table. The chart's role is compared with it,
 * the engine asks for exactly these rights when it starts, and the end-to-end tests compare it with the audit log. A call
 * that is not here will be refused in a cluster: whoever adds one adds its line.
 */
import * as resources from './resources.ts';
import type { ResourceType } from './types.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';

export interface Access {
  type: ResourceType;
  subresource?: string;
  verbs: readonly Verb[];
  /** In each namespace that is served, in the namespace of the Lease, or in the cluster. */
  where: 'served' | 'lease' | 'cluster';
  /** What fails without it, when the engine does all the rest without it. Such a right may be withheld. */
  optional?: string;
  /** No call of ours needs it, but an admission plugin asks for it when one of ours is made. */
  askedBy?: string;
}

function review(group: string, plural: string, kind: string): ResourceType {
  return { group, version: 'v1', plural, kind, namespaced: false };
}

/**
 * @param apiGroup of the canaries
 * @param routeType what the stepper of the provider writes
 */
export function accessTable(apiGroup: string, routeType: ResourceType): readonly Access[] {
  const { canaries, metricTemplates, alertProviders } = resources.canaryTypes(apiGroup);
  const watched: readonly Verb[] = ['list', 'watch'];
  const served = (type: ResourceType, verbs: readonly Verb[], more: Partial<Access> = {}): Access => ({
    type,
    verbs,
    where: 'served',
    ...more,
  });
  return [
    served(canaries, ['get', ...watched, 'patch']),
    served(canaries, ['update'], { subresource: 'status' }),
    served(canaries, ['update'], {
      subresource: 'finalizers',
      askedBy: 'OwnerReferencesPermissionEnforcement',
      optional: 'nothing can be created where OwnerReferencesPermissionEnforcement is on',
    }),
    served(metricTemplates, ['get', ...watched]),
    served(metricTemplates, ['update'], {
      subresource: 'status',
      optional: 'MetricTemplates do not say whether they can be used',
    }),
    served(alertProviders, watched),
    served(alertProviders, ['update'], {
      subresource: 'status',
      optional: 'AlertProviders do not say whether they can be used',
    }),
    served(resources.deployments, [...watched, 'create', 'patch']),
    served(resources.replicaSets, watched),
    served(resources.controllerRevisions, [...watched, 'create', 'patch', 'delete']),
    served(resources.services, [...watched, 'create', 'patch']),
    served(resources.endpointSlices, watched),
    served(routeType, ['get', ...watched, 'create', 'patch', 'delete']),
    served(resources.pods, ['list']),
    served(resources.horizontalPodAutoscalers, ['list']),
    served(resources.networkPolicies, ['list']),
    served(resources.podDisruptionBudgets, ['list']),
    served(resources.events, ['create', 'patch'], { optional: 'events are not written' }),
    served(resources.secrets, ['get'], {
      optional: 'Secrets that objects refer to cannot be read, but for those granted by name',
    }),
    served(resources.scaledObjects, ['list'], { optional: 'a ScaledObject of a target is not noticed' }),
    served(resources.podMonitors, ['list'], { optional: 'a PodMonitor of a target is not noticed' }),
    { type: resources.leases, verbs: ['get', 'create', 'patch'], where: 'lease' },
    {
      type: review('authentication.k8s.io', 'tokenreviews', 'TokenReview'),
      verbs: ['create'],
      where: 'cluster',
      optional: 'the REST API accepts nobody',
    },
    {
      type: review('authorization.k8s.io', 'subjectaccessreviews', 'SubjectAccessReview'),
      verbs: ['create'],
      where: 'cluster',
      optional: 'the REST API accepts nobody',
    },
  ];
}
