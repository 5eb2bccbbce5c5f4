/**
 * `spec` of a MetricTemplate: a query and the provider that answers it, shared by Canaries. Names and meanings are
 * Flagger's. Credentials are only ever referred to, never held.
 */
import { z } from 'zod';
import { isWebAddress, objectName, text, WEB_ADDRESS_PATTERN, withRules } from './fields.ts';
import { canaryStatusSchema } from './status.ts';

export const METRIC_PROVIDERS = [
  'prometheus',
  'influxdb',
  'datadog',
  'stackdriver',
  'cloudwatch',
  'newrelic',
  'graphite',
  'dynatrace',
  'keptn',
  'splunk',
  'externalmetrics',
] as const;

/** At most this many values of one header, and this many headers. */
const HEADERS_MAX = 32;

const headersSchema = z
  .record(z.string(), z.array(text(4096)).max(HEADERS_MAX))
  .refine(map => Object.keys(map).length <= HEADERS_MAX, `must have at most ${HEADERS_MAX} entries`)
  .meta({ maxProperties: HEADERS_MAX });

const providerSchema = withRules(
  z.object({
    type: z.enum(METRIC_PROVIDERS).describe('What answers the query. Example: prometheus.'),
    address: text(2048)
      .optional()
      .describe(
        "Address of the provider's API. Absent: the provider's public address, where it has one. Example: http://prometheus:9090.",
      ),
    headers: headersSchema
      .optional()
      .describe('Headers sent with each query, each a list of values. Example: {X-Scope-OrgID: [shop]}.'),
    secretRef: z
      .object({ name: objectName().describe('Name of the Secret, in the namespace of the MetricTemplate.') })
      .optional()
      .describe('Secret with the credentials; for prometheus either username and password, or token.'),
    region: text(64).optional().describe('Region of the provider, for cloudwatch. Example: eu-central-1.'),
    insecureSkipVerify: z
      .boolean()
      .optional()
      .describe("Accepts any certificate of the provider's server; insecure. Absent: false."),
  }),
  [
    {
      cel: `self.type != 'prometheus' || (has(self.address) && self.address.matches('${WEB_ADDRESS_PATTERN}'))`,
      message: 'must have an address that is an http or https URL, such as http://prometheus.monitoring:9090',
      holds: provider =>
        provider.type !== 'prometheus' || (provider.address !== undefined && isWebAddress(provider.address)),
    },
  ],
);

export const metricTemplateSpecSchema = z
  .object({
    provider: providerSchema.describe('The provider that answers the query.'),
    query: text(16_384, 1).describe(
      'The query, which answers one number. {{ name }}, {{ namespace }}, {{ target }}, {{ service }}, {{ ingress }}, {{ route }}, {{ interval }} and {{ variables.<key> }} are replaced.',
    ),
  })
  .describe('A query, and the provider that answers it.');

/** What the engine says of a MetricTemplate or AlertProvider: whether it can be used, and if not why. */
export const acceptanceStatusSchema = z
  .object({
    conditions: canaryStatusSchema.shape.conditions,
    observedGeneration: z.int().optional().describe('Generation that the conditions speak of.'),
  })
  .describe('Whether the object can be used, and if not why. Written by the engine.');

export type MetricTemplateSpec = z.output<typeof metricTemplateSpecSchema>;
