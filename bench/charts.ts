/**
 * Draws the pictures of `docs/judging.md` from played request streams, each from one seed: `npm run charts`. What a picture
 * says is what was played; nothing in them is put there by hand.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reportOf } from '../engine/server/report.ts';
import { rolloutSvg } from '../engine/server/reportChart.ts';
import { CHART_STYLE } from '../engine/server/reportStyle.ts';
import { constantWorld, type World } from '../simulator/judging/streams.ts';
import { storyOf } from '../simulator/judging/story.ts';
import { BASE_RATE, cellOf, SCENARIOS } from './blastRadius.ts';
import { blastRadiusSvg } from './blastRadiusChart.ts';

export const CHARTS_FOLDER = join(import.meta.dirname, '../docs/judging');
const WEIGHTS = [10, 20, 30, 40, 50];
export const RPS = 50;
export const BAD_RUNS = 500;
const GOOD_RUNS = 2_000;

interface Chart {
  file: string;
  title: string;
  world: World;
}

const steady = constantWorld(RPS, BASE_RATE);

/** One rollout each, in `compare` with its defaults, at 50 requests a second of which 0.5 % fail. */
export const ROLLOUTS: readonly Chart[] = [
  { file: 'good.svg', title: 'A good release', world: steady },
  { file: 'bad.svg', title: 'A release that fails 2 pp more', world: constantWorld(RPS, BASE_RATE, 0.02) },
  {
    file: 'late.svg',
    title: 'A release that fails 5 pp more after 150 s',
    world: { ...steady, excess: atMs => (atMs < 150_000 ? 0 : 0.05) },
  },
  {
    file: 'incident.svg',
    title: 'A good release, and a minute in which 30 % of all requests fail on both sides',
    world: { ...steady, baseRate: atMs => (atMs >= 120_000 && atMs < 180_000 ? 0.3 : BASE_RATE) },
  },
];

/** The picture of a report, with its colours, so that it can be shown alone. */
export function rolloutFile({ title, world }: Chart): string {
  const judge = storyOf(world, { weightsPercent: WEIGHTS, tickMs: 5_000, seed: 4 });
  const report = reportOf({
    apiVersion: 'serin.dev/v1beta1',
    kind: 'Canary',
    metadata: { name: 'played', namespace: 'bench' },
    status: { judge },
  }).judge;
  if (!report) throw new Error('a story without a judgement');
  const svg = rolloutSvg({
    points: report.timeline,
    title,
    description: judge.sentence,
    logNeeded: report.logNeeded,
    logShownNeeded: report.logShownNeeded,
    end:
      judge.verdict === 'rollback' ? 'rolled back' : judge.verdict === 'promote' ? 'promoted' : judge.verdict,
    id: 'rollout',
  });
  const [open = '', ...rest] = svg.split('\n');
  const [, width = '', height = ''] = /viewBox="0 0 (\d+) (\d+)"/.exec(open) ?? [];
  const sized = open.replace('<svg ', `<svg width="${width}" height="${height}" `);
  const ground = `<style>${CHART_STYLE}\n.card{fill:var(--card)}</style><rect class="card" width="100%" height="100%" rx="10"/>`;
  return [sized, rest[0], rest[1], ground, ...rest.slice(2), ''].join('\n');
}

function blastRadiusFile(): string {
  const groupOf = (name: string, title: string, runs: number) => {
    const scenario = SCENARIOS.find(one => one.name === name);
    if (!scenario) throw new Error(`no scenario ${name}`);
    return { title, cell: cellOf(scenario, RPS, runs) };
  };
  const bad = [
    groupOf('100 %', 'Every request fails', BAD_RUNS),
    groupOf('20 %', '20 % of its requests fail', BAD_RUNS),
    groupOf('5 %', '5 % of its requests fail', BAD_RUNS),
    groupOf('+2 pp', '2.5 % of its requests fail', BAD_RUNS),
  ];
  const good = [
    groupOf('good', 'As good as the primary: 0.5 % fail', GOOD_RUNS),
    groupOf('5 % for both, 60-420 s', 'The same, while 5 % fail on both sides for 6 minutes', GOOD_RUNS),
  ];
  return blastRadiusSvg(bad, good, 'What bad releases cost under five rules, at 50 requests a second');
}

function main(): void {
  mkdirSync(CHARTS_FOLDER, { recursive: true });
  for (const chart of ROLLOUTS) writeFileSync(join(CHARTS_FOLDER, chart.file), rolloutFile(chart));
  writeFileSync(join(CHARTS_FOLDER, 'blast-radius.svg'), blastRadiusFile());
}

if (import.meta.main) main();
