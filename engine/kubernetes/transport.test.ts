import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import { createApiClient } from './client.ts';
import { loadKubeConfig } from './kubeconfig.ts';
import { deployments, namespaces } from './resources.ts';
import { deployment } from './scriptedTransport.ts';
import { createTransport } from './transport.ts';

const folder = mkdtempSync(join(tmpdir(), 'serin-transport-'));
const file = (name: string, content?: string) => {
  const path = join(folder, name);
  if (content !== undefined) writeFileSync(path, content);
  return path;
};
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** One authority, a server certificate for `kubernetes.test` and 127.0.0.1, and two client certificates. */
beforeAll(() => {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=ca', '-days', '2');
  file('server.ext', 'subjectAltName=DNS:kubernetes.test,IP:127.0.0.1');
  for (const name of ['server', 'alice', 'bob']) {
    openssl('req', '-new', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    const extensions = name === 'server' ? ['-extfile', 'server.ext'] : [];
    const signing = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', ...extensions];
    openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.crt`, ...signing);
  }
  return () => rmSync(folder, { recursive: true });
});

type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void;

/** A real server on loopback that counts its connections. */
async function serve(handler: Handler, tls = true) {
  const connections = new Set<net.Socket>();
  let opened = 0;
  const server = tls
    ? https.createServer(
        {
          key: readFileSync(file('server.key')),
          cert: readFileSync(file('server.crt')),
          ca: readFileSync(file('ca.crt')),
          requestCert: true,
          rejectUnauthorized: false,
        },
        handler,
      )
    : http.createServer(handler);
  server.on(tls ? 'secureConnection' : 'connection', (socket: net.Socket) => {
    opened++;
    connections.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => connections.delete(socket));
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    for (const socket of connections) socket.destroy();
    return new Promise(resolve => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { port, url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`, opened: () => opened, connections };
}

let configs = 0;
function connect(
  cluster: Record<string, unknown>,
  user: Record<string, unknown> = {},
  environment: Record<string, string> = {},
) {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u', namespace: 'shop' } }],
    clusters: [{ name: 'k', cluster: { 'certificate-authority': 'ca.crt', ...cluster } }],
    users: [{ name: 'u', user }],
  };
  const kubeConfig = loadKubeConfig({ kubeconfig: file(`config-${configs++}`, JSON.stringify(config)) });
  const handle = createTransport(kubeConfig, { clock: systemClock, version: '1.2.3', environment });
  cleanups.push(() => handle.close());
  return { ...handle, kubeConfig, client: createApiClient(handle.transport, { clock: systemClock }) };
}

const answerJson: Handler = (_, response) => void response.end(JSON.stringify(deployment('web', 7)));
const get = { method: 'GET' as const, path: '/version', headers: {} };

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setTimeout(resolve, 2));
}

test('200 reads share connections: one after the other few, at once at most the bound', async () => {
  const server = await serve(answerJson);
  const { client } = connect({ server: server.url });
  for (let index = 0; index < 200; index++) await client.get(deployments, 'shop', 'web');
  expect(server.opened()).toBeLessThanOrEqual(2);
  await Promise.all(Array.from({ length: 200 }, () => client.get(deployments, 'shop', 'web')));
  expect(server.opened()).toBeLessThanOrEqual(34);
});

test('requests carry the bearer token, the program and their own headers, below the path of the server', async () => {
  const seen: http.IncomingMessage[] = [];
  const server = await serve((request, response) => {
    seen.push(request);
    answerJson(request, response);
  });
  const { client } = connect({ server: `${server.url}/k8s/clusters/c-1/` }, { token: 'secret-token' });
  await client.mergePatch(deployments, 'shop', 'web', {});
  expect(seen[0]!.url).toBe(
    '/k8s/clusters/c-1/apis/apps/v1/namespaces/shop/deployments/web?fieldManager=serin',
  );
  expect(seen[0]!.headers).toMatchObject({
    authorization: 'Bearer secret-token',
    'user-agent': 'serin/1.2.3',
    'content-type': 'application/merge-patch+json',
  });
  expect(seen[0]!.httpVersion).toBe('1.1');
});

test('a server that offers HTTP/2 is spoken to in HTTP/1.1, so that watches and calls do not share a fate', async () => {
  const tls = {
    key: readFileSync(file('server.key')),
    cert: readFileSync(file('server.crt')),
    allowHTTP1: true,
  };
  const versions: string[] = [];
  const server = http2.createSecureServer(tls, (request, response) => {
    versions.push(request.httpVersion);
    response.end('{}');
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => new Promise(resolve => server.close(resolve)));
  const { client } = connect({ server: `https://127.0.0.1:${(server.address() as AddressInfo).port}` });
  await client.request('GET', '/version');
  expect(versions).toEqual(['1.1']);
});

test('a server that the authority did not sign for is refused, unless verification is switched off', async () => {
  const server = await serve(answerJson);
  const strict = connect({ server: server.url, 'certificate-authority': 'alice.crt' });
  await expect(strict.client.request('GET', '/version')).rejects.toMatchObject({ kind: 'network' });
  const named = connect({ server: server.url, 'tls-server-name': 'other.test' });
  await expect(named.client.request('GET', '/version')).rejects.toMatchObject({ kind: 'network' });
  const right = connect({ server: server.url, 'tls-server-name': 'kubernetes.test' });
  expect(await right.client.request('GET', '/version')).toMatchObject({ kind: 'Deployment' });
  const careless = connect({
    server: server.url,
    'certificate-authority': undefined,
    'insecure-skip-tls-verify': true,
  });
  expect(await careless.client.request('GET', '/version')).toMatchObject({ kind: 'Deployment' });
});

test('plain HTTP on loopback works', async () => {
  const server = await serve(answerJson, false);
  const { client } = connect({ server: server.url, 'certificate-authority': undefined });
  expect(await client.get(deployments, 'shop', 'web')).toMatchObject({ kind: 'Deployment' });
});

test('a client certificate is shown, and a rotated one is used without a restart', async () => {
  const server = await serve((request, response) => {
    const { subject } = (request.socket as import('node:tls').TLSSocket).getPeerCertificate();
    response.end(JSON.stringify({ name: subject.CN }));
  });
  const copy = (name: string) => {
    file('client.crt', readFileSync(file(`${name}.crt`), 'utf8'));
    file('client.key', readFileSync(file(`${name}.key`), 'utf8'));
  };
  copy('alice');
  const { client } = connect(
    { server: server.url },
    { 'client-certificate': 'client.crt', 'client-key': 'client.key' },
  );
  expect(await client.request('GET', '/me')).toEqual({ name: 'alice' });
  copy('bob');
  let name = '';
  await expect
    .poll(async () => (name = (await client.request('GET', '/me')).name), { timeout: 10_000, interval: 50 })
    .toBe('bob');
  expect(name).toBe('bob');
});

test('a rotated token file is read again when the server refuses the old token', async () => {
  let valid = 'first';
  const server = await serve((request, response) => {
    if (request.headers.authorization !== `Bearer ${valid}`) {
      response.writeHead(401).end(JSON.stringify({ kind: 'Status', reason: 'Unauthorized', message: 'no' }));
    } else answerJson(request, response);
  });
  file('token', 'first\n');
  const { client } = connect({ server: server.url }, { tokenFile: 'token' });
  await client.request('GET', '/version');
  valid = 'second';
  file('token', 'second\n');
  expect(await Promise.all([1, 2, 3].map(() => client.request('GET', '/version')))).toHaveLength(3);
  valid = 'third';
  // Refused again a moment later: the answer is passed on, the file is not read for each request.
  await expect(client.request('GET', '/version')).rejects.toMatchObject({
    kind: 'unauthorized',
    message: 'no',
  });
});

test('an exec plugin is run once for many requests; its failure is an error without its output', async () => {
  let seen: string | undefined;
  const server = await serve((request, response) => {
    seen = request.headers.authorization;
    answerJson(request, response);
  });
  const credential = { kind: 'ExecCredential', status: { token: 'from-plugin' } };
  const script = file('plugin.sh', `echo run >> ${file('runs')}\necho '${JSON.stringify(credential)}'\n`);
  const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'sh', interactiveMode: 'Never' };
  const { client } = connect({ server: server.url }, { exec: { ...exec, args: [script] } });
  await Promise.all(Array.from({ length: 20 }, () => client.request('GET', '/version')));
  expect(seen).toBe('Bearer from-plugin');
  expect(readFileSync(file('runs'), 'utf8')).toBe('run\n');
  const broken = file('broken.sh', 'echo "secret-output {"');
  const failing = connect({ server: server.url }, { exec: { ...exec, args: [broken] } });
  const error = await failing.client.request('GET', '/version').catch((thrown: Error) => thrown);
  expect(error).toMatchObject({ kind: 'unauthorized' });
  expect(error.message).not.toContain('secret-output');
});

/** A proxy that answers CONNECT by a tunnel to one port, whatever host is asked for. */
async function serveProxy(target: number) {
  const asked: string[] = [];
  const proxy = http.createServer();
  const sockets = new Set<net.Socket>();
  proxy.on('connect', (request, socket: net.Socket) => {
    asked.push(`${request.url} ${request.headers['proxy-authorization'] ?? ''}`.trim());
    const upstream = net.connect(target, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    for (const one of [socket, upstream]) {
      sockets.add(one);
      one.on('error', () => {});
    }
  });
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise(resolve => proxy.close(resolve));
  });
  return { asked, port: (proxy.address() as AddressInfo).port };
}

test('HTTPS_PROXY is used, with its credentials, and TLS is verified through it; NO_PROXY is kept', async () => {
  const server = await serve(answerJson);
  const proxy = await serveProxy(server.port);
  const environment = { HTTPS_PROXY: `http://user:pass@127.0.0.1:${proxy.port}`, NO_PROXY: '127.0.0.0/8' };
  const through = connect({ server: 'https://kubernetes.test:6443' }, { token: 't' }, environment);
  expect(await through.client.get(deployments, 'shop', 'web')).toMatchObject({ kind: 'Deployment' });
  const basic = Buffer.from('user:pass').toString('base64');
  expect(proxy.asked).toEqual([`kubernetes.test:6443 Basic ${basic}`]);
  const wrongName = connect({ server: 'https://other.test:6443' }, {}, environment);
  await expect(wrongName.client.request('GET', '/version')).rejects.toMatchObject({ kind: 'network' });
  const asked = proxy.asked.length;
  const direct = connect({ server: server.url }, {}, environment);
  await direct.client.get(deployments, 'shop', 'web');
  expect(proxy.asked).toHaveLength(asked);
});

test('the proxy of the kubeconfig goes before that of the environment', async () => {
  const server = await serve(answerJson);
  const proxy = await serveProxy(server.port);
  const cluster = { server: 'https://kubernetes.test', 'proxy-url': `http://127.0.0.1:${proxy.port}` };
  const { client } = connect(cluster, {}, { HTTPS_PROXY: 'http://127.0.0.1:1' });
  await client.request('GET', '/version');
  expect(proxy.asked).toEqual(['kubernetes.test:443']);
});

test('a proxy that refuses or is not there is a network error', async () => {
  const { client } = connect(
    { server: 'https://kubernetes.test' },
    {},
    { HTTPS_PROXY: 'http://127.0.0.1:1' },
  );
  await expect(client.request('GET', '/version')).rejects.toMatchObject({ kind: 'network' });
});

test('refused and reset connections are network errors that name the cause', async () => {
  const { client } = connect({ server: 'https://127.0.0.1:1' });
  await expect(client.request('GET', '/version')).rejects.toMatchObject({
    kind: 'network',
    message: expect.stringContaining('ECONNREFUSED'),
  });
  const server = await serve(request => request.socket.destroy());
  const cut = connect({ server: server.url });
  await expect(cut.client.create(namespaces, { ...deployment('x', 1) })).rejects.toMatchObject({
    kind: 'network',
  });
});

test('a body beyond the bound is refused, however it is framed', async () => {
  const server = await serve((_, response) => {
    const block = Buffer.alloc(1024 * 1024, 32);
    let blocks = 0;
    const write = (): void => {
      while (blocks++ < 80) {
        if (!response.write(block)) return void response.once('drain', write);
      }
      response.end();
    };
    write();
  });
  const { client } = connect({ server: server.url });
  await expect(client.request('GET', '/version')).rejects.toMatchObject({
    kind: 'server',
    message: expect.stringContaining('67108864'),
  });
});

test('watches stream, keep their own connections and do not starve calls; urgent calls pass a full pool', async () => {
  const waiting: http.ServerResponse[] = [];
  const server = await serve((request, response) => {
    if (request.url!.includes('watch=1')) {
      response.write(`${JSON.stringify({ type: 'ADDED', object: deployment('wéb', 7) })}\n`);
    } else if (request.url!.includes('slow')) waiting.push(response);
    else answerJson(request, response);
  });
  const { client } = connect({ server: server.url });
  const controller = new AbortController();
  const names: string[] = [];
  const watches = Array.from({ length: 50 }, async () => {
    for await (const event of client.watch(deployments, 'shop', '1', { signal: controller.signal })) {
      if (event.type !== 'BOOKMARK') names.push(event.object.metadata.name);
    }
  });
  const ended = Promise.allSettled(watches);
  await until(() => names.length === 50);
  expect(new Set(names)).toEqual(new Set(['wéb']));
  expect(await client.get(deployments, 'shop', 'web')).toMatchObject({ kind: 'Deployment' });
  const slow = Array.from({ length: 32 }, () => client.get(deployments, 'shop', 'slow'));
  await until(() => waiting.length === 32);
  expect(await client.urgent.get(deployments, 'shop', 'web')).toMatchObject({ kind: 'Deployment' });
  for (const response of waiting) response.end(JSON.stringify(deployment('slow', 1)));
  await Promise.all(slow);
  const before = server.connections.size;
  controller.abort();
  for (const result of await ended) expect(result).toMatchObject({ reason: { kind: 'aborted' } });
  await until(() => server.connections.size <= before - 50);
});

test('a watch that is cut on the way, and one that ends, are told apart', async () => {
  const server = await serve((request, response) => {
    response.write(`${JSON.stringify({ type: 'ADDED', object: deployment('web', 7) })}\n`, () => {
      if (request.url!.includes('cut')) request.socket.destroy();
      else response.end();
    });
  });
  const { client } = connect({ server: server.url });
  const { signal } = new AbortController();
  const read = async (labelSelector: string) => {
    let count = 0;
    for await (const _ of client.watch(deployments, 'shop', '1', { signal, labelSelector })) count++;
    return count;
  };
  expect(await read('end')).toBe(1);
  await expect(read('cut')).rejects.toMatchObject({ kind: 'network' });
});

test('a deadline ends a request that hangs, and its connection', async () => {
  const server = await serve(() => {});
  const { transport } = connect({ server: server.url });
  const client = createApiClient(transport, { clock: systemClock, deadlineMs: 50 });
  await expect(client.request('GET', '/version')).rejects.toMatchObject({ kind: 'timeout' });
  await until(() => server.connections.size === 0);
});

test('close cuts what is in flight and refuses what comes after', async () => {
  const server = await serve(() => {});
  const { transport, close } = connect({ server: server.url });
  const call = transport(get).catch((error: unknown) => error);
  await until(() => server.connections.size === 1);
  await close();
  expect(await call).toMatchObject({ name: 'ApiError' });
  await expect(transport(get)).rejects.toMatchObject({ kind: 'aborted' });
});
