/** Weights: strictly rising, bounded, ending at the maximum; and the way down. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nextPromotionWeight, nextStep, progressionProblems, stepsOf } from './plan.ts';

test('stepWeight overshoots nothing: the last step is clamped to maxWeight', () => {
  expect(stepsOf({ stepWeight: 20, maxWeight: 50 })).toEqual([20, 40, 50]);
  expect(stepsOf({ stepWeights: [1, 10, 80], maxWeight: 50 })).toEqual([1, 10, 50]);
  expect(stepsOf({ iterations: 5 })).toEqual([100]);
});

test('any valid progression rises strictly to its end', () => {
  const input = fc.record({
    stepWeight: fc.integer({ min: 1, max: 100 }),
    maxWeight: fc.integer({ min: 1, max: 100 }),
  });
  fc.assert(
    fc.property(input, ({ stepWeight, maxWeight }) => {
      const steps = stepsOf({ stepWeight, maxWeight });
      expect(steps.at(-1)).toBe(maxWeight);
      steps.reduce((before, step) => {
        expect(step).toBeGreaterThan(before);
        return step;
      }, 0);
    }),
  );
});

test('H22 a weight that is no step finds the smallest step above it, never the maximum at once', () => {
  expect(nextStep([10, 20, 50], 13)).toBe(20);
  expect(nextStep([10, 20, 50], 50)).toBeUndefined();
});

test('H23 progressions that cannot work are named', () => {
  expect(progressionProblems({ stepWeight: 0 })[0]?.field).toBe('stepWeight');
  expect(progressionProblems({ stepWeights: [10, 10] })[0]?.field).toBe('stepWeights[1]');
  expect(progressionProblems({ stepWeights: [10, 101] })[0]?.field).toBe('stepWeights[1]');
  expect(progressionProblems({ stepWeight: 10, maxWeight: 50 })).toEqual([]);
});

test('traffic returns in steps and ends at zero', () => {
  expect(nextPromotionWeight(0, 50)).toBe(0);
  expect(nextPromotionWeight(30, 50)).toBe(20);
  expect(nextPromotionWeight(30, 20)).toBe(0);
});
