/**
 * Structural schemas of custom resources: pruning of unknown fields and defaults. Validation is in `validation.ts`.
 * CEL rules (`x-kubernetes-validations`) are not evaluated: a declared difference from a real server.
 */
import { copy, isObject } from './json.ts';
import type { Json } from './json.ts';

const typeMetaFields = new Set(['apiVersion', 'kind', 'metadata']);

function keepsUnknown(schema: Json): boolean {
  return schema?.['x-kubernetes-preserve-unknown-fields'] === true;
}

/** Removes in place what the schema does not know; answers the paths that it removed, e.g. `spec.colour`. */
export function prune(value: Json, schema: Json, isRoot = true, path = ''): string[] {
  if (!isObject(schema)) return [];
  if (Array.isArray(value))
    return value.flatMap((item, index) => prune(item, schema.items, false, `${path}[${index}]`));
  if (!isObject(value)) return [];
  const removed: string[] = [];
  const isResource = isRoot || schema['x-kubernetes-embedded-resource'] === true;
  for (const [field, member] of Object.entries(value)) {
    if (isResource && typeMetaFields.has(field)) continue;
    const memberPath = path ? `${path}.${field}` : field;
    const known = schema.properties?.[field] ?? schema.additionalProperties;
    if (isObject(known)) removed.push(...prune(member, known, false, memberPath));
    else if (known !== true && !keepsUnknown(schema)) {
      delete value[field];
      removed.push(memberPath);
    }
  }
  return removed;
}

/** Removes nulls that the schema does not allow and fills in defaults, in place. */
export function applyDefaults(value: Json, schema: Json, isRoot = true): void {
  if (!isObject(schema)) return;
  if (Array.isArray(value)) {
    for (const item of value) applyDefaults(item, schema.items, false);
    return;
  }
  if (!isObject(value)) return;
  const properties: Record<string, Json> = schema.properties ?? {};
  for (const [field, member] of Object.entries(properties)) {
    if (isRoot && typeMetaFields.has(field)) continue;
    if (value[field] === null && member.nullable !== true) delete value[field];
    if (value[field] === undefined && member.default !== undefined) value[field] = copy(member.default);
    if (value[field] !== undefined) applyDefaults(value[field], member, false);
  }
  if (!isObject(schema.additionalProperties)) return;
  for (const [field, member] of Object.entries(value))
    if (!(field in properties)) applyDefaults(member, schema.additionalProperties, false);
}
