/** Reaching a Prometheus over real sockets: TLS by an authority of its own, rotated files, proxies, and no secret told. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, test } from 'vitest';
import type { Lookup } from '../engine/egress.ts';
import { createPrometheusAnalyzer, type PrometheusOptions } from './prometheus.ts';

const folder = mkdtempSync(join(tmpdir(), 'serin-prometheus-'));
const cleanups: (() => unknown)[] = [];

function file(name: string, content?: string): string {
  const path = join(folder, name);
  if (content !== undefined) writeFileSync(path, content);
  return path;
}

/** Two authorities that sign themselves, for `prometheus.test` and 127.0.0.1. */
beforeAll(() => {
  for (const name of ['one', 'two']) {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const names = ['-addext', 'subjectAltName=DNS:prometheus.test,IP:127.0.0.1'];
    const files = ['-keyout', `${name}.key`, '-out', `${name}.crt`];
    const args = ['req', '-x509', ...key, ...files, '-subj', `/CN=${name}`, '-days', '2', ...names];
    execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  }
  return () => rmSync(folder, { recursive: true });
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const ANSWER = JSON.stringify({
  status: 'success',
  data: { resultType: 'vector', result: [{ metric: {}, value: [1, '7'] }] },
});

/** A Prometheus that remembers the headers of what it was asked, and who signed for it. */
async function serve(authority?: string) {
  const asked: http.IncomingHttpHeaders[] = [];
  const listener = (request: http.IncomingMessage, response: http.ServerResponse) => {
    asked.push(request.headers);
    if (request.url?.startsWith('/moved')) {
      response.writeHead(307, { location: request.url.replace('/moved', '') }).end();
      return;
    }
    response.setHeader('content-type', 'application/json');
    response.end(ANSWER);
  };
  const server = authority
    ? https.createServer(
        { key: readFileSync(file(`${authority}.key`)), cert: readFileSync(file(`${authority}.crt`)) },
        listener,
      )
    : http.createServer(listener);
  await listen(server);
  const { port } = server.address() as AddressInfo;
  return { asked, port, server, url: `${authority ? 'https' : 'http'}://127.0.0.1:${port}` };
}

async function listen(server: http.Server | https.Server): Promise<void> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    return new Promise(resolve => server.close(resolve));
  });
}

/** Tunnels CONNECT and forwards plain requests to one port, whatever host is asked for. */
async function serveProxy(port: number) {
  const asked: string[] = [];
  const note = (request: http.IncomingMessage) =>
    asked.push(`${request.method} ${request.url} ${request.headers['proxy-authorization'] ?? 'nobody'}`);
  const proxy = http.createServer((request, response) => {
    note(request);
    const { method, headers } = request;
    const onward = http.request({ port, host: '127.0.0.1', method, headers, path: '/' }, answer => {
      response.writeHead(answer.statusCode ?? 0, answer.headers);
      answer.pipe(response);
    });
    request.pipe(onward);
  });
  proxy.on('connect', (request, socket: net.Socket) => {
    note(request);
    const tunnel = net.connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      tunnel.pipe(socket).pipe(tunnel);
    });
    tunnel.on('error', () => socket.destroy());
    socket.on('error', () => tunnel.destroy());
    // The server does not count a tunnel's sockets among its own any more.
    cleanups.push(() => [tunnel, socket].forEach(end => end.destroy()));
  });
  await listen(proxy);
  return { asked, port: (proxy.address() as AddressInfo).port };
}

const query = { metric: 'm', kind: 'custom' as const, query: 'up', windowMs: 60_000 };

function analyzerOf(options: PrometheusOptions) {
  const analyzer = createPrometheusAnalyzer({ environment: {}, timeoutMs: 2_000, ...options });
  return async () => {
    const signal = new AbortController().signal;
    const [answer] = await analyzer.measure([query], { history: 'h', canary: [], primary: [] }, signal);
    expect(JSON.stringify(answer)).not.toContain('hunter');
    return answer;
  };
}

const value = { kind: 'value', value: 7 };
const basic = (password: string) => `Basic ${Buffer.from(`ann:${password}`).toString('base64')}`;

test('a rotated password and a rotated token count with the next query', async () => {
  const { asked, url } = await serve();
  const passwordFile = file('password', 'hunter1\n');
  const byPassword = analyzerOf({ address: url, username: 'ann', passwordFile });
  expect(await byPassword()).toEqual(value);
  file('password', 'hunter2\n');
  expect(await byPassword()).toEqual(value);
  const bearerTokenFile = file('token', 'hunter3\n');
  const byToken = analyzerOf({ address: url, bearerTokenFile });
  await byToken();
  file('token', 'hunter4\n');
  await byToken();
  expect(asked.map(headers => headers.authorization)).toEqual([
    basic('hunter1'),
    basic('hunter2'),
    'Bearer hunter3',
    'Bearer hunter4',
  ]);
});

test.each([
  [
    'a password file that is not there',
    { username: 'ann', passwordFile: file('gone') },
    'password',
    'ENOENT',
  ],
  ['a token file that is empty', { bearerTokenFile: file('empty', ' \n') }, 'token', 'is empty'],
  ['a CA file that is none', { caFile: file('nonsense', 'hunter5') }, 'CA', 'holds no certificate'],
])('%s is named, and the query is not sent without it', async (_name, options, what, why) => {
  const { asked, url } = await serve();
  const answer = await analyzerOf({ address: url, ...options })();
  expect(answer).toMatchObject({
    kind: 'providerError',
    message: expect.stringContaining(`the ${what} file`),
  });
  expect(answer).toMatchObject({ message: expect.stringContaining(why) });
  expect(asked).toEqual([]);
});

test('a server is trusted by the authorities of the file, which may be replaced', async () => {
  const { url, server, asked } = await serve('one');
  const trustsAll = await analyzerOf({ address: url })();
  expect(trustsAll).toMatchObject({ kind: 'providerError', message: expect.stringMatching(/self-signed/) });
  const caFile = file('ca.crt', readFileSync(file('one.crt'), 'utf8'));
  const ask = analyzerOf({ address: url, caFile });
  expect(await ask()).toEqual(value);
  (server as https.Server).setSecureContext({
    key: readFileSync(file('two.key')),
    cert: readFileSync(file('two.crt')),
  });
  server.closeAllConnections();
  expect(await ask()).toMatchObject({ kind: 'providerError' });
  file('ca.crt', readFileSync(file('two.crt'), 'utf8'));
  expect(await ask()).toEqual(value);
  expect(asked).toHaveLength(2);
});

test('insecureSkipVerify takes any certificate', async () => {
  const { url } = await serve('one');
  expect(await analyzerOf({ address: url, insecureSkipVerify: true })()).toEqual(value);
});

test('headers are sent, each with all its values, and credentials go before them', async () => {
  const { asked, url } = await serve();
  const headers = { 'X-Scope-OrgID': ['shop', 'web'], Authorization: ['Bearer hunter6'] };
  expect(await analyzerOf({ address: url, headers, bearerToken: 'hunter7' })()).toEqual(value);
  expect(asked[0]).toMatchObject({ 'x-scope-orgid': 'shop, web', authorization: 'Bearer hunter7' });
});

test('a redirect is not followed', async () => {
  const { asked, url } = await serve();
  const answer = await analyzerOf({ address: `${url}/moved`, bearerToken: 'hunter8' })();
  expect(answer).toMatchObject({ kind: 'providerError', message: expect.stringContaining('HTTP 307') });
  expect(asked).toHaveLength(1);
});

test('TLS goes through a tunnel of the proxy, under the authorities of the file, unless NO_PROXY says no', async () => {
  const { url, port } = await serve('one');
  const proxy = await serveProxy(port);
  const environment = {
    HTTPS_PROXY: `http://user:hunter9@127.0.0.1:${proxy.port}`,
    NO_PROXY: 'other.test,127.0.0.0/8',
  };
  const options = { caFile: file('one.crt'), environment };
  expect(await analyzerOf({ address: 'https://prometheus.test', ...options })()).toEqual(value);
  const who = `Basic ${Buffer.from('user:hunter9').toString('base64')}`;
  expect(proxy.asked).toEqual([`CONNECT prometheus.test:443 ${who}`]);
  expect(await analyzerOf({ address: url, ...options })()).toEqual(value);
  expect(proxy.asked).toHaveLength(1);
});

test('plain HTTP is handed to the proxy with its whole address', async () => {
  const { port } = await serve();
  const proxy = await serveProxy(port);
  const environment = { http_proxy: `http://127.0.0.1:${proxy.port}` };
  expect(await analyzerOf({ address: 'http://prometheus.test:9090', environment })()).toEqual(value);
  expect(proxy.asked).toEqual(['POST http://prometheus.test:9090/api/v1/query nobody']);
});

test('a proxy that is not there is an error without its password', async () => {
  const environment = { HTTPS_PROXY: 'http://user:hunter10@127.0.0.1:1' };
  for (const address of ['https://prometheus.test', 'https://127.0.0.1:2'])
    expect(await analyzerOf({ address, environment })()).toMatchObject({ kind: 'providerError' });
});

test.each(['169.254.169.254', '127.0.0.1'])('a name is asked by what it resolves to: %s', async address => {
  const { asked, url } = await serve();
  const lookup: Lookup = (_name, options, callback) =>
    options.all ? callback(null, [{ address, family: 4 }]) : callback(null, address, 4);
  const named = url.replace('127.0.0.1', 'prometheus.test');
  const analyzer = createPrometheusAnalyzer({ address: named, lookup, environment: {} });
  const query = { metric: 'errors', kind: 'custom' as const, query: 'up', windowMs: 60_000 };
  const [answer] = await analyzer.measure(
    [query],
    { history: '', canary: [], primary: [] },
    new AbortController().signal,
  );
  expect(answer?.kind).toBe(address === '127.0.0.1' ? 'value' : 'providerError');
  expect(asked).toHaveLength(address === '127.0.0.1' ? 1 : 0);
});

test('as many queries as there are canaries share a few connections', async () => {
  const { url, server, asked } = await serve();
  let open = 0;
  let most = 0;
  server.on('connection', socket => {
    most = Math.max(most, ++open);
    socket.on('close', () => open--);
  });
  const analyzer = createPrometheusAnalyzer({ address: url });
  const query = { metric: 'm', kind: 'custom' as const, query: 'up', windowMs: 60_000 };
  const queries = Array.from({ length: 400 }, () => query);
  const answers = await analyzer.measure(
    queries,
    { history: '', canary: [], primary: [] },
    new AbortController().signal,
  );
  expect(answers.every(answer => answer.kind === 'value')).toBe(true);
  expect(asked.length).toBe(400);
  expect(most).toBeLessThanOrEqual(32);
});
