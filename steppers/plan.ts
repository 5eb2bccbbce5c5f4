/**
 * Which weight comes next. Pure arithmetic on whole percents: an absolute, strictly rising list of canary weights, and
 * the way down in a stepped promotion. A weight that was edited under a run finds the smallest step above it.
 */

export interface ProgressionInput {
  stepWeight?: number | undefined;
  stepWeights?: readonly number[] | undefined;
  maxWeight?: number | undefined;
  iterations?: number | undefined;
}

/** Absolute canary weights in percent. Blue/green has one step: everything. The last step is clamped to `maxWeight`. */
export function stepsOf(input: ProgressionInput): number[] {
  if (input.iterations !== undefined && input.iterations > 0) return [100];
  const max = input.maxWeight !== undefined && input.maxWeight > 0 ? input.maxWeight : 100;
  if (input.stepWeight !== undefined) {
    if (input.stepWeight < 1) throw new Error('stepWeight is validated before');
    const steps: number[] = [];
    for (let weight = input.stepWeight; weight < max; weight += input.stepWeight) steps.push(weight);
    return [...steps, max];
  }
  const listed = (input.stepWeights ?? []).filter(weight => weight <= max);
  const cut = (input.stepWeights ?? []).some(weight => weight > max);
  const steps = cut && listed.at(-1) !== max ? [...listed, max] : [...listed];
  return steps.length ? steps : [max];
}

/** The smallest step above the current weight; undefined at or beyond the last. */
export function nextStep(steps: readonly number[], currentWeight: number): number | undefined {
  return steps.find(step => step > currentWeight);
}

/** The canary's next weight while traffic returns to the promoted primary. A step of 0 means all at once. */
export function nextPromotionWeight(stepWeightPromotion: number, currentWeight: number): number {
  return stepWeightPromotion > 0 ? Math.max(0, currentWeight - stepWeightPromotion) : 0;
}
