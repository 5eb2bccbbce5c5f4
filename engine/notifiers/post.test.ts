/** The HTTP side of notifications, against real servers on loopback: redirects, large answers, refused addresses. */
import { once } from 'node:events';
import http from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { ADDRESS_REFUSED, createEgress, type Lookup, OPEN_EGRESS } from '../egress.ts';
import { createPost } from './post.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function serve(handler: http.RequestListener): Promise<{ port: number; seen: http.IncomingMessage[] }> {
  const seen: http.IncomingMessage[] = [];
  const server = http.createServer((incoming, outgoing) => {
    seen.push(incoming);
    handler(incoming, outgoing);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => (server.closeAllConnections(), server.close()));
  return { port: (server.address() as AddressInfo).port, seen };
}

function client(lookup?: Lookup, environment = {}) {
  const { post, close } = createPost({ environment, ...(lookup ? { lookup } : {}) });
  closing.push(close);
  return (url: string, proxy?: string) =>
    post({
      url,
      headers: { 'content-type': 'application/json', authorization: 'Bearer t' },
      body: '{}',
      signal: new AbortController().signal,
      ...(proxy ? { proxy } : {}),
    });
}

test('posts, and gives status, body and the wait that was asked for', async () => {
  const { port, seen } = await serve((_, outgoing) => {
    outgoing.writeHead(429, { 'retry-after': '7' }).end('slow down');
  });
  const answer = await client()(`http://127.0.0.1:${port}/hook`);
  expect(answer).toEqual({ status: 429, body: 'slow down', retryAfterMs: 7_000 });
  expect(seen[0]).toMatchObject({ method: 'POST', url: '/hook' });
});

test('a redirect is an answer, not a way', async () => {
  const { port, seen } = await serve((_, outgoing) => {
    outgoing.writeHead(307, { location: '/elsewhere' }).end();
  });
  expect(await client()(`http://127.0.0.1:${port}/`)).toMatchObject({ status: 307 });
  expect(seen).toHaveLength(1);
});

test('of an endless answer 64 KiB are read', async () => {
  let isOpen = true;
  const { port } = await serve((_, outgoing) => {
    outgoing.on('close', () => (isOpen = false));
    const more = () => {
      while (isOpen && outgoing.write('x'.repeat(16_384)));
      if (isOpen) outgoing.once('drain', more);
    };
    more();
  });
  const { body } = await client()(`http://127.0.0.1:${port}/`);
  expect(body.length).toBe(64 * 1024);
  await expect.poll(() => isOpen).toBe(false);
});

describe('addresses that nobody may be sent to', () => {
  test.each([
    ['169.254.169.254', true],
    ['169.255.0.1', false],
    ['fe80::1', true],
    ['fe80::1%eth0', true],
    ['febf::1', true],
    ['fec0::1', false],
    ['::ffff:169.254.1.1', true],
    ['64:ff9b::a9fe:a9fe', true],
    ['fd00:ec2::254', true],
    ['10.0.0.1', false],
    ['127.0.0.1', false],
    ['receiver.test', false],
  ])('%s: %s', (address, expected) => {
    expect(OPEN_EGRESS.problemOf(address) !== undefined).toBe(expected);
  });

  test.each([
    'http://169.254.169.254/latest/meta-data',
    'http://0xa9fea9fe/',
    'http://[fe80::1]/',
    'http://[::ffff:169.254.169.254]/',
    'ftp://receiver.test/',
    'no address',
  ])('%s', async url => {
    await expect(client()(url)).rejects.toMatchObject({ code: ADDRESS_REFUSED });
  });

  test('with a list: nothing else, not by a proxy either; the proxy of the environment need not be on it', async () => {
    const target = await serve((_, outgoing) => void outgoing.end('told'));
    const egress = createEgress(['listed.test']);
    const environment = { HTTP_PROXY: `http://127.0.0.1:${target.port}` };
    const { post, close } = createPost({ environment, egress });
    const send = (url: string, proxy?: string) =>
      post({
        url,
        headers: {},
        body: '{}',
        signal: new AbortController().signal,
        ...(proxy ? { proxy } : {}),
      });
    await expect(send('http://other.test/')).rejects.toMatchObject({ code: ADDRESS_REFUSED });
    await expect(send('http://listed.test/', 'http://other.test:1/')).rejects.toMatchObject({
      code: ADDRESS_REFUSED,
    });
    expect(await send('http://listed.test/')).toMatchObject({ body: 'told' });
    await close();
  });

  test('a name that resolves to one, among others', async () => {
    const lookup: Lookup = (_, options, callback) => {
      if (options.all) {
        const both = ['127.0.0.1', '169.254.169.254'].map(address => ({ address, family: 4 }));
        callback(null, both);
      } else callback(null, '169.254.169.254', 4);
    };
    const url = 'http://rebound.test:1/';
    await expect(client(lookup)(url)).rejects.toMatchObject({ code: ADDRESS_REFUSED });
  });

  test('a proxy', async () => {
    const send = client();
    await expect(send('http://receiver.test/', 'http://169.254.169.254/')).rejects.toMatchObject({
      code: ADDRESS_REFUSED,
    });
  });
});

test('a proxy of the receiver, or of the environment, is used', async () => {
  const tunnels: string[] = [];
  const target = await serve((_, outgoing) => void outgoing.end('through'));
  const tunnel = http.createServer((incoming, outgoing) => {
    tunnels.push(incoming.url ?? '');
    outgoing.end('through');
  });
  tunnel.on('connect', (incoming, socket) => {
    tunnels.push(incoming.url ?? '');
    const upstream = connect(target.port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('error', () => upstream.destroy());
  });
  tunnel.listen(0, '127.0.0.1');
  await once(tunnel, 'listening');
  closing.push(() => (tunnel.closeAllConnections(), tunnel.close()));
  const { port } = tunnel.address() as AddressInfo;
  const at = `http://127.0.0.1:${port}`;
  expect((await client()('http://receiver.test/', at)).body).toBe('through');
  expect((await client(undefined, { HTTP_PROXY: at })('http://receiver.test/')).body).toBe('through');
  expect(tunnels).toHaveLength(2);
  expect(tunnels.every(one => one.includes('receiver.test'))).toBe(true);
});
