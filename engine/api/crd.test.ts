/** The generated CRDs: in step with the schemas, structural, described field by field, and a superset of Flagger's. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { FLAGGER_GROUP, generateCrds, GROUP } from './crd.ts';
import { CRD_FOLDER, fileNameOf, renderCrd } from './generate.ts';
import { type JsonSchema, schemaOf, structuralSchema } from './schemaOf.ts';

const crds = generateCrds({ group: GROUP });

function specSchema(kind: 'Canary' | 'MetricTemplate' | 'AlertProvider'): JsonSchema {
  return schemaOf(kind).properties?.['spec'] as JsonSchema;
}

/** Every node of a schema with its path. */
function* nodes(schema: JsonSchema, path: string): Generator<[string, JsonSchema]> {
  yield [path, schema];
  for (const [name, child] of Object.entries(schema.properties ?? {})) yield* nodes(child, `${path}.${name}`);
  if (schema.items) yield* nodes(schema.items, `${path}[]`);
  if (schema.additionalProperties) yield* nodes(schema.additionalProperties, `${path}{}`);
}

function leafPaths(schema: JsonSchema): string[] {
  return [...nodes(schema, '')].map(([path]) => path.replaceAll('[]', '').replaceAll('{}', '').slice(1));
}

describe('the files in the chart', () => {
  test.each(crds.map(crd => [fileNameOf(crd), crd] as const))('%s is up to date', (name, crd) => {
    expect(readFileSync(CRD_FOLDER + name, 'utf8')).toBe(renderCrd(crd));
  });
});

test('the program prints the CRDs of Flagger’s group, and refuses another', () => {
  const program = fileURLToPath(new URL('generate.ts', import.meta.url));
  const run = (...args: string[]) => spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });
  const printed = parseAllDocuments(run('--api-group', FLAGGER_GROUP).stdout).map(document =>
    document.toJS(),
  );
  expect(printed).toEqual(JSON.parse(JSON.stringify(generateCrds({ group: FLAGGER_GROUP }))));
  expect(run('--api-group', 'other.dev')).toMatchObject({
    status: 2,
    stdout: '',
    stderr: 'generate: --api-group: expected one of serin.dev, flagger.app\n',
  });
});

describe('the schemas', () => {
  const all = crds.flatMap(crd => {
    const root = crd.spec.versions[0]?.schema.openAPIV3Schema as JsonSchema;
    return [...nodes(root, crd.spec.names.kind)];
  });

  test('every property of every spec and status is described in a sentence', () => {
    const undescribed = all
      .filter(([path]) => !path.endsWith('.metadata') && !path.endsWith('[]') && !path.endsWith('{}'))
      .filter(([, node]) => !/^[A-Z{].{9,}[.\]})]$/.test(node.description ?? ''))
      .map(([path]) => path);
    expect(undescribed).toEqual([]);
  });

  test('every text, list and number in a spec is bounded, for the cost of CEL and of the object', () => {
    const unbounded = all.filter(([path, node]) => {
      if (!path.includes('.spec')) return false;
      if (node.type === 'string') return node['maxLength'] === undefined && node['enum'] === undefined;
      if (node.type === 'array') return node['maxItems'] === undefined;
      if (node.type === 'integer') return node['minimum'] === undefined || node['maximum'] === undefined;
      return node.additionalProperties !== undefined && node['maxProperties'] === undefined;
    });
    expect(unbounded.map(([path]) => path)).toEqual([]);
  });

  test('no JavaScript bound or keyword is left in', () => {
    const text = JSON.stringify(crds);
    expect(text).not.toContain(String(Number.MAX_SAFE_INTEGER));
    for (const keyword of [
      '$schema',
      'anyOf',
      'oneOf',
      '"additionalProperties":false',
      '"additionalProperties":{}',
    ])
      expect(text).not.toContain(keyword);
  });

  test.each([
    ['a union', z.union([z.string(), z.number()])],
    ['a tuple', z.tuple([z.string(), z.number()])],
    ['lookahead', z.string().regex(/^(?!a)b/)],
    ['anything', z.unknown()],
  ])('%s throws instead of being dropped', (_, schema) => {
    expect(() => structuralSchema(z.object({ x: schema }), 'spec')).toThrow(/spec\.x/);
  });
});

describe('the definitions', () => {
  test('of either group differ in the group alone', () => {
    const flagger = generateCrds({ group: FLAGGER_GROUP });
    expect(JSON.parse(JSON.stringify(flagger).replaceAll('flagger.app', 'serin.dev'))).toEqual(crds);
    expect(flagger.map(crd => crd.metadata.name)).toEqual([
      'canaries.flagger.app',
      'metrictemplates.flagger.app',
      'alertproviders.flagger.app',
    ]);
  });

  test('have a status subresource and the category all', () => {
    for (const crd of crds) {
      expect(crd.spec.names.categories).toEqual(['all']);
      expect(crd.spec.versions[0]?.subresources).toEqual({ status: {} });
    }
  });

  test('keep the Canaries when the chart is removed', () => {
    for (const crd of crds) expect(crd.metadata.annotations['helm.sh/resource-policy']).toBe('keep');
  });
});

describe('what a Flagger manifest may contain', () => {
  const flaggerCanary = [
    'provider metricsServer progressDeadlineSeconds skipAnalysis revertOnDeletion suspend',
    'targetRef.apiVersion targetRef.kind targetRef.name',
    'autoscalerRef.apiVersion autoscalerRef.kind autoscalerRef.name autoscalerRef.primaryScalerQueries',
    'autoscalerRef.primaryScalerReplicas.minReplicas autoscalerRef.primaryScalerReplicas.maxReplicas',
    'ingressRef.apiVersion ingressRef.kind ingressRef.name routeRef.name upstreamRef.name upstreamRef.namespace',
    'service.name service.port service.portName service.targetPort service.appProtocol service.portDiscovery',
    'service.headless service.trafficDistribution service.timeout service.backendTimeout service.retries.attempts',
    'service.retries.perTryTimeout service.retries.retryOn service.rewrite.uri service.rewrite.authority',
    'service.rewrite.type service.headers service.corsPolicy service.mirror service.match service.gateways',
    'service.hosts service.delegation service.trafficPolicy service.gatewayRefs.group service.gatewayRefs.kind',
    'service.gatewayRefs.namespace service.gatewayRefs.name service.gatewayRefs.sectionName service.gatewayRefs.port',
    'service.meshName service.backends service.apex.labels service.apex.annotations service.primary.labels',
    'service.primary.annotations service.canary.labels service.canary.annotations',
    'service.unmanagedMetadata.labels service.unmanagedMetadata.annotations',
    'analysis.interval analysis.threshold analysis.maxWeight analysis.stepWeight analysis.stepWeights',
    'analysis.stepWeightPromotion analysis.iterations analysis.match analysis.mirror analysis.mirrorWeight',
    'analysis.primaryReadyThreshold analysis.canaryReadyThreshold analysis.metrics.name analysis.metrics.interval',
    'analysis.metrics.threshold analysis.metrics.thresholdRange.min analysis.metrics.thresholdRange.max',
    'analysis.metrics.query analysis.metrics.templateRef.name analysis.metrics.templateRef.namespace',
    'analysis.metrics.templateVariables analysis.alerts.name analysis.alerts.severity',
    'analysis.alerts.providerRef.name analysis.alerts.providerRef.namespace analysis.webhooks.name',
    'analysis.webhooks.type analysis.webhooks.url analysis.webhooks.timeout analysis.webhooks.retries',
    'analysis.webhooks.disableTLS analysis.webhooks.muteAlert analysis.webhooks.metadata',
    'analysis.sessionAffinity.cookieName analysis.sessionAffinity.primaryCookieName analysis.sessionAffinity.maxAge',
    'analysis.sessionAffinity.domain analysis.sessionAffinity.httpOnly analysis.sessionAffinity.partitioned',
    'analysis.sessionAffinity.path analysis.sessionAffinity.sameSite analysis.sessionAffinity.secure',
  ].flatMap(line => line.split(' '));

  test('every field of Flagger’s Canary is there', () => {
    expect(leafPaths(specSchema('Canary'))).toEqual(expect.arrayContaining(flaggerCanary));
  });

  test('every field of Flagger’s status is there', () => {
    const status = schemaOf('Canary').properties?.['status'] as JsonSchema;
    expect(leafPaths(status)).toEqual(
      expect.arrayContaining(
        [
          'phase failedChecks canaryWeight iterations trackedConfigs lastAppliedSpec lastPromotedSpec',
          'lastTransitionTime sessionAffinityCookie primarySessionAffinityCookie previousSessionAffinityCookie',
          'conditions.type conditions.status conditions.reason conditions.message conditions.lastUpdateTime',
        ].flatMap(line => line.split(' ')),
      ),
    );
  });

  test('every field of Flagger’s MetricTemplate and AlertProvider is there', () => {
    const template =
      'query provider.type provider.address provider.headers provider.secretRef.name provider.region provider.insecureSkipVerify';
    expect(leafPaths(specSchema('MetricTemplate'))).toEqual(expect.arrayContaining(template.split(' ')));
    const receiver = 'type channel username address proxy secretRef.name';
    expect(leafPaths(specSchema('AlertProvider'))).toEqual(expect.arrayContaining(receiver.split(' ')));
  });
});
