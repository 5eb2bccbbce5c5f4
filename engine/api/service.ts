/**
 * `spec.service` of a Canary: the Services that are generated, and attributes of the route. Names and meanings are
 * Flagger's. Route attributes that belong to one mesh are kept whole and described where that mesh defines them.
 */
import { z } from 'zod';
import {
  NAME_CHARACTERS_MAX,
  intOrText,
  objectName,
  opaque,
  text,
  textMap,
  whole,
  withRules,
} from './fields.ts';

/** Room for `-primary` within the 63 characters of a Service name. */
const SERVICE_NAME_CHARACTERS_MAX = 55;

/** `<name>-primary` has to be a valid Service name, and those have at most 63 characters. */
export const SERVICE_NAME_PATTERN = '^[a-z]([-a-z0-9]{0,53}[a-z0-9])?$';

export function isServiceName(name: string): boolean {
  return serviceName.test(name);
}

const serviceName = new RegExp(SERVICE_NAME_PATTERN);

function generatedMetadata(which: string) {
  return z
    .object({
      labels: textMap(63).optional().describe(`Labels added to the ${which} Service. Example: {team: shop}.`),
      annotations: textMap()
        .optional()
        .describe(`Annotations added to the ${which} Service. Example: {prometheus.io/scrape: "true"}.`),
    })
    .optional()
    .describe(`Metadata added to the generated ${which} Service.`);
}

function metadataKeys(what: string) {
  return z
    .array(text(317, 1))
    .max(64)
    .optional()
    .describe(`Keys of ${what} that are left as they are on the generated Services. At most 64.`);
}

const unmanagedMetadataSchema = z
  .object({ labels: metadataKeys('labels'), annotations: metadataKeys('annotations') })
  .optional()
  .describe(
    'Metadata of the generated Services that belongs to others: neither changed nor removed when the Services are reconciled.',
  );

const retriesSchema = z
  .object({
    attempts: whole(0, 100).optional().describe('How often a failed request is tried again: 0 to 100.'),
    perTryTimeout: text(32).optional().describe('Time allowed for each try. Example: 2s.'),
    retryOn: text(512)
      .optional()
      .describe(
        'Which failures are tried again, as the mesh names them. Example: gateway-error,connect-failure.',
      ),
  })
  .optional()
  .describe('How the mesh repeats failed requests. Depends on the provider.');

const rewriteSchema = z
  .object({
    uri: text(1024).optional().describe('Path that replaces the matched one. Example: /.'),
    authority: text(NAME_CHARACTERS_MAX).optional().describe('Host that replaces the one in the request.'),
    type: text(32)
      .optional()
      .describe('How the path is replaced, for Gateway API: ReplaceFullPath or ReplacePrefixMatch.'),
  })
  .optional()
  .describe('Rewrites requests before they are forwarded. Depends on the provider.');

const gatewayRefSchema = z.object({
  group: text(253).default('gateway.networking.k8s.io').describe('API group of the parent.'),
  kind: text(63, 1).default('Gateway').describe('Kind of the parent.'),
  namespace: text(63, 1).optional().describe("Namespace of the parent. Absent: the Canary's."),
  name: objectName().describe('Name of the parent.'),
  sectionName: text(253, 1).optional().describe('Listener of the Gateway that the route is attached to.'),
  port: whole(1, 65_535).optional().describe('Port of the parent that the route is attached to.'),
});

export const serviceSchema = z
  .object({
    name: withRules(text(SERVICE_NAME_CHARACTERS_MAX, 1), [
      {
        cel: `self.matches('${SERVICE_NAME_PATTERN}')`,
        message: 'must be lower-case letters, digits and hyphens, and begin with a letter',
        holds: name => isServiceName(name),
      },
    ])
      .optional()
      .describe(
        'Name of the apex Service, which clients call; <name>-primary and <name>-canary are generated beside it. At most 55 characters. It cannot be changed once the target is adopted. Absent: the name of the target.',
      ),
    port: whole(1, 65_535).describe('Port of the generated Services. Example: 80.'),
    portName: text(63, 1)
      .optional()
      .describe('Name of that port; meshes read the protocol from it. Absent: http. Example: grpc.'),
    targetPort: intOrText()
      .optional()
      .describe("Number or name of the container's port. Absent: the same number as port. Example: 8080."),
    appProtocol: text(316, 1)
      .optional()
      .describe('Application protocol of the port, as in a Service. Example: kubernetes.io/h2c.'),
    portDiscovery: z
      .boolean()
      .optional()
      .describe(
        "Adds the other ports of the target's containers to the generated Services, except those of sidecars. Absent: false.",
      ),
    headless: z
      .boolean()
      .optional()
      .describe('Generates Services without a cluster address (clusterIP: None). Absent: false.'),
    trafficDistribution: z
      .enum(['PreferClose', 'PreferSameZone', 'PreferSameNode'])
      .optional()
      .describe(
        'Which endpoints the generated Services prefer, as in a Service: PreferClose, PreferSameZone or PreferSameNode.',
      ),
    apex: generatedMetadata('apex'),
    primary: generatedMetadata('primary'),
    canary: generatedMetadata('canary'),
    unmanagedMetadata: unmanagedMetadataSchema,
    hosts: z
      .array(text(253, 1))
      .max(64)
      .optional()
      .describe('Host names that the route answers to. Example: [shop.example.com].'),
    gateways: z
      .array(text(317, 1))
      .max(64)
      .optional()
      .describe('Istio gateways that the route is attached to. Example: [istio-system/public].'),
    gatewayRefs: z
      .array(gatewayRefSchema)
      .max(32)
      .optional()
      .describe('Parents of the HTTPRoute, for Gateway API providers, which require one. At most 32.'),
    delegation: z
      .boolean()
      .optional()
      .describe('Makes the Istio VirtualService a delegate without hosts or gateways of its own.'),
    match: z
      .array(opaque())
      .max(64)
      .optional()
      .describe(
        'Which requests the route takes: conditions on uri, method, headers, queryParams, authority, scheme, port, gateways, sourceLabels and the like, as the mesh defines them.',
      ),
    timeout: text(32).optional().describe('Time allowed for a request, retries included. Example: 15s.'),
    backendTimeout: text(32)
      .optional()
      .describe('Time allowed for one call to a backend, for Gateway API. Example: 5s.'),
    retries: retriesSchema,
    rewrite: rewriteSchema,
    headers: opaque()
      .optional()
      .describe('Headers added, set or removed on request and response: {request: {set: {x-version: v2}}}.'),
    mirror: z
      .array(opaque())
      .max(16)
      .optional()
      .describe('Backends that get a copy of each request, for Gateway API: [{backendRef: {name, port}}].'),
    corsPolicy: opaque()
      .optional()
      .describe(
        'Cross-origin policy of the route: allowOrigins, allowMethods, allowHeaders, maxAge and the like.',
      ),
    trafficPolicy: opaque()
      .optional()
      .describe(
        'Istio traffic policy of the DestinationRules: connectionPool, loadBalancer, outlierDetection, tls.',
      ),
    meshName: text(253).optional().describe('Name of the App Mesh mesh. The provider is retired.'),
    backends: z
      .array(text(253, 1))
      .max(64)
      .optional()
      .describe('Backends of the App Mesh virtual node. The provider is retired.'),
  })
  .describe('The Services that are generated for the target, and attributes of the route to them.');
