/**
 * The API server's refusals: `Status` objects with the code, reason, message and details of the real server, thrown
 * as `StatusError` inside the in-memory API and turned into an HTTP answer at its edge. It knows words, no state.
 */
import type { Json } from './json.ts';

export class StatusError extends Error {
  override readonly name = 'StatusError';
  readonly code: number;
  readonly status: Json;
  constructor(code: number, reason: string, message: string, details?: Json) {
    super(message);
    this.code = code;
    this.status = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      ...(reason ? { reason } : {}),
      ...(details ? { details } : {}),
      code,
    };
  }
}

/** What an error needs to know of a kind. */
export interface Named {
  group: string;
  plural: string;
  kind: string;
}

export type FieldErrorType =
  | 'Required value'
  | 'Invalid value'
  | 'Unsupported value'
  | 'Forbidden'
  | 'Duplicate value'
  | 'Too many'
  | 'Too long';

/** One wrong field. `value` is shown for types that show values. */
export interface FieldError {
  type: FieldErrorType;
  field: string;
  value?: Json;
  detail?: string;
}

const causeReasons: Record<FieldErrorType, string> = {
  'Required value': 'FieldValueRequired',
  'Invalid value': 'FieldValueInvalid',
  'Unsupported value': 'FieldValueNotSupported',
  Forbidden: 'FieldValueForbidden',
  'Duplicate value': 'FieldValueDuplicate',
  'Too many': 'FieldValueTooMany',
  'Too long': 'FieldValueTooLong',
};

const withoutValue = new Set<FieldErrorType>(['Required value', 'Forbidden', 'Too long']);

function errorBody(error: FieldError): string {
  const parts: string[] = [error.type];
  if (!withoutValue.has(error.type)) parts.push(JSON.stringify(error.value) ?? 'null');
  if (error.detail) parts.push(error.detail);
  return parts.join(': ');
}

export function qualifiedPlural(kind: Named): string {
  return kind.group ? `${kind.plural}.${kind.group}` : kind.plural;
}

export function qualifiedKind(kind: Named): string {
  return kind.group ? `${kind.kind}.${kind.group}` : kind.kind;
}

function named(kind: Named, name: string, more: Json = {}): Json {
  return { name, ...(kind.group ? { group: kind.group } : {}), kind: kind.plural, ...more };
}

export function notFound(kind: Named, name: string): StatusError {
  return new StatusError(
    404,
    'NotFound',
    `${qualifiedPlural(kind)} ${JSON.stringify(name)} not found`,
    named(kind, name),
  );
}

export function alreadyExists(kind: Named, name: string): StatusError {
  const message = `${qualifiedPlural(kind)} ${JSON.stringify(name)} already exists`;
  return new StatusError(409, 'AlreadyExists', message, named(kind, name));
}

export function conflict(kind: Named, name: string, why: string): StatusError {
  const message = `Operation cannot be fulfilled on ${qualifiedPlural(kind)} ${JSON.stringify(name)}: ${why}`;
  return new StatusError(409, 'Conflict', message, named(kind, name));
}

export const MODIFIED =
  'the object has been modified; please apply your changes to the latest version and try again';

export function invalid(kind: Named, name: string, errors: FieldError[]): StatusError {
  const lines = errors.map(error => `${error.field}: ${errorBody(error)}`);
  const list = lines.length === 1 ? lines[0] : `[${lines.join(', ')}]`;
  const causes = errors.map(error => ({
    reason: causeReasons[error.type],
    message: errorBody(error),
    field: error.field,
  }));
  const details = {
    name,
    ...(kind.group ? { group: kind.group } : {}),
    kind: kind.kind,
    causes,
  };
  const message = `${qualifiedKind(kind)} ${JSON.stringify(name)} is invalid: ${list}`;
  return new StatusError(422, 'Invalid', message, details);
}

export function badRequest(message: string): StatusError {
  return new StatusError(400, 'BadRequest', message);
}

export function forbidden(kind: Named, name: string, why: string, causes?: Json[]): StatusError {
  const message = name
    ? `${qualifiedPlural(kind)} ${JSON.stringify(name)} is forbidden: ${why}`
    : `${qualifiedPlural(kind)} is forbidden: ${why}`;
  return new StatusError(403, 'Forbidden', message, {
    ...(name ? { name } : {}),
    ...(kind.group ? { group: kind.group } : {}),
    kind: kind.plural,
    ...(causes ? { causes } : {}),
  });
}

export function expired(message: string): StatusError {
  return new StatusError(410, 'Expired', message);
}

export function unsupportedMedia(message: string): StatusError {
  return new StatusError(415, 'UnsupportedMediaType', message);
}

/** A call that the engine is not known to make: the simulator refuses it loudly rather than answer it half right. */
export function notImplemented(what: string): StatusError {
  return new StatusError(501, 'NotImplemented', `the in-memory API does not implement ${what}`);
}
