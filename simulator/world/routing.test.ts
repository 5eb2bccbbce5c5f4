/** Where a request goes: hosts, quantities, weighted choice and endpoints, without sockets. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backendsOf, pickWeighted, quantity, readyEndpoints, serviceOfHost } from './routing.ts';
import { trafficSplit } from './manifests.ts';
import { sliceOf } from './testserver.ts';

test.each([
  ['web.shop', { name: 'web', namespace: 'shop', port: 80 }],
  ['Web.shop:8080', { name: 'web', namespace: 'shop', port: 8080 }],
  ['web.shop.svc.cluster.local:80', { name: 'web', namespace: 'shop', port: 80 }],
  ['web.shop.svc', { name: 'web', namespace: 'shop', port: 80 }],
  ['web', undefined],
  ['example.com.org', undefined],
  ['', undefined],
])('host %j', (host, expected) => {
  expect(serviceOfHost(host)).toEqual(expected);
});

test.each([
  [50, 50],
  ['50', 50],
  ['500m', 0.5],
  ['1k', 1000],
  ['1e2', 100],
  ['2Ki', 2048],
  ['-1', 0],
  ['half', 0],
])('quantity %j is %j', (value, expected) => {
  expect(quantity(value)).toBeCloseTo(expected, 9);
});

test('weights are read in both versions', () => {
  const split = trafficSplit({ namespace: 'shop', name: 'web', root: 'web', backends: { a: 90, b: 10 } });
  const expected = [
    { service: 'a', weight: 90 },
    { service: 'b', weight: 10 },
  ];
  expect(backendsOf(split)).toEqual(expected);
  split.spec.backends = [
    { service: 'a', weight: '90' },
    { service: 'b', weight: '10000m' },
  ];
  expect(backendsOf(split)).toEqual(expected);
});

test('a backend of weight 0 is never picked, and one above 0 always is where there is one', () => {
  const backends = fc.array(fc.record({ weight: fc.nat({ max: 100 }) }), { maxLength: 5 });
  const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(backends, chance, (from, random) => {
      const picked = pickWeighted(from, random);
      const isEmpty = from.every(backend => backend.weight === 0);
      expect(picked === undefined).toBe(isEmpty);
      if (picked !== undefined) expect(picked.weight).toBeGreaterThan(0);
    }),
  );
});

test('shares follow the weights exactly over an even spread of chances', () => {
  const counts = { a: 0, b: 0, c: 0 };
  const backends = [
    { name: 'a' as const, weight: 70 },
    { name: 'b' as const, weight: 0 },
    { name: 'c' as const, weight: 30 },
  ];
  for (let step = 0; step < 1000; step++) counts[pickWeighted(backends, step / 1000)?.name ?? 'b'] += 1;
  expect(counts).toEqual({ a: 700, b: 0, c: 300 });
});

test('only ready IPv4 endpoints of the named port count; unknown readiness is ready', () => {
  const slice = sliceOf('web', 8080, { '10.0.0.2': true, '10.0.0.1': true, '10.0.0.3': false });
  slice['endpoints'].push({ addresses: ['10.0.0.4'], conditions: {} });
  const six = { ...sliceOf('web', 8080, { '::1': true }), addressType: 'IPv6' };
  expect(readyEndpoints([slice, six], 'http')).toEqual(['10.0.0.1:8080', '10.0.0.2:8080', '10.0.0.4:8080']);
  expect(readyEndpoints([slice], 'admin')).toEqual([]);
});
