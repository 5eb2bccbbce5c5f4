/** Validates custom resources against their structural schema, with the sentences of the real server. Pure. */
import { duplicateIndex } from './fields.ts';
import { canonical, equal, isObject } from './json.ts';
import type { Json } from './json.ts';
import type { FieldError } from './status.ts';

/** As many as the server prints before it stops; keeps an answer readable. */
const MAX_ERRORS_PER_OBJECT = 100;

/** The errors of `value` under `schema`; `path` is empty at the root. */
export function validateSchema(value: Json, schema: Json, path = ''): FieldError[] {
  const errors: FieldError[] = [];
  check(value, schema, path, errors);
  return errors.slice(0, MAX_ERRORS_PER_OBJECT);
}

function typeOf(value: Json): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function hasType(value: Json, type: string): boolean {
  const actual = typeOf(value);
  return actual === type || (type === 'number' && actual === 'integer');
}

function check(value: Json, schema: Json, path: string, errors: FieldError[]): void {
  if (!isObject(schema)) return;
  if (value === null && schema.nullable === true) return;
  if (schema['x-kubernetes-int-or-string']) {
    if (!hasType(value, 'integer') && !hasType(value, 'string'))
      return wrongType(value, 'integer,string', path, errors);
  } else if (schema.type !== undefined && !hasType(value, schema.type)) {
    return wrongType(value, schema.type, path, errors);
  }
  checkEnum(value, schema, path, errors);
  if (typeof value === 'number') checkNumber(value, schema, path, errors);
  if (typeof value === 'string') checkString(value, schema, path, errors);
  if (Array.isArray(value)) checkArray(value, schema, path, errors);
  if (isObject(value)) checkObject(value, schema, path, errors);
}

function wrongType(value: Json, wanted: string, path: string, errors: FieldError[]): void {
  const actual = typeOf(value);
  const field = path || '<nil>';
  errors.push({
    type: 'Invalid value',
    field,
    value: actual,
    detail: `${path} in body must be of type ${wanted}: ${JSON.stringify(actual)}`,
  });
  if (wanted === 'integer' && actual === 'number')
    errors.push({
      type: 'Invalid value',
      field: '<nil>',
      value: '',
      detail: `Checked value must be of type integer (default format) in ${path}`,
    });
}

function checkEnum(value: Json, schema: Json, path: string, errors: FieldError[]): void {
  if (!Array.isArray(schema.enum) || schema.enum.some((allowed: Json) => equal(allowed, value))) return;
  const list = schema.enum.map((allowed: Json) => JSON.stringify(allowed)).join(', ');
  errors.push({ type: 'Unsupported value', field: path, value, detail: `supported values: ${list}` });
}

function checkNumber(value: number, schema: Json, path: string, errors: FieldError[]): void {
  const fail = (detail: string) =>
    errors.push({ type: 'Invalid value', field: path, value, detail: `${path} in body ${detail}` });
  if (schema.minimum !== undefined) {
    if (schema.exclusiveMinimum ? value <= schema.minimum : value < schema.minimum)
      fail(`should be greater than ${schema.exclusiveMinimum ? '' : 'or equal to '}${schema.minimum}`);
  }
  if (schema.maximum !== undefined) {
    if (schema.exclusiveMaximum ? value >= schema.maximum : value > schema.maximum)
      fail(`should be less than ${schema.exclusiveMaximum ? '' : 'or equal to '}${schema.maximum}`);
  }
  if (schema.multipleOf !== undefined && value % schema.multipleOf !== 0)
    fail(`should be a multiple of ${schema.multipleOf}`);
}

const patterns = new Map<string, RegExp>();
/** Compiled patterns are few: one for each pattern in a CRD. */
function pattern(source: string): RegExp {
  let compiled = patterns.get(source);
  if (!compiled) {
    compiled = new RegExp(source, 'u');
    patterns.set(source, compiled);
  }
  return compiled;
}

function checkString(value: string, schema: Json, path: string, errors: FieldError[]): void {
  const fail = (detail: string) =>
    errors.push({ type: 'Invalid value', field: path, value, detail: `${path} in body ${detail}` });
  const length = Array.from(value).length;
  if (schema.maxLength !== undefined && length > schema.maxLength)
    errors.push({ type: 'Too long', field: path, detail: `may not be more than ${schema.maxLength} bytes` });
  if (schema.minLength !== undefined && length < schema.minLength)
    fail(`should be at least ${schema.minLength} chars long`);
  if (schema.pattern !== undefined && !pattern(schema.pattern).test(value))
    fail(`should match '${schema.pattern}'`);
  const form = schema.format === undefined ? undefined : formats[schema.format];
  if (form && !form.test(value)) fail(`must be of type ${schema.format}: ${JSON.stringify(value)}`);
}

/** Formats that the server enforces and that progressive-delivery CRDs use; others are annotations. */
const formats: Record<string, RegExp> = {
  'date-time': /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/,
  date: /^\d{4}-\d\d-\d\d$/,
  uuid: /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i,
};

function checkArray(value: Json[], schema: Json, path: string, errors: FieldError[]): void {
  if (schema.maxItems !== undefined && value.length > schema.maxItems)
    errors.push({
      type: 'Too many',
      field: path,
      value: value.length,
      detail: `must have at most ${schema.maxItems} items`,
    });
  if (schema.minItems !== undefined && value.length < schema.minItems)
    errors.push({
      type: 'Invalid value',
      field: path,
      value: value.length,
      detail: `${path} in body should have at least ${schema.minItems} items`,
    });
  const listType = schema['x-kubernetes-list-type'];
  if (listType === 'map' || listType === 'set') {
    const keys: string[] | undefined = listType === 'map' ? schema['x-kubernetes-list-map-keys'] : undefined;
    const index = duplicateIndex(value, keys);
    if (index >= 0) {
      const item = value[index];
      const shown = keys ? Object.fromEntries(keys.map(key => [key, item?.[key]])) : item;
      errors.push({ type: 'Duplicate value', field: `${path}[${index}]`, value: shown });
    }
  }
  value.forEach((item, index) => check(item, schema.items, `${path}[${index}]`, errors));
}

function checkObject(value: Record<string, Json>, schema: Json, path: string, errors: FieldError[]): void {
  const at = (field: string) => (path ? `${path}.${field}` : field);
  for (const field of schema.required ?? [])
    if (value[field] === undefined) errors.push({ type: 'Required value', field: at(field) });
  if (schema.maxProperties !== undefined && Object.keys(value).length > schema.maxProperties)
    errors.push({
      type: 'Too many',
      field: path,
      value: Object.keys(value).length,
      detail: `must have at most ${schema.maxProperties} items`,
    });
  for (const field of Object.keys(value).sort()) {
    const known = schema.properties?.[field] ?? schema.additionalProperties;
    if (path === '' && field === 'metadata') continue;
    if (isObject(known)) check(value[field], known, at(field), errors);
  }
  checkAlternatives(value, schema, path, errors);
}

/** `allOf`, `anyOf`, `oneOf`, `not`: a structural schema uses them for values only. */
function checkAlternatives(value: Json, schema: Json, path: string, errors: FieldError[]): void {
  const passes = (branch: Json) => {
    const found: FieldError[] = [];
    check(value, branch, path, found);
    return found.length === 0;
  };
  const fail = (detail: string) =>
    errors.push({
      type: 'Invalid value',
      field: path || '<nil>',
      value: JSON.parse(canonical(value)),
      detail,
    });
  for (const branch of schema.allOf ?? []) check(value, branch, path, errors);
  const subject = path ? `${path} in body` : 'in body';
  if (schema.anyOf && !schema.anyOf.some(passes))
    fail(`${subject} must validate at least one schema (anyOf)`);
  if (schema.oneOf && schema.oneOf.filter(passes).length !== 1)
    fail(`${subject} must validate one and only one schema (oneOf)`);
  if (schema.not && passes(schema.not)) fail(`${subject} must not validate the schema (not)`);
}
