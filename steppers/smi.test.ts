/** SMI: the contract in each version, and Quantities of v1alpha1. */
import { expect, test } from 'vitest';
import { describeStepperContract } from './contract.ts';
import { createSmiStepper, SMI_VERSIONS } from './smi.ts';
import { stepperFor } from './registry.ts';

for (const version of SMI_VERSIONS) describeStepperContract(() => createSmiStepper(version));

const names = { namespace: 'shop', apex: 'web', primary: 'web-primary', canary: 'web-canary' };

test('reads Quantities and ratios as somebody else may have written them', () => {
  const object = {
    apiVersion: 'split.smi-spec.io/v1alpha1',
    kind: 'TrafficSplit',
    metadata: { name: 'web' },
    spec: {
      service: 'web',
      backends: [
        { service: 'web-canary', weight: '500m' },
        { service: 'web-primary', weight: 1.5 },
      ],
    },
  };
  expect(createSmiStepper('v1alpha1').observed(names, object)).toMatchObject({
    canaryWeight: 25,
    isIntact: false,
  });
});

test('linkerd takes the integers of v1alpha2 where they are served', () => {
  const chosen = stepperFor('linkerd', ['v1alpha1', 'v1alpha2']);
  expect(chosen.ok && chosen.stepper.routeType.version).toBe('v1alpha2');
  expect(stepperFor('linkerd', []).ok).toBe(false);
  expect(stepperFor('istio', ['v1alpha2']).ok).toBe(false);
});
