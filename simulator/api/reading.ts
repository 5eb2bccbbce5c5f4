/** GET: one object, a list with selectors and pages, a watch. Changes nothing but the table of pages in progress. */
import type { HttpRequest, HttpResponse, KubernetesObject } from '../../engine/kubernetes/types.ts';
import { respond } from './answers.ts';
import type { Kind } from './kinds.ts';
import type { RequestInfo } from './routes.ts';
import { parseFieldSelector, parseLabelSelector } from './selectors.ts';
import type { Matcher } from './selectors.ts';
import type { Server } from './server.ts';
import { badRequest, expired, notFound, notImplemented, StatusError } from './status.ts';
import { listText, objectText } from './wire.ts';

/** Lists that are paged through at once; an older one's token gets 410, as after a compaction. */
const MAX_PAGED_LISTS = 64;

export function getObject(server: Server, kind: Kind, info: RequestInfo): HttpResponse {
  return respond(200, objectText(kind, stored(server, kind, info)));
}

/** The object that a request names, or the 404. */
export function stored(server: Server, kind: Kind, info: RequestInfo): KubernetesObject {
  const object = server.storage.get(kind.table, kind.namespaced ? info.namespace : undefined, info.name);
  if (!object) throw notFound(kind, info.name);
  return object;
}

function matcher(kind: Kind, query: URLSearchParams): Matcher {
  const labels = query.get('labelSelector');
  const fields = query.get('fieldSelector');
  const byLabels = labels ? parseLabelSelector(labels) : undefined;
  const byFields = fields ? parseFieldSelector(fields, kind.kind) : undefined;
  return object => (byLabels?.(object) ?? true) && (byFields?.(object) ?? true);
}

function scopeOf(kind: Kind, info: RequestInfo): string | undefined {
  return kind.namespaced && info.namespace !== '' ? info.namespace : undefined;
}

function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^\d+$/.test(text)) throw badRequest(`invalid ${name}: ${JSON.stringify(text)}`);
  return Number(text);
}

function checkNotAhead(server: Server, wanted: number | undefined): void {
  const current = server.storage.revision();
  if (wanted !== undefined && wanted > current)
    throw new StatusError(504, 'Timeout', `Too large resource version: ${wanted}, current: ${current}`, {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
      retryAfterSeconds: 1,
    });
}

export function listObjects(
  server: Server,
  kind: Kind,
  info: RequestInfo,
  query: URLSearchParams,
): HttpResponse {
  const limit = wholeNumber(query, 'limit');
  const token = query.get('continue');
  const page = token ? continued(server, kind, token) : firstPage(server, kind, info, query);
  const items = limit ? page.items.slice(page.start, page.start + limit) : page.items.slice(page.start);
  const end = page.start + items.length;
  const rest = page.items.length - end;
  const metadata: Record<string, unknown> = { resourceVersion: String(page.revision) };
  if (rest > 0) {
    metadata.continue = continueToken(server, kind, page, end);
    if (!query.get('labelSelector') && !query.get('fieldSelector')) metadata.remainingItemCount = rest;
  }
  return respond(200, listText(kind, items, metadata));
}

interface Page {
  items: KubernetesObject[];
  revision: number;
  start: number;
}

function firstPage(server: Server, kind: Kind, info: RequestInfo, query: URLSearchParams): Page {
  const wanted = wholeNumber(query, 'resourceVersion');
  checkNotAhead(server, wanted);
  if (query.get('resourceVersionMatch') === 'Exact') throw notImplemented('resourceVersionMatch=Exact');
  const items = server.storage.list(kind.table, scopeOf(kind, info)).filter(matcher(kind, query));
  return { items, revision: server.storage.revision(), start: 0 };
}

/** The token names the snapshot of the first page, so that pages fit together whatever is written between them. */
function continueToken(server: Server, kind: Kind, page: Page, start: number): string {
  let id = [...server.pages].find(([, list]) => list.items === page.items)?.[0];
  if (id === undefined) {
    id = `${kind.table}@${page.revision}#${server.random.suffix(6)}`;
    server.pages.set(id, { table: kind.table, revision: page.revision, items: page.items });
    const oldest = server.pages.keys().next().value;
    if (server.pages.size > MAX_PAGED_LISTS && oldest !== undefined) server.pages.delete(oldest);
  }
  return Buffer.from(JSON.stringify({ id, start })).toString('base64url');
}

function continued(server: Server, kind: Kind, token: string): Page {
  let decoded: { id?: string; start?: number };
  try {
    decoded = JSON.parse(Buffer.from(token, 'base64url').toString());
  } catch {
    throw badRequest('continue key is not valid');
  }
  const list = server.pages.get(decoded.id ?? '');
  if (!list || list.table !== kind.table || list.revision < server.storage.oldest(kind.table))
    throw expired(
      'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.',
    );
  return { items: list.items, revision: list.revision, start: decoded.start ?? 0 };
}

export function watchObjects(
  server: Server,
  kind: Kind,
  info: RequestInfo,
  query: URLSearchParams,
  request: HttpRequest,
): HttpResponse {
  if (query.get('sendInitialEvents')) throw notImplemented('sendInitialEvents');
  const since = wholeNumber(query, 'resourceVersion');
  checkNotAhead(server, since);
  const timeoutSeconds = wholeNumber(query, 'timeoutSeconds');
  const chunks = server.watches.open({
    kind,
    namespace: scopeOf(kind, info),
    matches: matcher(kind, query),
    since: since === 0 ? undefined : since,
    wantsBookmarks: query.get('allowWatchBookmarks') === 'true',
    timeoutMs: timeoutSeconds ? timeoutSeconds * 1000 : server.knobs.watchTimeoutMs,
    signal: request.signal,
  });
  return { status: 200, headers: { 'content-type': 'application/json' }, text: '', chunks };
}
