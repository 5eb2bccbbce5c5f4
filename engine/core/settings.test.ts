/** How the way of judging is read from a spec: which mode, which defaults, what is guarded, and in which units. */
import { describe, expect, test } from 'vitest';
import { GUARD_DEFAULTS } from '../../analyzers/judge/guard.ts';
import { JUDGE_DEFAULTS } from '../../analyzers/judge/settings.ts';
import type { Canary } from '../api/decode.ts';
import { settingsOf } from './settings.ts';

const rate = { name: 'request-success-rate', thresholdRange: { min: 99 } };
const query = { name: 'mine', query: 'up', thresholdRange: { min: 1 } };

function of(analysis: object) {
  const spec = { targetRef: { name: 'web' }, service: { port: 80 }, analysis };
  return settingsOf({ namespace: 'shop', spec } as unknown as Canary, { drainMs: 1_000 });
}

describe('the mode that an analysis has', () => {
  test.each([
    ['threshold, with a threshold', { stepWeight: 10, threshold: 5 }, undefined],
    ['threshold, with metrics', { stepWeight: 10, metrics: [query] }, undefined],
    ['threshold, with iterations', { iterations: 10 }, undefined],
    ['threshold, when all of the traffic is moved at once', { stepWeights: [100] }, undefined],
    ['compare, with nothing but steps', { stepWeight: 10 }, 'compare'],
    ['compare, with other settings of the judge', { stepWeight: 10, judge: { alpha: 0.05 } }, 'compare'],
    ['what it names', { stepWeight: 10, threshold: 5, judge: { mode: 'compare' } }, 'compare'],
    ['what it names, of its bounds', { stepWeight: 10, metrics: [rate], judge: { mode: 'slo' } }, 'slo'],
    ['threshold, when it names it', { stepWeight: 10, judge: { mode: 'threshold' } }, undefined],
  ])('%s', (_, analysis, mode) => {
    expect(of(analysis).judge?.mode).toBe(mode);
  });
});

describe('a judge', () => {
  test('has the defaults of the statistics', () => {
    expect(of({ stepWeight: 10 }).judge).toEqual(JUDGE_DEFAULTS);
  });

  test('reads percent as shares and durations as milliseconds', () => {
    const judge = {
      mode: 'compare',
      regression: 0.5,
      promotionMargin: 2,
      budget: 3,
      minDwell: '15s',
      deadline: '2h',
      onDeadline: 'rollback',
      latencyTolerance: 1.2,
    };
    expect(of({ stepWeight: 10, judge }).judge).toMatchObject({
      regression: { ratio: 1, offset: 0.005 },
      promotionMargin: 0.02,
      budget: 0.03,
      minDwellMs: 15_000,
      deadlineMs: 7_200_000,
      onDeadline: 'rollback',
      latency: { tolerance: 1.2, promotionTolerance: 1.25 },
    });
  });

  test('leaves a step of 100 out, when it compares', () => {
    expect(of({ stepWeights: [10, 50, 100] }).steps).toEqual([10, 50]);
    expect(of({ stepWeights: [10, 50, 100], metrics: [rate], judge: { mode: 'slo' } }).steps).toEqual([
      10, 50, 100,
    ]);
    expect(of({ stepWeights: [10, 50, 100], threshold: 1 }).steps).toEqual([10, 50, 100]);
  });
});

describe('the guard', () => {
  test('is on for bounds of built-in metrics', () => {
    expect(of({ stepWeight: 10, threshold: 5, metrics: [rate, query] }).guard).toEqual(GUARD_DEFAULTS);
  });

  test.each([
    ['when it is turned off', { stepWeight: 10, metrics: [rate], judge: { guard: { enabled: false } } }],
    ['beside a judge', { stepWeight: 10, metrics: [rate], judge: { mode: 'slo' } }],
    ['without a metric', { stepWeight: 10, threshold: 5 }],
    ['of a query, which answers one number', { stepWeight: 10, metrics: [query] }],
    [
      'of a success rate without a lower bound',
      { stepWeight: 10, metrics: [{ name: 'request-success-rate', thresholdRange: { max: 100 } }] },
    ],
  ])('there is none %s', (_, analysis) => {
    expect(of(analysis).guard).toBeUndefined();
  });

  test('asks for what it is told to', () => {
    const guard = { alpha: 0.01, requests: 100, evaluations: 3 };
    expect(of({ stepWeight: 10, metrics: [rate], judge: { guard } }).guard).toEqual({
      alpha: 0.01,
      after: { requests: 100, evaluations: 3 },
    });
  });
});
