/** Which hosts may be asked: those of a list, and without one all but the addresses that hand out credentials. */
import { expect, test } from 'vitest';
import { ADDRESS_REFUSED, createEgress, isEgressEntry, type Lookup } from './egress.ts';

test.each([
  ['prometheus.monitoring.svc', true],
  ['*.example.com', true],
  ['10.0.0.0/8', true],
  ['10.1.2.3', true],
  ['fd00::/8', true],
  ['fd00::1', true],
  ['10.0.0.0/33', false],
  ['fd00::/129', false],
  ['10.0.0', false],
  ['10.0.0.0/8/8', false],
  ['https://example.com', false],
  ['example.com:443', false],
  ['example.com/8', false],
  ['*', false],
  ['a.*.com', false],
])('entry %s: %s', (entry, expected) => {
  expect(isEgressEntry(entry)).toBe(expected);
});

const listed = createEgress(['hooks.example.com', '*.svc', '10.0.0.0/8', '169.254.20.10']);

test.each<[string, boolean, boolean]>([
  // host, may be asked, may be asked when somebody else resolves it
  ['hooks.example.com', true, true],
  ['HOOKS.example.com.', true, true],
  ['example.com', true, false],
  ['evil-hooks.example.com', true, false],
  ['prometheus.monitoring.svc', true, true],
  ['svc', true, false],
  ['10.1.2.3', true, true],
  ['11.1.2.3', false, false],
  ['[fd00::1]', false, false],
  ['169.254.20.10', true, true],
  ['169.254.169.254', false, false],
  ['metadata.google.internal', false, false],
])('with a list, %s as it is written: %s, behind a proxy: %s', (host, direct, proxied) => {
  expect(listed.problemOf(host) === undefined).toBe(direct);
  expect(listed.problemOf(host, true) === undefined).toBe(proxied);
});

test('names alone: another name is refused before it is resolved', () => {
  expect(createEgress(['hooks.example.com']).problemOf('example.com')).toContain('--egress-allow');
});

async function resolved(egress: ReturnType<typeof createEgress>, name: string, addresses: string[]) {
  const lookup: Lookup = (_name, _options, callback) =>
    callback(
      null,
      addresses.map(address => ({ address, family: 4 })),
    );
  return new Promise<unknown>(resolve =>
    egress.guarded(lookup)(name, { all: true }, error => resolve(error === null ? 'asked' : error)),
  );
}

test.each<[string, string[], 'asked' | object]>([
  ['hooks.example.com', ['93.184.216.34'], 'asked'],
  ['hooks.example.com', ['93.184.216.34', '169.254.169.254'], { code: ADDRESS_REFUSED }],
  ['other.example.com', ['10.1.2.3'], 'asked'],
  ['other.example.com', ['10.1.2.3', '93.184.216.34'], { code: ADDRESS_REFUSED }],
  ['other.example.com', ['93.184.216.34'], { code: ADDRESS_REFUSED }],
  ['node-local.example.com', ['169.254.20.10'], 'asked'],
])('with a list, %s that resolves to %j', async (name, addresses, expected) => {
  expect(await resolved(listed, name, addresses)).toEqual(
    expected === 'asked' ? expected : expect.objectContaining(expected as object),
  );
});

test('without one: every name but what resolves to a refused address', async () => {
  const open = createEgress([]);
  expect(open.problemOf('anything.example.com', true)).toBeUndefined();
  expect(await resolved(open, 'anything.example.com', ['93.184.216.34'])).toBe('asked');
  expect(await resolved(open, 'anything.example.com', ['169.254.20.10'])).toMatchObject({
    code: ADDRESS_REFUSED,
  });
});
