import { expect, test } from 'vitest';
import { proxyFor } from './proxy.ts';

const proxied = { HTTPS_PROXY: 'http://proxy:3128', HTTP_PROXY: 'http://plain:3128' };

test.each([
  ['https://api.example.com:6443', '', 'http://proxy:3128'],
  ['http://api.example.com', '', 'http://plain:3128'],
  ['https://api.example.com', 'api.example.com', undefined],
  ['https://API.example.com.', 'api.EXAMPLE.com', undefined],
  ['https://api.example.com', 'example.com', undefined],
  ['https://api.example.com', '.example.com', undefined],
  ['https://example.com', '.example.com', 'http://proxy:3128'],
  ['https://api.example.com', 'other, *.example.com', undefined],
  ['https://badexample.com', 'example.com', 'http://proxy:3128'],
  ['https://api.example.com', '*', undefined],
  ['https://api.example.com:6443', 'api.example.com:6443', undefined],
  ['https://api.example.com:6443', 'api.example.com:443', 'http://proxy:3128'],
  ['https://api.example.com', 'api.example.com:443', undefined],
  ['https://10.96.0.1', '10.96.0.0/12', undefined],
  ['https://10.112.0.1', '10.96.0.0/12', 'http://proxy:3128'],
  ['https://10.96.0.1', '10.96.0.1', undefined],
  ['https://110.96.0.1', '10.96.0.1', 'http://proxy:3128'],
  ['https://[fd00::1]:6443', 'fd00::/8', undefined],
  ['https://[fd00::1]:6443', '[fd00:0::1]:6443', undefined],
  ['https://[fd00::1]:6443', '10.0.0.0/8 fe80::/10', 'http://proxy:3128'],
  ['https://api.example.com', 'garbage/99,10.0.0.0/77', 'http://proxy:3128'],
])('%s with NO_PROXY=%s goes by %s', (url, exceptions, expected) => {
  expect(proxyFor(new URL(url), { ...proxied, NO_PROXY: exceptions })).toBe(expected);
});

test('lower case wins, a bare host gets a scheme, nothing set means direct', () => {
  expect(proxyFor(new URL('https://a'), { https_proxy: 'lower:1', HTTPS_PROXY: 'http://upper:2' })).toBe(
    'http://lower:1',
  );
  expect(proxyFor(new URL('https://a'), {})).toBeUndefined();
  expect(proxyFor(new URL('https://a'), { HTTP_PROXY: 'http://plain:3128' })).toBeUndefined();
});
