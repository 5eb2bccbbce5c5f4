/** Reading one pod over a real socket: what is read, and what each failure is called. */
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../engine/clock.ts';
import { BODY_BYTES_MAX, createPodReader, SCRAPES_MAX } from './pods.ts';
import { answering, type ServedPods, servePods } from './servedPods.ts';
import { linkerdSource } from './sources.ts';

let served: ServedPods;
beforeAll(async () => {
  served = await servePods(24);
});
afterAll(() => served.close());
beforeEach(() => {
  for (const pod of served.pods) pod.respond = answering(() => '');
});

/** Long: a slow machine is no fault of a pod. */
function reader(timeoutMs = 20_000) {
  return createPodReader({
    clock: systemClock,
    source: linkerdSource,
    port: served.port,
    path: '/metrics',
    timeoutMs,
  });
}

const line = 'response_total{direction="inbound",classification="success",status_code="200"} 12\n';
const [first] = [() => served.pods[0]!];

test('asks for the text format at the path, over a connection of its own', async () => {
  let asked: unknown;
  first().respond = (request, response) => {
    const { accept, connection, host } = request.headers;
    asked = { url: request.url, method: request.method, accept, connection, host };
    response.end(line);
  };
  const answer = await reader()(first());
  expect(answer).toMatchObject({ ok: true, counters: { startedAt: undefined } });
  expect(answer.ok && [...answer.counters.requests.values()]).toEqual([{ isFailure: false, count: 12 }]);
  expect(asked).toEqual({
    url: '/metrics',
    method: 'GET',
    accept: 'text/plain;version=0.0.4',
    connection: 'close',
    host: `${first().ip}:${served.port}`,
  });
});

test('a body in pieces, cut within a character', async () => {
  const text = Buffer.from(line.replace('200', '200",path="/é€'));
  first().respond = (_request, response) => {
    for (const byte of text) response.write(Buffer.from([byte]));
    response.end();
  };
  const answer = await reader()(first());
  expect(answer.ok && [...answer.counters.requests.values()]).toEqual([{ isFailure: false, count: 12 }]);
});

test('a page without series of interest is an answer', async () => {
  first().respond = answering(() => '# HELP x y\ngo_goroutines 7\n');
  expect(await reader()(first())).toEqual({
    ok: true,
    counters: { startedAt: undefined, requests: new Map(), durations: new Map() },
  });
});

const redirect = (_request: unknown, response: ServerResponse) => {
  response.writeHead(302, { location: `http://${served.pods[1]!.ip}:${served.port}/metrics` }).end();
};

test.each<[string, (request: unknown, response: ServerResponse) => void, string]>([
  ['forbidden', answering(() => 'hunter2', 403) as never, 'HTTP 403, a policy forbids it'],
  ['not found', answering(() => 'hunter2', 404) as never, 'HTTP 404'],
  ['a redirect', redirect, 'HTTP 302'],
  [
    'a page for people',
    answering(() => '<html>hunter2</html>') as never,
    'not the text format of Prometheus: line 1, expected a metric name',
  ],
  [
    'a compressed answer',
    (_request, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end('hunter2'),
    'a compressed answer, which was not asked for',
  ],
  ['silence', () => {}, 'no answer within 0.4 s'],
  ['a body that never ends', (_request, response) => void response.write('a 1\n'), 'no answer within 0.4 s'],
  ['a connection that is cut', (_request, response) => void response.destroy(), 'connection reset'],
  [
    'a body that is cut',
    (_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('a 1\n', () => response.destroy());
    },
    'connection reset',
  ],
])('%s', async (_name, respond, problem) => {
  first().respond = respond;
  const read = problem.startsWith('no answer') ? reader(400) : reader();
  expect(await read(first())).toEqual({ ok: false, problem });
  expect(served.pods[1]!.asked).toBe(0);
});

test('nobody listens', async () => {
  const answer = await reader()({ name: 'gone', ip: '127.7.99.99' });
  expect(answer).toEqual({ ok: false, problem: 'connection refused' });
});

test('an address that hands out credentials is not asked', async () => {
  expect(await reader()({ name: 'x', ip: '169.254.169.254' })).toEqual({
    ok: false,
    problem: 'its address is not asked',
  });
});

test('4 MiB are read, one byte more is not, and the pod is not read to its end', async () => {
  const filler = `# ${'x'.repeat(1_021)}\n`;
  const body = line + filler.repeat(4 * 1_024 - 1) + '#'.repeat(1_024 - line.length);
  first().respond = answering(() => body);
  expect(Buffer.byteLength(body)).toBe(BODY_BYTES_MAX);
  expect((await reader()(first())).ok).toBe(true);
  first().respond = answering(() => `${body}#`);
  expect(await reader()(first())).toEqual({ ok: false, problem: 'an answer longer than 4 MiB' });

  let written = 0;
  let isClosed: (value: unknown) => void;
  const closed = new Promise(resolve => (isClosed = resolve));
  first().respond = (_request, response) => {
    response.on('close', () => isClosed(undefined));
    const write = () => {
      while (!response.destroyed && response.write(filler)) written += filler.length;
    };
    response.on('drain', write);
    write();
  };
  expect(await reader()(first())).toEqual({ ok: false, problem: 'an answer longer than 4 MiB' });
  await closed;
  expect(written).toBeLessThan(64 * 1024 * 1024);
});

test('a body of 4 MiB is read without being held', async () => {
  const filler = `outbound_total{authority="web.shop.svc.cluster.local:80",x="${'y'.repeat(400)}"} 1\n`;
  first().respond = answering(
    () => line + filler.repeat(Math.floor((BODY_BYTES_MAX - 1_000) / filler.length)),
  );
  const answer = await reader()(first());
  expect(answer.ok && answer.counters.requests.size).toBe(1);
});

test('at most 16 at once, in the whole engine; waiting is not part of the deadline', async () => {
  const waiting: (() => void)[] = [];
  let [underWay, busiest] = [0, 0];
  for (const pod of served.pods) {
    pod.respond = (_request, response) => {
      busiest = Math.max(busiest, ++underWay);
      waiting.push(() => {
        underWay--;
        response.end(line);
      });
    };
  }
  const read = reader();
  const answers = Promise.all(served.pods.map(pod => read(pod)));
  for (let answered = 0; answered < served.pods.length; ) {
    await expect.poll(() => waiting.length).toBe(Math.min(SCRAPES_MAX, served.pods.length - answered));
    answered += waiting.length;
    for (const answer of waiting.splice(0)) answer();
  }
  expect((await answers).every(answer => answer.ok)).toBe(true);
  expect(busiest).toBe(SCRAPES_MAX);
});
