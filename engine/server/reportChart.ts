/**
 * One rollout as one picture: weight, success of both arms with their confidence sequences, and evidence in odds, above
 * each other on one time axis. It draws what it is given and judges nothing. Colours are classes; `reportStyle.ts` has them.
 */
import { oddsOf } from '../../analyzers/judge/sentence.ts';
import type { ReportPoint, ReportRate } from './report.ts';
import {
  bandPath,
  clockText,
  escaped,
  linear,
  linePath,
  type Point,
  px,
  type Scale,
  spread,
  ticksBetween,
  timeTicks,
} from './svg.ts';

export interface RolloutChart {
  points: readonly ReportPoint[];
  title: string;
  /** What somebody learns who does not see the picture. */
  description: string;
  logNeeded?: number | undefined;
  /** Absent: nothing has to be shown, and no such line is drawn. */
  logShownNeeded?: number | undefined;
  /** Share of requests that may fail, when the user has set a bound. */
  bound?: number | undefined;
  /** Stands at the end of the time, e.g. `rolled back`. */
  end?: string | undefined;
  /** Makes the ids of this picture its own on a page with several. */
  id: string;
}

const WIDTH = 920;
const [LEFT, RIGHT] = [78, 738];
const WEIGHT = { top: 34, bottom: 94 };
const SUCCESS = { top: 140, bottom: 320 };
const EVIDENCE = { top: 366, bottom: 526 };
const HEIGHT = 572;
/** Lines of text that stand above each other need this. */
const LABEL_GAP = 17;
/** Odds beyond are drawn at the edge: a chart that reaches a million to one has no room for what matters. */
const LOG10_MAX = 4;
/** But what has to be reached is shown, within what anybody asks for. */
const GOAL_LOG10_MAX = 9;
const LOG10_MIN = -2;
/** Power of ten up to which odds are written out beside their line. */
const SHORT_MAX = 5;
/** A rate that is known from less than this says nothing about where the axis should end. */
const KNOWN_REQUESTS = 30;

/** The canary is drawn over the primary. */
const ARMS = ['primary', 'canary'] as const;

type Panel = typeof WEIGHT;

export function rolloutSvg(chart: RolloutChart): string {
  const { points, title, description, id } = chart;
  const lasts = Math.max(1, points.at(-1)?.seconds ?? 1);
  const x = linear([0, lasts], [LEFT, RIGHT]);
  return [
    `<svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="${id}-title ${id}-desc" xmlns="http://www.w3.org/2000/svg">`,
    `<title id="${id}-title">${escaped(title)}</title>`,
    `<desc id="${id}-desc">${escaped(description)}</desc>`,
    timeAxis(lasts, x),
    weightPanel(points, x),
    successPanel(chart, x),
    evidencePanel(chart, x),
    endMark(chart, x(lasts)),
    '</svg>',
  ].join('\n');
}

function timeAxis(lasts: number, x: Scale): string {
  const ticks = timeTicks(lasts).map(seconds => {
    const at = px(x(seconds));
    return `<path class="grid" d="M${at} ${WEIGHT.top}V${EVIDENCE.bottom}"/><text class="tick" x="${at}" y="${EVIDENCE.bottom + 20}" text-anchor="middle">${clockText(seconds)}</text>`;
  });
  const name = `<text class="tick" x="${RIGHT + 24}" y="${EVIDENCE.bottom + 20}">since judging began</text>`;
  return `<g>${ticks.join('')}${name}</g>`;
}

function panel({ top, bottom }: Panel, title: string, ticks: readonly { y: number; text: string }[]): string {
  const lines = ticks.map(
    ({ y, text }) =>
      `<path class="grid" d="M${LEFT} ${px(y)}H${RIGHT}"/><text class="tick" x="${LEFT - 8}" y="${px(y + 4)}" text-anchor="end">${text}</text>`,
  );
  return `<text class="panel" x="${LEFT}" y="${top - 12}">${title}</text>${lines.join('')}<path class="axis" d="M${LEFT} ${bottom}H${RIGHT}"/>`;
}

function weightPanel(points: readonly ReportPoint[], x: Scale): string {
  const most = Math.max(1, ...points.map(point => point.weightPercent));
  const y = linear([0, most], [WEIGHT.bottom, WEIGHT.top]);
  // A point has the weight of the time that ends with it.
  const steps = points.flatMap(({ seconds, weightPercent }, index): Point[] => [
    { x: x(points[index - 1]?.seconds ?? 0), y: y(weightPercent) },
    { x: x(seconds), y: y(weightPercent) },
  ]);
  const ground = steps.map(step => ({ x: step.x, y: WEIGHT.bottom }));
  const ticks = [0, most].map(value => ({ y: y(value), text: `${value} %` }));
  const last = steps.at(-1);
  return [
    panel(WEIGHT, 'Traffic of the canary', ticks),
    `<path class="weight" d="${bandPath(steps, ground)}"/>`,
    `<path class="canary line" d="${linePath(steps)}"/>`,
    last
      ? `<text class="canary label" x="${RIGHT + 12}" y="${px(last.y + 4)}">${points.at(-1)?.weightPercent} %</text>`
      : '',
  ].join('');
}

function successOf({ total, failures }: ReportCounts): number {
  return total > 0 ? Math.min(1, 1 - failures / total) : 1;
}

/** What was counted between each point and the one before. */
function intervalsOf(
  points: readonly ReportPoint[],
  arm: 'canary' | 'primary',
): (ReportCounts & { at: number })[] {
  return points.map((point, index) => {
    const before = points[index - 1];
    return {
      at: (point.seconds + (before?.seconds ?? 0)) / 2,
      total: point[arm].total - (before?.[arm].total ?? 0),
      failures: point[arm].failures - (before?.[arm].failures ?? 0),
    };
  });
}

type ReportCounts = Pick<ReportRate, 'total' | 'failures'>;

/** Ends where the rates that are known by then do, so that small differences can be seen. */
function lowestSuccess(points: readonly ReportPoint[], bound: number | undefined): number {
  const known = points
    .flatMap(({ canary, primary }): ReportCounts[] => [canary, primary])
    .concat(ARMS.flatMap(arm => intervalsOf(points, arm)))
    .filter(({ total }) => total >= KNOWN_REQUESTS)
    .map(successOf);
  const last = points.at(-1);
  const edges = last ? [last.canary, last.primary].map(rate => 1 - rate.high) : [];
  const lowest = Math.min(...known, ...edges, ...(bound === undefined ? [] : [1 - bound]), 0.999);
  return Math.max(0, 1 - (1 - lowest) * 1.15);
}

function successPanel({ points, bound }: RolloutChart, x: Scale): string {
  const low = lowestSuccess(points, bound);
  const y = linear([low, 1], [SUCCESS.bottom, SUCCESS.top]);
  const ticks = ticksBetween(low * 100, 100, 4).map(value => ({ y: y(value / 100), text: `${value} %` }));
  const arms = ARMS.map(arm => {
    const line = points.map(point => ({ x: x(point.seconds), y: y(successOf(point[arm])) }));
    // Before the first request everything is possible.
    const at = (before: number, edge: (rate: ReportRate) => number) => [
      { x: x(0), y: y(before) },
      ...points.map(point => ({ x: x(point.seconds), y: y(1 - edge(point[arm])) })),
    ];
    const band = bandPath(
      at(1, rate => rate.low),
      at(0, rate => rate.high),
    );
    return { arm, line, band };
  });
  const ends = arms.map(({ line }) => line.at(-1)?.y ?? SUCCESS.top);
  const places = spread(ends, LABEL_GAP, [SUCCESS.top, SUCCESS.bottom]);
  return [
    panel(SUCCESS, 'Requests that succeeded: since the beginning, and each interval alone (dots)', ticks),
    ...arms.map(({ arm, band }) => `<path class="${arm} band" d="${band}"/>`),
    boundLine(bound, y),
    ...ARMS.map(arm => intervalDots(points, arm, x, y)),
    ...arms.map(({ arm, line }, index) => {
      const last = points.at(-1)?.[arm];
      const label = last && last.total > 0 ? `${arm} ${percent(successOf(last))}` : `${arm}: no requests`;
      return `<path class="${arm} line" d="${linePath(line)}"/>${dot(arm, line.at(-1))}<text class="${arm} label" x="${RIGHT + 12}" y="${px((places[index] ?? 0) + 4)}">${label}</text>`;
    }),
  ].join('');
}

/** Sums hide when something happened, and that it happened to both. */
function intervalDots(points: readonly ReportPoint[], arm: 'canary' | 'primary', x: Scale, y: Scale): string {
  const dots = intervalsOf(points, arm)
    .filter(({ total }) => total > 0)
    .map(counts => `M${px(x(counts.at))} ${px(y(successOf(counts)))}h0`);
  return `<path class="${arm} each" d="${dots.join('')}"/>`;
}

function boundLine(bound: number | undefined, y: Scale): string {
  if (bound === undefined) return '';
  const at = y(1 - bound);
  return `<path class="bound" d="M${LEFT} ${px(at)}H${RIGHT}"/><text class="tick" x="${LEFT + 6}" y="${px(at + 14)}">at least ${percent(1 - bound)}</text>`;
}

interface EvidenceLine {
  name: 'harm' | 'shown';
  label: string;
  enough: string;
  needed: number;
  logs: readonly number[];
}

function evidenceLines({ points, logNeeded, logShownNeeded }: RolloutChart): EvidenceLine[] {
  const shown: EvidenceLine[] =
    logShownNeeded === undefined
      ? []
      : [
          {
            name: 'shown',
            label: 'good enough',
            enough: 'lets traffic rise',
            needed: logShownNeeded,
            logs: points.map(point => point.logShown),
          },
        ];
  const logs = points.map(point => point.logEvidence);
  const needed = logNeeded ?? Math.log(100);
  return [{ name: 'harm', label: 'worse', enough: 'rolls back', needed, logs }, ...shown];
}

function evidencePanel(chart: RolloutChart, x: Scale): string {
  const lines = evidenceLines(chart);
  const values = lines.flatMap(({ logs, needed }) => [...logs, needed + 1]).map(log => log / Math.LN10);
  const goal = Math.min(GOAL_LOG10_MAX, Math.max(...lines.map(({ needed }) => needed)) / Math.LN10);
  const high = Math.min(
    Math.max(LOG10_MAX, Math.ceil(goal + 0.5)),
    Math.max(1, Math.ceil(Math.max(...values))),
  );
  const low = Math.max(LOG10_MIN, Math.floor(Math.min(-1, ...values)));
  const y = linear([low, high], [EVIDENCE.bottom, EVIDENCE.top]);
  const every = high - low > 6 ? 2 : 1;
  const powers = Array.from({ length: high - low + 1 }, (_, index) => low + index);
  const ticks = powers
    .filter(power => power % every === 0)
    .map(power => ({ y: y(power), text: oddsTick(power) }));
  const drawn = lines.map(line => ({
    ...line,
    at: line.logs.map((log, index) => ({
      x: x(chart.points[index]?.seconds ?? 0),
      y: y(log / Math.LN10),
    })),
    enoughAt: y(line.needed / Math.LN10),
  }));
  // Beside the plot, where no line runs: how each ends, and what it has to reach.
  const labels = drawn.flatMap(({ name, label, logs, at, needed, enough, enoughAt }) => [
    {
      kind: 'label',
      name,
      text: `${label} ${shortOdds(logs.at(-1) ?? 0)}`,
      y: at.at(-1)?.y ?? EVIDENCE.bottom,
    },
    { kind: 'goal', name, text: `${oddsOf(needed)} ${enough}`, y: enoughAt },
  ]);
  const places = spread(
    labels.map(label => label.y),
    LABEL_GAP,
    [EVIDENCE.top, EVIDENCE.bottom],
  );
  return [
    panel(EVIDENCE, 'Evidence about the canary, as odds', ticks),
    ...drawn.map(
      ({ name, enoughAt }) => `<path class="${name} enough" d="M${LEFT} ${px(enoughAt)}H${RIGHT}"/>`,
    ),
    ...drawn.map(
      ({ name, at }) =>
        `<path class="${name} line" d="${pathOf(name, at, chart.points, { x: x(0), y: y(0) })}"/>${dot(name, at.at(-1))}`,
    ),
    ...labels.map(
      ({ kind, name, text }, index) =>
        `<text class="${name} ${kind}" x="${RIGHT + 12}" y="${px((places[index] ?? 0) + 4)}">${text}</text>`,
    ),
  ].join('');
}

/** Both begin at 1:1; what has been shown does so anew with each step. */
function pathOf(
  name: EvidenceLine['name'],
  at: readonly Point[],
  points: readonly ReportPoint[],
  begin: Point,
): string {
  const steps: Point[][] = [];
  for (const [index, point] of at.entries()) {
    const isNew = points[index]?.weightPercent !== points[index - 1]?.weightPercent;
    if (index === 0 || (isNew && name === 'shown'))
      steps.push([{ x: at[index - 1]?.x ?? begin.x, y: begin.y }]);
    steps.at(-1)?.push(point);
  }
  return steps.map(linePath).join('');
}

function dot(name: string, at: Point | undefined): string {
  return at ? `<circle class="${name} dot" cx="${px(at.x)}" cy="${px(at.y)}" r="3.5"/>` : '';
}

function endMark({ end }: RolloutChart, at: number): string {
  if (end === undefined) return '';
  return `<path class="end" d="M${px(at)} ${WEIGHT.top - 8}V${EVIDENCE.bottom}"/><text class="end" x="${px(at)}" y="${WEIGHT.top - 14}" text-anchor="end">${escaped(end)}</text>`;
}

function oddsTick(power: number): string {
  const grouped = (10 ** Math.abs(power)).toString().replace(/\B(?=(\d{3})+$)/g, ',');
  return power < 0 ? `1:${grouped}` : `${grouped}:1`;
}

/** Beside a line there is no room for more. */
function shortOdds(log: number): string {
  if (log > SHORT_MAX * Math.LN10) return `>${oddsTick(SHORT_MAX)}`;
  return oddsOf(log).replace('less than ', '<');
}

function percent(share: number): string {
  const value = share * 100;
  return `${Number(value.toFixed(value > 99 ? 2 : 1))} %`;
}
