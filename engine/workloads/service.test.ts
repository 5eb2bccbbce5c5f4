/** What a user's apex Service selects after its Canary is gone. */
import { describe, expect, test } from 'vitest';
import type { KubernetesObject } from '../kubernetes/types.ts';
import { WRITE_STAMP_ANNOTATION } from './deployment.ts';
import { apexPatch, ORIGINAL_SELECTOR_ANNOTATION, primarySelector, targetSelector } from './service.ts';

const label = { key: 'app', value: 'web' };

function apex(selector: Record<string, string>, annotations: Record<string, string> = {}): KubernetesObject {
  const metadata = { namespace: 'shop', name: 'web', resourceVersion: '7', annotations };
  return { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector } };
}

/** The selector after the Service was pointed at the primary and given back. */
function givenBack(selector: Record<string, string>, remembered?: Record<string, string>) {
  const before = remembered ? { [ORIGINAL_SELECTOR_ANNOTATION]: JSON.stringify(remembered) } : {};
  const taken: any = apexPatch(apex(selector, before), primarySelector(label), 'primary', '7');
  const { annotations } = taken.metadata;
  const patch: any = apexPatch(
    apex(primarySelector(label), annotations),
    targetSelector(label),
    'target',
    '9',
  );
  return patch.spec.selector;
}

test('a selector is written with the stamp of its decision, which goes when the Service is given back', () => {
  const taken: any = apexPatch(apex({ app: 'web' }), primarySelector(label), 'primary', '7');
  expect(taken.metadata).toMatchObject({
    resourceVersion: '7',
    annotations: { [WRITE_STAMP_ANNOTATION]: '7' },
  });
  const given: any = apexPatch(apex(primarySelector(label)), targetSelector(label), 'target', '9');
  expect(given.metadata.annotations[WRITE_STAMP_ANNOTATION]).toBeNull();
});

describe('the selector that is given back', () => {
  test("is the one that selected the target's pods, with all that it had", () => {
    expect(givenBack({ app: 'web', tier: 'front' })).toEqual({ app: 'web', tier: 'front' });
  });
  test("is the target's when somebody had pointed the Service elsewhere before it was taken over", () => {
    expect(givenBack({ app: 'elsewhere' })).toEqual({ app: 'web' });
  });
  test('is what was remembered when somebody points it elsewhere meanwhile', () => {
    expect(givenBack({ app: 'elsewhere' }, { app: 'web', tier: 'front' })).toEqual({
      app: 'web',
      tier: 'front',
    });
  });
});
