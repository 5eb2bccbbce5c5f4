/** What a log line shows, and what it must never show. */
import { describe, expect, it } from 'vitest';
import { createLog } from './log.ts';

function capture() {
  const lines: string[] = [];
  const log = createLog('info', { write: line => void lines.push(line) });
  return { log, lines };
}

describe('createLog', () => {
  it('writes one JSON line with level, time, fields and message', () => {
    const { log, lines } = capture();
    log.warn({ canary: 'shop/checkout' }, 'a write failed');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({
      level: 'warn',
      canary: 'shop/checkout',
      msg: 'a write failed',
      time: expect.stringMatching(/^\d{4}-.*Z$/),
    });
  });

  it('leaves out what is below the level', () => {
    const lines: string[] = [];
    createLog('error', { write: line => void lines.push(line) }).info({}, 'quiet');
    expect(lines).toEqual([]);
  });

  it('removes secrets by their name, at any depth', () => {
    const { log, lines } = capture();
    log.error(
      {
        token: 's3cret-1',
        headers: { Authorization: 's3cret-2' },
        receivers: [{ name: 'ops', address: 'https://hooks.example/s3cret-3' }],
        redis: { password: 's3cret-4' },
      },
      'failed',
    );
    expect(lines[0]).not.toContain('s3cret');
    expect(lines[0]).toContain('"name":"ops"');
  });

  it('removes credentials inside of texts and errors', () => {
    const { log, lines } = capture();
    log.error(
      {
        error: new Error('Bearer abcdefgh.s3cret was refused'),
        url: 'redis://user:s3cret@redis:6379',
        at: new URL('http://me:s3cret@prometheus:9090/x'),
      },
      'rejected Bearer abcdefgh.s3cret',
    );
    expect(lines[0]).not.toContain('s3cret');
    expect(lines[0]).toContain('was refused');
    expect(lines[0]).toContain('redis:6379');
  });

  it('survives a cycle', () => {
    const { log, lines } = capture();
    const cycle: Record<string, unknown> = { name: 'a' };
    cycle['self'] = cycle;
    log.info({ cycle }, 'done');
    expect(JSON.parse(lines[0]!).msg).toBe('done');
  });
});
