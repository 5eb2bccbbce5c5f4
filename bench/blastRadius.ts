/**
 * The blast-radius table: what each rule does to the same worlds, good and bad, with one seed for each cell. It plays and
 * counts; what was asked for stands in the benchmark.
 */
import { informationBound } from '../analyzers/judge/growth.ts';
import { JUDGE_DEFAULTS } from '../analyzers/judge/settings.ts';
import type { Uniform } from '../simulator/judging/draws.ts';
import { type Played, playJudge, playMany, playThreshold, type Summary } from '../simulator/judging/play.ts';
import { constantWorld, ISTIO_BUCKETS, primaryHistory, type World } from '../simulator/judging/streams.ts';

export const BASE_RATE = 0.005;
const WEIGHTS = [10, 20, 30, 40, 50];
const SUCCESS_MIN = 99;
const LATENCY_MAX_MS = 500;
const BOUNDS = [{ metric: 'request-success-rate' as const, share: 1 - SUCCESS_MIN / 100 }];
const LATENCY_BOUNDS = [
  ...BOUNDS,
  { metric: 'request-duration' as const, share: 0.01, upperMs: LATENCY_MAX_MS },
];

export interface Scenario {
  name: string;
  world(rps: number): World;
  /** The canary is as good as the primary: a rollback is a false one. */
  isGood: boolean;
  /** Constant excess, for the information bound. */
  excess?: number;
}

function plain(name: string, excess: number): Scenario {
  return { name, excess, isGood: excess === 0, world: rps => constantWorld(rps, BASE_RATE, excess) };
}

function slowed(name: string, slowdown: number): Scenario {
  const latency = { medianMs: 100, sigma: 0.5, buckets: ISTIO_BUCKETS, slowdown, tailShare: 0 };
  return { name, isGood: slowdown === 1, world: rps => ({ ...constantWorld(rps, BASE_RATE), latency }) };
}

function lateBreak(name: string, excess: number): Scenario {
  const broken = (atMs: number) => (atMs < 150_000 ? 0 : excess);
  return { name, isGood: false, world: rps => ({ ...constantWorld(rps, BASE_RATE), excess: broken }) };
}

function incident(name: string, rate: number, fromMs: number, toMs: number): Scenario {
  const baseRate = (atMs: number) => (atMs >= fromMs && atMs < toMs ? rate : BASE_RATE);
  return { name, isGood: true, world: rps => ({ ...constantWorld(rps, BASE_RATE), baseRate }) };
}

function bursty(name: string, noise: World['noise'], pods: World['pods']): Scenario {
  return { name, isGood: true, world: rps => ({ ...constantWorld(rps, BASE_RATE), noise, pods }) };
}

const FEW_PODS = { canary: 2, primary: 10 };
const EVEN_PODS = { canary: 4, primary: 4 };

export const SCENARIOS: readonly Scenario[] = [
  plain('good', 0),
  plain('+0.5 pp', 0.005),
  plain('+2 pp', 0.02),
  plain('5 %', 0.05 - BASE_RATE),
  plain('20 %', 0.2 - BASE_RATE),
  plain('100 %', 1 - BASE_RATE),
  slowed('good, with latency', 1),
  slowed('latency 1.2x', 1.2),
  slowed('latency 2x', 2),
  lateBreak('+5 pp after 150 s', 0.05),
  lateBreak('100 % after 150 s', 1 - BASE_RATE),
  incident('30 % for both, 120-180 s', 0.3, 120_000, 180_000),
  incident('5 % for both, 60-420 s', 0.05, 60_000, 420_000),
  bursty('bursty: pods differ, ICC .05, 5 s', { kind: 'pods', icc: 0.05, shockMs: 5_000 }, FEW_PODS),
  bursty('bursty: pods differ, ICC .02, 60 s', { kind: 'pods', icc: 0.02, shockMs: 60_000 }, FEW_PODS),
  bursty('bursty: clumps of 3', { kind: 'clumps', mean: 3 }, EVEN_PODS),
];

export const PACES = [5, 50, 500] as const;

export interface Rule {
  name: string;
  play(world: World, random: Uniform): Played;
}

function judged(mode: 'compare' | 'slo'): Rule['play'] {
  return (world, random) =>
    playJudge(world, {
      weightsPercent: WEIGHTS,
      tickMs: 5_000,
      random,
      settings: { ...JUDGE_DEFAULTS, mode },
      history: primaryHistory(world, random),
      bounds: world.latency ? LATENCY_BOUNDS : BOUNDS,
    });
}

function thresholds(intervalMs: number, threshold: number, isGuarded: boolean): Rule['play'] {
  return (world, random) =>
    playThreshold(world, {
      weightsPercent: WEIGHTS,
      intervalMs,
      threshold,
      successMin: SUCCESS_MIN,
      random,
      ...(world.latency ? { latencyMaxMs: LATENCY_MAX_MS } : {}),
      ...(isGuarded ? { guard: { scrapeMs: 2_000, history: primaryHistory(world, random) } } : {}),
    });
}

export const RULES = {
  compare: { name: 'Serin compare', play: judged('compare') },
  slo: { name: 'Serin slo', play: judged('slo') },
  guard10: { name: 'threshold 10 s/2 with guard', play: thresholds(10_000, 2, true) },
  guard60: { name: 'threshold 60 s/5 with guard', play: thresholds(60_000, 5, true) },
  flagger10: { name: 'Flagger 10 s/2', play: thresholds(10_000, 2, false) },
  flagger60: { name: 'Flagger 60 s/5', play: thresholds(60_000, 5, false) },
} as const satisfies Record<string, Rule>;
export type RuleName = keyof typeof RULES;

export interface Cell {
  scenario: Scenario;
  rps: number;
  summaries: Record<RuleName, Summary>;
}

export function cellOf(scenario: Scenario, rps: number, runs: number): Cell {
  const names = Object.keys(RULES) as RuleName[];
  const entries = names.map(name => {
    const summary = playMany(runs, 1_000 + rps, random => RULES[name].play(scenario.world(rps), random));
    return [name, summary] as const;
  });
  return { scenario, rps, summaries: Object.fromEntries(entries) as Record<RuleName, Summary> };
}

/** Markdown: share rolled back / mean seconds until then / failed requests that are the canary's fault, for each rule. */
export function blastRadiusTable(cells: readonly Cell[]): string {
  const names = Object.keys(RULES) as RuleName[];
  const head = ['rps', 'canary', ...names.map(name => RULES[name].name), 'compare: requests to the bound'];
  const rows = cells.map(({ scenario, rps, summaries }) => [
    String(rps),
    scenario.name,
    ...names.map(name => written(summaries[name])),
    ratioOf(scenario, summaries.compare),
  ]);
  const line = (row: readonly string[]) => `| ${row.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function written({ rollbackShare, rollbackSeconds, excessFailures }: Summary): string {
  const seconds = Number.isNaN(rollbackSeconds)
    ? '-'
    : `${rollbackSeconds.toFixed(rollbackSeconds < 10 ? 1 : 0)} s`;
  return `${percent(rollbackShare)} / ${seconds} / ${excessFailures.toFixed(excessFailures < 10 ? 1 : 0)}`;
}

export function percent(share: number): string {
  return `${Number((share * 100).toFixed(share < 0.1 ? 2 : 0))} %`;
}

/** With steps that rise, so that the bound at the first weight is a rough measure only. */
function ratioOf({ excess }: Scenario, { canaryRequests, rollbackShare }: Summary): string {
  if (!excess || rollbackShare < 0.9) return '';
  const bound = informationBound({ rate: BASE_RATE, excess }, JUDGE_DEFAULTS.alpha, 0.1);
  return (canaryRequests / bound).toFixed(1);
}
