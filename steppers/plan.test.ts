/** Which weight comes next: examples that people know, and what holds for every progression. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nextPromotionWeight, nextStep, type ProgressionInput, stepsOf } from './plan.ts';

const percent = fc.integer({ min: 1, max: 100 });
const rising = fc
  .uniqueArray(percent, { minLength: 1, maxLength: 20 })
  .map(weights => weights.sort((a, b) => a - b));
const arbitraryProgression: fc.Arbitrary<ProgressionInput> = fc.oneof(
  fc.record({ stepWeight: percent, maxWeight: fc.option(percent, { nil: undefined }) }),
  fc.record({ stepWeights: rising, maxWeight: fc.option(percent, { nil: undefined }) }),
  fc.record({ iterations: fc.integer({ min: 1, max: 100 }) }),
);

describe('stepsOf', () => {
  test.each<[ProgressionInput, number[]]>([
    [{ stepWeight: 20, maxWeight: 50 }, [20, 40, 50]],
    [{ stepWeight: 10, maxWeight: 30 }, [10, 20, 30]],
    [{ stepWeight: 30 }, [30, 60, 90, 100]],
    [{ stepWeight: 80, maxWeight: 50 }, [50]],
    [{ stepWeight: 50, maxWeight: 0 }, [50, 100]],
    [{ stepWeights: [1, 10, 50] }, [1, 10, 50]],
    [{ stepWeights: [10, 30, 80], maxWeight: 50 }, [10, 30, 50]],
    [{ stepWeights: [10, 30], maxWeight: 50 }, [10, 30]],
    [{ stepWeights: [60, 80], maxWeight: 50 }, [50]],
    [{ iterations: 5 }, [100]],
    [{ iterations: 5, maxWeight: 50 }, [100]],
  ])('%j gives %j', (input, steps) => {
    expect(stepsOf(input)).toEqual(steps);
  });

  test('always rises strictly, within 1..maxWeight', () => {
    fc.assert(
      fc.property(arbitraryProgression, input => {
        const steps = stepsOf(input);
        expect(steps.length).toBeGreaterThan(0);
        steps.forEach((step, index) => {
          expect(Number.isInteger(step)).toBe(true);
          expect(step).toBeGreaterThan(steps[index - 1] ?? 0);
          expect(step).toBeLessThanOrEqual(input.maxWeight ?? 100);
        });
      }),
    );
  });

  test('with stepWeight it ends at maxWeight, and no step is larger than stepWeight', () => {
    fc.assert(
      fc.property(percent, percent, (stepWeight, maxWeight) => {
        const steps = stepsOf({ stepWeight, maxWeight });
        expect(steps.at(-1)).toBe(maxWeight);
        steps.forEach((step, index) =>
          expect(step - (steps[index - 1] ?? 0)).toBeLessThanOrEqual(stepWeight),
        );
      }),
    );
  });

  test('with stepWeights it ends at the last of them, cut to maxWeight', () => {
    fc.assert(
      fc.property(rising, percent, (stepWeights, maxWeight) => {
        expect(stepsOf({ stepWeights, maxWeight }).at(-1)).toBe(Math.min(stepWeights.at(-1)!, maxWeight));
      }),
    );
  });
});

describe('nextStep', () => {
  test('H22: a weight that is no step (edited under the run) finds the smallest step above it, never the last', () => {
    expect(nextStep([10, 30, 50, 100], 31)).toBe(50);
    expect(nextStep([5, 10, 15], 7)).toBe(10);
  });

  test('from 0 it walks every step once, and then there is none', () => {
    fc.assert(
      fc.property(arbitraryProgression, input => {
        const steps = stepsOf(input);
        const walked: number[] = [];
        for (let weight = nextStep(steps, 0); weight !== undefined; weight = nextStep(steps, weight)) {
          walked.push(weight);
        }
        expect(walked).toEqual(steps);
      }),
    );
  });

  test('from any weight it rises, and skips no step', () => {
    fc.assert(
      fc.property(arbitraryProgression, fc.integer({ min: 0, max: 100 }), (input, current) => {
        const steps = stepsOf(input);
        const next = nextStep(steps, current);
        const above = steps.filter(step => step > current);
        expect(next).toBe(above.length ? Math.min(...above) : undefined);
      }),
    );
  });
});

/** As a promotion takes them, one after the other. */
function promotionSteps(stepWeightPromotion: number, fromWeight: number): number[] {
  const steps: number[] = [];
  // Bounded, for a step that stands still.
  for (let weight = fromWeight; weight > 0 && steps.length <= 100; ) {
    weight = nextPromotionWeight(stepWeightPromotion, weight);
    steps.push(weight);
  }
  return steps;
}

describe('nextPromotionWeight', () => {
  test.each<[number, number, number[]]>([
    [0, 50, [0]],
    [25, 100, [75, 50, 25, 0]],
    [20, 50, [30, 10, 0]],
    [100, 50, [0]],
    [10, 0, []],
  ])('steps of %d from %d: %j', (stepWeightPromotion, fromWeight, steps) => {
    expect(promotionSteps(stepWeightPromotion, fromWeight)).toEqual(steps);
  });

  test('falls strictly, ends at 0, and takes no more than a step at once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100 }), percent, (stepWeightPromotion, fromWeight) => {
        const steps = promotionSteps(stepWeightPromotion, fromWeight);
        expect(steps.at(-1)).toBe(0);
        steps.forEach((step, index) => {
          const before = steps[index - 1] ?? fromWeight;
          expect(step).toBeLessThan(before);
          if (stepWeightPromotion > 0) expect(before - step).toBeLessThanOrEqual(stepWeightPromotion);
        });
      }),
    );
  });
});
