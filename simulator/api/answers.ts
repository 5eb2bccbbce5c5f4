/** HTTP answers of the in-memory API: JSON bodies, Status bodies, the plain 404 of an unknown path. */
import type { HttpResponse } from '../../engine/kubernetes/types.ts';
import type { Json } from './json.ts';
import type { StatusError } from './status.ts';

export function respond(status: number, text: string, headers: Record<string, string> = {}): HttpResponse {
  return { status, headers: { 'content-type': 'application/json', ...headers }, text };
}

export function respondJson(status: number, body: Json): HttpResponse {
  return respond(status, JSON.stringify(body));
}

export function respondError(error: StatusError): HttpResponse {
  const seconds = error.status.details?.retryAfterSeconds;
  return respond(error.code, JSON.stringify(error.status), seconds ? { 'retry-after': String(seconds) } : {});
}

/** What the real server says to paths that no group serves. */
export function respondUnknownPath(): HttpResponse {
  return {
    status: 404,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
    text: '404 page not found\n',
  };
}

/** RFC 7234 warnings, one for each unknown field. */
export function warningHeader(paths: string[]): Record<string, string> {
  if (paths.length === 0) return {};
  return {
    warning: paths.map(path => `299 - ${JSON.stringify(`unknown field ${JSON.stringify(path)}`)}`).join(', '),
  };
}
