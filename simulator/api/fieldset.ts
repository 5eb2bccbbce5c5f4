/**
 * Sets of field paths, as `metadata.managedFields[].fieldsV1` holds them: a trie whose edges are `f:<field>`,
 * `k:<keys of a list item>` and `v:<set member>`. Pure; every operation returns a new set.
 */
import { isObject } from './json.ts';
import type { Json } from './json.ts';

/** `member` says that the path that leads here belongs to the set; the root's is meaningless. */
export interface FieldSet {
  member: boolean;
  children: Map<string, FieldSet>;
}

export function emptySet(): FieldSet {
  return { member: false, children: new Map() };
}

export function isEmpty(set: FieldSet): boolean {
  if (set.member) return false;
  for (const child of set.children.values()) if (!isEmpty(child)) return false;
  return true;
}

/** Adds a path in place: only for sets that are still being built. */
export function insert(set: FieldSet, path: readonly string[]): void {
  if (path.length === 0) return;
  let node = set;
  for (const edge of path) {
    let child = node.children.get(edge);
    if (!child) {
      child = emptySet();
      node.children.set(edge, child);
    }
    node = child;
  }
  node.member = true;
}

/** Combines two sets path by path; `keep` decides the membership of each path that is in either. */
function combine(
  left: FieldSet | undefined,
  right: FieldSet | undefined,
  keep: (inLeft: boolean, inRight: boolean) => boolean,
): FieldSet {
  const result = emptySet();
  result.member = keep(left?.member ?? false, right?.member ?? false);
  const edges = new Set([...(left?.children.keys() ?? []), ...(right?.children.keys() ?? [])]);
  for (const edge of edges) {
    const child = combine(left?.children.get(edge), right?.children.get(edge), keep);
    if (!isEmpty(child)) result.children.set(edge, child);
  }
  return result;
}

export const union = (left: FieldSet, right: FieldSet) => combine(left, right, (l, r) => l || r);
export const intersection = (left: FieldSet, right: FieldSet) => combine(left, right, (l, r) => l && r);
/** The paths of `left` that are not themselves in `right`. */
export const difference = (left: FieldSet, right: FieldSet) => combine(left, right, (l, r) => l && !r);

/** The paths of `left` that are neither in `right` nor below a path of `right`. */
export function differenceBelow(left: FieldSet, right: FieldSet): FieldSet {
  const result = emptySet();
  result.member = left.member;
  for (const [edge, child] of left.children) {
    const other = right.children.get(edge);
    if (other?.member) continue;
    const rest = other ? differenceBelow(child, other) : child;
    if (!isEmpty(rest)) result.children.set(edge, rest);
  }
  return result;
}

/** The same set with every named field that leads to a member made a member too. */
export function withParents(set: FieldSet): FieldSet {
  const result: FieldSet = { member: set.member, children: new Map() };
  for (const [edge, child] of set.children) {
    const grown = withParents(child);
    if (edge.startsWith('f:') && child.children.size > 0) grown.member = true;
    result.children.set(edge, grown);
  }
  return result;
}

export function sameSet(left: FieldSet, right: FieldSet): boolean {
  return isEmpty(combine(left, right, (l, r) => l !== r));
}

/** A set of the given dotted field paths, e.g. `metadata.labels`. */
export function setOf(...paths: string[]): FieldSet {
  const set = emptySet();
  for (const path of paths)
    insert(
      set,
      path.split('.').map(field => `f:${field}`),
    );
  return set;
}

export function toFieldsV1(set: FieldSet): Record<string, Json> {
  const result: Record<string, Json> = {};
  for (const edge of [...set.children.keys()].sort()) {
    const child = set.children.get(edge);
    if (!child || isEmpty(child)) continue;
    const below = toFieldsV1(child);
    result[edge] = child.member && Object.keys(below).length > 0 ? { '.': {}, ...below } : below;
  }
  return result;
}

export function fromFieldsV1(fields: Json): FieldSet {
  const set = emptySet();
  if (!isObject(fields)) return set;
  for (const [edge, below] of Object.entries(fields)) {
    if (edge === '.') continue;
    const child = fromFieldsV1(below);
    child.member = !isObject(below) || Object.keys(below).length === 0 || '.' in below;
    set.children.set(edge, child);
  }
  return set;
}

function edgeText(edge: string): string {
  const rest = edge.slice(2);
  if (edge.startsWith('f:')) return `.${rest}`;
  if (edge.startsWith('v:')) return `[=${rest}]`;
  const keys = Object.entries(JSON.parse(rest) as Record<string, Json>);
  return `[${keys.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`;
}

/** Every member as the server prints it, e.g. `.spec.template.spec.containers[name="app"].image`. */
export function pathTexts(set: FieldSet, prefix = ''): string[] {
  const texts: string[] = [];
  for (const edge of [...set.children.keys()].sort()) {
    const child = set.children.get(edge);
    if (!child) continue;
    const text = prefix + edgeText(edge);
    if (child.member) texts.push(text);
    texts.push(...pathTexts(child, text));
  }
  return texts;
}
