/** What people are told a workload lacks. */
import { expect, test } from 'vitest';
import type { Workload } from './observation.ts';
import { lackOf } from './readiness.ts';

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
