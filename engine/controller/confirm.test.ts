/** When a loss is looked at again before it is acted on: only where the cache of what it rests on may be too old. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { createVirtualClock } from '../../simulator/clock.ts';
import type { CanaryStatus } from '../api/status.ts';
import type { Action, Decision } from '../core/decision.ts';
import { ApiError, type KubernetesObject, type ResourceType } from '../kubernetes/types.ts';
import { lookAgain } from './confirm.ts';
import type { Sighting } from './observe.ts';
import type { World } from './world.ts';

interface Options {
  rule?: string;
  actions?: unknown[];
  /** The Canary is of version 25, the route of 20; undefined: there is none. */
  slices?: string | undefined;
  replicaSets?: string;
  workload?: string;
  routeWeight?: number;
  routeEpoch?: number;
  status?: CanaryStatus;
  answer?: 'hangs' | 'fails' | 'forbidden';
}

const object = (name: string, resourceVersion: string): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Any',
  metadata: { name, resourceVersion },
});

function setUp(options: Options) {
  const { rule = 'unready', routeWeight = 20, routeEpoch = 4 } = options;
  let { answer } = options;
  const slices = 'slices' in options ? options.slices : '19';
  const asked: string[] = [];
  const verbs: string[] = [];
  const absorbed: string[] = [];
  const clock = createVirtualClock(0);
  const absorb = (one: KubernetesObject) => absorbed.push(one.metadata.resourceVersion ?? '');
  const workload = (name: string) => ({
    metadata: { name, uid: `uid-${name}`, resourceVersion: options.workload ?? '18' },
    spec: { selector: { matchLabels: { app: name, tier: 'front' } } },
  });
  const wait = async (signal: AbortSignal) => {
    if (answer === 'fails') throw new ApiError('server', 'etcd is gone');
    if (answer === 'forbidden') throw new ApiError('forbidden', 'no');
    if (answer === 'hangs')
      await new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(new ApiError('timeout', 'cut off'))),
      );
  };
  const world = {
    clock,
    stepper: { routeType: { plural: 'trafficsplits' } },
    stores: {
      endpointSlices: { find: () => (slices === undefined ? [] : [object('slice', slices)]), absorb },
      replicaSets: { find: () => [object('rs-1', '3'), object('rs-2', options.replicaSets ?? '17')], absorb },
      deployments: { absorb },
      routes: { absorb },
    },
    urgentClient: {
      async get({ plural }: ResourceType, _namespace: string, name: string, how: { signal: AbortSignal }) {
        asked.push(`${plural} ${name}`);
        verbs.push(`get ${plural}`);
        await wait(how.signal);
        return object(name, '31');
      },
      async list(
        { plural }: ResourceType,
        _namespace: string,
        how: { labelSelector?: string; fieldSelector?: string; signal: AbortSignal },
      ) {
        asked.push(`${plural} ${how.labelSelector ?? how.fieldSelector}`);
        verbs.push(`list ${plural}`);
        await wait(how.signal);
        return { items: [object('listed', '30')] };
      },
    },
  } as unknown as World;
  const sighting = {
    names: {
      namespace: 'shop',
      apex: 'web',
      canary: 'web-canary',
      primary: 'web-primary',
      target: 'web',
      primaryWorkload: 'web-primary',
    },
    object: object('web', '25'),
    target: workload('web'),
    primary: workload('web-primary'),
    observation: {
      status: options.status ?? { phase: 'Progressing', routeEpoch: 4 },
      route: { canaryWeight: routeWeight, resourceVersion: '20', stamp: { epoch: routeEpoch } },
    },
  } as unknown as Sighting;
  const decision = { rule, actions: options.actions ?? [takeAway('unready')] } as unknown as Decision;
  const answered = lookAgain(world, sighting, decision);
  const recover = () => (answer = undefined);
  return { answered, asked, verbs, absorbed, clock, recover };
}

const takeAway = (end: string) => ({ kind: 'route', mode: 'lower', stamp: { epoch: 5, run: 'r2.1', end } });
const status = (patch: object): Partial<Action> => ({ kind: 'status', status: patch as CanaryStatus });
const raise = { kind: 'route', mode: 'raise', stamp: { epoch: 5, run: 'r2.1', end: '' } };

async function askedFor(options: Options): Promise<string[]> {
  const { answered, asked } = setUp(options);
  expect(await answered).toBe(asked.length > 0 ? 'changed' : 'stands');
  return asked.toSorted();
}

const CANARY_SLICES = 'endpointslices kubernetes.io/service-name=web-canary';
const CANARY_PODS = ['deployments metadata.name=web', 'replicasets app=web,tier=front'];
const PRIMARY_SLICES = 'endpointslices kubernetes.io/service-name=web-primary';
const PRIMARY_PODS = ['deployments metadata.name=web-primary', 'replicasets app=web-primary,tier=front'];

test('nothing is asked that the engine has no right to', async () => {
  const everything = { rule: 'phase', routeWeight: 0, actions: [takeAway('unready')] };
  const { answered, verbs } = setUp(everything);
  expect(await answered).toBe('changed');
  const { verbs: ofRoute, answered: done } = setUp({ routeEpoch: 3 });
  expect(await done).toBe('changed');
  const role = parse(
    readFileSync(new URL('../../charts/serin/files/clusterrole.yaml', import.meta.url), 'utf8'),
  );
  for (const asked of [...verbs, ...ofRoute]) {
    const [verb, resource] = asked.split(' ');
    const rule = role.rules.find(({ resources }: { resources: string[] }) => resources.includes(resource!));
    expect(rule.verbs, asked).toContain(verb);
  }
});

describe('traffic that is to be taken away', () => {
  test.each([
    ['older than the route', '19'],
    ['of no version that compares', 'x'],
    ['not there', undefined],
  ])('for want of endpoints, from slices that are %s: they are read again', async (_what, slices) => {
    const { answered, absorbed, asked } = setUp({ slices });
    expect(await answered).toBe('changed');
    expect(asked).toEqual([CANARY_SLICES]);
    expect(absorbed).toEqual(['30']);
  });

  test('slices that changed after the traffic came, and every other cause: it is, and nobody is asked', async () => {
    expect(await askedFor({ slices: '21' })).toEqual([]);
    expect(await askedFor({ rule: 'phase', actions: [takeAway('failed')] })).toEqual([]);
    expect(await askedFor({ rule: 'abort', actions: [takeAway('aborted')] })).toEqual([]);
  });

  test.each(['fails', 'hangs', 'forbidden'] as const)(
    'an API server that answers nothing (%s) is asked again, and keeps the traffic there for ten seconds at most',
    async answer => {
      const { answered, asked, clock } = setUp({ answer });
      let settled: string | undefined;
      void answered.then(confirmation => (settled = confirmation));
      await clock.advance(7_900);
      expect(settled).toBeUndefined();
      expect(asked.length).toBeGreaterThan(3);
      await clock.advance(2_100);
      expect(settled).toBe('stands');
    },
  );

  test('an API server that comes back in that time is believed', async () => {
    const { answered, absorbed, clock, recover } = setUp({ answer: 'forbidden' });
    await clock.advance(3_000);
    recover();
    await clock.advance(300);
    expect(await answered).toBe('changed');
    expect(absorbed).toEqual(['30']);
  });

  test('for pods of another revision: known only if Deployment and ReplicaSets both are from after it', async () => {
    const unpinned = { rule: 'unpinned', actions: [takeAway('')] };
    expect(await askedFor(unpinned)).toEqual(CANARY_PODS);
    // One watch is ahead of the other: what the one says of the pods is not what the other would.
    expect(await askedFor({ ...unpinned, workload: '21' })).toEqual(CANARY_PODS);
    expect(await askedFor({ ...unpinned, replicaSets: '21' })).toEqual(CANARY_PODS);
    expect(await askedFor({ ...unpinned, workload: '21', replicaSets: '21' })).toEqual([]);
  });

  test('a route that is older than what the status was decided on is read again, whatever the cause', async () => {
    const behind = { routeEpoch: 3, status: { phase: 'Failed', routeEpoch: 4 } as const };
    for (const rule of ['stray', 'unready', 'abort'])
      expect(await askedFor({ ...behind, rule })).toEqual(['trafficsplits web']);
    expect(
      await askedFor({ ...behind, routeEpoch: 4, rule: 'stray', actions: [takeAway('aborted')] }),
    ).toEqual([]);
  });

  test('a deadline has passed: whoever slept for long reads pods and endpoints before the run ends', async () => {
    const deadline = { rule: 'phase', routeWeight: 0, workload: '99', replicaSets: '99', slices: '99' };
    expect(await askedFor(deadline)).toEqual([...CANARY_PODS, CANARY_SLICES].toSorted());
    // No traffic is at stake: the run does not end on a guess.
    expect(await setUp({ ...deadline, answer: 'fails' }).answered).toBe('unknown');
  });
});

describe('a promotion', () => {
  const promoting = { phase: 'Promoting', stage: 'shift', routeEpoch: 4 } as const;
  const goingBack = { rule: 'phase', status: promoting, actions: [status({ stage: 'back' })] };

  test('that is to be given up because the primary lost pods: known only from after its stage was reached', async () => {
    const all = [...PRIMARY_PODS, PRIMARY_SLICES].toSorted();
    expect(await askedFor(goingBack)).toEqual(all);
    expect(await askedFor({ ...goingBack, workload: '26', slices: '26' })).toEqual(PRIMARY_PODS);
    expect(await askedFor({ ...goingBack, workload: '26', replicaSets: '26' })).toEqual([PRIMARY_SLICES]);
    expect(await askedFor({ ...goingBack, workload: '26', replicaSets: '26', slices: '26' })).toEqual([]);
  });

  test('that nobody can say anything about goes on as it is', async () => {
    expect(await setUp({ ...goingBack, answer: 'fails' }).answered).toBe('unknown');
    const { answered, clock } = setUp({ ...goingBack, answer: 'hangs' });
    await clock.advance(2_000);
    expect(await answered).toBe('unknown');
    expect(await setUp({ ...goingBack, answer: 'forbidden' }).answered).toBe('unknown');
  });

  test.each(['return', 'takeover'])('that gives the canary traffic again (%s): the same', async cause => {
    const back = { ...promoting, stage: 'back' } as const;
    const actions = [status({ stage: 'back', run: { cause } }), raise];
    expect(await askedFor({ rule: 'phase', status: back, actions })).toContain(PRIMARY_SLICES);
  });

  test('that a person gives up, or that is on its way back: nobody is asked', async () => {
    expect(await askedFor({ ...goingBack, rule: 'giveUpPromotion' })).toEqual([]);
    expect(await askedFor({ ...goingBack, status: { ...promoting, stage: 'back' } })).toEqual([]);
    expect(await askedFor({ ...goingBack, actions: [status({ stage: 'bake' })] })).toEqual([]);
  });
});
