/** The real socket: TLS from files that change, plain HTTP on loopback, and a taken address. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterEach, beforeAll, expect, it, vi } from 'vitest';
import { systemClock } from '../clock.ts';
import { scriptServer } from './scriptedServer.ts';
import { createServer, type Server, type ServerOptions } from './server.ts';

const folder = mkdtempSync(join(tmpdir(), 'serin-server-'));
const paths = { certFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') };

beforeAll(() => () => rmSync(folder, { recursive: true }));

function writeCertificate(commonName: string): void {
  const key = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    paths.keyFile,
  ];
  const args = ['req', '-x509', ...key, '-out', paths.certFile, '-subj', `/CN=${commonName}`, '-days', '2'];
  execFileSync('openssl', args, { stdio: 'pipe' });
}

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map(server => server.close()));
});

function create(more: Partial<ServerOptions> = {}) {
  const script = scriptServer();
  const server = createServer({ ...script.options, bindAddress: '127.0.0.1', port: 0, ...more });
  servers.push(server);
  return { server, script };
}

function servedName(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

it('answers on loopback over plain HTTP', async () => {
  const { server } = create();
  const { port } = await server.start();
  const headers = { authorization: 'Bearer alice-token' };
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/canaries`, { headers });
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({ items: [{ name: 'checkout' }] });
  const url = `http://127.0.0.1:${port}/api/v1/namespaces/shop/canaries/checkout/pause`;
  expect((await fetch(url, { method: 'POST', headers })).status).toBe(202);
});

it('serves a new certificate when the files change, and keeps the old one while they are broken', async () => {
  writeCertificate('first');
  const clock = {
    ...systemClock,
    sleep: (_ms: number, signal?: AbortSignal) => systemClock.sleep(5, signal),
  };
  const { server, script } = create({ tls: paths, clock });
  const { port } = await server.start();
  expect(await servedName(port)).toBe('first');
  writeFileSync(paths.certFile, 'half written');
  await vi.waitFor(() => expect(script.logged.join()).toContain('cannot be used'), { timeout: 10_000 });
  expect(await servedName(port)).toBe('first');
  writeCertificate('second');
  await vi.waitFor(async () => expect(await servedName(port)).toBe('second'), { timeout: 10_000 });
});

it('does not start with files that it cannot use, or on an address that is taken', async () => {
  writeCertificate('first');
  writeFileSync(paths.keyFile, 'no key');
  await expect(create({ tls: paths }).server.start()).rejects.toThrow();
  const { port } = await create().server.start();
  await expect(create({ port }).server.start()).rejects.toThrow('EADDRINUSE');
});
