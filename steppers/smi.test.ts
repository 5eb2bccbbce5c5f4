/** The TrafficSplit stepper: the contract, and what only SMI has (quantities, foreign edits, matches). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { KubernetesObject } from '../engine/kubernetes/types.ts';
import { prune } from '../simulator/api/schema.ts';
import { validateSchema } from '../simulator/api/validation.ts';
import { trafficSplitCrd } from '../simulator/world/manifests.ts';
import { contractContext as names, describeStepperContract, served } from './contract.ts';
import { createSmiStepper, SMI_VERSIONS, type SmiVersion } from './smi.ts';

/** v1alpha3 and later have v1alpha2's whole weights; our CRD does not serve them. */
function schemaOf(version: SmiVersion): any {
  const { versions } = trafficSplitCrd().spec;
  const wanted = version === 'v1alpha1' ? 'v1alpha1' : 'v1alpha2';
  return versions.find((candidate: { name: string }) => candidate.name === wanted).schema.openAPIV3Schema;
}

for (const version of SMI_VERSIONS) {
  describeStepperContract(`smi:${version}`, createSmiStepper(version), {
    validate(object) {
      const schema = schemaOf(version);
      const problems = validateSchema(object, schema).map(error => JSON.stringify(error));
      return [...problems, ...prune(object, schema).map(path => `${path} is not in the schema`)];
    },
  });
}

const stepper = createSmiStepper('v1alpha1');

function route(spec: Record<string, unknown>): KubernetesObject {
  const written = stepper.desired(
    names,
    { primaryWeight: 70, canaryWeight: 30 },
    { epoch: 3, run: 'r', end: '' },
  );
  const object = served(written[0]!);
  object.spec = { ...object.spec, ...spec };
  return object;
}

function backends(canary: unknown, primary: unknown): Record<string, unknown> {
  return {
    backends: [
      { service: names.canary, weight: canary },
      { service: names.primary, weight: primary },
    ],
  };
}

describe('what it writes', () => {
  test('is named as the apex, roots at the apex, and lists canary and primary in a fixed order', () => {
    expect(route({})).toMatchObject({
      metadata: {
        name: 'checkout',
        annotations: {
          'kustomize.toolkit.fluxcd.io/reconcile': 'disabled',
          'helm.toolkit.fluxcd.io/driftDetection': 'disabled',
          'serin.dev/stamp': '3/r/',
        },
      },
      spec: {
        service: 'checkout',
        backends: [
          { service: 'checkout-canary', weight: 30 },
          { service: 'checkout-primary', weight: 70 },
        ],
      },
    });
  });
});

describe('weights as served', () => {
  test.each([
    ['quantities in text', '30', '70', true, 30],
    ['milli quantities that are whole', '30000m', '70000m', true, 30],
    ['a half and a half', '500m', '500m', false, 50],
    ['shares of one', 1, 3, false, 25],
    ['thousandths', '1m', '999m', false, 1],
    ['a canary too small for a percent', 1, 9999, false, 1],
    ['a primary too small for a percent', 9999, 1, false, 99],
    ['exponents', '3e1', '7e1', true, 30],
    ['fractions', '29.5', '70.5', false, 30],
    ['text that is no quantity', 'many', '70', false, 0],
    ['a negative weight', -5, 100, false, 0],
    ['both zero', 0, 0, false, 0],
    ['the canary alone', '100', '0', true, 100],
  ])('%s', (_, canary, primary, isIntact, canaryWeight) => {
    expect(stepper.observed(names, route(backends(canary, primary)))).toMatchObject({
      canaryWeight,
      primaryWeight: 100 - canaryWeight,
      isIntact,
      stamp: { epoch: 3, run: 'r', end: '' },
    });
  });

  test('whatever is written, a share of the canary above 0 never reads as 0', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 0, max: 1e9 }), (canary, primary) => {
        const observed = stepper.observed(names, route(backends(canary, primary)))!;
        expect(observed.canaryWeight).toBeGreaterThan(0);
        expect(observed.canaryWeight + observed.primaryWeight).toBe(100);
      }),
    );
  });
});

describe('edits by others', () => {
  const known = backends(30, 70).backends as unknown[];
  test.each([
    ['another root', { service: 'elsewhere' }],
    ['a backend more', { backends: [...known, { service: 'foreign', weight: 0 }] }],
    ['a backend less', { backends: [known[0]] }],
    ['another backend', { backends: [known[0], { service: 'foreign', weight: 70 }] }],
    ['a backend twice', { backends: [known[0], known[0]] }],
    ['weights that do not sum to 100', backends(30, 60)],
    ['matches, past which requests bypass the split', { matches: [{ kind: 'HTTPRouteGroup', name: 'x' }] }],
  ])('%s is not intact', (_, spec) => {
    expect(stepper.observed(names, route({}))?.isIntact).toBe(true);
    expect(stepper.observed(names, route(spec))?.isIntact).toBe(false);
  });

  test('an object without backends is no split', () => {
    expect(stepper.observed(names, route({ backends: undefined }))).toBeUndefined();
    expect(stepper.observed(names, { ...route({}), spec: undefined })).toBeUndefined();
  });

  test('the order of the backends says nothing', () => {
    expect(stepper.observed(names, route({ backends: [...known].reverse() }))).toMatchObject({
      canaryWeight: 30,
      isIntact: true,
    });
  });
});
