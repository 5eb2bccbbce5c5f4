/**
 * What the judge is worth, on played request streams, without a cluster: the blast-radius table with Serin's modes beside
 * Flagger's rule, and what was asked for beside what is reached. Tables take minutes; JUDGE_RUNS_PERCENT=10 is a sketch.
 * Times of rollouts are those of the streams; only the cost of a tick is this machine's, in CPU time.
 */
import { informationBound } from '../../analyzers/judge/growth.ts';
import { GUARD_DEFAULTS, guardTick, startGuard } from '../../analyzers/judge/guard.ts';
import { judgeCounted, judgeTick, startJudge } from '../../analyzers/judge/judge.ts';
import { JUDGE_DEFAULTS } from '../../analyzers/judge/settings.ts';
import type { PodCounters } from '../../analyzers/scrape/counters.ts';
import { createRandom } from '../../simulator/api/random.ts';
import { playMany, playThreshold } from '../../simulator/judging/play.ts';
import {
  constantWorld,
  createStream,
  ISTIO_BUCKETS,
  primaryHistory,
  type World,
} from '../../simulator/judging/streams.ts';
import { failureComparison, trial, trials } from '../../simulator/judging/trial.ts';
import { BASE_RATE, blastRadiusTable, type Cell, cellOf, PACES, percent, SCENARIOS } from '../blastRadius.ts';
import { atMost, type Figure, greatest, noted } from '../figures.ts';

const SCALE = Number(process.env['JUDGE_RUNS_PERCENT'] ?? 100) / 100;
const GOOD_RUNS = 2_000;
const BAD_RUNS = 500;
const GUARD_RUNS = 5_000;
const HOUR_MS = 3_600_000;

function scaled(runs: number): number {
  return Math.max(20, Math.round(runs * SCALE));
}

export async function judge(): Promise<Figure[]> {
  const cells = SCENARIOS.flatMap(scenario =>
    PACES.map(rps => cellOf(scenario, rps, scaled(scenario.isGood ? GOOD_RUNS : BAD_RUNS))),
  );
  console.log(`rolled back / mean time until then / failed requests that are the canary's fault`);
  console.log(`${blastRadiusTable(cells)}\n`);
  return [
    ...falseRollbacks(cells),
    ...outages(cells),
    ...smallRegressions(cells),
    ...efficiency(),
    ...costOfATick(),
  ];
}

function figure(what: string, reached: number, bound: number | undefined, unit: string): Figure {
  return atMost('judge', what, reached, bound, unit);
}

function falseRollbacks(cells: readonly Cell[]): Figure[] {
  const good = cells.filter(({ scenario }) => scenario.isGood);
  const worst = (of: (cell: Cell) => number, among: readonly Cell[]) => greatest(among.map(of)) * 100;
  // In an incident the canary is beyond the threshold like the primary: alpha promises nothing, the guard holds.
  const within = good.filter(({ scenario }) => !scenario.name.includes('for both'));
  const guardRuns = scaled(GUARD_RUNS);
  const isBursty = ({ scenario }: Cell) => scenario.name.startsWith('bursty');
  const guardOf = ({ scenario, rps }: Cell) => guardAlone(scenario.world(rps), 60_000, guardRuns, true);
  const guardInTable = ({ summaries }: Cell) =>
    Math.max(summaries.guard10.guardShare, summaries.guard60.guardShare);
  const incidents = good.filter(({ scenario }) => scenario.name.includes('for both'));
  const flagger = greatest(good.map(({ summaries }) => summaries.flagger10.rollbackShare));
  return [
    figure(
      'false rollbacks of compare, worst cell',
      worst(cell => cell.summaries.compare.rollbackShare, good),
      1,
      '%',
    ),
    figure(
      `false rollbacks of the guard, always within the threshold, worst cell (${guardRuns} runs each)`,
      worst(
        guardOf,
        within.filter(cell => !isBursty(cell)),
      ),
      0.1,
      '%',
    ),
    figure(
      `the same, within the threshold in the mean but bursty, worst cell (${guardRuns} runs each)`,
      worst(guardOf, within.filter(isBursty)),
      0.1,
      '%',
    ),
    figure(
      'rollbacks by the guard in a shared incident, worst cell',
      worst(guardInTable, incidents),
      undefined,
      '%',
    ),
    noted('judge', "false rollbacks of Flagger's rule (10 s, 2), worst cell", percent(flagger)),
    ...PACES.map(rps => {
      const runs = scaled(rps === 500 ? 500 : 2_000);
      const share = guardAlone(constantWorld(rps, 0.01), HOUR_MS / 5, runs, false);
      return figure(
        `guard: ${rps} rps exactly on the threshold for an hour, rolled back (${runs} runs)`,
        share * 100,
        0.1,
        '%',
      );
    }),
    anHourOfLooks(),
  ];
}

/** Without failed checks that count: whatever is rolled back, the guard did. */
function guardAlone(world: World, intervalMs: number, runs: number, hasHistory: boolean): number {
  return playMany(runs, 7, random =>
    playThreshold(world, {
      weightsPercent: [10, 20, 30, 40, 50],
      intervalMs,
      threshold: Number.POSITIVE_INFINITY,
      successMin: 99,
      random,
      guard: { scrapeMs: 2_000, ...(hasHistory ? { history: primaryHistory(world, random) } : {}) },
    }),
  ).guardShare;
}

function anHourOfLooks(): Figure {
  const random = createRandom(11);
  const runs = scaled(2_000);
  const plan = { weight: 0.1, tickMs: 5_000, lengthMs: HOUR_MS, alpha: 0.01, random };
  const { share } = trials(runs, () =>
    trial(constantWorld(50, BASE_RATE), { ...plan, comparison: failureComparison(BASE_RATE) }),
  );
  return figure(`a good canary looked at 720 times, ever at 100:1 (${runs} runs)`, share * 100, 1, '%');
}

function outages(cells: readonly Cell[]): Figure[] {
  const outage = cells.find(({ scenario, rps }) => scenario.name === '100 %' && rps === 50)?.summaries;
  if (!outage) return [];
  const { compare, guard10, guard60, flagger10, flagger60 } = outage;
  return [
    figure('outage, 50 rps at 10 %, compare: time to roll back', compare.rollbackSeconds, 5, 's'),
    figure('the same: failed requests', compare.excessFailures, 25, ''),
    figure(
      `outage, interval 10 s, threshold 2, guard: failed (Flagger: ${flagger10.failures.toFixed(0)})`,
      guard10.failures,
      150 / 4,
      '',
    ),
    figure(
      `outage, interval 60 s, threshold 5, guard: failed (Flagger: ${flagger60.failures.toFixed(0)})`,
      guard60.failures,
      1_791 / 50,
      '',
    ),
    figure(
      'outage with guard: time to roll back, 95 % of the runs',
      guard10.rollbackSecondsP95,
      undefined,
      's',
    ),
  ];
}

function smallRegressions(cells: readonly Cell[]): Figure[] {
  const small = cells.find(({ scenario, rps }) => scenario.name === '+2 pp' && rps === 50)?.summaries.compare;
  if (!small) return [];
  return [
    figure('+2 pp at 50 rps, compare: mean time to roll back', small.rollbackSeconds, 95, 's'),
    figure('the same, 95 % of the runs', small.rollbackSecondsP95, 170, 's'),
  ];
}

function efficiency(): Figure[] {
  const random = createRandom(8);
  return [0.005, 0.01, 0.02].map(excess => {
    const plan = { weight: 0.1, tickMs: 1_000, lengthMs: 4 * HOUR_MS, alpha: 0.01, random };
    const { meanRequests } = trials(scaled(1_000), () =>
      trial(constantWorld(50, BASE_RATE, excess), { ...plan, comparison: failureComparison(BASE_RATE, 0) }),
    );
    const bound = informationBound({ rate: BASE_RATE, excess }, 0.01, 0.1);
    return figure(
      `+${excess * 100} pp: canary requests to the two-sample bound (${bound.toFixed(0)})`,
      meanRequests / bound,
      1.7,
      'x',
    );
  });
}

const TICKS = 20_000;
const STEP = { index: 0, weightPercent: 10, nextWeightPercent: 20 };

/** CPU time, so that a busy machine counts less. */
function cpuMicrosecondsOf(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

function costOfATick(): Figure[] {
  const random = createRandom(3);
  const latency = { medianMs: 100, sigma: 0.5, buckets: ISTIO_BUCKETS, slowdown: 1, tailShare: 0 };
  const world = { ...constantWorld(50, BASE_RATE), latency };
  const settings = { ...JUDGE_DEFAULTS, deadlineMs: Number.POSITIVE_INFINITY };
  const begun = startJudge({ runId: 'bench', settings, history: primaryHistory(world, random) });
  const empty = { atMs: 0, canary: new Map(), primary: new Map() };
  let { state } = judgeTick(begun, settings, { reading: empty, step: STEP });
  const stream = createStream(world, state.boundsMs, random);
  const ticks = Array.from({ length: 1_000 }, (_, tick) =>
    stream.next(tick * 5_000, (tick + 1) * 5_000, 0.1),
  );
  const judged = cpuMicrosecondsOf(() => {
    for (let index = 0; index < TICKS; index += 1) {
      const tick = ticks[index % ticks.length];
      if (!tick || !state.progress) throw new Error('no tick');
      const counted = { counters: state.progress.counters, canary: tick.canary, primary: tick.primary };
      state = judgeCounted(state, settings, { atMs: (index + 1) * 5_000, step: STEP, counted }).state;
    }
  });
  const perMetric = judged / TICKS / state.comparisons.length;
  return [
    figure(
      `one tick and metric, CPU time (${state.comparisons.length} comparisons, ${TICKS} ticks)`,
      perMetric,
      20,
      'us',
    ),
    figure(
      'one tick with the raw counters of 20 pods, failures and three latency bounds',
      rawTick(true),
      undefined,
      'us',
    ),
    figure('one guard tick with the raw counters of 20 pods', rawTick(false), undefined, 'us'),
  ];
}

function rawTick(isJudge: boolean): number {
  const random = createRandom(4);
  const latency = { medianMs: 100, sigma: 0.5, buckets: ISTIO_BUCKETS, slowdown: 1, tailShare: 0 };
  const world = { ...constantWorld(50, BASE_RATE), latency };
  let judgeState = startJudge({
    runId: 'bench',
    settings: JUDGE_DEFAULTS,
    history: primaryHistory(world, random),
  });
  let guardState = startGuard({ runId: 'bench', bounds: [{ metric: 'request-success-rate', share: 0.01 }] });
  const readings = Array.from({ length: 500 }, (_, tick) => ({
    atMs: tick * 5_000,
    canary: armOf('c', 5, tick * 5),
    primary: armOf('p', 15, tick * 15),
  }));
  const cpu = cpuMicrosecondsOf(() => {
    for (const reading of readings) {
      if (isJudge) judgeState = judgeTick(judgeState, JUDGE_DEFAULTS, { reading, step: STEP }).state;
      else guardState = guardTick(guardState, GUARD_DEFAULTS, reading).state;
    }
  });
  return cpu / readings.length;
}

const UPPERS = [...ISTIO_BUCKETS, Number.POSITIVE_INFINITY];

function armOf(name: string, pods: number, count: number): ReadonlyMap<string, PodCounters> {
  const counters: PodCounters = {
    startedAt: undefined,
    requests: new Map([
      ['200', { isFailure: false, count }],
      ['500', { isFailure: true, count: Math.floor(count / 200) }],
    ]),
    durations: new Map([
      ['all', { uppersMs: UPPERS, counts: UPPERS.map(upper => (upper < 100 ? 0 : count)) }],
    ]),
  };
  return new Map(Array.from({ length: pods }, (_, index) => [`${name}-${index}`, counters]));
}
