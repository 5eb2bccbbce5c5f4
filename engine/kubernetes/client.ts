/**
 * Speaks the Kubernetes API over any Transport: paths, content types, paging, deadlines and typed errors. Objects pass
 * through as raw JSON. It never retries (ticks and watches do) and never keeps an object.
 */
import assert from 'node:assert/strict';
import type { Clock } from '../clock.ts';
import { errorFromResponse, isFailedPatchTest } from './apiError.ts';
import { createDeadline } from './deadline.ts';
import type { Limiter } from './limiter.ts';
import { queryString, resourceOfPath, resourcePath } from './path.ts';
import { decodeWatch } from './watchStream.ts';
import {
  type ApiClient,
  ApiError,
  FIELD_MANAGER,
  type HttpRequest,
  type HttpResponse,
  type KubernetesObject,
  type ListOptions,
  type ObjectList,
  type PatchOptions,
  type ResourceType,
  type Transport,
  type WatchEvent,
} from './types.ts';

/** One request that was answered, or not (`code` 0). */
export interface RequestInfo {
  /** get, list, watch, create, apply, patch, update, delete; for `request()` the HTTP method in lower case. */
  verb: string;
  /** Plural, with the subresource if there is one: `canaries/status`. */
  resource: string;
  code: number;
  /** For a watch: until the answer's head. */
  durationMs: number;
}

export interface ApiClientOptions {
  clock: Clock;
  /** The one name under which the engine owns fields. */
  fieldManager?: string;
  /** Time in which each single request must be answered (a page of a list, the head of a watch). */
  deadlineMs?: number;
  limiter?: Limiter;
  onRequest?: (info: RequestInfo) => void;
}

/** `urgent` is the same client for requests that nothing may delay: no client-side limit, connections of its own. */
export interface PrioritisedClient extends ApiClient {
  readonly urgent: ApiClient;
}

const DEFAULT_DEADLINE_MS = 10_000;
const PAGE_SIZE = 500;
/** A million objects of one type: beyond it the server repeats itself. */
const MOST_PAGES = 2_000;

interface Call {
  verb: string;
  resource: string;
  method: HttpRequest['method'];
  path: string;
  contentType?: string;
  body?: unknown;
  signal?: AbortSignal | undefined;
}

interface Exchange {
  (call: Call): Promise<HttpResponse>;
  watch(call: Call & { signal: AbortSignal }): AsyncGenerator<WatchEvent, void, void>;
}

export function createApiClient(transport: Transport, options: ApiClientOptions): PrioritisedClient {
  const urgent = clientOver(createExchange(transport, options, true), options);
  return { ...clientOver(createExchange(transport, options, false), options), urgent };
}

/** A transport throws ApiError by contract; anything else that it throws is a connection that failed. */
function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError('network', error instanceof Error ? error.message : 'the connection failed');
}

function createExchange(transport: Transport, options: ApiClientOptions, urgent: boolean): Exchange {
  const { clock, limiter, onRequest, deadlineMs = DEFAULT_DEADLINE_MS } = options;

  function toRequest(call: Call, signal: AbortSignal): HttpRequest {
    const headers: Record<string, string> = { accept: 'application/json' };
    const request: HttpRequest = { method: call.method, path: call.path, headers, signal };
    if (call.body !== undefined) {
      headers['content-type'] = call.contentType ?? 'application/json';
      request.body = JSON.stringify(call.body);
    }
    if (urgent) request.urgent = true;
    return request;
  }

  function report(call: Call, startedAtMs: number, code: number): void {
    const { verb, resource } = call;
    onRequest?.({ verb, resource, code, durationMs: Math.max(0, clock.now() - startedAtMs) });
  }

  async function exchange(call: Call): Promise<HttpResponse> {
    await limiter?.acquire(urgent, call.signal);
    const startedAtMs = clock.now();
    const deadline = createDeadline(clock, deadlineMs, `${call.verb} ${call.resource}`, call.signal);
    try {
      const request = toRequest(call, deadline.signal);
      const response = await deadline.race(deadline.signal.aborted ? never() : transport(request));
      report(call, startedAtMs, response.status);
      return response;
    } catch (error) {
      const failure = asApiError(error);
      report(call, startedAtMs, failure.code);
      throw failure;
    } finally {
      deadline.release();
    }
  }

  async function* watch(call: Call & { signal: AbortSignal }): AsyncGenerator<WatchEvent, void, void> {
    await limiter?.acquire(urgent, call.signal);
    const startedAtMs = clock.now();
    const deadline = createDeadline(clock, deadlineMs, `${call.verb} ${call.resource}`, call.signal);
    try {
      const request: HttpRequest = { ...toRequest(call, deadline.signal), stream: true };
      const answer = deadline.signal.aborted ? never() : transport(request);
      const response = await deadline.race(answer).catch((error: unknown) => {
        const failure = asApiError(error);
        report(call, startedAtMs, failure.code);
        throw failure;
      });
      report(call, startedAtMs, response.status);
      if (response.status !== 200) throw errorFromResponse(response);
      assert(response.chunks, 'a transport answers a watch with chunks');
      deadline.disarm();
      const iterator = response.chunks[Symbol.asyncIterator]();
      yield* decodeWatch(() => deadline.race(iterator.next()));
    } catch (error) {
      throw asApiError(error);
    } finally {
      // Closes the connection, whether the consumer left, the stream ended or an event was an error.
      deadline.abort();
    }
  }

  return Object.assign(exchange, { watch });
}

function never(): Promise<never> {
  return new Promise(() => {});
}

function parseJson(response: HttpResponse): any {
  try {
    return JSON.parse(response.text);
  } catch {
    throw new ApiError('server', 'the answer is not JSON', { code: response.status });
  }
}

function expectOk(response: HttpResponse): HttpResponse {
  if (response.status >= 200 && response.status < 300) return response;
  throw errorFromResponse(response);
}

const patchContentTypes = {
  apply: 'application/apply-patch+yaml',
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
};

function clientOver(exchange: Exchange, options: ApiClientOptions): ApiClient {
  const fieldManager = options.fieldManager ?? FIELD_MANAGER;

  function patch(
    how: keyof typeof patchContentTypes,
    type: ResourceType,
    namespace: string,
    name: string,
    body: unknown,
    patchOptions: PatchOptions & { force?: boolean } = {},
  ): Promise<HttpResponse> {
    const { subresource, dryRun, force, signal } = patchOptions;
    const query = queryString({ fieldManager, force, dryRun: dryRun ? 'All' : undefined });
    return exchange({
      verb: how === 'apply' ? 'apply' : 'patch',
      resource: subresource ? `${type.plural}/${subresource}` : type.plural,
      method: 'PATCH',
      path: resourcePath(type, namespace, name, subresource) + query,
      contentType: patchContentTypes[how],
      body,
      signal,
    });
  }

  return {
    async get(type, namespace, name, getOptions = {}) {
      const path = resourcePath(type, namespace, name);
      const { signal } = getOptions;
      const response = await exchange({ verb: 'get', resource: type.plural, method: 'GET', path, signal });
      if (response.status === 404) return undefined;
      return parseJson(expectOk(response));
    },
    list: (type, namespace, listOptions = {}) => listAll(exchange, type, namespace, listOptions),
    async create(type, object, writeOptions = {}) {
      const query = queryString({ fieldManager, dryRun: writeOptions.dryRun ? 'All' : undefined });
      const response = await exchange({
        verb: 'create',
        resource: type.plural,
        method: 'POST',
        path: resourcePath(type, namespaceOf(type, object)) + query,
        body: object,
        signal: writeOptions.signal,
      });
      return parseJson(expectOk(response));
    },
    async apply(type, object, applyOptions) {
      const { name } = object.metadata;
      return parseJson(
        expectOk(await patch('apply', type, namespaceOf(type, object), name, object, applyOptions)),
      );
    },
    async mergePatch(type, namespace, name, body, patchOptions) {
      return parseJson(expectOk(await patch('merge', type, namespace, name, body, patchOptions)));
    },
    async jsonPatch(type, namespace, name, operations, patchOptions) {
      const response = await patch('json', type, namespace, name, operations, patchOptions);
      if (isFailedPatchTest(response, operations)) {
        const message = `a test of the JSON patch of ${type.plural} ${name} failed`;
        throw new ApiError('conflict', message, { code: response.status, reason: 'Invalid' });
      }
      return parseJson(expectOk(response));
    },
    async replaceStatus(type, object) {
      const path = resourcePath(type, namespaceOf(type, object), object.metadata.name, 'status');
      const response = await exchange({
        verb: 'update',
        resource: `${type.plural}/status`,
        method: 'PUT',
        path: path + queryString({ fieldManager }),
        body: object,
      });
      return parseJson(expectOk(response));
    },
    async delete(type, namespace, name, deleteOptions = {}) {
      const { uid, resourceVersion, propagation } = deleteOptions;
      const preconditions = { ...(uid ? { uid } : {}), ...(resourceVersion ? { resourceVersion } : {}) };
      const response = await exchange({
        verb: 'delete',
        resource: type.plural,
        method: 'DELETE',
        path: resourcePath(type, namespace, name),
        body: {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          ...(Object.keys(preconditions).length > 0 ? { preconditions } : {}),
          ...(propagation ? { propagationPolicy: propagation } : {}),
        },
      });
      if (response.status === 404) return false;
      expectOk(response);
      return true;
    },
    watch(type, namespace, resourceVersion, watchOptions) {
      const { labelSelector, fieldSelector, timeoutSeconds, signal } = watchOptions;
      const query = queryString({
        watch: 1,
        allowWatchBookmarks: true,
        resourceVersion,
        timeoutSeconds,
        labelSelector,
        fieldSelector,
      });
      const path = resourcePath(type, namespace) + query;
      return exchange.watch({ verb: 'watch', resource: type.plural, method: 'GET', path, signal });
    },
    async request(method, path, body) {
      const call: Call = { verb: method.toLowerCase(), resource: resourceOfPath(path), method, path, body };
      const response = expectOk(await exchange(call));
      return response.text === '' ? undefined : parseJson(response);
    },
  };
}

/** The namespace of an object that is about to be written. Its absence is a mistake of ours, not of a user. */
function namespaceOf(type: ResourceType, object: KubernetesObject): string {
  const namespace = object.metadata.namespace ?? '';
  assert(!type.namespaced || namespace !== '', `${type.kind} ${object.metadata.name} has no namespace`);
  return namespace;
}

async function listAll(
  exchange: Exchange,
  type: ResourceType,
  namespace: string | undefined,
  listOptions: ListOptions & { signal?: AbortSignal },
): Promise<ObjectList> {
  try {
    return await listPages(exchange, type, namespace, listOptions);
  } catch (error) {
    // The snapshot behind `continue` was compacted while we paged: begin again, once.
    if (error instanceof ApiError && error.kind === 'gone') {
      return listPages(exchange, type, namespace, listOptions);
    }
    throw error;
  }
}

async function listPages(
  exchange: Exchange,
  type: ResourceType,
  namespace: string | undefined,
  { labelSelector, fieldSelector, signal }: ListOptions & { signal?: AbortSignal },
): Promise<ObjectList> {
  const apiVersion = type.group === '' ? type.version : `${type.group}/${type.version}`;
  const items: KubernetesObject[] = [];
  let resourceVersion: string | undefined;
  let next: string | undefined;
  for (let page = 0; page < MOST_PAGES; page++) {
    const query = queryString({ limit: PAGE_SIZE, continue: next, labelSelector, fieldSelector });
    const path = resourcePath(type, namespace) + query;
    const call: Call = { verb: 'list', resource: type.plural, method: 'GET', path, signal };
    const list = parseJson(expectOk(await exchange(call)));
    if (typeof list?.metadata?.resourceVersion !== 'string') {
      throw new ApiError('server', `the list of ${type.plural} has no resourceVersion`);
    }
    // All pages show the snapshot of the first one, and a watch continues from there.
    resourceVersion ??= list.metadata.resourceVersion as string;
    for (const item of list.items ?? []) {
      // The items of a built-in type's list carry neither.
      item.apiVersion ??= apiVersion;
      item.kind ??= type.kind;
      items.push(item);
    }
    next = list.metadata.continue || undefined;
    if (next === undefined) return { resourceVersion, items };
  }
  throw new ApiError('server', `the list of ${type.plural} did not end within ${MOST_PAGES} pages`);
}
