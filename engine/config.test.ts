/** Flags: defaults, clear refusals, and no secret in any of them. */
import { expect, test } from 'vitest';
import { parseConfig } from './config.ts';

test('in a cluster it needs no flag', () => {
  const parsed = parseConfig([], { POD_NAMESPACE: 'mesh' });
  expect(parsed).toMatchObject({
    kind: 'config',
    config: { meshProvider: 'linkerd', namespace: [], leaderElectionNamespace: 'mesh', port: 8080 },
  });
});

test('lists, numbers and the environment', () => {
  const parsed = parseConfig(['--namespace', 'a, b', '--drain-seconds', '3'], {
    REDIS_URL: 'redis://r:6379',
  });
  expect(parsed).toMatchObject({
    kind: 'config',
    config: { namespace: ['a', 'b'], drainSeconds: 3, redisUrl: 'redis://r:6379' },
  });
});

test.each([
  [['--drain-seconds', '-1'], '--drain-seconds'],
  [['--port', 'http'], '--port'],
  [['--api-group', 'x'], '--api-group'],
  [['--metrics-server', 'ftp://p'], '--metrics-server'],
  [['--mesh-providr', 'x'], '--mesh-providr'],
  [['--tls-cert-file', 'a'], '--tls-key-file'],
])('%j is one clear line', (args, flag) => {
  const parsed = parseConfig(args, {});
  expect(parsed.kind).toBe('refused');
  if (parsed.kind !== 'refused') return;
  expect(parsed.message).toContain(flag);
  expect(parsed.message.split('\n').length).toBeLessThan(3);
});

test('a password in a refused URL is not repeated', () => {
  const parsed = parseConfig(['--redis-url', 'http://ann:hunter2@r'], {});
  expect(JSON.stringify(parsed)).not.toContain('hunter2');
});

test('--help lists every flag with its default', () => {
  const parsed = parseConfig(['--help'], {});
  expect(parsed.kind === 'help' && parsed.text).toContain('--resync-seconds');
});
