/**
 * `spec` of a Canary: a superset of Flagger's, field by field. Nothing is defaulted whose absence means something, and
 * nothing is computed here: who reads the spec decides what an absent field stands for, as its description says.
 */
import { z } from 'zod';
import { analysisSchema } from './analysis.ts';
import { objectName, text, textMap, webAddress, whole, withRules } from './fields.ts';
import { SERVICE_NAME_PATTERN, isServiceName, serviceSchema } from './service.ts';

/** Every provider that the field may name; which of them work is said in `unsupported.ts`. */
export const PROVIDERS = [
  'apisix',
  'appmesh',
  'appmesh:v1beta2',
  'contour',
  'gatewayapi:v1',
  'gatewayapi:v1beta1',
  'gloo',
  'istio',
  'knative',
  'kubernetes',
  'kuma',
  'linkerd',
  'nginx',
  'osm',
  'skipper',
  'smi:v1alpha1',
  'smi:v1alpha2',
  'smi:v1alpha3',
  'smi:v1alpha4',
  'traefik',
] as const;

const apiVersion = () => text(317, 1).describe('API version of the object. Example: apps/v1.');

const targetRefSchema = z.object({
  apiVersion: apiVersion(),
  kind: z
    .enum(['Deployment', 'DaemonSet', 'Service'])
    .describe('Kind of the workload: Deployment, DaemonSet or Service.'),
  name: objectName().describe('Name of the workload, in the namespace of the Canary. Example: shop.'),
});

const replicas = (which: string) =>
  whole(1, 100_000).optional().describe(`${which} replicas of the primary's autoscaler; at least 1.`);

const autoscalerRefSchema = z.object({
  apiVersion: text(317, 1).describe('API version of the autoscaler. Example: autoscaling/v2.'),
  kind: z
    .enum(['HorizontalPodAutoscaler', 'ScaledObject'])
    .describe('Kind of the autoscaler: HorizontalPodAutoscaler or ScaledObject (KEDA).'),
  name: objectName().describe('Name of the autoscaler, in the namespace of the Canary.'),
  primaryScalerQueries: textMap(16_384)
    .optional()
    .describe("Queries of the primary's ScaledObject, by the name of their trigger."),
  primaryScalerReplicas: z
    .object({ minReplicas: replicas('Least'), maxReplicas: replicas('Most') })
    .optional()
    .describe("Bounds of the primary's autoscaler. Absent: those of the target's autoscaler."),
});

function reference<Kind extends string>(kind: Kind) {
  return {
    apiVersion: text(317, 1).describe(`API version of the ${kind}.`),
    kind: z.enum([kind]).describe(`Kind of the object: ${kind}.`),
    name: objectName().describe(`Name of the ${kind}.`),
  };
}

export const canarySpecSchema = withRules(
  z.object({
    provider: z
      .enum(PROVIDERS)
      .optional()
      .describe(
        "What moves the traffic of this Canary. Absent: the engine's --mesh-provider. Example: linkerd.",
      ),
    metricsServer: webAddress()
      .optional()
      .describe(
        "Address of the Prometheus that answers built-in metrics and inline queries. Absent: the engine's --metrics-server, and without that the pods' own metrics (no queries). Example: http://prometheus.linkerd-viz:9090.",
      ),
    targetRef: targetRefSchema.describe(
      'The workload whose new revisions are rolled out. One Canary for each target: of two, the younger is refused. It cannot be changed once it is adopted.',
    ),
    autoscalerRef: autoscalerRefSchema
      .optional()
      .describe('The autoscaler of the target; a copy of it scales the primary.'),
    ingressRef: z
      .object(reference('Ingress'))
      .optional()
      .describe('Ingress that is split, for nginx and skipper.'),
    routeRef: z.object(reference('ApisixRoute')).optional().describe('Route that is split, for apisix.'),
    upstreamRef: z
      .object({
        ...reference('Upstream'),
        namespace: text(63, 1).optional().describe("Namespace of the Upstream. Absent: the Canary's."),
      })
      .optional()
      .describe('Gloo Upstream whose settings are copied to the generated ones.'),
    progressDeadlineSeconds: whole(1, 604_800)
      .optional()
      .describe(
        'Seconds that pods have to become ready before the run fails: 1 to 604800 (a week). Absent: 600. Example: 120.',
      ),
    skipAnalysis: z
      .boolean()
      .optional()
      .describe(
        'Promotes every new revision as soon as it is ready, without steps, metrics or hooks. Absent: false.',
      ),
    revertOnDeletion: z
      .boolean()
      .optional()
      .describe(
        'Whether the workload is given back when the Canary is deleted. Accepted for compatibility and without effect: the workload, its replicas and its Service are always given back, in the order that loses no request.',
      ),
    suspend: z
      .boolean()
      .optional()
      .describe(
        'Stops all checks and steps: no queries, no hooks, no new run. Lost readiness, an abort and deletion are still acted on. Absent: false.',
      ),
    service: serviceSchema,
    analysis: analysisSchema,
  }),
  [
    {
      cel: `has(self.service.name) || self.targetRef.name.matches('${SERVICE_NAME_PATTERN}')`,
      message:
        'must have service.name, because the name of the target cannot be the name of a Service (lower-case letters, digits and hyphens, begins with a letter, at most 55 characters)',
      holds: spec => spec.service.name !== undefined || isServiceName(spec.targetRef.name),
    },
  ],
).describe('What is rolled out, through which Service, and how it is judged.');

/** The spec as decoded: Serin's own defaults are filled in, durations are texts as given. */
export type CanarySpec = z.output<typeof canarySpecSchema>;
export type CanaryAnalysis = CanarySpec['analysis'];
export type CanaryService = CanarySpec['service'];
export type CanaryMetric = NonNullable<CanaryAnalysis['metrics']>[number];
export type CanaryAlert = NonNullable<CanaryAnalysis['alerts']>[number];
export type MetricPolicy = CanaryAnalysis['onNoData'];
