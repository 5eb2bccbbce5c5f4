/** What every stepper must keep: run it with one line for each stepper. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RouteContext, Stamp, Stepper } from './stepper.ts';

const context: RouteContext = {
  namespace: 'shop',
  apex: 'web',
  primary: 'web-primary',
  canary: 'web-canary',
  labels: { 'serin.dev/canary-uid': 'u1' },
  ownerReference: { apiVersion: 'serin.dev/v1beta1', kind: 'Canary', name: 'web', uid: 'u1' },
};

const stamps: fc.Arbitrary<Stamp> = fc.record({
  epoch: fc.nat(1_000_000),
  run: fc.constantFrom('', 'a1-0123456789ab.7', 'a1-0123456789ab.7.c1'),
  end: fc.constantFrom(
    '' as const,
    'failed' as const,
    'aborted' as const,
    'unready' as const,
    'superseded' as const,
    'promoted' as const,
  ),
});

export function describeStepperContract(create: () => Stepper): void {
  const stepper = create();
  describe(`stepper ${stepper.provider}`, () => {
    test('observed(desired(split)) is the split, with its stamp', () => {
      fc.assert(
        fc.property(fc.integer({ min: 0, max: 100 }), stamps, (canaryWeight, stamp) => {
          const split = { canaryWeight, primaryWeight: 100 - canaryWeight };
          const [route] = stepper.desired(Object.freeze(context), Object.freeze(split), Object.freeze(stamp));
          const object = { ...route!, metadata: { ...route!.metadata, resourceVersion: '7' } };
          expect(stepper.observed(context, object)).toEqual({
            ...split,
            stamp,
            resourceVersion: '7',
            isIntact: true,
          });
        }),
      );
    });

    test('no object is no route, and a foreign stamp is not intact', () => {
      expect(stepper.observed(context, undefined)).toBeUndefined();
      const [route] = stepper.desired(
        context,
        { canaryWeight: 30, primaryWeight: 70 },
        { epoch: 1, run: '', end: '' },
      );
      const foreign = { ...route!, metadata: { ...route!.metadata, annotations: {} } };
      expect(stepper.observed(context, foreign)).toMatchObject({
        canaryWeight: 30,
        isIntact: false,
        stamp: { epoch: 0 },
      });
    });

    test('refuses weights that do not sum to 100', () => {
      expect(() =>
        stepper.desired(context, { canaryWeight: 0, primaryWeight: 0 }, { epoch: 1, run: '', end: '' }),
      ).toThrow('100');
    });
  });
}
