import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PrimaryHistory } from './history.ts';
import { type JudgeState, judgeTick, startJudge, type Step, type Verdict } from './judge.ts';
import { evidenceOf } from './record.ts';
import { pods, type PodSample } from './samples.ts';
import { sentenceOf } from './sentence.ts';
import { JUDGE_DEFAULTS, type JudgeSettings } from './settings.ts';

const NO_HISTORY: PrimaryHistory = { blocks: [], lengthMs: 0 };
const FIRST: Step = { index: 0, weightPercent: 10, nextWeightPercent: 50 };
const LAST: Step = { index: 1, weightPercent: 50, nextWeightPercent: undefined };

/** A rollout of which the test says what each tick of 5 s counts. */
function rollout(overrides: Partial<JudgeSettings> = {}, history = NO_HISTORY) {
  const settings = { ...JUDGE_DEFAULTS, ...overrides };
  const totals = { canary: { ok: 0, failed: 0 }, primary: { ok: 10_000, failed: 20 } };
  let state: JudgeState = startJudge({ runId: 'a', settings, history });
  let atMs = 1_000_000;
  const read = (samples: { canary?: PodSample; primary?: PodSample }, step: Step): Verdict => {
    const reading = {
      atMs,
      canary: samples.canary && pods({ c: samples.canary }),
      primary: samples.primary && pods({ p: samples.primary }),
    };
    const judged = judgeTick(state, settings, { reading, step });
    state = judged.state;
    return judged.verdict;
  };
  read({ canary: { ok: 0, failed: 0 }, primary: totals.primary }, FIRST);
  return {
    state: () => state,
    settings,
    /** Both arms counted so much more. */
    tick(canary: PodSample, primary: PodSample, step = FIRST, tickMs = 5_000): Verdict {
      atMs += tickMs;
      totals.canary = {
        ok: totals.canary.ok + canary.ok,
        failed: totals.canary.failed + (canary.failed ?? 0),
      };
      totals.primary = {
        ok: totals.primary.ok + primary.ok,
        failed: totals.primary.failed + (primary.failed ?? 0),
      };
      return read(totals, step);
    },
    /** Counted, but one arm was not read. */
    stale(canary: PodSample, step = FIRST): Verdict {
      atMs += 5_000;
      totals.canary = {
        ok: totals.canary.ok + canary.ok,
        failed: totals.canary.failed + (canary.failed ?? 0),
      };
      return read({ canary: totals.canary }, step);
    },
    again: (step = FIRST): Verdict => read(totals, step),
  };
}

describe('verdicts', () => {
  test('an outage is rolled back at the first tick', () => {
    expect(rollout().tick({ ok: 0, failed: 25 }, { ok: 225 })).toEqual({
      kind: 'rollback',
      reason: 'Regression',
    });
  });

  test('counters.staleArm: nothing is judged while one side is not read, and nothing is lost', () => {
    const stale = rollout();
    expect(stale.stale({ ok: 0, failed: 25 })).toEqual({ kind: 'hold', reason: 'Stale' });
    expect(stale.tick({ ok: 0 }, { ok: 225 })).toEqual({ kind: 'rollback', reason: 'Regression' });
  });

  test('counters.scrapedInTurn: arms that are never scraped between the same two looks lose no evidence', () => {
    const outage = rollout();
    expect(outage.tick({ ok: 0, failed: 25 }, { ok: 0 }, FIRST, 2_000).kind).toBe('hold');
    expect(outage.tick({ ok: 0 }, { ok: 225 }, FIRST, 3_000).kind).toBe('rollback');
    const [inTurn, atOnce] = [rollout(), rollout()];
    for (let tick = 0; tick < 60; tick += 1) {
      inTurn.tick({ ok: 48, failed: 2 }, { ok: 0 }, FIRST, 2_000);
      inTurn.tick({ ok: 0 }, { ok: 450 }, FIRST, 3_000);
      atOnce.tick({ ok: 48, failed: 2 }, { ok: 450 });
    }
    expect(inTurn.state()).toEqual(atOnce.state());
  });

  test('counters.silentArm: an arm without requests is waited for, but not for ever', () => {
    const silent = rollout();
    for (let tick = 0; tick < 11; tick += 1) silent.tick({ ok: 0, failed: 1 }, { ok: 0 });
    expect(silent.state().progress?.evidence[0]?.canary.total).toBe(0);
    silent.tick({ ok: 0, failed: 1 }, { ok: 0 });
    expect(silent.state().progress?.evidence[0]?.canary.total).toBe(12);
  });

  test('counters.duplicateTimestamp: the same evaluation twice is one reading', () => {
    const twice = rollout();
    twice.tick({ ok: 24, failed: 1 }, { ok: 225 });
    const before = twice.state();
    expect(twice.again()).toEqual({ kind: 'hold', reason: 'NoNewData' });
    expect(twice.state()).toBe(before);
  });

  test('a step passes when enough is shown and it is old enough, the last one promotes', () => {
    const good = rollout();
    const verdicts = Array.from({ length: 40 }, () => good.tick({ ok: 50 }, { ok: 450 }));
    const first = verdicts.findIndex(({ kind }) => kind === 'advance');
    expect(first).toBe(11);
    expect(verdicts[0]).toEqual({ kind: 'hold', reason: 'NotShown' });
    expect(verdicts.slice(0, first)).toContainEqual({ kind: 'hold', reason: 'Dwell' });
    const last = Array.from({ length: 40 }, () => good.tick({ ok: 250 }, { ok: 250 }, LAST));
    expect(last[0]?.kind).toBe('hold');
    expect(last.find(({ kind }) => kind !== 'hold')).toEqual({ kind: 'promote', reason: 'Shown' });
  });

  test('evidence of harm outlives a step, what was shown does not', () => {
    const stepped = rollout();
    for (let tick = 0; tick < 12; tick += 1)
      stepped.tick({ ok: 50, failed: tick % 4 === 0 ? 1 : 0 }, { ok: 450 });
    const before = stepped.state().progress?.evidence[0];
    const second = stepped.tick({ ok: 0 }, { ok: 450 }, LAST);
    const after = stepped.state().progress?.evidence[0];
    expect(second.kind).toBe('hold');
    expect(before?.logShownMost).toBeGreaterThan(1);
    expect(after?.logShownMost).toBe(0);
    expect(after?.canary).toEqual(before?.canary);
  });

  test('no requests at all hold, and are said to be none after five minutes', () => {
    const quiet = rollout();
    const verdicts = Array.from({ length: 60 }, () => quiet.tick({ ok: 0 }, { ok: 450 }));
    expect(verdicts.slice(0, 59).every(({ kind }) => kind === 'hold')).toBe(true);
    expect(verdicts[59]).toEqual({ kind: 'inconclusive', reason: 'NoTraffic', action: 'hold' });
    expect(quiet.state().progress?.evidence[0]?.canary.total).toBe(0);
  });

  test.each(['hold', 'rollback', 'promote'] as const)('at the deadline: %s', onDeadline => {
    const slow = rollout({ deadlineMs: 60_000, onDeadline });
    const verdicts = Array.from({ length: 12 }, () => slow.tick({ ok: 2 }, { ok: 18 }));
    expect(verdicts[10]).toEqual({ kind: 'hold', reason: 'NotShown' });
    expect(verdicts[11]).toEqual({ kind: 'inconclusive', reason: 'Deadline', action: onDeadline });
  });

  test('a canary without weight is not missing traffic', () => {
    const waiting = rollout();
    const step = { index: 0, weightPercent: 0, nextWeightPercent: 10 };
    const verdicts = Array.from({ length: 70 }, () => waiting.tick({ ok: 0 }, { ok: 450 }, step));
    expect(verdicts.every(({ kind }) => kind === 'hold')).toBe(true);
  });
});

describe('whatever is counted', () => {
  const count = fc.oneof(fc.constant(0), fc.nat(40), fc.nat(1_000_000));
  const tick = fc.record({
    c: count,
    cf: count,
    p: count,
    pf: count,
    ms: fc.constantFrom(1, 5_000, 600_000),
  });

  test('evidence is a number, and the first reading that crosses is the one that rolls back', () => {
    fc.assert(
      fc.property(fc.array(tick, { minLength: 1, maxLength: 20 }), fc.boolean(), (ticks, isLast) => {
        const any = rollout();
        for (const { c, cf, p, pf, ms } of ticks) {
          const step = isLast ? LAST : FIRST;
          const verdict = any.tick({ ok: c, failed: cf }, { ok: p, failed: pf }, step, ms);
          const record = evidenceOf(any.state(), any.settings, step);
          expect(record.logEvidence).toSatisfy(Number.isFinite);
          expect(verdict.kind === 'rollback').toBe(record.logEvidence >= record.logNeeded);
          for (const { logShown, logEvidence, canary, primary } of record.comparisons) {
            for (const number of [logShown, logEvidence, ...Object.values(canary), ...Object.values(primary)])
              expect(number).toSatisfy(Number.isFinite);
            expect(canary.low).toBeLessThanOrEqual(canary.high);
          }
          if (verdict.kind === 'advance' || verdict.kind === 'promote')
            expect(record.comparisons.every(one => one.logShown >= record.logShownNeeded)).toBe(true);
        }
      }),
      { numRuns: 300, seed: 8 },
    );
  });

  test('with nothing to compare, nothing rises', () => {
    const settings = { ...JUDGE_DEFAULTS, mode: 'slo' as const, minDwellMs: 0 };
    let state = startJudge({ runId: 'a', settings, history: NO_HISTORY });
    for (const atMs of [1, 100_000]) {
      const reading = { atMs, canary: pods({ c: { ok: atMs } }), primary: pods({ p: { ok: atMs } }) };
      const judged = judgeTick(state, settings, { reading, step: FIRST });
      expect(judged.verdict.kind).toBe('hold');
      state = judged.state;
    }
  });
});

describe('latency', () => {
  const history: PrimaryHistory = {
    blocks: Array.from({ length: 30 }, () =>
      Array.from({ length: 4 }, () => ({
        requests: 3_000,
        failures: 0,
        buckets: new Map([
          [50, 250],
          [100, 1_500],
          [250, 2_900],
          [500, 2_998],
          [Number.POSITIVE_INFINITY, 3_000],
        ]),
      })),
    ),
    lengthMs: 1_800_000,
  };

  test('three bounds near p50, p90 and p99 of the history, and half of the weight', () => {
    const { comparisons, boundsMs } = startJudge({ runId: 'a', settings: JUDGE_DEFAULTS, history });
    expect(boundsMs).toEqual([100, 250, 500]);
    expect(comparisons.map(({ weight }) => weight)).toEqual([0.5, 0.2, 0.175, 0.125]);
    expect(comparisons.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 12);
  });

  test('a slow canary is rolled back, but not for what it did in its first 30 seconds', () => {
    const settings = JUDGE_DEFAULTS;
    const step = FIRST;
    const buckets = (total: number, isSlow: boolean) =>
      [50, 100, 250, 500, Number.POSITIVE_INFINITY].map(
        upper => [upper, upper === Number.POSITIVE_INFINITY || !isSlow ? total : 0] as const,
      );
    const verdictsWith = (canaryReadyAtMs: number | undefined) => {
      let state = startJudge({ runId: 'a', settings, history });
      const reading = { canary: pods({}), primary: pods({ p: { ok: 0, buckets: buckets(0, false) } }) };
      state = judgeTick(state, settings, { reading: { atMs: 0, ...reading }, step }).state;
      return Array.from({ length: 8 }, (_, tick) => {
        const total = (tick + 1) * 50;
        const judged = judgeTick(state, settings, {
          reading: {
            atMs: (tick + 1) * 5_000,
            canary: pods({ c: { ok: total, buckets: buckets(total, true) } }),
            primary: pods({ p: { ok: total * 9, buckets: buckets(total * 9, false) } }),
          },
          step,
          canaryReadyAtMs,
        });
        state = judged.state;
        return judged.verdict.kind;
      });
    };
    expect(verdictsWith(undefined)[0]).toBe('rollback');
    expect(verdictsWith(0)).toEqual([...Array(6).fill('hold'), 'rollback', 'rollback']);
  });
});

describe('sentences', () => {
  test('a rollback says what was compared, the numbers, and how strong they are', () => {
    const bad = rollout();
    let verdict = bad.tick({ ok: 0 }, { ok: 450 });
    for (let tick = 0; verdict.kind === 'hold'; tick += 1) {
      verdict = bad.tick({ ok: 48, failed: 2 }, { ok: 449, failed: tick % 2 });
    }
    const record = evidenceOf(bad.state(), bad.settings, FIRST);
    expect(record.logEvidence).toBeGreaterThanOrEqual(record.logNeeded);
    expect(sentenceOf(verdict, record)).toMatch(
      /^[\d,]+:1 that the canary fails more often than primary \+ 0\.1 pp; \d+ of \d+ against \d+ of [\d,]+\. 100:1 rolls back; only a new revision or a retry changes this\. There is no history: a dispersion of 1\.25 is assumed\.$/,
    );
  });

  test('a hold says what is missing', () => {
    const good = rollout();
    good.tick({ ok: 50 }, { ok: 449, failed: 1 });
    const verdict = good.tick({ ok: 50 }, { ok: 449, failed: 1 });
    const sentence = sentenceOf(verdict, evidenceOf(good.state(), good.settings, FIRST));
    expect(sentence).toMatch(
      /^Step 1 holds until enough is shown\. .*20:1 lets traffic rise.*100:1 rolls back.*0 of 100 against 2 of 900\. About \d+ more canary requests/,
    );
  });

  test('every verdict has a sentence without a number that is none', () => {
    const good = rollout();
    good.tick({ ok: 50 }, { ok: 450 });
    const record = evidenceOf(good.state(), good.settings, LAST);
    const verdicts: Verdict[] = [
      { kind: 'rollback', reason: 'Regression' },
      { kind: 'advance', reason: 'Shown' },
      { kind: 'promote', reason: 'Shown' },
      ...(['hold', 'rollback', 'promote'] as const).map(
        action => ({ kind: 'inconclusive', reason: 'Deadline', action }) as const,
      ),
      { kind: 'inconclusive', reason: 'NoTraffic', action: 'hold' },
      ...(['Beginning', 'Stale', 'NoNewData', 'Dwell', 'NotShown'] as const).map(
        reason => ({ kind: 'hold', reason }) as const,
      ),
    ];
    for (const verdict of verdicts) {
      const sentence = sentenceOf(verdict, record);
      expect(sentence).not.toMatch(/NaN|Infinity|undefined/);
      expect(sentence.length).toBeLessThan(512);
    }
    expect(JSON.stringify(record)).not.toContain('null');
  });
});
