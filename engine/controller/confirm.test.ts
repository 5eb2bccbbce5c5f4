/** When a lost canary is asked about again: only where its EndpointSlices are older than its traffic. */
import { expect, test } from 'vitest';
import { createVirtualClock } from '../../simulator/clock.ts';
import type { Decision } from '../core/decision.ts';
import { ApiError, type KubernetesObject } from '../kubernetes/types.ts';
import { hasLookedAgain } from './confirm.ts';
import type { Sighting } from './observe.ts';
import type { World } from './world.ts';

interface Options {
  sliceVersion?: string;
  end?: 'unready' | 'failed' | '';
  rule?: string;
  podsVersion?: string;
  answer?: 'hangs' | 'fails';
}

function setUp(options: Options) {
  const { sliceVersion, end = 'unready', rule = 'unready', podsVersion = '19', answer } = options;
  const asked: string[] = [];
  const absorbed: KubernetesObject[] = [];
  const clock = createVirtualClock(0);
  const slice = (resourceVersion: string) => ({ metadata: { name: 'web-canary-1', resourceVersion } });
  const world = {
    clock,
    stores: {
      endpointSlices: {
        find: () => (sliceVersion === undefined ? [] : [slice(sliceVersion)]),
        absorb: (object: KubernetesObject) => absorbed.push(object),
      },
      replicaSets: {
        find: () => [slice(podsVersion)],
        absorb: (object: KubernetesObject) => absorbed.push(object),
      },
      deployments: { absorb: (object: KubernetesObject) => absorbed.push(object) },
    },
    urgentClient: {
      async list(
        _type: unknown,
        _namespace: string,
        how: { labelSelector?: string; fieldSelector?: string; signal: AbortSignal },
      ) {
        asked.push(how.labelSelector ?? how.fieldSelector ?? '');
        if (answer === 'fails') throw new ApiError('server', 'etcd is gone');
        if (answer === 'hangs')
          await new Promise((_, reject) =>
            how.signal.addEventListener('abort', () => reject(new ApiError('timeout', 'cut off'))),
          );
        return { items: [slice('30')] };
      },
    },
  } as unknown as World;
  const sighting = {
    names: { namespace: 'shop', canary: 'web-canary', target: 'web' },
    target: {
      metadata: { uid: 'u', resourceVersion: '18' },
      spec: { selector: { matchLabels: { app: 'web', tier: 'front' } } },
    },
    observation: { route: { canaryWeight: 20, resourceVersion: '20' } },
  } as unknown as Sighting;
  const stamp = { epoch: 5, run: 'r2.1', end };
  const decision = { rule, actions: [{ kind: 'route', mode: 'lower', stamp }] } as unknown as Decision;
  return { asked, absorbed, clock, answer: hasLookedAgain(world, sighting, decision) };
}

test.each([
  ['older than the route', '19'],
  ['of no version that compares', 'x'],
  ['not there', undefined],
])('slices that are %s: looked at again', async (_what, sliceVersion) => {
  const { answer, asked, absorbed } = setUp(sliceVersion === undefined ? {} : { sliceVersion });
  expect(await answer).toBe(true);
  expect(asked).toEqual(['kubernetes.io/service-name=web-canary']);
  expect(absorbed.map(one => one.metadata.resourceVersion)).toEqual(['30']);
});

test('slices that changed after the traffic came, and every other cause: the decision stands, nobody is asked', async () => {
  for (const options of [{ sliceVersion: '21' }, { sliceVersion: '19', end: 'failed' as const }]) {
    const { answer, asked } = setUp(options);
    expect(await answer).toBe(false);
    expect(asked).toEqual([]);
  }
});

test('an API server that fails or hangs does not keep the traffic there', async () => {
  expect(await setUp({ sliceVersion: '19', answer: 'fails' }).answer).toBe(false);
  const { answer, clock } = setUp({ sliceVersion: '19', answer: 'hangs' });
  await clock.advance(2_000);
  expect(await answer).toBe(false);
});

test('pods of another revision, known from before the traffic came: target and ReplicaSets are read again', async () => {
  const { answer, asked, absorbed } = setUp({ end: '', rule: 'unpinned' });
  expect(await answer).toBe(true);
  expect(asked.sort()).toEqual(['app=web,tier=front', 'metadata.name=web']);
  expect(absorbed.map(one => one.metadata.resourceVersion)).toEqual(['30', '30']);
  const known = setUp({ end: '', rule: 'unpinned', podsVersion: '21' });
  expect([await known.answer, known.asked]).toEqual([false, []]);
  expect(await setUp({ end: '', rule: 'unpinned', answer: 'fails' }).answer).toBe(false);
});
