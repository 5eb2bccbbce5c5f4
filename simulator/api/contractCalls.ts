/** For the contract suite: requests in raw words, answers as parsed JSON, watch streams one event at a time. */
import { expect } from 'vitest';
import type { HttpRequest, KubernetesObject, Transport } from '../../engine/kubernetes/types.ts';
import type { Json } from './json.ts';

export const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
export const WIDGETS_VERSION = 'contract.serin.dev/v1';

export interface Answer {
  status: number;
  body: Json;
  headers: Record<string, string>;
}

export interface WatchedEvent {
  type: string;
  object: KubernetesObject;
}

export interface WatchReader {
  /** The next event, or undefined when the server closed the stream. */
  next(): Promise<WatchedEvent | undefined>;
  close(): void;
}

export interface Calls {
  namespace: string;
  /** e.g. `path('apps/v1', 'deployments', 'web', 'status')`, in the suite's namespace. */
  path(apiVersion: string, plural: string, name?: string, subresource?: string): string;
  get(path: string): Promise<Answer>;
  post(path: string, body: Json): Promise<Answer>;
  put(path: string, body: Json): Promise<Answer>;
  merge(path: string, body: Json): Promise<Answer>;
  json(path: string, operations: Json[]): Promise<Answer>;
  apply(path: string, body: Json, manager: string, force?: boolean): Promise<Answer>;
  delete(path: string, body?: Json): Promise<Answer>;
  send(method: HttpRequest['method'], path: string, contentType: string, body: string): Promise<Answer>;
  watch(path: string): Promise<WatchReader>;
}

export function createCalls(transport: Transport, namespace: string): Calls {
  async function send(
    method: HttpRequest['method'],
    path: string,
    contentType: string,
    body?: string,
  ): Promise<Answer> {
    const response = await transport({
      method,
      path,
      headers: {
        accept: 'application/json',
        'user-agent': 'contract/1.0',
        ...(body === undefined ? {} : { 'content-type': contentType }),
      },
      ...(body === undefined ? {} : { body }),
    });
    const isJson = response.headers['content-type']?.startsWith('application/json') ?? false;
    return {
      status: response.status,
      headers: response.headers,
      body: isJson ? JSON.parse(response.text) : response.text,
    };
  }
  const withBody = (method: HttpRequest['method'], type: string) => (path: string, body: Json) =>
    send(method, path, type, JSON.stringify(body));
  return {
    namespace,
    path(apiVersion, plural, name, subresource) {
      const root = apiVersion.includes('/') ? '/apis/' : '/api/';
      const parts = [plural, name, subresource].filter(part => part !== undefined);
      return `${root}${apiVersion}/namespaces/${namespace}/${parts.join('/')}`;
    },
    get: path => send('GET', path, ''),
    post: withBody('POST', 'application/json'),
    put: withBody('PUT', 'application/json'),
    merge: withBody('PATCH', 'application/merge-patch+json'),
    json: withBody('PATCH', 'application/json-patch+json'),
    apply: (path, body, manager, force = false) =>
      send(
        'PATCH',
        `${path}?fieldManager=${manager}&force=${force}`,
        'application/apply-patch+yaml',
        JSON.stringify(body),
      ),
    delete: (path, body) =>
      send('DELETE', path, 'application/json', body === undefined ? undefined : JSON.stringify(body)),
    send,
    watch: path => openWatch(transport, path),
  };
}

async function openWatch(transport: Transport, path: string): Promise<WatchReader> {
  const leaving = new AbortController();
  const response = await transport({
    method: 'GET',
    path,
    headers: { accept: 'application/json', 'user-agent': 'contract/1.0' },
    stream: true,
    signal: leaving.signal,
  });
  expect(response.status, response.text).toBe(200);
  const chunks = response.chunks?.[Symbol.asyncIterator]();
  let buffer = '';
  return {
    async next() {
      for (;;) {
        const end = buffer.indexOf('\n');
        if (end >= 0) {
          const line = buffer.slice(0, end);
          buffer = buffer.slice(end + 1);
          return JSON.parse(line) as WatchedEvent;
        }
        const chunk = await chunks?.next();
        if (!chunk || chunk.done) return undefined;
        buffer += chunk.value;
      }
    },
    close: () => leaving.abort(),
  };
}

/** What the server said was created, or the test fails with its words. */
export function ok(answer: Answer, status = 200): KubernetesObject {
  expect(answer.status, JSON.stringify(answer.body)).toBe(status);
  return answer.body as KubernetesObject;
}

/** Asserts a refusal: HTTP code, Status reason and, when given, its message. */
export function refused(answer: Answer, code: number, reason: string, message?: string): void {
  expect(answer.body).toMatchObject({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason });
  expect(answer.status).toBe(code);
  if (message !== undefined) expect(answer.body.message).toBe(message);
}

let names = 0;
/** A name that no other test of this run uses. */
export function freshName(prefix: string): string {
  names += 1;
  return `${prefix}-${names}`;
}

/** fieldsV1 by `manager/operation[/subresource]`. */
export function ownersOf(object: KubernetesObject): Record<string, Json> {
  const owners: Record<string, Json> = {};
  for (const entry of object.metadata.managedFields ?? []) {
    const subresource = entry.subresource ? `/${entry.subresource}` : '';
    owners[`${entry.manager}/${entry.operation}${subresource}`] = entry.fieldsV1;
  }
  return owners;
}

export function version(object: KubernetesObject): number {
  return Number(object.metadata.resourceVersion);
}
