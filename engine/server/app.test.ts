/** REST against a scripted API server: who gets in, what is written, and what is refused. */
import { describe, expect, it } from 'vitest';
import { connectionReset, failure, json } from '../kubernetes/scriptedTransport.ts';
import { createApp } from './app.ts';
import { canary, connection, progressing, type ScriptedServer, scriptServer } from './scriptedServer.ts';

const ONE = '/api/v1/namespaces/shop/canaries/checkout';

async function call(
  server: ScriptedServer,
  path: string,
  more: {
    token?: string;
    method?: string;
    body?: string;
    headers?: Record<string, string>;
    peer?: string;
  } = {},
) {
  const { token = 'alice-token', method = 'GET', body, peer = '127.0.0.1' } = more;
  const headers: Record<string, string> = {
    ...(token ? { authorization: `Bearer ${token}` } : {}),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...more.headers,
  };
  const request = { method, headers, ...(body === undefined ? {} : { body }) };
  const response = await createApp(server.options).request(path, request, connection(peer));
  const text = await response.text();
  return { code: response.status, text, answer: text.startsWith('{') ? JSON.parse(text) : undefined };
}

const post = (server: ScriptedServer, verb: string, body?: object, token = 'alice-token') =>
  call(server, `${ONE}/${verb}`, {
    method: 'POST',
    token,
    ...(body ? { body: JSON.stringify(body) } : {}),
  });

const patchesOf = (server: ScriptedServer) =>
  server.requests.filter(one => one.method === 'PATCH').map(one => JSON.parse(one.body!));
const reviewsOf = (server: ScriptedServer, what: string) =>
  server.requests.filter(one => one.path.endsWith(what));

describe('who gets in', () => {
  it('asks for a token, and takes only one that the API server knows', async () => {
    const server = scriptServer();
    expect(await call(server, ONE, { token: '' })).toMatchObject({
      code: 401,
      answer: { error: expect.stringContaining('bearer token') },
    });
    expect(await call(server, ONE, { token: 'stolen' })).toMatchObject({ code: 401 });
    expect(await call(server, '/api/v1/openapi.json', { token: '' })).toMatchObject({ code: 401 });
  });

  it('refuses a user without the permission, whether or not the canary exists', async () => {
    const server = scriptServer();
    const sentence = 'bob may not get canaries in namespace shop.';
    expect(await call(server, ONE, { token: 'bob-token' })).toMatchObject({
      code: 403,
      answer: { error: sentence },
    });
    expect(await call(server, `${ONE}-nowhere`, { token: 'bob-token' })).toMatchObject({ code: 403 });
  });

  it('asks about the subresource that is named as the verb', async () => {
    const server = scriptServer({
      may: ({ verb, subresource }) => verb === 'update' && subresource === 'pause',
    });
    expect(await post(server, 'pause')).toMatchObject({ code: 202 });
    expect(await post(server, 'abort')).toMatchObject({
      code: 403,
      answer: { error: 'alice may not update canaries/abort in namespace shop.' },
    });
    const [review] = reviewsOf(server, '/subjectaccessreviews').map(one => JSON.parse(one.body!).spec);
    expect(review).toEqual({
      user: 'alice',
      groups: ['people'],
      resourceAttributes: {
        group: 'serin.dev',
        version: 'v1beta1',
        resource: 'canaries',
        verb: 'update',
        subresource: 'pause',
        namespace: 'shop',
        name: 'checkout',
      },
    });
  });

  it('reviews a token once in 30 seconds', async () => {
    const server = scriptServer();
    const app = createApp(server.options);
    const read = async () =>
      (await app.request(ONE, { headers: { authorization: 'Bearer alice-token' } }, connection('::1')))
        .status;
    expect([await read(), await read()]).toEqual([200, 200]);
    expect(reviewsOf(server, '/tokenreviews')).toHaveLength(1);
    server.advance(30_000);
    expect(await read()).toBe(200);
    expect(reviewsOf(server, '/tokenreviews')).toHaveLength(2);
  });

  it('takes a token over plain HTTP from this machine only, or when told so', async () => {
    const far = { peer: '10.1.2.3' };
    const server = scriptServer();
    expect(await call(server, ONE, far)).toMatchObject({
      code: 403,
      answer: { error: expect.stringContaining('TLS only') },
    });
    expect(server.requests).toHaveLength(0);
    expect(await call(server, ONE, { peer: '::ffff:127.0.0.1' })).toMatchObject({ code: 200 });
    expect(await call(scriptServer({ options: { insecureHttp: true } }), ONE, far)).toMatchObject({
      code: 200,
    });
    const headers = { authorization: 'Bearer alice-token' };
    const secure = await createApp(server.options).request(ONE, { headers }, connection('10.1.2.3', true));
    expect(secure.status).toBe(200);
  });

  it('never logs or answers a token', async () => {
    const server = scriptServer();
    const { text } = await post(server, 'pause');
    expect(server.logged).toHaveLength(1);
    expect(text + server.logged.join()).not.toContain('alice-token');
  });
});

describe('reading', () => {
  it('shows a canary, and which commands apply', async () => {
    const { code, answer } = await call(scriptServer(), ONE);
    expect(code).toBe(200);
    expect(answer).toEqual({
      namespace: 'shop',
      name: 'checkout',
      target: { kind: 'Deployment', name: 'checkout' },
      isSuspended: false,
      commands: ['promote', 'pause', 'abort'],
      status: progressing,
    });
  });

  it('says 404 for what does not exist, and 503 before anything was read', async () => {
    expect(await call(scriptServer({ objects: [] }), ONE)).toMatchObject({
      code: 404,
      answer: { error: 'There is no canary checkout in namespace shop.' },
    });
    expect(await call(scriptServer({ isSynced: false }), ONE)).toMatchObject({ code: 503 });
    expect(await call(scriptServer(), '/api/v1/nothing')).toMatchObject({ code: 404 });
  });

  it('lists only namespaces that the user may list', async () => {
    const objects = [canary(progressing), canary({}, { namespace: 'secret' })];
    const all = await call(scriptServer({ objects }), '/api/v1/canaries');
    expect(all.answer.items).toHaveLength(2);
    const one = scriptServer({ objects, may: ({ namespace }) => namespace === 'shop' });
    const some = await call(one, '/api/v1/canaries');
    expect(some.answer.items.map((item: { namespace: string }) => item.namespace)).toEqual(['shop']);
    expect(await call(one, '/api/v1/canaries?namespace=secret')).toMatchObject({ code: 403 });
    expect((await call(one, '/api/v1/canaries?namespace=shop')).answer.items).toHaveLength(1);
  });

  it('shows the history', async () => {
    const rollout = {
      revision: 'v1-a',
      outcome: 'Failed',
      reason: 'ChecksFailed',
      startedAt: '2026-01-01T00:00:00Z',
      endedAt: '2026-01-01T00:01:00Z',
    };
    const server = scriptServer({ objects: [canary({ ...progressing, history: [rollout] })] });
    expect((await call(server, `${ONE}/history`)).answer).toEqual({ rollouts: [rollout], transitions: [] });
  });

  it('reports on a rollout, as data and as a page that may load and run nothing', async () => {
    const judge = {
      run: 'v1-b/2',
      mode: 'compare',
      sentence: 'Step 2 holds <script>alert(1)</script> until enough is shown.',
      logEvidence: 0,
      timeline: [[5, 10, 25, 0, 225, 1, -0.3, 0.4]],
    };
    const server = scriptServer({ objects: [canary({ ...progressing, judge })] });
    const { code, answer } = await call(server, `${ONE}/report`);
    expect(code).toBe(200);
    expect(answer).toMatchObject({
      name: 'checkout',
      rollout: { revision: 'v1-b' },
      judge: { odds: '1:1', timeline: [{ seconds: 5, canary: { total: 25, failures: 0, low: 0 } }] },
    });
    const headers = { authorization: 'Bearer alice-token' };
    const page = await createApp(server.options).request(
      `${ONE}/report.html`,
      { headers },
      connection('127.0.0.1'),
    );
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toBe('text/html; charset=UTF-8');
    expect(page.headers.get('cache-control')).toBe('no-store');
    expect(page.headers.get('x-content-type-options')).toBe('nosniff');
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]{44}';/);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe|script-src|https?:|\*/);
    expect(await page.text()).not.toContain('<script');
  });

  it('shows a report to nobody who may not get the canary', async () => {
    for (const path of [`${ONE}/report`, `${ONE}/report.html`]) {
      expect(await call(scriptServer(), path, { token: '' })).toMatchObject({ code: 401 });
      expect(await call(scriptServer(), path, { token: 'bob-token' })).toMatchObject({ code: 403 });
      expect(await call(scriptServer({ objects: [] }), path)).toMatchObject({ code: 404 });
      expect(await call(scriptServer({ isSynced: false }), path)).toMatchObject({ code: 503 });
    }
  });

  it('describes itself', async () => {
    const { code, answer } = await call(scriptServer(), '/api/v1/openapi.json');
    expect(code).toBe(200);
    expect(Object.keys(answer.paths)).toEqual([
      '/api/v1/canaries',
      '/api/v1/namespaces/{namespace}/canaries/{name}',
      '/api/v1/namespaces/{namespace}/canaries/{name}/history',
      '/api/v1/namespaces/{namespace}/canaries/{name}/report',
      '/api/v1/namespaces/{namespace}/canaries/{name}/report.html',
      '/api/v1/namespaces/{namespace}/canaries/{name}/{verb}',
    ]);
    expect(JSON.stringify(answer)).toContain('Percent of the traffic that the canary was last given.');
    expect(answer.components.securitySchemes.bearer).toEqual({ type: 'http', scheme: 'bearer' });
  });
});

describe('commands', () => {
  it('writes both annotations in one patch that is bound to what was seen', async () => {
    const server = scriptServer();
    const { code, answer } = await post(server, 'pause', { reason: 'looks\nodd' });
    expect(code).toBe(202);
    expect(answer.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(patchesOf(server)).toEqual([
      {
        metadata: {
          uid: 'uid-shop',
          resourceVersion: '7',
          annotations: {
            'serin.dev/command': `pause v1-b ${answer.id} looks odd`,
            'serin.dev/command-by': 'alice',
          },
        },
      },
    ]);
    const [patch] = server.requests.filter(one => one.method === 'PATCH');
    expect(patch?.path).toContain('/apis/serin.dev/v1beta1/namespaces/shop/canaries/checkout');
  });

  it('refuses what does not apply, with the reason', async () => {
    const server = scriptServer();
    expect(await post(server, 'retry')).toMatchObject({
      code: 409,
      answer: { error: 'retry does not apply while the canary is Progressing; it applies in Failed.' },
    });
    expect(await post(server, 'promote', { revision: 'v1-a' })).toMatchObject({
      code: 409,
      answer: { error: expect.stringContaining('names revision v1-a') },
    });
    expect(patchesOf(server)).toEqual([]);
  });

  it('does not erase a command that waits, except by an abort', async () => {
    const annotations = { 'serin.dev/command': 'abort v1-b id-1', 'serin.dev/command-by': 'carol' };
    const waiting = () => scriptServer({ objects: [canary(progressing, { annotations })] });
    expect(await post(waiting(), 'pause')).toMatchObject({
      code: 409,
      answer: { error: expect.stringContaining('abort of carol waits') },
    });
    expect(await post(waiting(), 'abort')).toMatchObject({ code: 202 });
    const done = canary({ ...progressing, handledCommand: 'id-1' }, { annotations });
    expect(await post(scriptServer({ objects: [done] }), 'pause')).toMatchObject({ code: 202 });
  });

  it('skips to the revision that is queued', async () => {
    const queued = {
      phase: 'Promoting',
      stage: 'back',
      run: progressing.run,
      lastGood: { hash: 'v1-a', generation: 1 },
      target: { hash: 'v1-c', generation: 3 },
    };
    const server = scriptServer({ objects: [canary(queued)] });
    expect(await post(server, 'skip')).toMatchObject({ code: 202 });
    expect(patchesOf(server)[0].metadata.annotations['serin.dev/command']).toMatch(/^skip v1-c /);
    expect(
      await post(scriptServer({ objects: [canary({ ...queued, stage: 'bake' })] }), 'skip'),
    ).toMatchObject({
      code: 409,
    });
  });

  it('looks again after a conflict, once', async () => {
    const conflict = failure(409, 'Conflict');
    const newer = canary(progressing);
    newer.metadata.resourceVersion = '8';
    const server = scriptServer({
      patch: (_request, patchNumber) => (patchNumber === 1 ? conflict : json(200, newer)),
      get: () => json(200, newer),
    });
    expect(await post(server, 'pause')).toMatchObject({ code: 202 });
    expect(patchesOf(server).map(one => one.metadata.resourceVersion)).toEqual(['7', '8']);
    const stubborn = scriptServer({ patch: () => conflict, get: () => json(200, newer) });
    expect(await post(stubborn, 'pause')).toMatchObject({ code: 409 });
    expect(patchesOf(stubborn)).toHaveLength(2);
  });

  it('decides anew on what it read after a conflict', async () => {
    const server = scriptServer({
      patch: () => failure(409, 'Conflict'),
      get: () => json(200, canary({ ...progressing, phase: 'Failed' })),
    });
    expect(await post(server, 'pause')).toMatchObject({
      code: 409,
      answer: { error: expect.stringContaining('while the canary is Failed') },
    });
    expect(patchesOf(server)).toHaveLength(1);
  });

  it('says 404 for an unknown canary and an unknown verb', async () => {
    expect(await post(scriptServer({ objects: [] }), 'pause')).toMatchObject({ code: 404 });
    expect(await post(scriptServer(), 'explode')).toMatchObject({ code: 400 });
  });

  it('says when the API server does not answer', async () => {
    const server = scriptServer({ patch: () => connectionReset() });
    expect(await post(server, 'pause')).toMatchObject({
      code: 502,
      answer: { error: expect.stringContaining('unknown whether anything was written') },
    });
  });

  it('bounds and checks the body', async () => {
    const server = scriptServer();
    const send = (body: string, headers = {}) =>
      call(server, `${ONE}/pause`, { method: 'POST', body, headers });
    const tooLarge = JSON.stringify({ reason: 'x'.repeat(16 * 1024) });
    expect(await send(tooLarge)).toMatchObject({ code: 413, answer: { error: expect.any(String) } });
    expect(await send('{"reason"')).toMatchObject({
      code: 400,
      answer: { error: 'The body is not valid JSON.' },
    });
    expect(await send('{"reasons":"x"}')).toMatchObject({ code: 400 });
    expect(await send('{"revision":"a b"}')).toMatchObject({ code: 400 });
    expect(await send('reason=x', { 'content-type': 'text/plain' })).toMatchObject({ code: 415 });
    expect(patchesOf(server)).toEqual([]);
  });
});
