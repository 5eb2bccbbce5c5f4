import { expect, test } from 'vitest';
import { decodeCanary } from '../api/decode.ts';
import { settingsOf } from '../core/settings.ts';
import type { KubernetesObject, Store } from '../kubernetes/types.ts';
import { cachedSettings, decodedOf, forgetDecoded } from './decoded.ts';

const store = {} as Store;

function version(resourceVersion: string, stepWeights: number[], extra: object = {}): KubernetesObject {
  return {
    apiVersion: 'serin.dev/v1beta1',
    kind: 'Canary',
    metadata: { name: 'web', namespace: 'shop', uid: 'u', generation: 1, resourceVersion, ...extra },
    spec: {
      targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
      service: { port: 80 },
      analysis: { stepWeights },
    },
  };
}

function specOf(object: KubernetesObject) {
  const decoded = decodedOf(store, object);
  return decoded.ok ? decoded.canary.spec : undefined;
}

test('a version with the same spec is decoded as if it were the first, and shares the spec', () => {
  const first = version('1', [10, 50]);
  const second = version('2', [10, 50], {
    annotations: { 'serin.dev/command': 'abort a1-x 1' },
    finalizers: ['serin.dev/release'],
    deletionTimestamp: '2026-01-01T00:00:00Z',
  });
  const shared = specOf(first);
  expect(decodedOf(store, second)).toEqual(decodeCanary(second));
  expect(specOf(second)).toBe(shared);
  const decoded = decodeCanary(first);
  if (!decoded.ok) throw new Error('it is valid');
  const settings = cachedSettings({ ...decoded.canary, spec: shared! }, { drainMs: 7 });
  expect(settings).toEqual(settingsOf(decoded.canary, { drainMs: 7 }));
});

test('another spec is decoded anew, an invalid one is refused, and the valid one after it counts', () => {
  expect(specOf(version('3', [20, 50]))?.analysis?.stepWeights).toEqual([20, 50]);
  const invalid = version('4', [50, 20]);
  expect(decodedOf(store, invalid)).toEqual(decodeCanary(invalid));
  expect(specOf(invalid)).toBeUndefined();
  expect(specOf(version('5', [20, 50]))?.analysis?.stepWeights).toEqual([20, 50]);
  expect(specOf(version('6', [30]))?.analysis?.stepWeights).toEqual([30]);
});

test('a canary that is gone is forgotten', () => {
  const before = specOf(version('7', [30]));
  forgetDecoded(store, 'shop', 'web');
  expect(specOf(version('8', [30]))).not.toBe(before);
});
