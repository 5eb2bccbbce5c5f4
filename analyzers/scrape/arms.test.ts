/** Looks at arms: shared by all who ask, bounded, and stale when too few pods answer. */
import { expect, test } from 'vitest';
import { createVirtualClock } from '../../simulator/clock.ts';
import type { ArmPods, PodAddress } from '../analyzer.ts';
import { createArms, PODS_ASKED_MAX } from './arms.ts';
import type { PodAnswer } from './pods.ts';

const pod = (index: number): PodAddress => ({ name: `pod-${index}`, ip: `10.0.0.${index}` });
const podsOf = (count: number, history = 'shop/web/run'): ArmPods => ({
  history,
  canary: Array.from({ length: count }, (_, index) => pod(index)),
  primary: [pod(200)],
});

function world(answerOf: (pod: PodAddress, count: number) => PodAnswer | Promise<PodAnswer>) {
  const clock = createVirtualClock(1_000_000);
  const asked = new Map<string, number>();
  let [underWay, busiest] = [0, 0];
  const arms = createArms({
    clock,
    async read(one) {
      const count = (asked.get(one.name) ?? 0) + 1;
      asked.set(one.name, count);
      busiest = Math.max(busiest, ++underWay);
      await Promise.resolve();
      const answer = await answerOf(one, count);
      underWay--;
      return answer;
    },
  });
  return { clock, asked, arms, busiest: () => busiest };
}

function counting(ok: number): PodAnswer {
  const requests = new Map([['ok', { isFailure: false, count: ok }]]);
  return { ok: true, counters: { startedAt: undefined, requests, durations: new Map() } };
}
const refused: PodAnswer = { ok: false, problem: 'connection refused' };

test('whoever asks while a look is under way, or has just ended, shares it', async () => {
  const { clock, asked, arms } = world((_pod, count) => counting(count * 10));
  const looks = await Promise.all([1, 2, 3].map(() => arms.look(podsOf(2), 'canary', [5_000])));
  expect(looks[1]).toBe(looks[0]);
  expect([...asked.values()]).toEqual([1, 1]);
  await clock.advance(100);
  expect(await arms.look(podsOf(2), 'canary', [5_000])).toBe(looks[0]);
  await arms.look(podsOf(2), 'primary', [5_000]);
  expect(asked.get('pod-200')).toBe(1);
  await clock.advance(200);
  const later = await arms.look(podsOf(2), 'canary', [5_000]);
  expect([...asked.values()]).toEqual([2, 2, 1]);
  expect(later.history.window(5_000)).toMatchObject({ increments: { requests: 20 } });
  expect([...later.history.pods().keys()]).toEqual(['pod-0/10.0.0.0', 'pod-1/10.0.0.1']);
});

test.each([
  [10, 1, 9],
  [10, 2, 9],
  [3, 1, 3],
  [1, 1, 1],
  [20, 2, 18],
])('%i pods of which %i are silent need %i answers', async (count, silent, needed) => {
  const { arms, clock } = world(one => (Number(one.name.slice(4)) < silent ? refused : counting(1)));
  const look = await arms.look(podsOf(count), 'canary', [5_000]);
  expect(look).toMatchObject({ pods: count, answered: count - silent, needed, skipped: 0 });
  expect(look.problem).toMatch(/^pod-\d+: connection refused$/);
  expect(look.history.markedAt()).toBe(count - silent >= needed ? clock.now() : undefined);
});

test('of very many pods 64 are asked, always the same ones', async () => {
  const { arms, asked, clock } = world(() => counting(1));
  const many = podsOf(90);
  expect(await arms.look(many, 'canary', [5_000])).toMatchObject({ pods: PODS_ASKED_MAX, answered: 64 });
  const chosen = [...asked.keys()];
  await clock.advance(1_000);
  // Others come that would be first by name.
  const more = {
    ...many,
    canary: [...many.canary.toReversed(), ...['a', 'b'].map(name => ({ name, ip: name }))],
  };
  await arms.look(more, 'canary', [5_000]);
  expect([...asked.keys()].sort()).toEqual(chosen.sort());
  expect([...asked.values()].every(count => count === 2)).toBe(true);
});

test('an arm asks 8 at once, and no more once it cannot become a value', async () => {
  const { arms, asked, busiest } = world(() => refused);
  const look = await arms.look(podsOf(64), 'canary', [5_000]);
  expect(busiest()).toBe(8);
  expect(asked.size).toBe(16);
  expect(look).toMatchObject({ answered: 0, needed: 58, skipped: 48 });
});

test('what is dropped begins anew; what is idle is dropped', async () => {
  const { arms, clock } = world((_pod, count) => counting(count));
  await arms.look(podsOf(1), 'canary', [5_000]);
  await arms.look(podsOf(1, 'shop/other/run'), 'canary', [5_000]);
  expect(arms.size()).toBe(2);
  arms.drop('shop/web/run');
  expect([arms.size(), arms.last('shop/web/run', 'canary')]).toEqual([1, undefined]);
  await clock.advance(1_000);
  const look = await arms.look(podsOf(1), 'canary', [5_000]);
  expect(look.history.window(5_000)).toBeUndefined();
  await clock.advance(5_000);
  arms.dropIdle(5_500);
  expect([arms.last('shop/other/run', 'canary'), arms.last('shop/web/run', 'canary')]).toEqual([
    undefined,
    look,
  ]);
});
