/**
 * Who owns which field: reads and writes `metadata.managedFields`, records updates, and merges server-side applies
 * with their conflicts and dropped fields. Pure; the time comes in as text.
 */
import {
  difference,
  differenceBelow,
  emptySet,
  fromFieldsV1,
  intersection,
  isEmpty,
  pathTexts,
  sameSet,
  setOf,
  toFieldsV1,
  union,
  withParents,
} from './fieldset.ts';
import type { FieldSet } from './fieldset.ts';
import { compareFields, fieldsOf, mergeFields, removeFields } from './fields.ts';
import { copy } from './json.ts';
import type { Json } from './json.ts';
import type { Shape } from './shape.ts';
import { StatusError } from './status.ts';

/** Who writes, and through which door. */
export interface Writer {
  manager: string;
  operation: 'Apply' | 'Update';
  apiVersion: string;
  subresource?: string;
}

interface Owner extends Writer {
  time: string;
  fields: FieldSet;
}

type Owners = Map<string, Owner>;

/** Fields that are the server's own: nobody is recorded as their owner. */
const unowned = setOf(
  'apiVersion',
  'kind',
  'metadata',
  'metadata.name',
  'metadata.namespace',
  'metadata.creationTimestamp',
  'metadata.selfLink',
  'metadata.uid',
  'metadata.generation',
  'metadata.managedFields',
  'metadata.resourceVersion',
);

function ownerKey(writer: Writer): string {
  const version = writer.operation === 'Apply' ? '' : writer.apiVersion;
  return JSON.stringify([writer.manager, writer.operation, version, writer.subresource ?? '']);
}

function decode(entries: Json): Owners {
  const owners: Owners = new Map();
  for (const entry of Array.isArray(entries) ? entries : []) {
    if (!entry?.manager || !entry.fieldsV1) continue;
    const owner: Owner = {
      manager: entry.manager,
      operation: entry.operation,
      apiVersion: entry.apiVersion,
      ...(entry.subresource ? { subresource: entry.subresource } : {}),
      time: entry.time ?? '',
      fields: fromFieldsV1(entry.fieldsV1),
    };
    owners.set(ownerKey(owner), owner);
  }
  return owners;
}

/** Appliers first, then by time, then by name: the server's order. */
function encode(owners: Owners): Json[] {
  const rank = (owner: Owner) =>
    [owner.operation, owner.time, owner.manager, owner.apiVersion, owner.subresource ?? ''].join('\n');
  return [...owners.values()]
    .filter(owner => !isEmpty(owner.fields))
    .sort((a, b) => (rank(a) < rank(b) ? -1 : 1))
    .map(owner => ({
      manager: owner.manager,
      operation: owner.operation,
      apiVersion: owner.apiVersion,
      ...(owner.time ? { time: owner.time } : {}),
      fieldsType: 'FieldsV1',
      fieldsV1: toFieldsV1(owner.fields),
      ...(owner.subresource ? { subresource: owner.subresource } : {}),
    }));
}

/** The owners to start from: what the request says, when it says something of its own, else what is stored. */
function ownersOf(live: Json, next: Json, isSubresource: boolean): Owners {
  const stored = live?.metadata?.managedFields;
  const sent = next?.metadata?.managedFields;
  if (isSubresource || !Array.isArray(sent) || sent.length === 0) return decode(stored);
  if (sent.length === 1 && Object.keys(sent[0] ?? {}).length === 0) return new Map();
  const decoded = decode(sent);
  return decoded.size > 0 ? decoded : decode(stored);
}

function withoutOwners(object: Json): Json {
  if (object?.metadata?.managedFields === undefined) return object;
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/**
 * The managedFields after `next` replaced `live` (the kind's skeleton on create) by an update of `writer`. Fields that changed
 * move to the writer; fields that vanished belong to nobody.
 */
export function ownersAfterUpdate(
  live: Json,
  next: Json,
  writer: Writer,
  shape: Shape,
  time: string,
): Json[] {
  const owners = ownersOf(live, next, writer.subresource !== undefined);
  const change = compareFields(withoutOwners(live), withoutOwners(next), shape);
  const taken = difference(union(change.modified, change.added), unowned);
  for (const [key, owner] of owners) {
    const fields = difference(difference(owner.fields, taken), change.removed);
    owners.set(key, { ...owner, fields });
  }
  if (!isEmpty(taken)) {
    const key = ownerKey(writer);
    const previous = owners.get(key)?.fields ?? emptySet();
    owners.set(key, { ...writer, time, fields: union(previous, taken) });
  }
  return encode(owners);
}

/** What a server-side apply makes of a live object (undefined when there is none). */
export interface Applied {
  object: Json;
  managedFields: Json[];
}

/**
 * Merges `config` into `live` for the applier `writer`. `ignored` are fields that the endpoint does not write.
 * Throws the 409 of the real server when another manager owns a field that would change and `force` is false.
 */
export function applyFields(
  live: Json,
  config: Json,
  writer: Writer,
  shape: Shape,
  options: { force: boolean; ignored: FieldSet; time: string },
): Applied {
  const owners = decode(live?.metadata?.managedFields);
  const key = ownerKey(writer);
  const before = live ? withoutOwners(live) : {};
  const last = owners.get(key)?.fields;
  const fields = difference(differenceBelow(fieldsOf(config, shape), options.ignored), unowned);
  owners.set(key, { ...writer, time: options.time, fields });
  const merged = mergeFields(before, config, shape);
  const next = last && !isEmpty(last) ? dropAbandoned(merged, owners, last, shape) : merged;
  takeFields(before, next, owners, key, shape, options);
  const previous = decode(live?.metadata?.managedFields).get(key);
  const own = owners.get(key);
  if (own && previous && live && sameSet(own.fields, previous.fields)) {
    const changed = compareFields(before, next, shape);
    const isSame = [changed.added, changed.modified, changed.removed].every(isEmpty);
    if (isSame) owners.set(key, { ...own, time: previous.time });
  }
  return { object: next, managedFields: encode(owners) };
}

/** Removes what this applier set last time, sets no more, and nobody else owns. */
function dropAbandoned(merged: Json, owners: Owners, last: FieldSet, shape: Shape): Json {
  const lastNamed = withParents(last);
  let claimed = emptySet();
  for (const owner of owners.values()) claimed = union(claimed, owner.fields);
  const claimedNamed = withParents(claimed);
  const all = withParents(fieldsOf(merged, shape));
  let pruned = removeFields(merged, lastNamed, shape) ?? {};
  let kept = union(withParents(fieldsOf(pruned, shape)), claimedNamed);
  pruned = removeFields(merged, difference(all, kept), shape) ?? {};
  kept = withParents(fieldsOf(pruned, shape));
  return removeFields(merged, intersection(difference(all, kept), lastNamed), shape) ?? {};
}

function takeFields(
  live: Json,
  next: Json,
  owners: Owners,
  own: string,
  shape: Shape,
  options: { force: boolean; ignored: FieldSet },
): void {
  const compared = compareFields(live, next, shape);
  const changed = differenceBelow(union(compared.modified, compared.added), options.ignored);
  const conflicts: { owner: Owner; fields: FieldSet }[] = [];
  for (const [key, owner] of owners) {
    if (key === own) continue;
    const contested = intersection(owner.fields, changed);
    if (!isEmpty(contested)) conflicts.push({ owner, fields: contested });
    owners.set(key, {
      ...owner,
      fields: difference(difference(owner.fields, contested), compared.removed),
    });
  }
  if (conflicts.length > 0 && !options.force) throw applyConflict(conflicts);
}

function ownerText(owner: Owner): string {
  let text = JSON.stringify(owner.manager);
  if (owner.subresource) text += ` with subresource ${JSON.stringify(owner.subresource)}`;
  if (owner.operation === 'Update') text += ` using ${owner.apiVersion}`;
  return text;
}

function applyConflict(conflicts: { owner: Owner; fields: FieldSet }[]): StatusError {
  const causes: Json[] = [];
  const lines: string[] = [];
  // In the order of the owners' identities, in which an updater's begins with its version and an applier's does not.
  const identity = (owner: Owner) =>
    owner.operation === 'Update' ? `{"a${owner.manager}` : `{"m${owner.manager}`;
  conflicts.sort((a, b) => (identity(a.owner) < identity(b.owner) ? -1 : 1));
  for (const { owner, fields } of conflicts) {
    lines.push(`conflicts with ${ownerText(owner)}:`);
    for (const field of pathTexts(fields)) {
      causes.push({
        reason: 'FieldManagerConflict',
        message: `conflict with ${ownerText(owner)}`,
        field,
      });
      lines.push(`- ${field}`);
    }
  }
  const message =
    causes.length === 1
      ? `Apply failed with 1 conflict: ${causes[0].message}: ${causes[0].field}`
      : `Apply failed with ${causes.length} conflicts: ${lines.join('\n')}`;
  return new StatusError(409, 'Conflict', message, { causes });
}

/** True when two managedFields lists differ in nothing but times. */
export function sameOwners(left: Json, right: Json): boolean {
  if (left === right) return true;
  const timeless = (entries: Json) =>
    (Array.isArray(entries) ? entries : [])
      .map((entry: Json) => JSON.stringify({ ...copy(entry), time: '' }))
      .sort();
  const [a, b] = [timeless(left), timeless(right)];
  return a.length === b.length && a.every((entry: string, index: number) => entry === b[index]);
}
