/** A Canary that names its provider: whatever is served of SMI is one route, and everything else is refused clearly. */
import { expect, test } from 'vitest';
import { SUPPORTED_PROVIDERS } from '../../steppers/registry.ts';
import { providerProblems } from './providerProblem.ts';

const linkerd = { trafficSplit: ['v1alpha1', 'v1alpha2'] };
const all = { trafficSplit: ['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4'] };

test.each([undefined, '', 'linkerd', 'smi:v1alpha1', 'smi:v1alpha2'])('%s is accepted', provider => {
  expect(providerProblems(provider, linkerd)).toEqual([]);
});

test('every supported name is accepted where everything is served', () => {
  expect(SUPPORTED_PROVIDERS.flatMap(provider => providerProblems(provider, all))).toEqual([]);
});

test.each([
  [
    'smi:v1alpha4',
    'ProviderNotServed',
    'serves TrafficSplits (split.smi-spec.io) in v1alpha1, v1alpha2 only',
  ],
  ['istio', 'NotSupportedYet', 'Provider istio is not supported yet'],
  ['osm', 'Retired', 'Open Service Mesh'],
  ['constructor', 'UnknownProvider', 'Provider constructor is not known'],
])('%s is refused as %s', (provider, reason, sentence) => {
  expect(providerProblems(provider, linkerd)).toEqual([
    { reason, field: 'spec.provider', message: expect.stringContaining(sentence) },
  ]);
});
