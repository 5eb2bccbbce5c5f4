import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { playMany, playThreshold } from '../../simulator/judging/play.ts';
import { constantWorld, type World } from '../../simulator/judging/streams.ts';
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts';
import { userBoundOf } from './comparisons.ts';
import {
  GUARD_DEFAULTS,
  guardCheckpoint,
  type GuardState,
  guardTick,
  type GuardVerdict,
  logGuardEvidenceOf,
  startGuard,
} from './guard.ts';
import { guardEvidenceOf } from './record.ts';
import { pods } from './samples.ts';
import { guardSentenceOf } from './sentence.ts';

const BOUND = { metric: 'request-success-rate' as const, share: 0.01 };
const CPU_MS = 120_000;

type Tick = readonly [canaryOk: number, canaryFailed: number, primaryOk: number, primaryFailed: number];

/** Evaluations 2 s apart, each with so many more requests. */
function evaluated(ticks: readonly Tick[], each: (state: GuardState) => GuardState = state => state) {
  let state = startGuard({ runId: 'r', bounds: [BOUND] });
  const totals = [0, 0, 5_000, 9];
  const verdicts: GuardVerdict[] = [];
  ticks.forEach((tick, index) => {
    if (index === 0) state = look(state, 0, totals).state;
    tick.forEach((count, which) => {
      totals[which] = (totals[which] ?? 0) + count;
    });
    const judged = look(state, (index + 1) * 2_000, totals);
    verdicts.push(judged.verdict);
    state = each(judged.state);
  });
  return { state, verdicts };
}

function look(
  state: GuardState,
  atMs: number,
  [cOk = 0, cFailed = 0, pOk = 0, pFailed = 0]: readonly number[],
) {
  const reading = {
    atMs,
    canary: pods({ c: { ok: cOk, failed: cFailed } }),
    primary: pods({ p: { ok: pOk, failed: pFailed } }),
  };
  return guardTick(state, GUARD_DEFAULTS, reading);
}

function restored(state: GuardState): GuardState {
  const checkpoint = decodeCheckpoint(encodeCheckpoint({ kind: 'guard', state }), 'r');
  if (checkpoint?.kind !== 'guard') throw new Error('not restored');
  return checkpoint.state;
}

describe('when it rolls back', () => {
  test('an outage at the second fresh evaluation, with at least 10 requests', () => {
    const { verdicts } = evaluated([
      [0, 10, 90, 0],
      [0, 10, 90, 1],
    ]);
    expect(verdicts[0]).toMatchObject({ kind: 'hold', reason: 'TooFresh' });
    expect(verdicts[1]).toMatchObject({ kind: 'rollback', index: 0 });
  });

  test('not before the canary had 10 requests', () => {
    const { verdicts } = evaluated(Array.from({ length: 6 }, () => [0, 2, 90, 0] as const));
    expect(verdicts.findIndex(({ kind }) => kind === 'rollback')).toBe(4);
  });

  test('not when the latest evaluation is within the bound', () => {
    const { verdicts } = evaluated([
      [0, 10, 90, 0],
      [10, 0, 90, 0],
    ]);
    expect(verdicts[1]).toMatchObject({ kind: 'hold', reason: 'Recovered' });
  });

  test('not while the primary is beyond the bound too, and not for it afterwards', () => {
    const incident = Array.from({ length: 5 }, () => [7, 3, 63, 27] as const);
    const afterwards = Array.from(
      { length: 20 },
      (_, index) => [10, index % 9 === 0 ? 1 : 0, 90, 0] as const,
    );
    const { verdicts } = evaluated([...incident, ...afterwards]);
    expect(verdicts.slice(0, 5)).toEqual(
      Array(5).fill(expect.objectContaining({ reason: 'SharedIncident' })),
    );
    expect(verdicts.every(({ kind }) => kind !== 'rollback')).toBe(true);
    const own = evaluated([...incident, ...Array.from({ length: 9 }, () => [0, 10, 90, 0] as const)]);
    expect(own.verdicts.at(-1)?.kind).toBe('rollback');
  });

  test('a canary that fails many times as often does not hide behind two failures of the primary', () => {
    const { verdicts } = evaluated([
      [0, 10, 90, 1],
      [0, 10, 89, 1],
    ]);
    expect(verdicts[1]?.kind).toBe('rollback');
  });

  test('a slow canary, by the next bucket above the bound', () => {
    const uppers = [100, 250, 500, Number.POSITIVE_INFINITY];
    const bound = userBoundOf('request-duration', { max: 300 }, new Map(uppers.map(upper => [upper, 0])));
    expect(bound).toEqual({ metric: 'request-duration', share: 0.01, upperMs: 500 });
    if (!bound) return;
    let state = startGuard({ runId: 'r', bounds: [BOUND, bound] });
    const arm = (total: number, within: number) =>
      pods({
        x: {
          ok: total,
          buckets: uppers.map(upper => [upper, upper === Number.POSITIVE_INFINITY ? total : within] as const),
        },
      });
    const verdicts = [0, 1, 2].map(tick => {
      const judged = guardTick(state, GUARD_DEFAULTS, {
        atMs: tick * 2_000,
        canary: arm(tick * 10, 0),
        primary: arm(tick * 90, tick * 90),
      });
      state = judged.state;
      return judged.verdict;
    });
    expect(verdicts[2]).toMatchObject({ kind: 'rollback', index: 1 });
    const sentence = guardSentenceOf(
      verdicts[2] ?? { kind: 'quiet', reason: 'Stale' },
      guardEvidenceOf(state, GUARD_DEFAULTS),
    );
    expect(sentence).toContain('takes over 500 ms more often than 1 % of requests');
    expect(sentence).toContain('20 of 20 against 0 of 180 of the primary');
  });

  test('bounds that say nothing are none', () => {
    expect(userBoundOf('request-success-rate', { max: 99 }, undefined)).toBeUndefined();
    expect(userBoundOf('request-success-rate', { min: 99 }, undefined)?.share).toBeCloseTo(0.01, 12);
    expect(
      userBoundOf(
        'request-duration',
        { max: 90_000 },
        new Map([
          [500, 0],
          [Number.POSITIVE_INFINITY, 0],
        ]),
      ),
    ).toBeUndefined();
  });
});

describe('between checkpoints', () => {
  const counts = fc.tuple(fc.nat(30), fc.nat(5), fc.nat(300), fc.constant(0));

  test('evidence is the same to the bit however evaluations are grouped, with or without memory', () => {
    fc.assert(
      fc.property(fc.array(counts, { minLength: 1, maxLength: 12 }), fc.nat(), (ticks, at) => {
        const cut = at % ticks.length;
        const often = evaluated(ticks).state;
        const forgetful = evaluated(ticks, restored).state;
        // One look at everything, from the checkpoint alone.
        const totals = ticks.reduce(
          (sum, tick) => sum.map((count, which) => count + (tick[which] ?? 0)),
          [0, 0, 5_000, 9],
        );
        const start = look(startGuard({ runId: 'r', bounds: [BOUND] }), 0, [0, 0, 5_000, 9]).state;
        const once = look(restored(start), ticks.length * 2_000, totals).state;
        expect(logsOf(once)).toEqual(logsOf(often));
        expect(logsOf(forgetful)).toEqual(logsOf(often));
        // A crash in the middle loses nothing either.
        let tick = -1;
        const crashed = evaluated(ticks, state => ((tick += 1) === cut ? restored(state) : state)).state;
        expect(logsOf(crashed)).toEqual(logsOf(often));
      }),
      { numRuns: 200, seed: 5 },
    );
  });

  test('evidence rises with every failure, and is finite', () => {
    fc.assert(
      fc.property(fc.array(counts, { minLength: 1, maxLength: 8 }), ticks => {
        const worse = ticks.map(([ok, failed, ...primary]) => [ok, failed + 1, ...primary] as const);
        const [log = 0] = logsOf(evaluated(ticks).state);
        const [worseLog = 0] = logsOf(evaluated(worse).state);
        expect(log).toSatisfy(Number.isFinite);
        expect(worseLog).toBeGreaterThan(log);
      }),
      { numRuns: 200, seed: 6 },
    );
  });

  test('a checkpoint keeps what was won, and bets anew on what comes', () => {
    const good = Array.from({ length: 400 }, () => [10, 0, 90, 0] as const);
    let tick = 0;
    const { state } = evaluated(good, before =>
      (tick += 1) % 30 === 0 ? guardCheckpoint(before, 10) : before,
    );
    const never = evaluated(good).state;
    const [late = 0] = logsOf(lookAfter(state));
    const [without = 0] = logsOf(lookAfter(never));
    expect(late).toBeGreaterThan(without + 10);
  });

  /** One evaluation of an outage after what has been. */
  function lookAfter(state: GuardState): GuardState {
    const { progress } = state;
    const totals = [4_000, 20, 41_000, 9];
    return look(state, (progress?.atMs ?? 0) + 2_000, totals).state;
  }
});

function logsOf({ guarded, progress }: GuardState): number[] {
  return guarded.map((one, index) => {
    const evidence = progress?.evidence[index];
    if (!progress || !evidence) throw new Error('not begun');
    return logGuardEvidenceOf(one, evidence, progress);
  });
}

describe('on request streams', () => {
  const STEPS = [10, 20, 30, 40, 50];
  const cell = (world: World, runs: number, intervalMs: number, threshold: number, weightsPercent = STEPS) =>
    playMany(runs, 23, random =>
      playThreshold(world, {
        weightsPercent,
        intervalMs,
        threshold,
        successMin: 99,
        guard: { scrapeMs: 2_000 },
        random,
      }),
    );

  test.each([5, 50, 500])(
    'guard.boundary: %d rps exactly on the bound for an hour, within alpha',
    rps => {
      // A threshold that is never reached: whatever is rolled back, the guard did.
      const world = constantWorld(rps, 0.01);
      const { rollbackShare } = cell(world, rps === 500 ? 60 : 150, 720_000, 1_000);
      expect(rollbackShare).toBeLessThanOrEqual(0.01);
    },
    CPU_MS,
  );

  test(
    'guard.outage: a quarter of what the check of 10 s costs, a fiftieth of the check of 60 s',
    () => {
      const world = constantWorld(50, 0.005, 0.995);
      expect(cell(world, 300, 10_000, 2).failures).toBeLessThanOrEqual(150 / 4);
      expect(cell(world, 300, 60_000, 5).failures).toBeLessThanOrEqual(1_791 / 50);
    },
    CPU_MS,
  );

  test(
    "guard.sharedIncident: 30 % for both is not the canary's fault",
    () => {
      const baseRate = (atMs: number) => (atMs >= 60_000 && atMs < 120_000 ? 0.3 : 0.005);
      const incident = { ...constantWorld(50, 0.005), baseRate };
      expect(cell(incident, 200, 60_000, 1_000).rollbackShare).toBeLessThanOrEqual(0.01);
      // Half of 5 rps is 5 requests of the primary in an evaluation: most do not show what is wrong with it.
      const thin = cell({ ...incident, rps: 5 }, 300, 60_000, 1_000, [50, 51, 52, 53]);
      expect(thin.rollbackShare).toBeLessThanOrEqual(0.02);
    },
    CPU_MS,
  );
});
