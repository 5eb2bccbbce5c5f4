/**
 * Reads one object as the API server sent it, and says what is wrong with it: every problem with its field and what
 * was expected, never the value (it might be a secret). It never throws, and one bad object never stops another.
 */
import { z } from 'zod';
import { alertProviderSpecSchema } from './alertProvider.ts';
import { canarySpecSchema } from './canary.ts';
import { metricTemplateSpecSchema } from './metricTemplate.ts';
import type { Reason } from './reasons.ts';
import {
  type Unsupported,
  unsupportedInAlertProvider,
  unsupportedInCanary,
  unsupportedInMetricTemplate,
} from './unsupported.ts';

/** Why an object cannot be used. `field` is a path such as `spec.analysis.metrics[0].query`. */
export interface Problem {
  reason: Extract<
    Reason,
    'InvalidSpec' | 'InvalidWeights' | 'NotSupportedYet' | 'Retired' | 'UnknownProvider'
  >;
  field: string;
  /** What was expected, a sentence without the field's name, e.g. `must be at least 1`. */
  expected: string;
}

/** More would not fit into a condition's message. */
export const PROBLEMS_MAX = 16;

const metadataSchema = z.object({
  namespace: z.string().min(1),
  name: z.string().min(1),
  uid: z.string().default(''),
  generation: z.int().default(0),
  resourceVersion: z.string().default(''),
  creationTimestamp: z.string().default(''),
  deletionTimestamp: z.string().optional(),
  annotations: z.record(z.string(), z.string()).default({}),
  labels: z.record(z.string(), z.string()).default({}),
  finalizers: z.array(z.string()).default([]),
});

export type Metadata = z.output<typeof metadataSchema>;

function objectSchema<Spec extends z.ZodType>(spec: Spec) {
  return z.object({ metadata: metadataSchema, spec });
}

const canarySchema = objectSchema(canarySpecSchema);
const metricTemplateSchema = objectSchema(metricTemplateSpecSchema);
const alertProviderSchema = objectSchema(alertProviderSpecSchema);

/** A valid object: its metadata, and its spec with Serin's own defaults filled in. */
type Decoded<Schema extends z.ZodType<{ metadata: Metadata; spec: unknown }>> = Metadata & {
  spec: z.output<Schema>['spec'];
};
export type Canary = Decoded<typeof canarySchema>;
export type MetricTemplate = Decoded<typeof metricTemplateSchema>;
export type AlertProvider = Decoded<typeof alertProviderSchema>;

export interface Refused {
  ok: false;
  /** At least one, at most `PROBLEMS_MAX`; one for each field. */
  problems: Problem[];
}

/** Fields that choose an implementation: an unknown word there has a reason of its own. */
const PROVIDER_FIELDS: ReadonlySet<string> = new Set(['spec.provider', 'spec.provider.type', 'spec.type']);

/** Weights have a reason of their own, and so have the elements of a list of them. */
const WEIGHT_FIELDS = /^spec\.analysis\.(stepWeights?|maxWeight|stepWeightPromotion|mirrorWeight)(\[\d+\])?$/;

/** `['spec', 'metrics', 0, 'name']` as `spec.metrics[0].name`. Keys that are not plain words are quoted. */
function fieldPath(path: readonly PropertyKey[]): string {
  let field = '';
  for (const step of path) {
    if (typeof step === 'number') field += `[${step}]`;
    else if (/^[A-Za-z][A-Za-z0-9]*$/.test(String(step)))
      field += field === '' ? String(step) : `.${String(step)}`;
    else field += `[${JSON.stringify(String(step).slice(0, 64))}]`;
  }
  return field;
}

function valueAt(object: unknown, path: readonly PropertyKey[]): unknown {
  let value = object;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[step];
  }
  return value;
}

const UNITS: Readonly<Record<string, string>> = { string: ' characters', array: ' entries' };
const TYPES: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

function expectedOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${TYPES[issue.expected] ?? issue.expected}`;
    case 'too_small':
      return `must be at least ${issue.minimum}${UNITS[issue.origin] ?? ''}`;
    case 'too_big':
      return `must be at most ${issue.maximum}${UNITS[issue.origin] ?? ''}`;
    case 'invalid_value':
      return `must be one of: ${issue.values.filter(known => known !== '').join(', ')}`;
    case 'invalid_union':
      return 'must be a number or a name';
    case 'custom':
    case 'invalid_format':
    case 'invalid_element':
    case 'invalid_key':
    case 'not_multiple_of':
    case 'unrecognized_keys':
      return issue.message;
  }
}

function problemOf(issue: z.core.$ZodIssue, object: unknown): Problem {
  const field = fieldPath(issue.path);
  const given = valueAt(object, issue.path);
  if (given === undefined && (issue.code === 'invalid_type' || issue.code === 'invalid_value'))
    return { reason: 'InvalidSpec', field, expected: `is required: ${expectedOf(issue)}` };
  const isUnknownProvider = issue.code === 'invalid_value' && PROVIDER_FIELDS.has(field);
  const isWeight = WEIGHT_FIELDS.test(field);
  return {
    reason: isUnknownProvider ? 'UnknownProvider' : isWeight ? 'InvalidWeights' : 'InvalidSpec',
    field,
    expected: expectedOf(issue),
  };
}

/** The first problem of each field: a second one about the same field rarely helps. */
function bounded(problems: Problem[]): Problem[] {
  const byField = new Map<string, Problem>();
  for (const problem of problems) if (!byField.has(problem.field)) byField.set(problem.field, problem);
  return [...byField.values()].slice(0, PROBLEMS_MAX);
}

function unsupportedProblems(object: unknown, table: readonly Unsupported[]): Problem[] {
  return table
    .filter(entry => entry.refuses(valueAt(object, entry.path.split('.'))))
    .map(entry => ({ reason: entry.reason, field: entry.path, expected: entry.sentence }));
}

function decode<Schema extends z.ZodType<{ metadata: Metadata; spec: unknown }>>(
  schema: Schema,
  table: readonly Unsupported[],
  object: unknown,
): { ok: true; value: Decoded<Schema> } | Refused {
  const parsed = schema.safeParse(object);
  const problems = [
    ...(parsed.success ? [] : parsed.error.issues.map(issue => problemOf(issue, object))),
    ...unsupportedProblems(object, table),
  ];
  if (problems.length > 0 || !parsed.success) return { ok: false, problems: bounded(problems) };
  return { ok: true, value: { ...parsed.data.metadata, spec: parsed.data.spec } };
}

/** Decodes a Canary; the object is left as it is. */
export function decodeCanary(object: unknown): { ok: true; canary: Canary } | Refused {
  const decoded = decode(canarySchema, unsupportedInCanary, object);
  return decoded.ok ? { ok: true, canary: decoded.value } : decoded;
}

/** Decodes a MetricTemplate; the object is left as it is. */
export function decodeMetricTemplate(
  object: unknown,
): { ok: true; metricTemplate: MetricTemplate } | Refused {
  const decoded = decode(metricTemplateSchema, unsupportedInMetricTemplate, object);
  return decoded.ok ? { ok: true, metricTemplate: decoded.value } : decoded;
}

/** Decodes an AlertProvider; the object is left as it is. */
export function decodeAlertProvider(object: unknown): { ok: true; alertProvider: AlertProvider } | Refused {
  const decoded = decode(alertProviderSchema, unsupportedInAlertProvider, object);
  return decoded.ok ? { ok: true, alertProvider: decoded.value } : decoded;
}

/** A problem in one line, for conditions, events and logs. */
export function formatProblem(problem: Problem): string {
  return `${problem.field} ${problem.expected}`;
}
