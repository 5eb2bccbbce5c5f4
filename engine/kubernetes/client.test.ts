import { expect, test } from 'vitest';
import { createVirtualClock } from '../../simulator/clock.ts';
import { type ApiClientOptions, createApiClient, type RequestInfo } from './client.ts';
import { createLimiter } from './limiter.ts';
import { deployments, leases, namespaces, services } from './resources.ts';
import {
  connectionReset,
  createScriptedTransport,
  createStream,
  deployment,
  failure,
  json,
  listOf,
  type ScriptedAnswer,
} from './scriptedTransport.ts';
import type { HttpRequest } from './types.ts';

function setUp(
  answer: (request: HttpRequest, index: number) => ScriptedAnswer,
  options: Partial<ApiClientOptions> = {},
) {
  const clock = createVirtualClock(0);
  const scripted = createScriptedTransport(answer);
  const seen: RequestInfo[] = [];
  const onRequest = (info: RequestInfo) => void seen.push(info);
  const client = createApiClient(scripted.transport, { clock, onRequest, ...options });
  return { clock, client, seen, ...scripted };
}

const ok = () => json(200, deployment('web', 7));

test('paths: core and named groups, cluster scope, subresources, encoded names and selectors', async () => {
  const { client, requests } = setUp(request =>
    request.path.includes('Selector') ? listOf(1, []) : request.method === 'DELETE' ? json(200, {}) : ok(),
  );
  await client.get(services, 'shop', 'web');
  await client.get(deployments, 'shop', 'a b?');
  await client.get(namespaces, 'ignored', 'shop');
  await client.list(deployments, undefined, {
    labelSelector: 'app in (a,b)',
    fieldSelector: 'metadata.name=x',
  });
  await client.create(deployments, deployment('web', 1), { dryRun: true });
  await client.apply(deployments, deployment('web', 1), { force: true, subresource: 'status' });
  await client.mergePatch(deployments, 'shop', 'web', { spec: {} }, { subresource: 'scale' });
  await client.jsonPatch(deployments, 'shop', 'web', [{ op: 'remove', path: '/x' }]);
  await client.replaceStatus(deployments, deployment('web', 1));
  await client.delete(deployments, 'shop', 'web', { uid: 'u', resourceVersion: '3', propagation: 'Orphan' });
  expect(requests.map(({ method, path, headers }) => [method, path, headers['content-type']])).toEqual([
    ['GET', '/api/v1/namespaces/shop/services/web', undefined],
    ['GET', '/apis/apps/v1/namespaces/shop/deployments/a%20b%3F', undefined],
    ['GET', '/api/v1/namespaces/shop', undefined],
    [
      'GET',
      '/apis/apps/v1/deployments?limit=500&labelSelector=app%20in%20(a%2Cb)&fieldSelector=metadata.name%3Dx',
      undefined,
    ],
    ['POST', '/apis/apps/v1/namespaces/shop/deployments?fieldManager=serin&dryRun=All', 'application/json'],
    [
      'PATCH',
      '/apis/apps/v1/namespaces/shop/deployments/web/status?fieldManager=serin&force=true',
      'application/apply-patch+yaml',
    ],
    [
      'PATCH',
      '/apis/apps/v1/namespaces/shop/deployments/web/scale?fieldManager=serin',
      'application/merge-patch+json',
    ],
    [
      'PATCH',
      '/apis/apps/v1/namespaces/shop/deployments/web?fieldManager=serin',
      'application/json-patch+json',
    ],
    ['PUT', '/apis/apps/v1/namespaces/shop/deployments/web/status?fieldManager=serin', 'application/json'],
    ['DELETE', '/apis/apps/v1/namespaces/shop/deployments/web', 'application/json'],
  ]);
  expect(JSON.parse(requests[9]!.body!)).toMatchObject({
    kind: 'DeleteOptions',
    preconditions: { uid: 'u', resourceVersion: '3' },
    propagationPolicy: 'Orphan',
  });
});

test('a name that could leave its path segment is refused and never sent', async () => {
  const { client, requests } = setUp(ok);
  for (const name of ['..', '.', '', 'a/b', '%2e%2e']) {
    await expect(client.get(deployments, 'shop', name)).rejects.toMatchObject({
      kind: 'badRequest',
      code: 400,
    });
  }
  expect(requests).toEqual([]);
});

test.each([
  [400, 'BadRequest', 'badRequest'],
  [401, 'Unauthorized', 'unauthorized'],
  [403, 'Forbidden', 'forbidden'],
  [404, 'NotFound', 'notFound'],
  [405, 'MethodNotAllowed', 'badRequest'],
  [409, 'AlreadyExists', 'alreadyExists'],
  [409, 'Conflict', 'conflict'],
  [410, 'Expired', 'gone'],
  [422, 'Invalid', 'invalid'],
  [429, 'TooManyRequests', 'tooManyRequests'],
  [500, 'InternalError', 'server'],
  [503, 'ServiceUnavailable', 'server'],
  [504, 'Timeout', 'timeout'],
])('%i %s is an ApiError of kind %s', async (code, reason, kind) => {
  const { client } = setUp(() => failure(code, reason, 'the sentence'));
  const error = client.create(deployments, deployment('web', 1));
  await expect(error).rejects.toMatchObject({ kind, code, reason, message: 'the sentence' });
});

test('a get of what does not exist is undefined, a delete of it is false', async () => {
  const { client } = setUp(() => failure(404, 'NotFound'));
  expect(await client.get(deployments, 'shop', 'web')).toBeUndefined();
  expect(await client.delete(deployments, 'shop', 'web')).toBe(false);
});

test('the wait that the server asks for comes from the header, else from the details', async () => {
  const byHeader = setUp(() => failure(429, 'TooManyRequests', 'slow down', { 'retry-after': '3' }));
  await expect(byHeader.client.request('GET', '/version')).rejects.toMatchObject({ retryAfterMs: 3_000 });
  const byDetails = setUp(() =>
    json(500, { kind: 'Status', reason: 'ServerTimeout', details: { retryAfterSeconds: 2 } }),
  );
  await expect(byDetails.client.request('GET', '/version')).rejects.toMatchObject({ retryAfterMs: 2_000 });
});

test('an answer that is no Status (a proxy on the way) still gives a typed, short error', async () => {
  const { client } = setUp(() => ({ status: 502, headers: {}, text: `<html>\n${'x'.repeat(5_000)}` }));
  const error = await client.request('GET', '/version').catch((thrown: Error) => thrown);
  expect(error).toMatchObject({ kind: 'server', code: 502 });
  expect(error.message.length).toBeLessThan(300);
});

test('a failed test of a JSON patch is a conflict; an invalid result and a patch without test are not', async () => {
  const sentence = 'the server rejected our request due to an error in our request';
  const operations = [
    { op: 'test', path: '/metadata/resourceVersion', value: '1' },
    { op: 'replace', path: '/spec/paused', value: true },
  ];
  const patch = (answer: ScriptedAnswer, ops: object[]) =>
    setUp(() => answer).client.jsonPatch(deployments, 'shop', 'web', ops);
  await expect(patch(failure(422, 'Invalid', sentence), operations)).rejects.toMatchObject({
    kind: 'conflict',
    code: 422,
  });
  await expect(
    patch(failure(422, 'Invalid', 'testing path /a value failed: test failed'), operations),
  ).rejects.toMatchObject({ kind: 'conflict' });
  await expect(patch(failure(422, 'Invalid', sentence), operations.slice(1))).rejects.toMatchObject({
    kind: 'invalid',
  });
  const invalid = json(422, {
    kind: 'Status',
    reason: 'Invalid',
    message: 'Deployment.apps "web" is invalid: spec.replicas: must be >= 0',
    details: { kind: 'Deployment', causes: [] },
  });
  await expect(patch(invalid, operations)).rejects.toMatchObject({ kind: 'invalid' });
});

test('a list follows its pages, names the kind of each item and watches from the first snapshot', async () => {
  const { client, requests } = setUp((_, index) =>
    index === 0
      ? json(200, {
          metadata: { resourceVersion: '9', continue: 'c/1' },
          items: [{ metadata: { name: 'a', namespace: 'shop' } }],
        })
      : listOf(12, [deployment('b', 4)]),
  );
  const list = await client.list(deployments, 'shop');
  expect(list.resourceVersion).toBe('9');
  expect(list.items.map(item => [item.apiVersion, item.kind, item.metadata.name])).toEqual([
    ['apps/v1', 'Deployment', 'a'],
    ['apps/v1', 'Deployment', 'b'],
  ]);
  expect(requests[1]!.path).toBe('/apis/apps/v1/namespaces/shop/deployments?limit=500&continue=c%2F1');
});

test('a list whose snapshot expires between pages begins again, once', async () => {
  const once = setUp((_, index) =>
    index === 0
      ? listOf(1, [deployment('a', 1)], 'next')
      : index === 1
        ? failure(410, 'Expired')
        : listOf(5, [deployment('b', 5)]),
  );
  const list = await once.client.list(deployments, 'shop');
  expect(list).toMatchObject({ resourceVersion: '5', items: [{ metadata: { name: 'b' } }] });
  const always = setUp(() => failure(410, 'Expired'));
  await expect(always.client.list(deployments, 'shop')).rejects.toMatchObject({ kind: 'gone' });
  expect(always.requests).toHaveLength(2);
});

test('a call that is not answered ends at its deadline, even if the transport ignores the signal', async () => {
  const { clock, client, seen } = setUp(() => 'hang', { deadlineMs: 2_000 });
  const call = client.create(deployments, deployment('web', 1)).catch((error: unknown) => error);
  await clock.advance(2_000);
  expect(await call).toMatchObject({ kind: 'timeout', code: 0 });
  expect(clock.pending()).toBe(0);
  expect(seen).toEqual([{ verb: 'create', resource: 'deployments', code: 0, durationMs: 2_000 }]);
});

test('a signal ends a call at once, before and after it was sent', async () => {
  const { clock, client, requests } = setUp(() => 'hang');
  const controller = new AbortController();
  const call = client.mergePatch(deployments, 'shop', 'web', {}, { signal: controller.signal });
  await clock.advance(1);
  controller.abort();
  await expect(call).rejects.toMatchObject({ kind: 'aborted' });
  await expect(client.list(deployments, 'shop', { signal: controller.signal })).rejects.toMatchObject({
    kind: 'aborted',
  });
  expect(requests).toHaveLength(1);
  expect(clock.pending()).toBe(0);
});

test('whatever a transport throws becomes an ApiError', async () => {
  const { client } = setUp(() => new TypeError('fetch failed'));
  await expect(client.request('GET', '/version')).rejects.toMatchObject({
    name: 'ApiError',
    kind: 'network',
  });
  const reset = setUp(() => connectionReset());
  await expect(reset.client.request('GET', '/version')).rejects.toMatchObject({ kind: 'network' });
});

test('an answer that should be JSON and is not is an error of the server', async () => {
  const { client } = setUp(() => ({ status: 200, headers: {}, text: '<html>' }));
  await expect(client.get(deployments, 'shop', 'web')).rejects.toMatchObject({ kind: 'server' });
});

test('every request is reported with its verb, resource and code', async () => {
  const { client, seen } = setUp(() => json(201, { kind: 'x' }));
  await client.request('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {});
  await client.request('POST', '/api/v1/namespaces/shop/pods/web-1/eviction', {});
  await client.request('GET', '/version');
  await client.apply(leases, { apiVersion: 'x', kind: 'Lease', metadata: { name: 'a', namespace: 'b' } });
  expect(seen.map(({ verb, resource, code }) => [verb, resource, code])).toEqual([
    ['post', 'tokenreviews', 201],
    ['post', 'pods/eviction', 201],
    ['get', 'version', 201],
    ['apply', 'leases', 201],
  ]);
});

test('urgent requests say so to the transport and are never delayed by the limit', async () => {
  const limited: number[] = [];
  const clock = createVirtualClock(0);
  const limiter = createLimiter({
    clock,
    perSecond: 1,
    burst: 1,
    onLimited: delayMs => limited.push(delayMs),
  });
  const { transport, requests } = createScriptedTransport(ok);
  const client = createApiClient(transport, { clock, limiter });
  await client.get(deployments, 'shop', 'first');
  const delayed = client.get(deployments, 'shop', 'delayed');
  await client.urgent.mergePatch(deployments, 'shop', 'urgent', {});
  expect(requests.map(request => [request.path.split('/').at(-1)!.split('?')[0], request.urgent])).toEqual([
    ['first', undefined],
    ['urgent', true],
  ]);
  await clock.advance(1_000);
  await delayed;
  expect(requests).toHaveLength(3);
  expect(limited).toEqual([1_000]);
});

test('a watch asks for bookmarks and yields events from chunks cut anywhere', async () => {
  const stream = createStream();
  const { client, requests } = setUp(() => stream.response);
  const text = [
    { type: 'ADDED', object: deployment('wéb', 5) },
    { type: 'BOOKMARK', object: { kind: 'Deployment', metadata: { resourceVersion: '9' } } },
    { type: 'DELETED', object: deployment('wéb', 10) },
  ]
    .map(event => `${JSON.stringify(event)}\n`)
    .join('');
  for (let start = 0; start < text.length; start += 7) stream.raw(text.slice(start, start + 7));
  stream.raw('{"type":"ADDED","obj');
  stream.end();
  const events = [];
  const { signal } = new AbortController();
  for await (const event of client.watch(deployments, 'shop', '4', { signal, timeoutSeconds: 290 })) {
    events.push(event);
  }
  expect(events).toEqual([
    { type: 'ADDED', object: deployment('wéb', 5) },
    { type: 'BOOKMARK', resourceVersion: '9' },
    { type: 'DELETED', object: deployment('wéb', 10) },
  ]);
  expect(requests[0]).toMatchObject({
    path: '/apis/apps/v1/namespaces/shop/deployments?watch=1&allowWatchBookmarks=true&resourceVersion=4&timeoutSeconds=290',
    stream: true,
  });
});

test.each([
  ['HTTP 410', () => failure(410, 'Expired'), 'gone'],
  [
    '410 in the stream',
    () => {
      const stream = createStream();
      stream.send('ERROR', {
        kind: 'Status',
        code: 410,
        reason: 'Expired',
        message: 'too old resource version',
      });
      return stream.response;
    },
    'gone',
  ],
  [
    'a reset connection',
    () => {
      const stream = createStream();
      stream.fail(new TypeError('terminated'));
      return stream.response;
    },
    'network',
  ],
  [
    'a line that is not JSON',
    () => {
      const stream = createStream();
      stream.raw('<html>\n');
      return stream.response;
    },
    'server',
  ],
])('a watch ends with a typed error on %s', async (_, answer, kind) => {
  const { client, openStreams, clock } = setUp(() => answer());
  const { signal } = new AbortController();
  const read = async () => {
    for await (const _event of client.watch(deployments, 'shop', '4', { signal }));
  };
  await expect(read()).rejects.toMatchObject({ name: 'ApiError', kind });
  expect(openStreams()).toBe(0);
  expect(clock.pending()).toBe(0);
});

test('a watch may carry any amount, but no line beyond the bound', async () => {
  const { signal } = new AbortController();
  const count = async (chunks: Iterable<string>) => {
    const stream = createStream();
    for (const chunk of chunks) stream.raw(chunk);
    stream.end();
    let events = 0;
    for await (const _event of setUp(() => stream.response).client.watch(deployments, 'shop', '4', {
      signal,
    }))
      events++;
    return events;
  };
  const line = `${JSON.stringify({ type: 'ADDED', object: deployment('x'.repeat(1_000_000), 5) })}\n`;
  const [head, tail] = [line.slice(0, 900_000), line.slice(900_000)];
  // Each chunk ends within a line, so that something is always held back.
  expect(await count([head, ...Array.from({ length: 20 }, () => tail + head), tail])).toBe(21);
  const endless = Array.from({ length: 9 }, () => 'x'.repeat(1_000_000));
  await expect(count(endless)).rejects.toMatchObject({ kind: 'server' });
});

test('leaving the loop or aborting the signal closes the connection of a watch', async () => {
  const { client, openStreams, clock } = setUp(() => {
    const stream = createStream();
    stream.send('ADDED', deployment('web', 5));
    return stream.response;
  });
  for await (const _event of client.watch(deployments, 'shop', '4', { signal: new AbortController().signal }))
    break;
  expect(openStreams()).toBe(0);
  const controller = new AbortController();
  const read = async () => {
    for await (const _event of client.watch(deployments, 'shop', '4', { signal: controller.signal })) {
      expect(openStreams()).toBe(1);
      controller.abort();
    }
  };
  await expect(read()).rejects.toMatchObject({ kind: 'aborted' });
  expect(openStreams()).toBe(0);
  // A watch outlives the deadline of its head.
  expect(clock.pending()).toBe(0);
});
