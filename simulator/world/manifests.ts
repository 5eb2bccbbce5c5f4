/**
 * Plain objects for tests and the demo: a Deployment whose pods play a release, its Service, a TrafficSplit, and our own
 * small CRD for TrafficSplits after the SMI specification (traffic-split v1alpha1 and v1alpha2). Pure; the functions
 * are the source, there is no YAML beside them.
 */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import type { Behaviour } from './behaviour.ts';

export const CONTAINER_PORT = 8080;
export const ADMIN_PORT = 4191;
const SERVICE_PORT = 80;

/** How the release behaves is said as in `Behaviour`; what is left out keeps its default. */
export interface DeploymentOptions extends Partial<Behaviour> {
  namespace: string;
  name: string;
  version: string;
  replicas?: number;
  /** Container port `http`; default 8080. */
  port?: number;
  /** Container port `linkerd-admin`; default 4191. `none`: a pod without a proxy, where nothing listens on it. */
  adminPort?: number | 'none';
  /** More environment for the container. */
  environment?: Record<string, string>;
  /** More labels and annotations of the pods. */
  podLabels?: Record<string, string>;
  podAnnotations?: Record<string, string>;
}

export function namespace(name: string): KubernetesObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
}

export function deployment(options: DeploymentOptions): KubernetesObject {
  const { name, version, port = CONTAINER_PORT, adminPort = ADMIN_PORT } = options;
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace: options.namespace, name, labels },
    spec: {
      replicas: options.replicas ?? 1,
      selector: { matchLabels: labels },
      template: {
        metadata: {
          labels: { ...options.podLabels, ...labels },
          ...(options.podAnnotations === undefined ? {} : { annotations: options.podAnnotations }),
        },
        spec: {
          containers: [
            {
              name: 'app',
              image: `example.com/${name}:${version}`,
              ports: [
                { name: 'http', containerPort: port },
                ...(adminPort === 'none' ? [] : [{ name: 'linkerd-admin', containerPort: adminPort }]),
              ],
              env: environment(options),
              readinessProbe: { httpGet: { path: '/healthz', port: 'http' }, periodSeconds: 1 },
            },
          ],
        },
      },
    },
  };
}

function environment(options: DeploymentOptions): { name: string; value: string }[] {
  const flag = (value: boolean | undefined): string | undefined => (value ? '1' : undefined);
  const variables: Record<string, string | number | undefined> = {
    VERSION: options.version,
    ERROR_PERCENT: options.errorPercent,
    LATENCY_MS: options.latencyMs,
    LATENCY_JITTER_MS: options.latencyJitterMs,
    READY_AFTER_MS: options.readyAfterMs,
    NEVER_READY: flag(options.neverReady),
    UNREADY_AFTER_MS: options.unreadyAfterMs,
    CRASH_AFTER_MS: options.crashAfterMs,
    IMAGE_PULL_FAIL: flag(options.imagePullFail),
    UNSCHEDULABLE: flag(options.unschedulable),
    ...options.environment,
  };
  return Object.entries(variables).flatMap(([name, value]) =>
    value === undefined ? [] : [{ name, value: String(value) }],
  );
}

/** A Service on port 80 for the pods with label `app: <app>`, which is the Service's name unless given. */
export function service(options: { namespace: string; name: string; app?: string }): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: options.namespace, name: options.name },
    spec: {
      selector: { app: options.app ?? options.name },
      ports: [{ name: 'http', port: SERVICE_PORT, targetPort: 'http' }],
    },
  };
}

/** `backends`: Service -> weight. */
export function trafficSplit(options: {
  namespace: string;
  name: string;
  root: string;
  backends: Record<string, number>;
  version?: 'v1alpha1' | 'v1alpha2';
}): KubernetesObject {
  return {
    apiVersion: `split.smi-spec.io/${options.version ?? 'v1alpha2'}`,
    kind: 'TrafficSplit',
    metadata: { namespace: options.namespace, name: options.name },
    spec: {
      service: options.root,
      backends: Object.entries(options.backends).map(([backend, weight]) => ({ service: backend, weight })),
    },
  };
}

/** Stored as v1alpha1 and also served as v1alpha2, without conversion: what a cluster with Linkerd's SMI extension has. */
export function trafficSplitCrd(): KubernetesObject {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'trafficsplits.split.smi-spec.io' },
    spec: {
      group: 'split.smi-spec.io',
      scope: 'Namespaced',
      names: {
        kind: 'TrafficSplit',
        listKind: 'TrafficSplitList',
        plural: 'trafficsplits',
        singular: 'trafficsplit',
        shortNames: ['ts'],
      },
      conversion: { strategy: 'None' },
      versions: [
        splitVersion('v1alpha1', true, {
          description: 'Share of this backend relative to the others: a quantity, so that 500m is half of 1.',
          'x-kubernetes-int-or-string': true,
        }),
        splitVersion('v1alpha2', false, {
          description: 'Share of this backend relative to the others: a whole number.',
          type: 'integer',
          minimum: 0,
        }),
      ],
    },
  };
}

function splitVersion(
  name: string,
  isStored: boolean,
  weight: Record<string, unknown>,
): Record<string, unknown> {
  const backend = {
    type: 'object',
    required: ['service', 'weight'],
    properties: {
      service: { description: 'Service in the same namespace that takes the share.', type: 'string' },
      weight,
    },
  };
  const spec = {
    type: 'object',
    required: ['service', 'backends'],
    properties: {
      service: { description: 'Root Service: the name that clients call.', type: 'string' },
      backends: {
        description: 'Services among which requests are shared out.',
        type: 'array',
        items: backend,
      },
    },
  };
  return {
    name,
    served: true,
    storage: isStored,
    schema: { openAPIV3Schema: { type: 'object', properties: { spec } } },
    additionalPrinterColumns: [{ name: 'Root', type: 'string', jsonPath: '.spec.service' }],
  };
}
