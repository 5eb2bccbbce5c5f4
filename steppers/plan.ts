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

/** The canary's weights on the way back to the promoted primary, from the first one below `fromWeight` down to 0. Strictly falling. */
export function promotionSteps(stepWeightPromotion: number, fromWeight: number): number[] {
  const steps: number[] = [];
  for (let weight = fromWeight; weight > 0; ) {
    weight = nextPromotionWeight(stepWeightPromotion, weight);
    steps.push(weight);
  }
  return steps;
}

/** Why this progression cannot work, field by field; empty when it can. Paths are relative to `spec.analysis`. */
export function progressionProblems(
  input: ProgressionInput & { stepWeightPromotion?: number | undefined },
): { field: string; message: string }[] {
  const problems: { field: string; message: string }[] = [];
  const { stepWeight, stepWeights, maxWeight, iterations, stepWeightPromotion } = input;
  const isPercent = (value: number) => Number.isInteger(value) && value >= 1 && value <= 100;
  if (stepWeight !== undefined && !isPercent(stepWeight)) {
    problems.push({
      field: 'stepWeight',
      message: `expected a whole number from 1 to 100, got ${stepWeight}`,
    });
  }
  if (maxWeight !== undefined && !(maxWeight === 0 || isPercent(maxWeight))) {
    problems.push({ field: 'maxWeight', message: `expected a whole number from 1 to 100, got ${maxWeight}` });
  }
  if (stepWeightPromotion !== undefined && stepWeightPromotion !== 0 && !isPercent(stepWeightPromotion)) {
    problems.push({
      field: 'stepWeightPromotion',
      message: `expected a whole number from 1 to 100, got ${stepWeightPromotion}`,
    });
  }
  if (iterations !== undefined && !(Number.isInteger(iterations) && iterations >= 1)) {
    problems.push({
      field: 'iterations',
      message: `expected a whole number of at least 1, got ${iterations}`,
    });
  }
  if (stepWeights?.length === 0) {
    problems.push({ field: 'stepWeights', message: 'expected at least one weight' });
  }
  (stepWeights ?? []).forEach((weight, index) => {
    const before = stepWeights?.[index - 1];
    if (!isPercent(weight)) {
      problems.push({
        field: `stepWeights[${index}]`,
        message: `expected a whole number from 1 to 100, got ${weight}`,
      });
    } else if (before !== undefined && weight <= before) {
      problems.push({
        field: `stepWeights[${index}]`,
        message: `expected more than the step before it (${before}), got ${weight}`,
      });
    }
  });
  return problems;
}
