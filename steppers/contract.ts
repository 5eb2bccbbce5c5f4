/**
 * What every stepper promises, as a suite of tests that each of them runs: it reads back the split and the stamp that
 * it wrote, it is pure, what it writes is valid, and what somebody else changed is seen.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { KubernetesObject } from '../engine/kubernetes/types.ts';
import {
  formatStamp,
  parseStamp,
  type RouteContext,
  type Split,
  STAMP_ANNOTATION,
  type Stamp,
  type Stepper,
} from './stepper.ts';

export const contractContext: RouteContext = {
  namespace: 'shop',
  apex: 'checkout',
  primary: 'checkout-primary',
  canary: 'checkout-canary',
  labels: { 'app.kubernetes.io/managed-by': 'serin', app: 'checkout' },
  ownerReference: {
    apiVersion: 'serin.dev/v1beta1',
    kind: 'Canary',
    name: 'checkout',
    uid: '6b1f3f0e-3a52-4d0e-9d6f-0d6f6a3f1a11',
  },
};

export const arbitrarySplit: fc.Arbitrary<Split> = fc
  .integer({ min: 0, max: 100 })
  .map(canaryWeight => ({ canaryWeight, primaryWeight: 100 - canaryWeight }));

export const arbitraryStamp: fc.Arbitrary<Stamp> = fc.record({
  epoch: fc.integer({ min: 0, max: 999_999_999_999_999 }),
  run: fc.stringMatching(/^[a-z0-9.-]{0,40}$/),
  end: fc.constantFrom('', 'failed', 'aborted', 'unready', 'superseded', 'promoted'),
});

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) deepFreeze(member);
  }
  return value;
}

/** As the API server would hand it back. */
export function served(object: KubernetesObject, resourceVersion = '7'): KubernetesObject {
  const copy = structuredClone(object);
  copy.metadata.resourceVersion = resourceVersion;
  return copy;
}

export interface StepperContractOptions {
  /** What is wrong with an object, one sentence each; empty when the API server would take it whole. */
  validate(object: KubernetesObject): string[];
}

export function describeStepperContract(
  name: string,
  stepper: Stepper,
  options: StepperContractOptions,
): void {
  const context = contractContext;
  const first = (split: Split, stamp: Stamp) => stepper.desired(context, split, stamp)[0]!;

  describe(`stepper contract: ${name}`, () => {
    test('reads back every split and stamp that it wrote', () => {
      fc.assert(
        fc.property(arbitrarySplit, arbitraryStamp, (split, stamp) => {
          const route = served(first(split, stamp));
          expect(stepper.observed(context, route)).toEqual({
            ...split,
            stamp,
            resourceVersion: '7',
            isIntact: true,
          });
        }),
      );
    });

    test('carries the stamp in the annotation, in the form that every reader knows', () => {
      fc.assert(
        fc.property(arbitrarySplit, arbitraryStamp, (split, stamp) => {
          const text = first(split, stamp).metadata.annotations?.[STAMP_ANNOTATION];
          expect(text).toBe(formatStamp(stamp));
          expect(parseStamp(text)).toEqual(stamp);
        }),
      );
    });

    test('is pure: it changes no input and answers the same twice', () => {
      fc.assert(
        fc.property(arbitrarySplit, arbitraryStamp, (split, stamp) => {
          const inputs = deepFreeze(structuredClone({ context, split, stamp }));
          const written = stepper.desired(inputs.context, inputs.split, inputs.stamp);
          expect(stepper.desired(inputs.context, inputs.split, inputs.stamp)).toEqual(written);
          const route = deepFreeze(served(written[0]!));
          expect(stepper.observed(inputs.context, route)).toEqual(stepper.observed(inputs.context, route));
        }),
      );
    });

    test('shares nothing with its inputs: a caller may change what it was given', () => {
      const inputs = structuredClone(context);
      const written = first({ primaryWeight: 100, canaryWeight: 0 }, { epoch: 1, run: '', end: '' });
      const before = structuredClone(written);
      for (const label of Object.keys(written.metadata.labels ?? {})) delete written.metadata.labels![label];
      written.metadata.ownerReferences![0]!.name = 'changed';
      expect(context).toEqual(inputs);
      expect(first({ primaryWeight: 100, canaryWeight: 0 }, { epoch: 1, run: '', end: '' })).toEqual(before);
    });

    test('writes objects that the API server takes whole, with identity and owner', () => {
      fc.assert(
        fc.property(arbitrarySplit, arbitraryStamp, (split, stamp) => {
          const objects = stepper.desired(context, split, stamp);
          for (const object of objects) {
            expect(options.validate(structuredClone(object))).toEqual([]);
            expect(object.metadata).toMatchObject({ namespace: context.namespace, labels: context.labels });
            expect(object.metadata.resourceVersion).toBeUndefined();
            expect(object.metadata.ownerReferences).toMatchObject([
              { ...context.ownerReference, controller: true },
            ]);
          }
          const { group, version, kind } = stepper.routeType;
          expect(objects[0]).toMatchObject({ apiVersion: `${group}/${version}`, kind });
        }),
      );
    });

    test('refuses what must never reach a mesh', () => {
      const stamp: Stamp = { epoch: 1, run: 'a', end: '' };
      for (const [primaryWeight, canaryWeight] of [
        [0, 0],
        [50, 49],
        [101, -1],
        [99.5, 0.5],
        [Number.NaN, 100],
      ] as const) {
        expect(() => stepper.desired(context, { primaryWeight, canaryWeight }, stamp)).toThrow('not a split');
      }
      const split = { primaryWeight: 100, canaryWeight: 0 };
      expect(() => stepper.desired(context, split, { ...stamp, run: 'a/b' })).toThrow('not a stamp');
      expect(() => stepper.desired(context, split, { ...stamp, epoch: 1.5 })).toThrow('not a stamp');
    });

    test('sees that a stamp is missing or was written by somebody else', () => {
      const route = served(first({ primaryWeight: 60, canaryWeight: 40 }, { epoch: 4, run: 'r', end: '' }));
      for (const text of [undefined, '', 'x', '1/a', '-1/a/', '1/a/won', '1/a/b/failed']) {
        const edited = served(route);
        if (text === undefined) delete edited.metadata.annotations![STAMP_ANNOTATION];
        else edited.metadata.annotations![STAMP_ANNOTATION] = text;
        expect(stepper.observed(context, edited)).toMatchObject({
          primaryWeight: 60,
          canaryWeight: 40,
          stamp: { epoch: 0, run: '', end: '' },
          isIntact: false,
        });
      }
    });

    test('answers nothing for a route that is not there', () => {
      expect(stepper.observed(context, undefined)).toBeUndefined();
    });

    test('always reads a whole split, whatever somebody wrote, or none at all', () => {
      fc.assert(
        fc.property(arbitrarySplit, fc.anything(), (split, spec) => {
          const route = { ...served(first(split, { epoch: 1, run: '', end: '' })), spec };
          const observed = stepper.observed(context, route);
          if (observed) expect(observed.primaryWeight + observed.canaryWeight).toBe(100);
        }),
      );
    });
  });
}
