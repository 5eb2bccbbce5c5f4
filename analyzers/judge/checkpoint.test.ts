import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRandom } from '../../simulator/api/random.ts';
import { type JudgePlay, playJudge } from '../../simulator/judging/play.ts';
import { constantWorld, ISTIO_BUCKETS, primaryHistory } from '../../simulator/judging/streams.ts';
import { CHECKPOINT_BYTES_MAX, decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts';
import { type JudgeState, judgeTick, startJudge } from './judge.ts';
import { pods, type PodSample } from './samples.ts';
import { JUDGE_DEFAULTS } from './settings.ts';

const STEP = { index: 0, weightPercent: 10, nextWeightPercent: 50 };
const settings = JUDGE_DEFAULTS;

function restored(state: JudgeState): JudgeState {
  const checkpoint = decodeCheckpoint(encodeCheckpoint({ kind: 'judge', state }), state.runId);
  if (checkpoint?.kind !== 'judge') throw new Error('not restored');
  return checkpoint.state;
}

test('state.roundTrip: restored after every tick, the same verdicts come with the same bits', () => {
  const world = {
    ...constantWorld(50, 0.005, 0.004),
    latency: { medianMs: 100, sigma: 0.5, buckets: ISTIO_BUCKETS, slowdown: 1.15, tailShare: 0 },
  };
  for (let seed = 1; seed <= 5; seed += 1) {
    const states: string[][] = [[], []];
    const plays = [0, 1].map(index => {
      const random = createRandom(seed);
      const play: JudgePlay = {
        weightsPercent: [10, 20, 50],
        tickMs: 5_000,
        random,
        settings: { ...settings, deadlineMs: 300_000 },
        history: primaryHistory(world, random),
        each(state) {
          states[index]?.push(encodeCheckpoint({ kind: 'judge', state }));
          return index === 0 ? state : restored(state);
        },
      };
      return playJudge(world, play);
    });
    expect(plays[1]).toEqual(plays[0]);
    expect(states[1]).toEqual(states[0]);
    expect(states[0]?.length).toBeGreaterThan(10);
  }
});

test('any number comes back as the same bits', () => {
  const random = createRandom(1);
  const history = primaryHistory(constantWorld(5, 0.01), random);
  const begun = judgeTick(startJudge({ runId: 'r', settings, history }), settings, {
    reading: { atMs: 1, canary: pods({}), primary: pods({ p: { ok: 3 } }) },
    step: STEP,
  }).state;
  const log = fc.oneof(fc.double({ noNaN: true, max: 1e300 }), fc.constant(Number.NEGATIVE_INFINITY));
  fc.assert(
    fc.property(
      fc.array(log, { minLength: 6, maxLength: 6 }),
      fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
      (logWealth, total) => {
        const evidence = begun.progress?.evidence.map(one => ({
          ...one,
          logWealth: logWealth.map(value => value + 0),
          recent: { total, failures: total / 3 },
        }));
        const state = {
          ...begun,
          progress: begun.progress && { ...begun.progress, evidence: evidence ?? [] },
        };
        const back = restored(state).progress?.evidence[0];
        evidence?.[0]?.logWealth.forEach((value, k) =>
          expect(Object.is(back?.logWealth[k], value)).toBe(true),
        );
        expect(Object.is(back?.recent.failures, total / 3)).toBe(true);
      },
    ),
    { seed: 3 },
  );
});

function begunWith(primary: Record<string, PodSample>): JudgeState {
  const state = startJudge({ runId: 'r', settings, history: { blocks: [], lengthMs: 0 } });
  const reading = { atMs: 1_000, canary: pods({}), primary: pods(primary) };
  return judgeTick(state, settings, { reading, step: STEP }).state;
}

function after(
  state: JudgeState,
  atMs: number,
  canary: Record<string, PodSample>,
  primary: Record<string, PodSample>,
) {
  return judgeTick(state, settings, {
    reading: { atMs, canary: pods(canary), primary: pods(primary) },
    step: STEP,
  });
}

test('after a crash the first tick covers the gap as one long tick', () => {
  const before = begunWith({ p: { ok: 5_000, failed: 10 } });
  const gap = { canary: { c: { ok: 400, failed: 3 } }, primary: { p: { ok: 8_600, failed: 21 } } };
  const alive = after(before, 91_000, gap.canary, gap.primary).state;
  const crashed = after(restored(before), 91_000, gap.canary, gap.primary).state;
  expect(crashed.progress?.evidence).toEqual(alive.progress?.evidence);
  expect(crashed.progress?.evidence[0]?.canary).toEqual({ total: 403, failures: 3 });
  expect(crashed.progress?.evidence[0]?.primary).toEqual({ total: 3_611, failures: 11 });
});

test('in the gap a pod was started anew, or only its series were dropped', () => {
  const before = begunWith({ p: { ok: 5_000 }, q: { ok: 7_000 } });
  const primary = { p: { ok: 5_100 }, q: { ok: 40, startedAt: 60_000 } };
  expect(after(restored(before), 91_000, {}, primary).state.progress?.evidence[0]?.primary.total).toBe(140);
  const dropped = { p: { ok: 5_100 }, q: { ok: 40, startedAt: 500 } };
  expect(after(restored(before), 91_000, {}, dropped).state.progress?.evidence[0]?.primary.total).toBe(100);
});

test('above 64 pods an arm is kept as a whole, and counts on if its pods are the same', () => {
  const many = (ok: number, count = 80) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, { ok }]));
  const before = begunWith(many(1_000));
  const back = restored(before);
  expect(back.progress?.counters.primary.pods.size).toBe(0);
  const next = after(back, 6_000, { c: { ok: 20 } }, many(1_010));
  expect(next.state.progress?.evidence[0]?.primary.total).toBe(800);
  expect(
    after(next.state, 11_000, { c: { ok: 40 } }, many(1_011)).state.progress?.evidence[0]?.primary.total,
  ).toBe(880);
  const other = after(back, 6_000, {}, many(1_010, 79));
  expect(other.state.progress?.evidence[0]?.primary.total).toBe(0);
});

test('the greatest counters of 64 pods an arm with three latency bounds are within the bound', () => {
  const world = {
    ...constantWorld(50, 0.005),
    latency: { medianMs: 100, sigma: 0.5, buckets: ISTIO_BUCKETS, slowdown: 1, tailShare: 0 },
  };
  const history = primaryHistory(world, createRandom(1));
  const most = Number.MAX_SAFE_INTEGER - 1;
  const buckets = [...ISTIO_BUCKETS, Number.POSITIVE_INFINITY].map(
    upper => [upper, upper === Number.POSITIVE_INFINITY ? most : 1] as const,
  );
  const arm = (name: string) =>
    pods(
      Object.fromEntries(
        Array.from({ length: 64 }, (_, index) => [`${name}${index}`, { ok: 1, failed: most, buckets }]),
      ),
    );
  let state = startJudge({ runId: 'x'.repeat(160), settings, history });
  // A minute apart: the primary counts nothing more, and is waited for no longer than that.
  for (const atMs of [1_700_000_000_000, 1_700_000_060_000]) {
    const reading = { atMs, canary: arm('c'), primary: arm('p') };
    state = judgeTick(state, settings, { reading, step: STEP }).state;
  }
  const text = encodeCheckpoint({ kind: 'judge', state });
  expect(text.length).toBeGreaterThan(10_000);
  expect(text.length).toBeLessThanOrEqual(CHECKPOINT_BYTES_MAX);
});

test('a checkpoint of another run, of another version, or of something else is none', () => {
  const text = encodeCheckpoint({ kind: 'judge', state: begunWith({ p: { ok: 1 } }) });
  expect(decodeCheckpoint(text, 'r')?.kind).toBe('judge');
  expect(decodeCheckpoint(text, 'another')).toBeUndefined();
  expect(decodeCheckpoint(text.replace('"version":1', '"version":2'), 'r')).toBeUndefined();
  expect(decodeCheckpoint(text.slice(0, -5), 'r')).toBeUndefined();
  expect(decodeCheckpoint(text.replace('"atMs":1000', '"atMs":"soon"'), 'r')).toBeUndefined();
  fc.assert(
    fc.property(fc.json(), junk => {
      expect(decodeCheckpoint(junk, 'r')).toBeUndefined();
    }),
    { seed: 1 },
  );
});
