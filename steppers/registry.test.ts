/** Names of providers: each that the API accepts is either a stepper or refused with a sentence. */
import { describe, expect, test } from 'vitest';
import { PROVIDERS } from '../engine/api/canary.ts';
import { chooseStepper, KNOWN_PROVIDERS, providerProblem, SUPPORTED_PROVIDERS } from './registry.ts';

const all = { trafficSplit: ['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4'] };

describe('providers', () => {
  test('the registry knows exactly the names that a Canary may carry', () => {
    expect([...KNOWN_PROVIDERS].sort()).toEqual([...PROVIDERS].sort());
  });

  test.each(SUPPORTED_PROVIDERS)('%s has a stepper of its name', provider => {
    const choice = chooseStepper(provider, all);
    expect(choice.ok && choice.stepper.provider).toBe(provider);
    expect(providerProblem(provider)).toBeUndefined();
  });

  test('smi:<version> writes that version', () => {
    for (const version of all.trafficSplit) {
      const choice = chooseStepper(`smi:${version}`, all);
      expect(choice.ok && choice.stepper.routeType.version).toBe(version);
    }
  });

  test.each([
    [['v1alpha1', 'v1alpha2'], 'v1alpha2'],
    [['v1alpha1'], 'v1alpha1'],
    [all.trafficSplit, 'v1alpha2'],
  ])('linkerd on %j writes %s', (trafficSplit, version) => {
    const choice = chooseStepper('linkerd', { trafficSplit });
    expect(choice.ok && choice.stepper.routeType.version).toBe(version);
  });

  test('linkerd without a version that its adaptor obeys says which are served', () => {
    expect(chooseStepper('linkerd', { trafficSplit: ['v1alpha4'] })).toEqual({
      ok: false,
      problem: 'NotServed',
      message:
        'Provider linkerd needs TrafficSplits in v1alpha2 or v1alpha1, but the API server serves TrafficSplits (split.smi-spec.io) in v1alpha4 only.',
    });
  });

  test('without the CRD the message says what to install', () => {
    const choice = chooseStepper('smi:v1alpha2', { trafficSplit: [] });
    expect(choice).toMatchObject({ ok: false, problem: 'NotServed' });
    expect(!choice.ok && choice.message).toContain('does not serve TrafficSplits (split.smi-spec.io)');
  });

  test.each([
    ['istio', 'NotSupportedYet', 'Provider istio is not supported yet'],
    ['appmesh', 'Retired', 'AWS App Mesh, which its maker has retired'],
    ['appmesh:v1beta2', 'Retired', 'AWS App Mesh, which its maker has retired'],
    ['osm', 'Retired', 'Open Service Mesh, which its makers have archived'],
    ['constructor', 'UnknownProvider', 'Provider constructor is not known'],
    ['', 'UnknownProvider', 'is not known'],
  ])('%s is %s', (provider, problem, sentence) => {
    const choice = chooseStepper(provider, all);
    expect(choice).toMatchObject({ ok: false, problem });
    expect(!choice.ok && choice.message).toContain(sentence);
  });
});
