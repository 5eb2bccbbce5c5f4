/** Redis over TLS by an authority of its own: trusted with its certificate and not without; files that are of no use. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { systemClock } from '../clock.ts';
import { redisAuthorities } from '../redisAuthorities.ts';
import { openRedisLink } from './schedulerRedis.ts';

const folder = mkdtempSync(join(tmpdir(), 'serin-redis-tls-'));
const file = (name: string) => join(folder, name);
const cleanups: (() => void)[] = [];

beforeAll(() => {
  for (const name of ['own', 'other']) {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const files = ['-keyout', file(`${name}.key`), '-out', file(`${name}.crt`)];
    const more = ['-subj', `/CN=${name}`, '-days', '2', '-addext', 'subjectAltName=IP:127.0.0.1'];
    execFileSync('openssl', ['req', '-x509', ...key, ...files, ...more], { stdio: 'pipe' });
  }
  return () => rmSync(folder, { recursive: true });
});
afterEach(() => cleanups.splice(0).forEach(cleanup => cleanup()));

/** Answers each command as an idle Redis does, as far as connecting needs it. */
async function startListener(): Promise<string> {
  const options = { key: readFileSync(file('own.key')), cert: readFileSync(file('own.crt')) };
  const server = tls.createServer(options, socket => {
    socket.on('error', () => {});
    socket.on('data', data => {
      for (const command of data.toString().split(/^(?=\*\d+\r\n)/m))
        socket.write(/\r\ninfo\r\n/i.test(command) ? '$9\r\nloading:0\r\n' : '+OK\r\n');
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  return `rediss://:hunter2@127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function open(redisUrl: string, redisCa?: string) {
  const logged: string[] = [];
  const line = (fields: object) => void logged.push(JSON.stringify(fields));
  const log = { info: line, warn: line, error: line };
  const link = openRedisLink({ redisUrl, redisCa, clock: systemClock, log, onHeartbeat: () => {} });
  cleanups.push(() => link.disconnect());
  return { link, logged };
}

test('is reached when the file holds its authority, by both connections', async () => {
  const { link, logged } = open(await startListener(), await redisAuthorities(file('own.crt')));
  await vi.waitFor(() => expect([link.isAlive(), link.consumer.status]).toEqual([true, 'ready']));
  // BullMQ makes its blocking connection of this one.
  expect(link.consumer.duplicate({ lazyConnect: true }).options.tls?.ca).toContain('BEGIN CERTIFICATE');
  expect(logged).toEqual([]);
});

test.each(['without the flag', 'by another authority'])('is not trusted %s', async how => {
  const ca = how === 'without the flag' ? undefined : await redisAuthorities(file('other.crt'));
  const { link, logged } = open(await startListener(), ca);
  await vi.waitFor(() => expect(logged.join()).toMatch(/self-signed|DEPTH_ZERO|unable to verify/));
  expect(link.isAlive()).toBe(false);
  expect(logged.join()).not.toContain('hunter2');
});

test('a file that is not there or holds no certificate is one line that names flag and file', async () => {
  writeFileSync(file('empty.crt'), 'nothing');
  await expect(redisAuthorities(file('none.crt'))).rejects.toThrow(
    `--redis-ca-file: ${file('none.crt')} cannot be read (ENOENT)`,
  );
  await expect(redisAuthorities(file('empty.crt'))).rejects.toThrow(
    `--redis-ca-file: expected PEM certificates in ${file('empty.crt')}`,
  );
});
