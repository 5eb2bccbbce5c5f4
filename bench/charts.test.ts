/** The pictures of the guide are what the tree draws: nothing in them is put there by hand, or left from another judge. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cellOf, RULES, type RuleName, SCENARIOS } from './blastRadius.ts';
import { costText } from './blastRadiusChart.ts';
import { BAD_RUNS, CHARTS_FOLDER, ROLLOUTS, rolloutFile, RPS } from './charts.ts';

const drawn = (file: string) => readFileSync(join(CHARTS_FOLDER, file), 'utf8');
const again = 'npm run charts draws it anew';

test.each(ROLLOUTS)('$file is the rollout that is played', chart => {
  expect(drawn(chart.file) === rolloutFile(chart), again).toBe(true);
});

test.each(['100 %', '20 %'])('the blast radius of %s is what is played', name => {
  const scenario = SCENARIOS.find(one => one.name === name)!;
  const cell = cellOf(scenario, RPS, BAD_RUNS);
  const rules = (Object.keys(RULES) as RuleName[]).filter(rule => rule !== 'slo');
  for (const rule of rules)
    expect(drawn('blast-radius.svg'), again).toContain(`>${costText(cell, rule)}</text>`);
});

test('the guide explains a sentence that was played', () => {
  const guide = readFileSync(join(CHARTS_FOLDER, '../judging.md'), 'utf8');
  const [, said = ''] = /Evidence is said as odds\. `([^`]+)`/.exec(guide) ?? [];
  expect(said.length).toBeGreaterThan(40);
  expect(drawn('bad.svg')).toContain(`>${said}. `);
});

test('the guide shows every picture, and names only those that are there', () => {
  const guide = readFileSync(join(CHARTS_FOLDER, '../judging.md'), 'utf8');
  const shown = [...guide.matchAll(/\]\(judging\/([^)]+)\)/g)].map(([, file]) => file);
  expect(new Set(shown)).toEqual(new Set(['blast-radius.svg', ...ROLLOUTS.map(({ file }) => file)]));
});
