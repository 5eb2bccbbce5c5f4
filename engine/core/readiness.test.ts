/** What people are told a workload lacks, and how much traffic some of its pods may get. */
import { expect, test } from 'vitest';
import type { Observation, Workload } from './observation.ts';
import { lackOf, mayCarry } from './readiness.ts';

const ready = {
  generation: 3,
  observedGeneration: 3,
  replicas: 2,
  reportedAvailable: 2,
  pods: [{ revision: 'v2', total: 2, available: 2 }],
} as unknown as Workload;

test.each<[string, Partial<Workload> | undefined, number]>([
  ['its Deployment is gone', undefined, 1],
  ['its controller has not taken up its spec', { observedGeneration: 2 }, 1],
  [
    '1 pods are of another revision',
    { pods: [...ready.pods, { revision: 'v1', total: 1, available: 1 }] },
    1,
  ],
  ['1 of 2 pods are available', { pods: [{ revision: 'v2', total: 2, available: 1 }] }, 1],
  ['0 of 2 pods are available', { reportedAvailable: 0 }, 1],
  ['its Service has no ready endpoint', {}, 0],
])('%s', (text, change, endpoints) => {
  expect(lackOf(change && { ...ready, ...change }, 'v2', endpoints)).toBe(text);
});

test.each([
  // canaryReadyThreshold, available of ten, weight, whether it may have it
  [10, 1, 10, true],
  [10, 1, 11, false],
  [10, 5, 50, true],
  [10, 5, 51, false],
  [10, 9, 100, false],
  [10, 10, 100, true],
  [60, 5, 10, false],
])('with a threshold of %d %%, %d of 10 pods may have %d %%: %s', (percent, available, weight, expected) => {
  const target = {
    replicas: 10,
    pausedBy: 'engine',
    pods: [{ revision: 'v2', total: 10, available }],
  };
  const settings = { canaryReadyPercent: percent };
  const seen = { target, primary: { replicas: 10 }, settings, endpoints: { canary: available, primary: 1 } };
  expect(mayCarry(seen as unknown as Observation, 'v2', weight)).toBe(expected);
});
