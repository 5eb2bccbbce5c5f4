/** The adapter against a local receiver that answers what Prometheus, a proxy, or nobody in particular would. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { addressProblem } from './address.ts';
import { describeAnalyzerContract, SECRET, type Situation } from './contract.ts';
import { createPrometheusAnalyzer } from './prometheus.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

const query = { metric: 'm', kind: 'custom' as const, query: 'up', windowMs: 60_000 };
const noPods = { history: '', canary: [], primary: [] };

async function ask(status: number, body: string | undefined, options: object = {}) {
  const address = await new Promise<string>(resolve => {
    server = createServer((_request, response) => {
      if (body === undefined) return;
      response.writeHead(status, { 'content-type': body.startsWith('<') ? 'text/html' : 'application/json' });
      response.end(body);
    });
    const started = server;
    started.listen(0, '127.0.0.1', () =>
      resolve(`http://127.0.0.1:${(started.address() as { port: number }).port}`),
    );
  });
  const analyzer = createPrometheusAnalyzer({
    address,
    timeoutMs: body === undefined ? 200 : 10_000,
    username: 'ann',
    password: 'hunter2',
    ...options,
  });
  const [answer] = await analyzer.measure([query], noPods, new AbortController().signal);
  expect(JSON.stringify(answer)).not.toContain('hunter2');
  return answer;
}

const vector = (...values: string[]) =>
  JSON.stringify({
    status: 'success',
    data: { resultType: 'vector', result: values.map(value => ({ metric: {}, value: [1, value] })) },
  });

test.each([
  ['one series', 200, vector('99.5'), { kind: 'value', value: 99.5 }],
  ['zero is a value', 200, vector('0'), { kind: 'value', value: 0 }],
  ['H7 no series', 200, vector(), { kind: 'noData' }],
  ['NaN', 200, vector('NaN'), { kind: 'noData' }],
  ['infinity', 200, vector('+Inf'), { kind: 'noData' }],
  [
    'H32 many series',
    200,
    vector('1', '2'),
    { kind: 'providerError', message: 'prometheus: expected one series, got 2' },
  ],
  [
    'a scalar',
    200,
    JSON.stringify({ status: 'success', data: { resultType: 'scalar', result: [1, '42'] } }),
    { kind: 'value', value: 42 },
  ],
  ['a page of a proxy', 200, '<html>login</html>', { kind: 'providerError' }],
  ['401', 401, '<html>no</html>', { kind: 'providerError' }],
  [
    'a bad query',
    400,
    JSON.stringify({ status: 'error', errorType: 'bad_data', error: 'parse error' }),
    { kind: 'providerError' },
  ],
  ['503', 503, '{}', { kind: 'providerError' }],
  [
    '200 with an error inside',
    200,
    JSON.stringify({ status: 'error', errorType: 'internal', error: 'x' }),
    { kind: 'providerError' },
  ],
  ['a server that never answers', 200, undefined, { kind: 'providerError' }],
])('%s', async (_name, status, body, expected) => {
  expect(await ask(status, body)).toMatchObject(expected);
});

test('nobody listens', async () => {
  const analyzer = createPrometheusAnalyzer({
    address: 'http://127.0.0.1:1',
    password: 'hunter2',
    username: 'ann',
  });
  const [answer] = await analyzer.measure([query], noPods, new AbortController().signal);
  expect(answer?.kind).toBe('providerError');
});

test('addresses that hand out credentials are not asked', () => {
  expect(addressProblem('http://169.254.169.254/latest')).toBeTruthy();
  expect(addressProblem('file:///etc/passwd')).toBeTruthy();
  expect(addressProblem('http://prometheus.monitoring:9090')).toBeUndefined();
});

const numbers: Record<string, (situation: Situation & { kind: 'traffic' }) => number> = {
  successRate: ({ requests, failures }) => (100 * (requests - failures)) / requests,
  durationMs: () => 199,
};

function playing(situation: Situation) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    switch (situation.kind) {
      case 'traffic': {
        const asked = new URLSearchParams(await text(request)).get('query') ?? '';
        const answer = vector(String(numbers[asked]?.(situation)));
        // The later queries are answered first: their order must not depend on it.
        setTimeout(() => response.end(answer), asked === 'durationMs' ? 30 : 0);
        break;
      }
      case 'noTraffic':
        response.end(vector());
        break;
      case 'page':
        response.writeHead(200, { 'content-type': 'text/html' }).end(`<html>${SECRET}</html>`);
        break;
      case 'forbidden':
        response.writeHead(403, { 'content-type': 'text/plain' }).end(SECRET);
        break;
      case 'redirect':
        if (request.url?.includes(SECRET)) response.end(vector('100'));
        else response.writeHead(307, { location: `/${SECRET}` }).end();
        break;
      case 'silent':
      case 'down':
        break;
      default:
        situation satisfies never;
    }
  };
}

describeAnalyzerContract('prometheus', async (situation, timeoutMs) => {
  const play = playing(situation);
  const played = createServer((request, response) => void play(request, response));
  await new Promise<void>(resolve => played.listen(0, '127.0.0.1', resolve));
  const { port } = played.address() as { port: number };
  const address = `http://127.0.0.1:${situation.kind === 'down' ? 1 : port}`;
  return {
    analyzer: createPrometheusAnalyzer({ address, timeoutMs, username: 'ann', password: SECRET }),
    pods: noPods,
    queryOf: asked => ({ metric: asked, kind: 'custom', query: asked, windowMs: 60_000 }),
    stop: () =>
      new Promise<void>(resolve => {
        played.closeAllConnections();
        played.close(() => resolve());
      }),
  };
});
