import { describe, expect, test } from 'vitest';
import { decodeCanary } from '../api/decode.ts';
import { settingsOf } from '../core/settings.ts';
import type { KubernetesObject, Store } from '../kubernetes/types.ts';
import { bareOf, cachedSettings, decodedOf, forgetDecoded } from './decoded.ts';

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

describe('a canary whose spec is refused', () => {
  /** As it reads after an edit that cannot be accepted. */
  function edited(spec: object, metadata: object = {}): KubernetesObject {
    const object = version('9', [30], metadata);
    return { ...object, spec: { ...object['spec'], ...spec } };
  }
  const leaving = { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['serin.dev/release'] };

  test.each([
    ['a field that is not supported', { ingressRef: { apiVersion: 'v1', kind: 'Ingress', name: 'x' } }],
    ['an analysis that makes no sense', { analysis: { stepWeights: [50, 20] } }],
  ])('%s: it is known by its names', (_what, spec) => {
    const object = edited(spec);
    expect(decodeCanary(object).ok).toBe(false);
    const bare = bareOf(object);
    expect(bare).toMatchObject({ name: 'web', uid: 'u', spec: { targetRef: { name: 'web' } } });
    expect(bareOf(object)).toBe(bare);
  });

  test('a Service that makes no sense: only a deletion, which makes none, goes by its name and port', () => {
    const service = { port: 80, appProtocol: 1 };
    expect(bareOf(edited({ service }))).toBeUndefined();
    expect(bareOf(edited({ service }, leaving))).toMatchObject({ finalizers: leaving.finalizers });
  });

  test('nothing is guessed', () => {
    expect(bareOf(edited({ targetRef: {} }, leaving))).toBeUndefined();
  });
});
