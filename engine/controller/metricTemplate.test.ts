/** A MetricTemplate against a server on loopback: each field of its provider is used, or refused by its name. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { schemaOf } from '../api/schemaOf.ts';
import { systemClock } from '../clock.ts';
import { ApiError } from '../kubernetes/types.ts';
import { settingsOf } from '../core/settings.ts';
import { decodeCanary } from '../api/decode.ts';
import { createMeasure } from './measure.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function serve(): Promise<{ asked: IncomingHttpHeaders[]; address: string }> {
  const asked: IncomingHttpHeaders[] = [];
  const started = createServer((request, response) => {
    asked.push(request.headers);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ status: 'success', data: { resultType: 'scalar', result: [1, '3'] } }));
  });
  server = started;
  await new Promise<void>(resolve => started.listen(0, '127.0.0.1', resolve));
  return { asked, address: `http://127.0.0.1:${(started.address() as AddressInfo).port}` };
}

const metadata = { name: 'web', namespace: 'shop' };
const decoded = decodeCanary({
  metadata,
  spec: {
    targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
    service: { port: 80 },
    analysis: {
      stepWeight: 10,
      metrics: [{ name: 'errors', templateRef: { name: 'errors' }, thresholdRange: { max: 5 } }],
    },
  },
});
if (!decoded.ok) throw new Error(JSON.stringify(decoded.problems));
const { canary } = decoded;

/** What one check of the template says. */
async function check(provider: object, secret?: Record<string, string> | Error) {
  const spec = { query: 'up', provider: { type: 'prometheus', ...provider } };
  const template = { metadata: { name: 'errors', namespace: 'shop' }, spec };
  const data = Object.fromEntries(
    Object.entries(secret instanceof Error ? {} : (secret ?? {})).map(([key, value]) => [
      key,
      Buffer.from(value).toString('base64'),
    ]),
  );
  const world = {
    clock: systemClock,
    client: {
      async get() {
        if (secret instanceof Error) throw secret;
        return secret ? { data } : undefined;
      },
    },
    stores: { metricTemplates: { get: () => template }, endpointSlices: { all: () => [], find: () => [] } },
  };
  const settings = settingsOf(canary, { drainMs: 0 });
  const names = {
    namespace: 'shop',
    apex: 'web',
    primary: 'web-primary',
    canary: 'web-canary',
    target: 'web',
  };
  const sighting = { canary, names, observation: { settings, status: {}, route: undefined } };
  const measure = createMeasure({
    world: () => world as any,
    analyzer: { provider: 'none', measure: async () => [] },
  });
  const { checks } = await measure(sighting as any, 'canary', new AbortController().signal);
  expect(JSON.stringify(checks)).not.toContain('hunter');
  return checks[0];
}

test('headers are sent', async () => {
  const { asked, address } = await serve();
  expect(await check({ address, headers: { 'X-Scope-OrgID': ['shop'] } })).toMatchObject({ outcome: 'pass' });
  expect(asked[0]?.['x-scope-orgid']).toBe('shop');
});

const basic = `Basic ${Buffer.from('ann:hunter1').toString('base64')}`;

test.each([
  [{ username: 'ann', password: 'hunter1\n' }, basic],
  [{ token: 'hunter2' }, 'Bearer hunter2'],
  [{ token: 'hunter2', username: 'ann', password: 'hunter1' }, 'Bearer hunter2'],
])('credentials of the Secret are sent: %j', async (secret, authorization) => {
  const { asked, address } = await serve();
  expect(await check({ address, secretRef: { name: 's' } }, secret)).toMatchObject({ outcome: 'pass' });
  expect(asked[0]?.authorization).toBe(authorization);
});

test.each<[string, Record<string, string> | Error | undefined, string]>([
  ['may not be read', new ApiError('forbidden', 'User "serin" cannot get secrets'), 'cannot get secrets'],
  ['is not there', undefined, 'Secret shop/s does not exist'],
  ['lacks its keys', { user: 'ann', password: 'hunter1' }, 'has neither token nor username and password'],
])('a Secret that %s is an error, and nothing is asked without it', async (_name, secret, sentence) => {
  const { asked, address } = await serve();
  const answer = await check({ address, secretRef: { name: 's' } }, secret);
  expect(answer).toMatchObject({ outcome: 'error', message: expect.stringContaining(sentence) });
  expect(asked).toEqual([]);
});

test.each([
  [{ region: 'eu-central-1', address: 'http://127.0.0.1:1' }, 'spec.provider.region is not supported yet'],
  [{ type: 'datadog' }, 'spec.provider.type is not supported yet'],
  [{}, 'spec.provider must have an address'],
])('%j is refused by name', async (provider, sentence) => {
  expect(await check(provider)).toMatchObject({ message: expect.stringContaining(sentence) });
});

test('the schema has no field that is neither used nor refused above', () => {
  const { provider } = schemaOf('MetricTemplate').properties!['spec']!.properties!;
  const used = ['type', 'address', 'headers', 'secretRef', 'insecureSkipVerify'];
  expect(Object.keys(provider!.properties!).sort()).toEqual([...used, 'region'].sort());
});
