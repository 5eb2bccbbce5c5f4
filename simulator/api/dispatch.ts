/** From one HTTP request to one answer: who may, what is served, which handler. Synchronous; refusals become Status answers. */
import type { HttpRequest, HttpResponse } from '../../engine/kubernetes/types.ts';
import { isAllowed, refusal, review } from './access.ts';
import { respondError, respondJson, respondUnknownPath } from './answers.ts';
import { discover } from './discovery.ts';
import type { Json } from './json.ts';
import { builtinGroups } from './kinds.ts';
import type { Kind, Subresource, Verb } from './kinds.ts';
import { getObject, listObjects, stored, watchObjects } from './reading.ts';
import type { RequestInfo } from './routes.ts';
import { scaleOf } from './scale.ts';
import type { Server } from './server.ts';
import { badRequest, forbidden, notImplemented, StatusError } from './status.ts';
import { create, patch, remove, update } from './writing.ts';
import type { WriteRequest } from './writing.ts';

/** The real server's limit for a request body. */
const MAX_BODY_BYTES = 3 * 1024 * 1024;

const health = new Set(['/healthz', '/livez', '/readyz']);

export function dispatch(
  server: Server,
  request: HttpRequest,
  info: RequestInfo,
  query: URLSearchParams,
): HttpResponse {
  try {
    return info.isResource
      ? serveResource(server, request, info, query)
      : servePath(server, request.method, info.path);
  } catch (error) {
    if (error instanceof StatusError) return respondError(error);
    throw error;
  }
}

function servePath(server: Server, method: string, path: string): HttpResponse {
  if (method !== 'GET') throw notImplemented(`${method} ${path}`);
  if (health.has(path)) return { status: 200, headers: { 'content-type': 'text/plain' }, text: 'ok' };
  const found = discover(server.registry.all(), path);
  return found ? respondJson(200, found) : respondUnknownPath();
}

function bodyOf(request: HttpRequest): Json {
  if (request.body === undefined || request.body === '') return undefined;
  if (Buffer.byteLength(request.body) > MAX_BODY_BYTES)
    throw new StatusError(
      413,
      'RequestEntityTooLarge',
      `Request entity too large: limit is ${MAX_BODY_BYTES}`,
    );
  try {
    return JSON.parse(request.body);
  } catch (error) {
    throw badRequest(`couldn't get version/kind; json parse error: ${(error as Error).message}`);
  }
}

function headerOf(request: HttpRequest, name: string): string {
  for (const [key, value] of Object.entries(request.headers)) if (key.toLowerCase() === name) return value;
  return '';
}

function serveResource(
  server: Server,
  request: HttpRequest,
  info: RequestInfo,
  query: URLSearchParams,
): HttpResponse {
  const reviewed = review(server.access, info, info.verb === 'create' ? bodyOf(request) : undefined);
  if (reviewed) return respondJson(201, reviewed);
  const kind = server.registry.find(info.group, info.version, info.resource);
  if (!kind) {
    if (builtinGroups.has(info.group)) throw notImplemented(`${info.verb} of ${info.resource}`);
    return respondUnknownPath();
  }
  if (!isAllowed(server.access, info.user, info)) throw forbidden(kind, info.name, refusal(info));
  checkServed(kind, info);
  if (info.verb === 'get') {
    if (info.subresource === 'scale') return respondJson(200, scaleOf(stored(server, kind, info)));
    return getObject(server, kind, info);
  }
  if (info.verb === 'list') return listObjects(server, kind, info, query);
  if (info.verb === 'watch') return watchObjects(server, kind, info, query, request);
  const write: WriteRequest = {
    info,
    query,
    contentType: headerOf(request, 'content-type').split(';')[0]?.trim() ?? '',
    userAgent: headerOf(request, 'user-agent'),
    body: bodyOf(request),
  };
  const handlers: Record<string, typeof create> = { create, update, patch, delete: remove };
  const handler = handlers[info.verb];
  if (!handler) throw notImplemented(`${info.verb} of ${info.resource}`);
  return handler(server, kind, write);
}

const subresourceVerbs: Record<Subresource, string[]> = {
  status: ['get', 'update', 'patch'],
  scale: ['get', 'update', 'patch'],
  finalize: ['update'],
  binding: ['create'],
};

/** Anything outside the table of kinds is refused loudly, so that a test notices a call that nobody planned. */
function checkServed(kind: Kind, info: RequestInfo): void {
  const what = info.subresource ? `${info.resource}/${info.subresource}` : info.resource;
  if (info.subresource) {
    const subresource = kind.subresources.find(name => name === info.subresource);
    if (subresource && subresourceVerbs[subresource].includes(info.verb)) return;
    // A custom resource without a status subresource answers 404 there, as the real server does.
    if (!kind.isBuiltin && !subresource)
      throw new StatusError(404, 'NotFound', 'the server could not find the requested resource');
  } else if (kind.verbs.includes(info.verb as Verb)) return;
  throw notImplemented(`${info.verb} of ${what}`);
}
