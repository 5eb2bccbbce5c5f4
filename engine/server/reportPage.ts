/**
 * A report as one HTML page that needs nothing else: no script, no font, no address is loaded. Every text of a status is
 * escaped; the numbers of each picture stand below it as a table.
 */
import { createHash } from 'node:crypto';
import { oddsOf } from '../../analyzers/judge/sentence.ts';
import type { Report, ReportJudge, ReportPoint, ReportRate } from './report.ts';
import { rolloutSvg } from './reportChart.ts';
import { PAGE_STYLE } from './reportStyle.ts';
import { clockText, escaped } from './svg.ts';

/**
 * Nothing may be loaded, run, framed or sent from this page; its one style is named by its hash. It stands in the page
 * too, for whoever opens it from a file.
 */
export const REPORT_POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(PAGE_STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'`;

export function reportPage(report: Report): string {
  const { namespace, name, judge } = report;
  const headline = headlineOf(report);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escaped(REPORT_POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(`${headline.text}: ${name} in ${namespace}`)}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<main>
<header>
<p class="what"><b>${escaped(name)}</b> in ${escaped(namespace)}${report.target.name ? `, ${escaped(report.target.kind)} ${escaped(report.target.name)}` : ''}</p>
<h1><span class="mark ${headline.mark}" aria-hidden="true"></span>${escaped(headline.text)}</h1>
${leads(report)}
${facts(report)}
</header>
${judge && judge.timeline.length > 0 ? picture(report, judge, headline.end) : ''}
${judge && judge.comparisons.length > 0 ? comparisons(judge) : ''}
${checks(report)}
${transitions(report)}
${history(report)}
<footer>Made by Serin from the status of Canary ${escaped(name)}.</footer>
</main>
</body>
</html>
`;
}

interface Headline {
  text: string;
  mark: 'good' | 'bad' | 'open' | '';
  /** At the end of the picture. */
  end?: string;
}

/** Outcomes are told by their reason where it says more. */
const FAILED: Readonly<Record<string, string>> = {
  Aborted: 'Aborted',
  Reverted: 'Reverted',
  CanaryLost: 'Taken back: the canary was lost',
  DeadlineExceeded: 'Given up: the pods did not become ready',
};

function headlineOf({ rollout, phase, weightPercent, isPaused }: Report): Headline {
  switch (rollout?.outcome) {
    case 'Succeeded':
      return { text: 'Promoted', mark: 'good', end: 'promoted' };
    case 'Failed': {
      const text = FAILED[rollout.reason ?? ''] ?? 'Rolled back';
      return { text, mark: 'bad', end: text === 'Aborted' ? 'aborted' : 'traffic taken away' };
    }
    case 'Superseded':
      return { text: 'Replaced by a newer revision', mark: '', end: 'replaced' };
    case undefined:
      return standing(phase, weightPercent ?? 0, isPaused);
  }
}

/** Of a rollout that goes on, or of one that fell out of the history. */
function standing(phase: Report['phase'], weightPercent: number, isPaused: boolean): Headline {
  const at = `at ${weightPercent} % of the traffic`;
  if (isPaused) return { text: `Paused ${at}`, mark: 'open' };
  switch (phase) {
    case 'Progressing':
    case 'Waiting':
      return { text: `Under way ${at}`, mark: 'open' };
    case 'WaitingPromotion':
      return { text: 'Waits to be promoted', mark: 'open' };
    case 'Promoting':
    case 'Finalising':
      return { text: 'Being promoted', mark: 'open' };
    case 'Failed':
      return { text: 'Rolled back', mark: 'bad' };
    case 'Succeeded':
      return { text: 'Promoted', mark: 'good' };
    case 'Terminating':
      return { text: 'Being given back', mark: '' };
    case 'Initializing':
    case 'Initialized':
    case undefined:
      return { text: 'No rollout yet', mark: '' };
  }
}

/** So much of a sentence tells it from another. */
const TELLING_CHARACTERS = 40;

/** The judge's sentence, which has the numbers; and how the rollout ended, where that is something else. */
function leads({ judge, rollout }: Report): string {
  const [sentence, message] = [judge?.sentence, rollout?.message];
  const isSaid = sentence !== undefined && message?.includes(sentence.slice(0, TELLING_CHARACTERS));
  return [sentence, isSaid ? undefined : message]
    .filter(text => text !== undefined)
    .map((text, index) => `<p class="${index === 0 ? 'lead' : 'note'}">${escaped(text)}</p>`)
    .join('\n');
}

const MODES = {
  threshold: 'its own thresholds',
  compare: 'comparison',
  slo: 'its own bounds',
} as const;

function facts({ rollout, judge }: Report): string {
  const seconds =
    rollout?.endedAt && rollout.startedAt ? secondsBetween(rollout.startedAt, rollout.endedAt) : undefined;
  const judged = judge?.timeline.at(-1)?.seconds;
  const needed = judge?.oddsNeeded === undefined ? '' : `, ${judge.oddsNeeded} rolls back`;
  const rows: [string, string | undefined][] = [
    ['Revision', rollout?.revision],
    ['Started', rollout?.startedAt && timeText(rollout.startedAt, 16)],
    seconds === undefined
      ? ['Judged for', judged === undefined ? undefined : clockText(judged)]
      : ['Took', clockText(seconds)],
    ['Judged by', judge?.mode && MODES[judge.mode]],
    ['Evidence of harm', judge?.odds === undefined ? undefined : `${judge.odds}${needed}`],
    ['Commanded by', rollout?.by],
  ];
  const known = rows.flatMap(([term, value]) =>
    value === undefined || value === '' ? [] : [`<div><dt>${term}</dt><dd>${escaped(value)}</dd></div>`],
  );
  return known.length === 0 ? '' : `<dl class="facts">${known.join('')}</dl>`;
}

function picture(report: Report, judge: ReportJudge, end: string | undefined): string {
  const bound = judge.comparisons.find(
    comparison => comparison.upperMs === undefined && comparison.bound !== undefined,
  )?.bound;
  const svg = rolloutSvg({
    points: judge.timeline,
    title: `Rollout of ${report.rollout?.revision ?? report.name}: traffic, success and evidence over time`,
    description: descriptionOf(judge),
    logNeeded: judge.logNeeded,
    logShownNeeded: judge.logShownNeeded,
    bound,
    end,
    id: 'rollout',
  });
  return `<section>
<h2>How it went</h2>
<div class="card"><div class="wide">${svg}</div></div>
<p class="note">The bands are confidence sequences: a steady rate leaves its band at any time ever in at most 5 % of rollouts, so that they may be looked at whenever one likes. Sums mix what came at different weights; what is judged is compared interval by interval. Odds of 100:1 that it is worse mean that a canary which is good enough would show so much evidence in at most 1 of 100 rollouts.${judge.logShownNeeded === undefined ? '' : ' “Good enough” is the most that was shown since its step began.'}</p>
<details><summary>The numbers of this picture</summary><div class="wide">${numbers(judge)}</div></details>
</section>`;
}

function descriptionOf({ timeline, odds, oddsNeeded }: ReportJudge): string {
  const last = timeline.at(-1);
  if (!last) return '';
  const most = Math.max(...timeline.map(point => point.weightPercent));
  const arms = (['canary', 'primary'] as const).map(
    arm => `the ${arm} failed ${grouped(last[arm].failures)} of ${grouped(last[arm].total)} requests`,
  );
  const evidence =
    odds === undefined
      ? ''
      : ` The evidence of harm is ${odds}${oddsNeeded ? `, and ${oddsNeeded} rolls back` : ''}.`;
  return `In ${clockText(last.seconds)} the canary got up to ${most} % of the traffic. In the end ${arms.join(', ')}.${evidence} All numbers are in the table below.`;
}

function numbers({ timeline, logShownNeeded }: ReportJudge): string {
  const hasShown = logShownNeeded !== undefined;
  const head = [
    'Time',
    'Weight',
    'Canary: failed of all',
    'Failing (95 %)',
    'Primary: failed of all',
    'Failing (95 %)',
    'Worse',
    ...(hasShown ? ['Good enough'] : []),
  ];
  const rows = timeline.map((point: ReportPoint) => [
    clockText(point.seconds),
    `${point.weightPercent} %`,
    countsText(point.canary),
    intervalText(point.canary),
    countsText(point.primary),
    intervalText(point.primary),
    oddsOf(point.logEvidence),
    ...(hasShown ? [oddsOf(point.logShown)] : []),
  ]);
  return table('Sums since judging began, and odds at that time.', head, rows, 'n');
}

function comparisons({ comparisons: compared, mode }: ReportJudge): string {
  const hasShown = mode !== 'threshold' && compared.some(({ logShown }) => logShown !== undefined);
  const head = [
    'Requests that',
    'Canary',
    'Primary',
    'Canary is worse',
    ...(hasShown ? ['Was good enough in this step'] : []),
  ];
  const rows = compared.map(({ upperMs, bound, canary, primary, logEvidence, logShown }) => [
    `${upperMs === undefined ? 'failed' : `took longer than ${upperMs} ms`}${bound === undefined ? '' : `; at most ${percent(bound)} may`}`,
    `${countsText(canary)}\n${intervalText(canary)}`,
    `${countsText(primary)}\n${intervalText(primary)}`,
    oddsOf(logEvidence),
    ...(hasShown ? [logShown === undefined ? '' : oddsOf(logShown)] : []),
  ]);
  return `<section><h2>What was compared</h2><div class="wide">${table('', head, rows)}</div></section>`;
}

function checks({ checks: all }: Report): string {
  if (all.length === 0) return '';
  const outcomes = { pass: 'passed', fail: 'failed', noData: 'no data', error: 'no answer' } as const;
  const rows = all.map(({ metric, outcome, value, min, max, message }) => [
    metric,
    outcomes[outcome],
    value === undefined ? (message ?? '') : String(Number(value.toPrecision(6))),
    [min === undefined ? '' : `at least ${min}`, max === undefined ? '' : `at most ${max}`]
      .filter(Boolean)
      .join(', '),
  ]);
  return `<section><h2>Last checks</h2><div class="wide">${table('', ['Metric', 'Outcome', 'Value', 'Threshold'], rows)}</div></section>`;
}

function transitions({ transitions: all }: Report): string {
  if (all.length === 0) return '';
  const rows = all.map(
    ({ at, severity, reason, message }) =>
      `<tr><td class="soft n">${escaped(timeText(at))}</td><th scope="row"${severity === 'info' ? '' : ` class="${severity}"`}>${escaped(reason)}</th><td>${escaped(message)}</td></tr>`,
  );
  return `<section><h2>What happened</h2><div class="wide"><table><thead><tr><th scope="col">Time</th><th scope="col">What</th><th scope="col">In words</th></tr></thead><tbody>${rows.join('')}</tbody></table></div></section>`;
}

function history({ history: past }: Report): string {
  if (past.length === 0) return '';
  const rows = past.map(({ revision, outcome, reason, startedAt, endedAt, message, by }) => [
    revision,
    outcome === reason ? outcome : `${outcome}: ${reason}`,
    timeText(startedAt),
    clockText(secondsBetween(startedAt, endedAt) ?? 0),
    [message, by === undefined ? undefined : `(${by})`].filter(Boolean).join(' '),
  ]);
  const head = ['Revision', 'Outcome', 'Started', 'Took', 'In words'];
  return `<section><h2>Rollouts so far</h2><div class="wide">${table('', head, rows)}</div></section>`;
}

/** The first cell of a row is its name. */
function table(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
  cell = '',
): string {
  const kind = cell === '' ? '' : ` class="${cell}"`;
  const heads = head.map(text => `<th scope="col"${kind}>${escaped(text)}</th>`).join('');
  const body = rows.map(([name = '', ...cells]) => {
    const others = cells.map(text => `<td${kind}>${lines(text)}</td>`).join('');
    return `<tr><th scope="row"${kind}>${escaped(name)}</th>${others}</tr>`;
  });
  const title = caption === '' ? '' : `<caption>${escaped(caption)}</caption>`;
  return `<table>${title}<thead><tr>${heads}</tr></thead><tbody>${body.join('')}</tbody></table>`;
}

/** What stands below the first line explains it. */
function lines(text: string): string {
  const [first = '', ...more] = text.split('\n').map(escaped);
  return [first, ...more.map(line => `<span class="below">${line}</span>`)].join('');
}

function countsText({ failures, total }: ReportRate): string {
  return `${grouped(failures)} of ${grouped(total)}`;
}

function intervalText({ low, high }: ReportRate): string {
  return `${percent(low)} to ${percent(high)}`;
}

function percent(share: number): string {
  const value = share * 100;
  return `${Number(value.toFixed(value < 0.1 ? 3 : value < 10 ? 2 : 1))} %`;
}

function grouped(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `2026-01-01 00:00:12 UTC`, or fewer characters of it; what is no time is shown as it is. */
function timeText(time: string, characters = 19): string {
  const ms = Date.parse(time);
  if (Number.isNaN(ms)) return time;
  return `${new Date(ms).toISOString().slice(0, characters).replace('T', ' ')} UTC`;
}

function secondsBetween(from: string, to: string): number | undefined {
  const seconds = (Date.parse(to) - Date.parse(from)) / 1_000;
  return seconds >= 0 ? seconds : undefined;
}
