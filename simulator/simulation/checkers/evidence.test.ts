/** The bounds that checkers hold evidence against: no sound verdict is beyond them, and a hasty one is. */
import { describe, expect, test } from 'vitest';
import { settingsOf } from '../../../engine/core/settings.ts';
import { userBoundOf } from '../../../analyzers/judge/comparisons.ts';
import type { Reading } from '../../../analyzers/judge/counters.ts';
import { type GuardState, guardTick, startGuard } from '../../../analyzers/judge/guard.ts';
import { historyOf } from '../../../analyzers/judge/history.ts';
import { type JudgeState, judgeTick, startJudge } from '../../../analyzers/judge/judge.ts';
import { createRandom } from '../../api/random.ts';
import type { Json } from '../../api/json.ts';
import type { Told } from '../counterSource.ts';
import { BOUNDS_MS } from '../proxies.ts';
import { createReadings, type Stretch } from '../readings.ts';
import type { CanaryView } from '../witness.ts';
import { shownOf, unfounded, unshown } from './evidence.ts';

const START_MS = 1_700_000_000_000;
const TICK_MS = 5_000;
const RUNS = 150;
const view = {} as CanaryView;
const step = { index: 0, weightPercent: 30, nextWeightPercent: 60 };

interface Arm {
  succeeded: number;
  failed: number;
  slow: number;
}

/** All slow requests take 800 ms, the others 20. */
function podsOf(name: string, { succeeded, failed, slow }: Arm) {
  const total = succeeded + failed;
  const counts = BOUNDS_MS.map(boundMs => (boundMs < 20 ? 0 : boundMs < 800 ? total - slow : total));
  const requests = new Map([
    ['success', { isFailure: false, count: succeeded }],
    ['failure', { isFailure: true, count: failed }],
  ]);
  return new Map([
    [name, { startedAt: START_MS, requests, durations: new Map([['', { uppersMs: BOUNDS_MS, counts }]]) }],
  ]);
}

/** A service of 40 requests a tick in the canary and 90 in the primary; what is read of it, tick by tick. */
function* streamOf(seed: number, rates: { canary: number; primary: number; slow: number }) {
  const { next } = createRandom(seed);
  const drawn = (count: number, rate: number) =>
    Array.from({ length: count }).filter(() => next() < rate).length;
  const arms = {
    canary: { succeeded: 0, failed: 0, slow: 0 },
    primary: { succeeded: 0, failed: 0, slow: 0 },
  };
  const serve = (arm: Arm, count: number, rate: number, slow: number) => {
    const failed = drawn(count, rate);
    arm.failed += failed;
    arm.succeeded += count - failed;
    arm.slow += drawn(count, slow);
  };
  for (let tick = 0; tick < 60; tick++) {
    const reading: Reading = {
      atMs: START_MS + tick * TICK_MS,
      canary: podsOf('c', arms.canary),
      primary: podsOf('p', arms.primary),
    };
    yield reading;
    serve(arms.canary, 40, rates.canary, rates.slow);
    serve(arms.primary, 90, rates.primary, 0);
  }
}

const history = historyOf(
  Array.from({ length: 11 }, (_unused, minute) => ({
    atMs: START_MS - (10 - minute) * 60_000,
    pods: podsOf('p', { succeeded: 1_000 * minute, failed: minute, slow: 0 }),
  })),
);

/** Everything that was read until the verdict, as checkers hear of it; undefined when there was none. */
function readUntil(stream: Iterable<Reading>, isOver: (reading: Reading) => boolean): Stretch[] | undefined {
  const readings = createReadings();
  for (const reading of stream) {
    const { atMs } = reading;
    const about = { engine: 0, life: 'a', namespace: 'shop', workload: 'web', knewAtMs: atMs };
    const told: Told = {
      ...about,
      askedAtMs: atMs,
      atMs,
      answer: { kind: 'reading', reading, sampledAtMs: atMs },
    };
    readings.hear(told, view);
    if (isOver(reading)) return readings.since(view, START_MS);
  }
  return undefined;
}

const metrics = [
  { name: 'request-success-rate', thresholdRange: { min: 98 } },
  { name: 'request-duration', thresholdRange: { max: 500 } },
];
const bounds = [
  userBoundOf('request-success-rate', { min: 98 }, undefined)!,
  { metric: 'request-duration' as const, share: 0.01, upperMs: 500 },
];

function guardUntilRollback(seed: number, rates: { canary: number; primary: number; slow: number }) {
  let state: GuardState = startGuard({ runId: 'r', bounds, history });
  const settings = { alpha: 0.001, after: { requests: 10, evaluations: 2 } };
  return readUntil(streamOf(seed, rates), reading => {
    const after = guardTick(state, settings, reading);
    ({ state } = after);
    return after.verdict.kind === 'rollback';
  });
}

function judgeUntil(
  spec: Json,
  seed: number,
  rates: { canary: number; primary: number; slow: number },
  kind: 'rollback' | 'advance',
) {
  const { judge } = settingsOf({ namespace: 'shop', spec } as never, { drainMs: 0 });
  let state: JudgeState = startJudge({ runId: 'r', settings: judge!, history, bounds });
  let isOther = false;
  const stretches = readUntil(streamOf(seed, rates), reading => {
    const after = judgeTick(state, judge!, { reading, step });
    ({ state } = after);
    isOther ||= after.verdict.kind === (kind === 'rollback' ? 'advance' : 'rollback');
    return after.verdict.kind === kind;
  });
  return isOther ? undefined : stretches;
}

const specOf = (analysis: Json): Json => ({
  targetRef: { name: 'web' },
  service: { port: 80 },
  analysis: { stepWeights: [30, 60], metrics, ...analysis },
});
const judged = (mode: 'compare' | 'slo') => specOf({ judge: { mode, minDwell: '1s', warmUp: '1ms' } });

describe('no sound verdict is beyond the bounds', () => {
  test.each([
    ['failures', { canary: 0.06, primary: 0.001, slow: 0 }],
    ['slowness', { canary: 0, primary: 0.001, slow: 0.05 }],
    ['both, by a little', { canary: 0.04, primary: 0.001, slow: 0.02 }],
  ])('of a guard, of %s', (_about, rates) => {
    let count = 0;
    for (let seed = 0; seed < RUNS; seed++) {
      const stretches = guardUntilRollback(seed, rates);
      if (!stretches) continue;
      count += 1;
      expect(unfounded(stretches, specOf({}))).toBeUndefined();
    }
    expect(count).toBeGreaterThan(RUNS / 10);
  });

  test.each(['compare', 'slo'] as const)('of a judge that rolls back, with %s', mode => {
    let count = 0;
    for (let seed = 0; seed < RUNS; seed++) {
      const stretches = judgeUntil(judged(mode), seed, { canary: 0.06, primary: 0.001, slow: 0 }, 'rollback');
      if (!stretches) continue;
      count += 1;
      expect(unfounded(stretches, judged(mode))).toBeUndefined();
    }
    expect(count).toBeGreaterThan(RUNS / 2);
  });

  test.each(['compare', 'slo'] as const)('of a judge that advances, with %s', mode => {
    let count = 0;
    for (let seed = 0; seed < RUNS; seed++) {
      const spec = judged(mode);
      const stretches = judgeUntil(spec, seed, { canary: 0.001, primary: 0.001, slow: 0 }, 'advance');
      if (!stretches) continue;
      count += 1;
      expect(unshown(stretches, spec, shownOf(spec, 60))).toBeUndefined();
    }
    expect(count).toBeGreaterThan(RUNS / 2);
  });
});

describe('a hasty verdict is', () => {
  const after = (ticks: number, rates: { canary: number; primary: number; slow: number }) => {
    let left = ticks;
    return readUntil(streamOf(7, rates), () => left-- === 0)!;
  };

  test('a rollback of a canary that has hardly answered', () => {
    for (const spec of [specOf({}), judged('slo'), judged('compare')])
      expect(unfounded(after(0, { canary: 1, primary: 0, slow: 0 }), spec)).toBeDefined();
  });

  test('a rollback of a good canary, and of one that shares an incident', () => {
    for (const spec of [specOf({}), judged('compare')]) {
      expect(unfounded(after(20, { canary: 0, primary: 0, slow: 0 }), spec)).toBeDefined();
      expect(unfounded(after(3, { canary: 1, primary: 1, slow: 0 }), judged('compare'))).toBeDefined();
    }
  });

  test('any rollback by a guard that is off', () => {
    const spec = specOf({ judge: { guard: { enabled: false } } });
    expect(unfounded(after(20, { canary: 1, primary: 0, slow: 1 }), spec)).toBe('the guard is off');
  });

  test('a step after too few requests, or with one that fails', () => {
    const shown = { beta: 0.05, margin: 0.02 };
    for (const mode of ['compare', 'slo'] as const) {
      expect(unshown(after(1, { canary: 0, primary: 0, slow: 0 }), judged(mode), shown)).toBeDefined();
      expect(unshown(after(20, { canary: 0.2, primary: 0, slow: 0 }), judged(mode), shown)).toBeDefined();
      expect(unshown(after(20, { canary: 0, primary: 0, slow: 0 }), judged(mode), shown)).toBeUndefined();
    }
  });
});
