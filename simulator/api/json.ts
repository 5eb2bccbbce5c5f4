/**
 * Copying, freezing and comparing JSON values. Objects that the in-memory API stores are frozen once and shared from
 * then on, so nothing here may change its input.
 */

/** A JSON value whose shape is known only to whoever reads it. */
export type Json = any;

export function isObject(value: unknown): value is Record<string, Json> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * A deep, mutable copy. Members that are `undefined` vanish, as they would on the wire. Stored `managedFields` are shared:
 * they are the larger part of most objects, and are only ever replaced as a whole.
 */
export function copy<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(copyItem) as T;
  const result: Record<string, Json> = {};
  for (const key in value) {
    const member: Json = value[key];
    if (typeof member !== 'object' || member === null) {
      if (member !== undefined) result[key] = member;
    } else result[key] = key === 'managedFields' && Object.isFrozen(member) ? member : copy(member);
  }
  return result as T;
}

const copyItem = (item: Json): Json => copy(item);

/** Freezes the value and everything below it, in place. What is frozen already is taken to be frozen to the bottom. */
export function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const member of Object.values(value)) freeze(member);
  return Object.freeze(value);
}

/** Deep equality of JSON; the order of object members does not count, a missing member equals an undefined one. */
export function equal(left: Json, right: Json): boolean {
  if (left === right) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
  if (Array.isArray(left)) {
    if (!Array.isArray(right) || left.length !== right.length) return false;
    for (let index = 0; index < left.length; index++) if (!equal(left[index], right[index])) return false;
    return true;
  }
  if (Array.isArray(right)) return false;
  for (const key in left) if (!equal(left[key], right[key])) return false;
  for (const key in right) if (left[key] === undefined && right[key] !== undefined) return false;
  return true;
}

/** JSON text with sorted members: equal values give equal texts. */
export function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (!isObject(value)) return JSON.stringify(value) ?? 'null';
  const members = Object.keys(value)
    .filter(key => value[key] !== undefined)
    .sort()
    .map(key => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${members.join(',')}}`;
}
