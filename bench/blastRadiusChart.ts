/**
 * The blast radius as a picture: what each rule lets a bad release cost, and how many good ones it takes back. It draws
 * cells of the blast-radius table and plays nothing.
 */
import { CHART_STYLE } from '../engine/server/reportStyle.ts';
import { escaped, linear, px, type Scale } from '../engine/server/svg.ts';
import { type Cell, percent, type RuleName } from './blastRadius.ts';

export interface Group {
  title: string;
  cell: Cell;
}

const SHOWN: readonly { rule: RuleName; name: string; colour: 'primary' | 'canary' | 'other' }[] = [
  { rule: 'compare', name: 'Serin: compare', colour: 'primary' },
  { rule: 'guard10', name: 'Serin: 10 s, 2 failed checks, guard', colour: 'canary' },
  { rule: 'guard60', name: 'Serin: 60 s, 5 failed checks, guard', colour: 'canary' },
  { rule: 'flagger10', name: 'Flagger: 10 s, 2 failed checks', colour: 'other' },
  { rule: 'flagger60', name: 'Flagger: 60 s, 5 failed checks', colour: 'other' },
];

const WIDTH = 920;
const [LEFT, RIGHT] = [286, 736];
const ROW = 21;
const TITLE = 38;
const PANEL = 30;
const FAILED_MAX = 10_000;

/** @param bad releases that are to be rolled back @param good releases that are not */
export function blastRadiusSvg(bad: readonly Group[], good: readonly Group[], title: string): string {
  const failed = (value: number) => linear([0, 4], [LEFT, RIGHT])(Math.log10(Math.max(1, value)));
  const share = linear([0, 1], [LEFT, RIGHT]);
  const top = 34;
  const first = groupsOf(bad, top, failed, costOf, costText);
  const second = first.bottom + PANEL + 40;
  const last = groupsOf(
    good,
    second,
    share,
    falseOf,
    (cell, rule) => `${percent(falseOf(cell, rule))} rolled back`,
  );
  const height = last.bottom + 12;
  const powers = [1, 10, 100, 1_000, FAILED_MAX];
  return [
    `<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title">`,
    `<title id="title">${escaped(title)}</title>`,
    `<style>${CHART_STYLE}\n${STYLE}</style>`,
    `<rect class="card" width="100%" height="100%" rx="10"/>`,
    `<text class="panel" x="24" y="${top}">Failed requests that are the fault of a bad release, until its traffic is gone</text>`,
    grid(
      powers.map(value => ({ x: failed(value), text: value.toLocaleString('en-US') })),
      top + 18,
      first.bottom,
    ),
    first.drawn,
    `<text class="panel" x="24" y="${second}">Good releases that are rolled back all the same</text>`,
    grid(
      [0, 0.25, 0.5, 0.75, 1].map(value => ({ x: share(value), text: `${value * 100} %` })),
      second + 18,
      last.bottom,
    ),
    last.drawn,
    '</svg>',
    '',
  ].join('\n');
}

const STYLE = `.card{fill:var(--card)}
.chart .other{fill:var(--soft)}
.chart .stem{stroke:var(--line);stroke-width:2;fill:none}
.chart .rule{font-size:12.5px}`;

function grid(ticks: readonly { x: number; text: string }[], top: number, bottom: number): string {
  return ticks
    .map(
      ({ x, text }) =>
        `<path class="grid" d="M${px(x)} ${top + 6}V${bottom}"/><text class="tick" x="${px(x)}" y="${top}" text-anchor="middle">${text}</text>`,
    )
    .join('');
}

function groupsOf(
  groups: readonly Group[],
  top: number,
  x: Scale,
  valueOf: (cell: Cell, rule: RuleName) => number,
  textOf: (cell: Cell, rule: RuleName) => string,
): { drawn: string; bottom: number } {
  let y = top + 24;
  const drawn: string[] = [];
  for (const { title, cell } of groups) {
    y += TITLE - ROW / 2;
    drawn.push(`<text class="label" x="24" y="${y}">${escaped(title)}</text>`);
    for (const { rule, name, colour } of SHOWN) {
      y += ROW;
      const at = px(x(valueOf(cell, rule)));
      drawn.push(
        `<text class="rule" x="36" y="${y}">${escaped(name)}</text>`,
        `<path class="stem" d="M${LEFT} ${y - 4}H${at}"/><circle class="${colour} dot" cx="${at}" cy="${y - 4}" r="5"/>`,
        `<text class="tick" x="${px(Number(at) + 12)}" y="${y}">${escaped(textOf(cell, rule))}</text>`,
      );
    }
    y += 8;
  }
  return { drawn: drawn.join('\n'), bottom: y };
}

function costOf({ summaries }: Cell, rule: RuleName): number {
  return summaries[rule].excessFailures;
}

export function costText({ summaries }: Cell, rule: RuleName): string {
  const { excessFailures, rollbackSeconds, rollbackShare } = summaries[rule];
  const failed = Math.round(excessFailures).toLocaleString('en-US');
  const missed = rollbackShare < 0.995 ? `, ${percent(1 - rollbackShare)} not caught` : '';
  return `${failed} in ${rollbackSeconds.toFixed(0)} s${missed}`;
}

function falseOf({ summaries }: Cell, rule: RuleName): number {
  return summaries[rule].rollbackShare;
}
