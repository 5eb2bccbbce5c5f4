/** `npm run demo`, as a person starts it: both releases end as they should, within its time, and the last line says so. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ENDS_WITHIN_MS = 120_000;

test('the demo promotes the good release, rolls the bad one back, and no other request fails', async () => {
  const demo = spawn(process.execPath, [join(import.meta.dirname, '../simulator/demo/main.ts'), '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: ENDS_WITHIN_MS,
  });
  let text = '';
  demo.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const code = await new Promise(resolve => demo.on('close', resolve));
  const lines = text
    .trim()
    .split('\n')
    .map(line => JSON.parse(line));
  const ended = (phase: string) => ({
    phase,
    seconds: expect.any(Number),
    failedRequests: expect.any(Number),
  });
  const { summary } = lines.at(-1);
  expect(summary).toEqual({
    good: ended('Succeeded'),
    bad: ended('Failed'),
    totalRequests: expect.any(Number),
  });
  expect(summary.good.failedRequests).toBe(0);
  expect(summary.bad.failedRequests).toBeGreaterThan(0);
  expect(summary.totalRequests).toBeGreaterThan(100);
  expect(code).toBe(0);
  const weights = lines.filter(line => line.phase === 'Progressing').map(line => line.canaryWeight);
  expect(Math.max(...weights)).toBeGreaterThan(0);
});
