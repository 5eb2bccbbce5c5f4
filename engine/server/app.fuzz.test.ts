/** Whatever somebody sends: every endpoint answers, with a sentence, and never with 500. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { VERBS } from '../core/commands.ts';
import { createApp } from './app.ts';
import { connection, scriptServer } from './scriptedServer.ts';

const word = fc.oneof(
  fc.constantFrom(
    'shop',
    'checkout',
    'canaries',
    'history',
    'report',
    'report.html',
    '..',
    '%2e%2e',
    '%00',
    'a'.repeat(300),
    ...VERBS,
  ),
  fc.string({ unit: 'binary', maxLength: 20 }).map(text => encodeURIComponent(text.toWellFormed())),
);
const paths = fc.oneof(
  fc.constantFrom('/', '/api/v1/openapi.json', '/api/v1/canaries'),
  fc.array(word, { maxLength: 7 }).map(words => `/${words.join('/')}`),
  fc.tuple(word, word, word).map(([a, b, c]) => `/api/v1/namespaces/${a}/canaries/${b}/${c}`),
  fc.constantFrom(...VERBS).map(verb => `/api/v1/namespaces/shop/canaries/checkout/${verb}`),
);
const bodies = fc.option(
  fc.oneof(
    fc.json(),
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.record({ revision: fc.jsonValue(), reason: fc.jsonValue() }).map(body => JSON.stringify(body)),
    fc.constant('x'.repeat(20_000)),
  ),
  { nil: undefined },
);
const requests = fc.record({
  path: fc
    .tuple(paths, fc.option(fc.webQueryParameters(), { nil: '' }))
    .map(([path, query]) => path + (query ? `?${query}` : '')),
  method: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'),
  token: fc.constantFrom('alice-token', 'bob-token', 'stolen', '', ' ', 'a b', 'x'.repeat(9_000)),
  type: fc.constantFrom('application/json', 'text/plain', 'application/json; charset=x', ''),
  body: bodies,
});

test('10,000 requests on every endpoint', { timeout: 120_000 }, async () => {
  const server = scriptServer();
  const app = createApp(server.options);
  await fc.assert(
    fc.asyncProperty(requests, async ({ path, method, token, type, body }) => {
      const headers = { ...(token ? { authorization: `Bearer ${token}` } : {}), 'content-type': type };
      const hasBody = body !== undefined && method !== 'GET' && method !== 'HEAD';
      const response = await app.request(
        path,
        { method, headers, ...(hasBody ? { body } : {}) },
        connection('127.0.0.1'),
      );
      const text = await response.text();
      expect([response.status, path]).not.toEqual([500, path]);
      if (response.status >= 400 && method !== 'HEAD' && response.status !== 503)
        expect(JSON.parse(text).error).toMatch(/\S/);
      if (token !== 'alice-token' && token !== 'bob-token' && path.startsWith('/api/'))
        expect(response.status).not.toBe(200);
      // The clock moves on, so that limits on attempts do not answer everything.
      server.advance(1_000);
    }),
    { numRuns: 10_000 },
  );
});
