/** What the pages for users say, compared with what the engine has: metrics, and commands that can be typed. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from './clock.ts';
import { createMetrics } from './telemetry/metrics.ts';

const root = join(import.meta.dirname, '..');
const read = (name: string) => readFileSync(join(root, name), 'utf8');

test('every metric stands in the page on metrics, and no other', async () => {
  const metrics = createMetrics({ clock: systemClock, version: '0', meshProvider: 'linkerd' });
  const text = await metrics.text();
  const exported = [...text.matchAll(/^# TYPE (\S+) /gm)].map(match => match[1]);
  const described = [...read('docs/metrics.md').matchAll(/^\| `(\w+)` \|/gm)].map(match => match[1]);
  expect(new Set(described)).toEqual(new Set(exported));
});

test('nobody is told to start a .ts with the node of the machine, which may be older than ours', () => {
  const pages = ['README.md', 'CONTRIBUTING.md', 'charts/serin/templates/NOTES.txt', 'engine/survey.ts'];
  for (const page of [...pages, ...globSync('docs/*.md', { cwd: root })])
    expect(read(page), page).not.toMatch(/\bnode \S+\.ts/);
});

test('every npm script that a page names is there', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  for (const page of ['README.md', 'CONTRIBUTING.md', ...globSync('docs/**/*.md', { cwd: root })])
    for (const [, name = ''] of read(page).matchAll(/npm run (?:-s )?([a-z][a-z0-9:]*)/g))
      expect(Object.keys(scripts), `${page}: ${name}`).toContain(name);
});
