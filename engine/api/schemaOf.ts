/**
 * The OpenAPI schema of each kind, drawn from its zod schemas: for the CRDs, which have to be structural, and for the
 * REST server. What a structural schema cannot say (unions, tuples, lookaround) throws here instead of being dropped.
 */
import { z } from 'zod';
import { alertProviderSpecSchema } from './alertProvider.ts';
import { canarySpecSchema } from './canary.ts';
import { acceptanceStatusSchema, metricTemplateSpecSchema } from './metricTemplate.ts';
import { canaryStatusSchema } from './status.ts';

export const KINDS = ['Canary', 'MetricTemplate', 'AlertProvider'] as const;
export type Kind = (typeof KINDS)[number];

/** A node of an OpenAPI 3.0 schema with Kubernetes' extensions. */
export interface JsonSchema {
  type?: string;
  description?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  additionalProperties?: JsonSchema;
  [keyword: string]: unknown;
}

const cookie = () => z.string().max(512).optional();

/** Written by Flagger only; served so that an API server does not drop it from objects that Flagger left behind. */
const flaggerStatus = {
  sessionAffinityCookie: cookie().describe('Cookie of the current run. Written by Flagger; kept as it is.'),
  previousSessionAffinityCookie: cookie().describe(
    'Cookie of the last run. Written by Flagger; kept as it is.',
  ),
  primarySessionAffinityCookie: cookie().describe(
    'Cookie of the primary. Written by Flagger; kept as it is.',
  ),
};

const isNotAdopted =
  "!has(oldSelf.status) || !has(oldSelf.status.phase) || oldSelf.status.phase in ['', 'Initializing']";
const apexOf = (object: string) =>
  `(has(${object}.spec.service.name) ? ${object}.spec.service.name : ${object}.spec.targetRef.name)`;

/**
 * Rules for an update, which a schema of the spec alone cannot say. What a Canary was adopted with stays: under another
 * target the primary would come back with the template of this one, and the old target would stay at zero.
 */
const adoptionRules = [
  {
    rule: `${isNotAdopted} || (self.spec.targetRef.kind == oldSelf.spec.targetRef.kind && self.spec.targetRef.name == oldSelf.spec.targetRef.name)`,
    message: 'must stay what was adopted; for another target delete this Canary and create a new one',
    fieldPath: '.spec.targetRef',
  },
  {
    rule: `${isNotAdopted} || ${apexOf('self')} == ${apexOf('oldSelf')}`,
    message: 'must stay what was adopted; for another Service delete this Canary and create a new one',
    fieldPath: '.spec.service',
  },
];

const schemas: Record<Kind, { description: string; spec: z.ZodType; status: z.ZodType }> = {
  Canary: {
    description:
      'Rolls every new revision of a workload out step by step, judged at each step, and promotes it or rolls it back.',
    spec: canarySpecSchema,
    status: canaryStatusSchema
      .extend(flaggerStatus)
      .describe('Where the rollout stands. Written by the engine, and all that it remembers.'),
  },
  MetricTemplate: {
    description: 'A metric query and the provider that answers it, shared by Canaries.',
    spec: metricTemplateSpecSchema,
    status: acceptanceStatusSchema,
  },
  AlertProvider: {
    description: 'A receiver of notifications about rollouts, shared by Canaries.',
    spec: alertProviderSpecSchema,
    status: acceptanceStatusSchema,
  },
};

/** Keywords that are kept as they are. Everything else either has a rule below or throws. */
const KEPT = new Set([
  'type',
  'description',
  'default',
  'enum',
  'required',
  'pattern',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'maxProperties',
  'nullable',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'format',
]);

const DROPPED = new Set(['$schema', 'id', 'examples']);

function mapped(schemas_: Record<string, JsonSchema>, path: string): Record<string, JsonSchema> {
  return Object.fromEntries(
    Object.entries(schemas_).map(([name, schema]) => [name, structural(schema, `${path}.${name}`)]),
  );
}

function isAnything(schema: unknown): boolean {
  return typeof schema === 'object' && schema !== null && Object.keys(schema).length === 0;
}

function assertRe2(pattern: unknown, path: string): void {
  if (/\(\?[=!<]|\\[1-9]/.test(String(pattern))) throw new Error(`${path}: pattern is not RE2`);
}

/** Turns one node of zod's output into a structural schema; `path` is for messages. */
function structural(node: JsonSchema, path: string): JsonSchema {
  const result: JsonSchema = node.description === undefined ? {} : { description: node.description };
  const isIntOrText = node['x-kubernetes-int-or-string'] === true;
  for (const [keyword, value] of Object.entries(node)) {
    if (DROPPED.has(keyword) || value === undefined) continue;
    if (isIntOrText && (keyword === 'anyOf' || keyword === 'type')) continue;
    if (keyword === 'pattern') assertRe2(value, path);
    if (keyword === 'properties') result.properties = mapped(value as Record<string, JsonSchema>, path);
    else if (keyword === 'items') result.items = structural(value as JsonSchema, `${path}[]`);
    else if (keyword === 'additionalProperties') {
      if (isAnything(value)) result['x-kubernetes-preserve-unknown-fields'] = true;
      else if (value !== false) result.additionalProperties = structural(value as JsonSchema, `${path}{}`);
    } else if (keyword === 'minimum' || keyword === 'maximum') {
      if (Math.abs(Number(value)) !== Number.MAX_SAFE_INTEGER) result[keyword] = value;
    } else if (KEPT.has(keyword) || keyword.startsWith('x-kubernetes-')) result[keyword] = value;
    else throw new Error(`${path}: ${keyword} cannot be said in a structural schema`);
  }
  if (result.properties && result.additionalProperties)
    throw new Error(`${path}: properties and a map at once`);
  if (!result.type && !isIntOrText) throw new Error(`${path}: has no type`);
  return result;
}

/** One zod schema as a structural OpenAPI schema. Throws on what such a schema cannot say. */
export function structuralSchema(schema: z.ZodType, path: string): JsonSchema {
  const drawn = z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    io: 'input',
    unrepresentable: 'throw',
    reused: 'inline',
    cycles: 'throw',
  });
  return structural(JSON.parse(JSON.stringify(drawn)) as JsonSchema, path);
}

/** The schema of a whole object of this kind. A new copy with each call. */
export function schemaOf(kind: Kind): JsonSchema {
  const { description, spec, status } = schemas[kind];
  return {
    description,
    type: 'object',
    required: ['spec'],
    ...(kind === 'Canary' ? { 'x-kubernetes-validations': adoptionRules } : {}),
    properties: {
      apiVersion: { description: 'Group and version of the object.', type: 'string' },
      kind: { description: `Always ${kind}.`, type: 'string' },
      metadata: { type: 'object' },
      spec: structuralSchema(spec, 'spec'),
      status: structuralSchema(status, 'status'),
    },
  };
}
