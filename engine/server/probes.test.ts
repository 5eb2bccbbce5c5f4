/** Health, readiness and metrics over the real socket: for anybody, before REST is loaded and beside it. */
import { afterEach, expect, it } from 'vitest';
import { type ScriptedServer, scriptServer } from './scriptedServer.ts';
import { createServer, type Server } from './server.ts';

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map(server => server.close()));
});

async function listening(script: ScriptedServer): Promise<string> {
  const server = createServer({ ...script.options, bindAddress: '127.0.0.1', port: 0 });
  servers.push(server);
  return `http://127.0.0.1:${(await server.start()).port}`;
}

it('need no token', async () => {
  const base = await listening(scriptServer());
  const health = await fetch(`${base}/healthz?verbose`);
  expect([health.status, await health.text()]).toEqual([200, 'ok\n']);
  const ready = await fetch(`${base}/readyz`);
  expect([ready.status, await ready.json()]).toEqual([200, { ready: true, reasons: [] }]);
  const page = await fetch(`${base}/metrics`);
  expect([page.status, page.headers.get('content-type')]).toEqual([
    200,
    expect.stringMatching(/^text\/plain/),
  ]);
  const text = await page.text();
  expect(text).toContain('flagger_canary_weight{workload="checkout",namespace="shop"} 20');
  expect(text).toContain('serin_http_requests_total{method="GET",code="200"} 2');
});

it('say why the engine is not ready', async () => {
  const options = { isReady: () => ({ ok: false, reasons: ['canaries are not read yet'] }) };
  const ready = await fetch(`${await listening(scriptServer({ options }))}/readyz`);
  expect([ready.status, await ready.json()]).toEqual([
    503,
    { ready: false, reasons: ['canaries are not read yet'] },
  ]);
});

it('answer HEAD with the length alone, and leave other methods and paths to REST', async () => {
  const base = await listening(scriptServer());
  const head = await fetch(`${base}/healthz`, { method: 'HEAD' });
  expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '3', '']);
  for (const [path, method] of [
    ['/healthz', 'POST'],
    ['/healthz/', 'GET'],
    ['/constructor', 'GET'],
    ['/', 'GET'],
  ]) {
    const answer = await fetch(`${base}${path}`, { method: method! });
    expect([answer.status, await answer.json()]).toEqual([404, { error: 'There is nothing at this path.' }]);
  }
});

it('say that metrics failed, and log why', async () => {
  const script = scriptServer();
  const metrics = { ...script.options.metrics, text: () => Promise.reject(new Error('no page')) };
  const page = await fetch(
    `${await listening({ ...script, options: { ...script.options, metrics } })}/metrics`,
  );
  expect(page.status).toBe(500);
  expect(await page.json()).toEqual({ error: expect.stringContaining('log') });
  expect(script.logged.join()).toContain('a request failed');
});
