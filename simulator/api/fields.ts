/**
 * Walks objects along a shape: which fields a value sets, how two values differ, merging one into another and taking
 * fields out, with the rules of the server's structured merge. Pure; inputs are never changed.
 */
import { emptySet, insert } from './fieldset.ts';
import type { FieldSet } from './fieldset.ts';
import { canonical, copy, equal, isObject } from './json.ts';
import type { Json } from './json.ts';
import { anyDeclared, anyDeduced, atomic } from './shape.ts';
import type { Shape } from './shape.ts';
import { StatusError } from './status.ts';

/** The shape with which a pair of values is walked: leaves are atomic, deduced shapes take the form of the values. */
function resolve(shape: Shape, ...values: Json[]): Shape {
  const given = values.filter(value => value !== undefined && value !== null);
  const isMap = given.length > 0 && given.every(isObject);
  const isList = given.length > 0 && given.every(Array.isArray);
  if (shape.type === 'any') {
    if (!isMap) return atomic;
    return {
      type: 'map',
      fields: {},
      rest: shape.declared ? anyDeclared : anyDeduced,
      isStruct: shape.declared,
    };
  }
  if (shape.type === 'map') return isMap ? shape : atomic;
  if (shape.type === 'keyed' || shape.type === 'set') return isList ? shape : atomic;
  return shape;
}

function fieldShape(shape: Shape & { type: 'map' }, field: string): Shape {
  return shape.fields[field] ?? shape.rest;
}

type ListShape = Shape & { type: 'keyed' | 'set' };

/** The path element of a list item: its keys, or its value for a set. */
export function itemEdge(shape: ListShape, item: Json): string {
  if (shape.type === 'set') return `v:${JSON.stringify(item)}`;
  const keys: Record<string, Json> = {};
  for (const key of [...shape.keys].sort()) {
    const value = isObject(item) ? (item[key] ?? shape.defaults[key]) : undefined;
    if (value !== undefined) keys[key] = value;
  }
  if (Object.keys(keys).length === 0)
    throw new StatusError(
      500,
      'InternalError',
      `associative list with keys has an element that omits key field ${JSON.stringify(shape.keys[0])} (and doesn't have default value)`,
    );
  return `k:${JSON.stringify(keys)}`;
}

function itemShape(shape: ListShape): Shape {
  return shape.type === 'keyed' ? shape.item : atomic;
}

/** Every field that the value sets. */
export function fieldsOf(value: Json, shape: Shape): FieldSet {
  const set = emptySet();
  collect(value, shape, [], set);
  return set;
}

function collect(value: Json, given: Shape, path: string[], set: FieldSet): void {
  const shape = resolve(given, value);
  if (shape.type === 'keyed' || shape.type === 'set') {
    for (const item of value) {
      const itemPath = [...path, itemEdge(shape, item)];
      collect(item, itemShape(shape), itemPath, set);
      insert(set, itemPath);
    }
    return;
  }
  if (shape.type !== 'map') return insert(set, path);
  for (const [field, member] of Object.entries(value as Record<string, Json>)) {
    const memberPath = [...path, `f:${field}`];
    collect(member, fieldShape(shape, field), memberPath, set);
    const isDeclared = shape.isStruct || field in shape.fields;
    const isBlank = member === null || (isObject(member) && Object.keys(member).length === 0);
    if (isBlank || !isDeclared) insert(set, memberPath);
  }
}

export interface Comparison {
  added: FieldSet;
  modified: FieldSet;
  removed: FieldSet;
}

/** How `right` differs from `left`, path by path. */
export function compareFields(left: Json, right: Json, shape: Shape): Comparison {
  const result = { added: emptySet(), modified: emptySet(), removed: emptySet() };
  compareAt(left, right, shape, [], result);
  return result;
}

function isBlank(value: Json): boolean {
  if (value === undefined || value === null) return true;
  return Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;
}

function compareAt(left: Json, right: Json, given: Shape, path: string[], result: Comparison): void {
  if (left === right) return;
  const shape = resolve(given, left, right);
  if (shape.type === 'map' && !(isBlank(left) && isBlank(right))) {
    for (const field of new Set([...Object.keys(left ?? {}), ...Object.keys(right ?? {})]))
      compareAt(left?.[field], right?.[field], fieldShape(shape, field), [...path, `f:${field}`], result);
  } else if ((shape.type === 'keyed' || shape.type === 'set') && !(isBlank(left) && isBlank(right))) {
    const leftItems = indexItems(shape, left);
    const rightItems = indexItems(shape, right);
    for (const edge of new Set([...leftItems.keys(), ...rightItems.keys()]))
      compareAt(leftItems.get(edge), rightItems.get(edge), itemShape(shape), [...path, edge], result);
  } else if (left !== undefined && right !== undefined) {
    if (!equal(left, right)) insert(result.modified, path);
    return;
  }
  if (left === undefined) insert(result.added, path);
  else if (right === undefined) insert(result.removed, path);
}

function indexItems(shape: ListShape, list: Json): Map<string, Json> {
  const index = new Map<string, Json>();
  for (const item of list ?? []) {
    const edge = itemEdge(shape, item);
    if (!index.has(edge)) index.set(edge, item);
  }
  return index;
}

/** What the server says of the first keyed list that names an item twice; an apply of it is refused. */
export function repeatedItem(value: Json, given: Shape, path = ''): string | undefined {
  const shape = resolve(given, value);
  if (shape.type === 'map') {
    for (const [field, member] of Object.entries(value as Record<string, Json>)) {
      const found = repeatedItem(member, fieldShape(shape, field), `${path}.${field}`);
      if (found) return found;
    }
  }
  if (shape.type !== 'keyed') return undefined;
  const seen = new Set<string>();
  for (const item of value as Json[]) {
    const keys = shape.keys
      .map(key => [key, item?.[key] ?? shape.defaults[key]])
      .filter(([, one]) => one !== undefined);
    const key = `[${keys.map(([name, one]) => `${name}=${JSON.stringify(one)}`).join(',')}]`;
    if (seen.has(key)) return `${path}: duplicate entries for key ${key}`;
    seen.add(key);
    const found = repeatedItem(item, shape.item, path + key);
    if (found) return found;
  }
  return undefined;
}

/** `right` over `left`: leaves of `right` win, keyed lists and maps merge. */
export function mergeFields(left: Json, right: Json, given: Shape): Json {
  if (right === undefined) return copy(left);
  if (left === undefined || left === null) return copy(right);
  const shape = resolve(given, left, right);
  if (shape.type === 'map') {
    const result: Record<string, Json> = {};
    for (const field of new Set([...Object.keys(left), ...Object.keys(right)]))
      result[field] = mergeFields(left[field], right[field], fieldShape(shape, field));
    return result;
  }
  if (shape.type === 'keyed' || shape.type === 'set') return mergeLists(left, right, shape);
  return copy(right);
}

/** Shared items take the order of `right`; items only in `left` keep their place before the next shared one. */
function mergeLists(left: Json[], right: Json[], shape: ListShape): Json[] {
  const leftItems = indexItems(shape, left);
  const rightItems = indexItems(shape, right);
  const pending = [...leftItems.keys()];
  const result: Json[] = [];
  const takeLeftOnly = () => {
    while (pending.length > 0 && !rightItems.has(pending[0] ?? '')) {
      result.push(copy(leftItems.get(pending.shift() ?? '')));
    }
  };
  for (const [edge, item] of rightItems) {
    takeLeftOnly();
    result.push(mergeFields(leftItems.get(edge), item, itemShape(shape)));
    const index = pending.indexOf(edge);
    if (index >= 0) pending.splice(index, 1);
  }
  for (const edge of pending) if (!rightItems.has(edge)) result.push(copy(leftItems.get(edge)));
  return result;
}

/** The value without the members of `set`; a map or list that loses its last item goes too. */
export function removeFields(value: Json, set: FieldSet, given: Shape): Json {
  const shape = resolve(given, value);
  if (shape.type === 'map') {
    const result: Record<string, Json> = {};
    for (const [field, member] of Object.entries(value as Record<string, Json>)) {
      const below = set.children.get(`f:${field}`);
      if (below?.member) continue;
      const kept = below ? removeFields(member, below, fieldShape(shape, field)) : member;
      if (kept !== undefined) result[field] = kept;
    }
    return Object.keys(result).length > 0 || isBlank(value) ? result : undefined;
  }
  if (shape.type === 'keyed' || shape.type === 'set') {
    const result: Json[] = [];
    for (const item of value as Json[]) {
      const below = set.children.get(itemEdge(shape, item));
      if (below?.member) continue;
      result.push(below ? removeFields(item, below, itemShape(shape)) : item);
    }
    return result.length > 0 || isBlank(value) ? result : undefined;
  }
  return value;
}

/** True when two items of a keyed list or set have equal keys (the second such item's index), for validation. */
export function duplicateIndex(list: Json[], keys: string[] | undefined): number {
  const seen = new Set<string>();
  return list.findIndex(item => {
    const key = keys ? canonical(keys.map(name => item?.[name] ?? null)) : canonical(item);
    if (seen.has(key)) return true;
    seen.add(key);
    return false;
  });
}
