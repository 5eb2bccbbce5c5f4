/** JSON merge patch (RFC 7386) and JSON patch (RFC 6902), with the refusals of the real server. Pure. */
import { copy, equal, isObject } from './json.ts';
import type { Json } from './json.ts';
import { badRequest, StatusError } from './status.ts';

/** The real server's own limit for the operations of one JSON patch. */
const MAX_JSON_PATCH_OPERATIONS = 10_000;

export function mergePatch(target: Json, patch: Json): Json {
  if (!isObject(patch)) return copy(patch);
  const result: Record<string, Json> = isObject(target) ? copy(target) : {};
  for (const [field, value] of Object.entries(patch)) {
    if (value === null) delete result[field];
    else result[field] = mergePatch(result[field], value);
  }
  return result;
}

function refused(detail: string): StatusError {
  return new StatusError(422, 'Invalid', 'the server rejected our request due to an error in our request', {
    causes: [{ reason: 'UnexpectedServerResponse', message: detail }],
  });
}

function segments(pointer: Json): string[] {
  if (typeof pointer !== 'string' || (pointer !== '' && !pointer.startsWith('/')))
    throw refused(`invalid JSON pointer: ${JSON.stringify(pointer)}`);
  return pointer
    .split('/')
    .slice(1)
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function read(container: Json, key: string): Json {
  if (Array.isArray(container)) return /^\d+$/.test(key) ? container[Number(key)] : undefined;
  return isObject(container) && Object.hasOwn(container, key) ? container[key] : undefined;
}

function resolve(document: Json, path: string[]): Json {
  return path.reduce((value, key) => read(value, key), document);
}

/** The container that holds the last segment; refuses when there is none. */
function parentOf(document: Json, path: string[], operation: string, pointer: string): [Json, string] {
  const container = resolve(document, path.slice(0, -1));
  const key = path.at(-1);
  if (key === undefined || typeof container !== 'object' || container === null)
    throw refused(`${operation} operation does not apply: doc is missing path: "${pointer}": missing value`);
  return [container, key];
}

function add(document: Json, pointer: string, value: Json): void {
  const [container, key] = parentOf(document, segments(pointer), 'add', pointer);
  if (!Array.isArray(container)) {
    container[key] = value;
    return;
  }
  const index = key === '-' ? container.length : Number(key);
  if (!Number.isInteger(index) || index < 0 || index > container.length)
    throw refused(`add operation does not apply: doc is missing path: "${pointer}": index out of bounds`);
  container.splice(index, 0, value);
}

function remove(document: Json, pointer: string, operation = 'remove'): Json {
  const [container, key] = parentOf(document, segments(pointer), operation, pointer);
  const value = read(container, key);
  if (value === undefined)
    throw refused(`${operation} operation does not apply: doc is missing key: ${pointer}: missing value`);
  if (Array.isArray(container)) container.splice(Number(key), 1);
  else delete container[key];
  return value;
}

function applyOne(document: Json, step: Json): void {
  switch (step?.op) {
    case 'add':
      return add(document, step.path, copy(step.value));
    case 'remove':
      remove(document, step.path);
      return;
    case 'replace': {
      const [container, key] = parentOf(document, segments(step.path), 'replace', step.path);
      if (read(container, key) === undefined)
        throw refused(`replace operation does not apply: doc is missing key: ${step.path}: missing value`);
      container[key] = copy(step.value);
      return;
    }
    case 'move':
      return add(document, step.path, remove(document, step.from, 'move'));
    case 'copy':
      return add(document, step.path, copy(resolve(document, segments(step.from))));
    case 'test':
      if (!equal(resolve(document, segments(step.path)) ?? null, step.value ?? null))
        throw refused(`testing value ${step.path} failed: test failed`);
      return;
    default:
      throw refused(`Unexpected kind: ${step?.op}`);
  }
}

export function jsonPatch(target: Json, operations: Json): Json {
  if (!Array.isArray(operations))
    throw badRequest('error decoding patch: a JSON patch is a list of operations');
  if (operations.length > MAX_JSON_PATCH_OPERATIONS)
    throw new StatusError(
      413,
      'RequestEntityTooLarge',
      `The allowed maximum operations in a JSON patch is ${MAX_JSON_PATCH_OPERATIONS}, got ${operations.length}`,
    );
  const document = copy(target);
  for (const step of operations) applyOne(document, step);
  return document;
}
