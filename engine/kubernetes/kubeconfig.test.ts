import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadKubeConfig } from './kubeconfig.ts';

const folder = mkdtempSync(join(tmpdir(), 'serin-kubeconfig-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content?: string): string {
  const path = join(folder, name);
  if (content !== undefined) writeFileSync(path, content);
  return path;
}

test('the kubeconfig: errors are one sentence without content, and several files are merged', () => {
  const secret = 'secret-content';
  const load = (kubeconfig: string, context?: string) => () =>
    loadKubeConfig({ kubeconfig, ...(context ? { context } : {}) });
  expect(load(file('absent'))).toThrow(/absent cannot be used: it does not exist/);
  expect(load(file('garbage', `{"${secret}: [`))).toThrow(/cannot be used: it is not valid$/);
  expect(load(file('empty', '{}'))).toThrow(/no current context|not valid/);
  expect(() => loadKubeConfig({ environment: {} })).toThrow(/give --kubeconfig, set KUBECONFIG/);
  const cluster = { name: 'k', cluster: { server: 'https://one.test' } };
  const context = { name: 'c', context: { cluster: 'k', user: 'u', namespace: 'shop' } };
  const first = file(
    'first',
    JSON.stringify({ clusters: [cluster], contexts: [context], users: [], 'current-context': 'c' }),
  );
  const second = file(
    'second',
    JSON.stringify({
      clusters: [],
      contexts: [],
      users: [{ name: 'u', user: { token: secret } }],
      'current-context': 'x',
    }),
  );
  const merged = loadKubeConfig({ environment: { KUBECONFIG: `${first}:${second}` } });
  expect(merged.user.token).toBe(secret);
  expect(merged.namespace).toBe('shop');
  expect(load(first)).toThrow(/names no known user/);
  expect(load(first, 'other')).toThrow(/no context "other"/);
});
