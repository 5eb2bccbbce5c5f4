/**
 * What a user loses when replicas die, freeze, restart or lose their Redis: nothing but the seconds that are promised.
 * Moments are taken from the API server's audit log and from when a signal was sent, never from what an engine says.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Act, actsOf } from './harness/acts.ts';
import { startApiProxy } from './harness/apiProxy.ts';
import { REPLICA_USERS } from './harness/audit.ts';
import type { EngineProcess } from './harness/engineProcess.ts';
import { waitFor } from './harness/programs.ts';
import { startRedis } from './harness/redis.ts';
import {
  adoptedShop,
  lastSaid,
  type RunningStage,
  startStage,
  successRate,
  unguarded,
} from './scenarios/stage.ts';

/** The promises. */
const AFTER_KILL_MS = 15_000;
const AFTER_STOP_MS = 2_000;
const AFTER_START_MS = 2_000;
const SHARED_AFTER_KILL_MS = 10_000;
const SILENCE_MS = 30_000;

/** Something is due every second, for longer than any takeover lasts. */
const slow = {
  analysis: { interval: '1s', stepWeight: 2, maxWeight: 50, threshold: 2, metrics: [successRate] },
};
const twoSteps = {
  interval: '2s',
  stepWeights: [20, 50],
  metrics: [{ ...successRate, interval: '4s' }],
  judge: unguarded,
};

let stage: RunningStage;
/** One for each replica that a test has to tell from the others. */
const kubeconfigs: string[] = [];

beforeAll(async () => {
  stage = await startStage('in-process');
  kubeconfigs.push(...REPLICA_USERS.map(user => stage.rig.plane.kubeconfig(user)));
});
afterAll(async () => {
  await stage?.stop();
});

const [USER_1, USER_2] = REPLICA_USERS;
const acts = (namespace: string) => actsOf(stage.rig.plane, namespace);
const has = (engine: EngineProcess, message: string) => engine.log.some(line => line.includes(message));
const seconds = (ms: number) => `${(ms / 1_000).toFixed(2)} s`;

/** Replica `index` (from 0) of these namespaces, under a user of its own. */
function replica(index: number, namespace: string, name = `pod-${index}`): Promise<EngineProcess> {
  return stage.engine({ name, namespaces: [namespace], kubeconfig: kubeconfigs[index]!, resyncSeconds: 5 });
}

/** The first holds the Lease, the second stands by. */
async function startPair(namespace: string): Promise<[EngineProcess, EngineProcess]> {
  const one = await replica(0, namespace);
  await waitFor('the first leads', () => has(one, 'this replica is active'));
  return [one, await replica(1, namespace)];
}

/** The first act of this replica after the moment that is of the kind. */
async function firstAct(namespace: string, by: string, afterMs: number, kind: Act['kind']): Promise<Act> {
  return await waitFor(`${by} writes a ${kind}`, async () =>
    (await acts(namespace)).find(act => act.by === by && act.atMs > afterMs && act.kind === kind),
  );
}

async function untilTaken(namespace: string, by: string, afterMs: number): Promise<number> {
  const taken = await waitFor(`${by} takes the Lease`, async () =>
    (await acts(namespace)).find(act => act.by === by && act.atMs > afterMs && act.holder !== undefined),
  );
  return taken.atMs - afterMs;
}

/** The route carries it: the status says so a moment before. */
async function untilRouted(namespace: string, weight: number): Promise<void> {
  await waitFor(
    `the route of ${namespace} gives ${weight} %`,
    () => stage.recorder.splits(namespace).at(-1)?.canaryWeight === weight,
  );
}

describe('one active replica', () => {
  test.concurrent('the leader killed: the standby acts within 15 s; stopped: takes over within 2 s', async () => {
    const namespace = 'succession';
    const starting = startPair(namespace);
    const shop = await adoptedShop(stage, namespace, slow);
    const [one, two] = await starting;
    await shop.release('v2');
    await shop.atWeight(6);
    const killedAt = Date.now();
    await one.kill();
    const taken = await untilTaken(namespace, USER_2, killedAt);
    const acted = (await firstAct(namespace, USER_2, killedAt, 'route')).atMs - killedAt;
    console.log(`SIGKILL -> Lease taken ${seconds(taken)}, traffic moved ${seconds(acted)} (at most 15 s)`);
    expect(acted).toBeLessThanOrEqual(AFTER_KILL_MS);

    await replica(0, namespace);
    const stoppedAt = Date.now();
    await two.stop();
    const handed = await untilTaken(namespace, USER_1, stoppedAt);
    const went = (await firstAct(namespace, USER_1, stoppedAt, 'route')).atMs - stoppedAt;
    console.log(
      `SIGTERM -> Lease taken ${seconds(handed)} (at most 2 s), traffic moved ${seconds(went)} (and an interval of 1 s)`,
    );
    expect(handed).toBeLessThanOrEqual(AFTER_STOP_MS);
    expect(went).toBeLessThanOrEqual(AFTER_STOP_MS + 1_000);
    await shop.phase('Succeeded');
    await shop.close();
  });

  test.concurrent('the leader frozen: the standby rolls back, and the old one moves no traffic when it wakes', async () => {
    const namespace = 'asleep';
    const starting = startPair(namespace);
    const shop = await adoptedShop(stage, namespace, { analysis: { ...twoSteps, threshold: 1 } });
    const [one, two] = await starting;
    await shop.release('v2');
    await untilRouted(namespace, 20);
    const frozenAt = Date.now();
    one.freeze();
    stage.rig.kubelet.setBehaviour({ namespace, version: 'v2' }, { errorPercent: 100 });
    const failed = await shop.phase('Failed');
    expect(lastSaid(failed)).toMatchObject({ reason: 'RolledBack' });
    const back = await firstAct(namespace, USER_2, frozenAt, 'route');
    console.log(`SIGSTOP -> traffic taken away ${seconds(back.atMs - frozenAt)} (at most 15 s)`);
    expect(back.weight).toBe(0);
    expect(back.atMs - frozenAt).toBeLessThanOrEqual(AFTER_KILL_MS);

    const wokenAt = Date.now();
    one.thaw();
    await waitFor('it knows that it does not lead', () => has(one, 'this replica stands by'));
    await shop.release('v3');
    await shop.phase('Succeeded');
    const late = (await acts(namespace)).filter(act => act.by === USER_1 && act.atMs > wokenAt);
    expect(late.filter(act => act.kind !== 'status')).toEqual([]);
    expect(has(two, 'this replica stands by')).toBe(false);
    await shop.close('v2');
  });
});

describe('active replicas on one Redis', () => {
  test.concurrent('one of three killed in the middle of a tick: its canaries go on within 10 s', async () => {
    const namespaces = ['share-0', 'share-1', 'share-2'];
    const redis = await startRedis();
    const proxies = await Promise.all(kubeconfigs.map(path => startApiProxy(stage.rig.plane, path)));
    const starting = Promise.all(
      proxies.map(({ kubeconfig }, index) =>
        stage.engine({
          name: `share-${index}`,
          namespaces,
          kubeconfig,
          redis: { url: redis.url, prefix: 'share' },
          resyncSeconds: 30,
        }),
      ),
    );
    const shops = await Promise.all(namespaces.map(namespace => adoptedShop(stage, namespace, slow)));
    const engines = await starting;
    await Promise.all(shops.map(shop => shop.release('v2')));
    await Promise.all(shops.map(shop => shop.atWeight(4)));
    // Its job is locked, and nobody but it knows that: the hardest moment there is.
    const { index, victim } = await Promise.race(
      proxies.map(async (proxy, index) => {
        const held = await proxy.hold(({ method, path }) => method === 'PUT' && path.endsWith('/status'));
        for (const other of proxies) other.disarm();
        return { index, victim: held.path.split('/').find(part => part.startsWith('share-'))! };
      }),
    );
    const killedAt = Date.now();
    await engines[index]!.kill();
    const gaps = await Promise.all(
      namespaces.map(async namespace => {
        const next = await waitFor(`${namespace} goes on`, async () =>
          (await acts(namespace)).find(act => act.atMs > killedAt && act.kind === 'route'),
        );
        return next.atMs - killedAt;
      }),
    );
    console.log(
      `SIGKILL of one of three -> traffic moved ${gaps.map(seconds).join(', ')} (at most 10 s), its own: ${victim}`,
    );
    expect(Math.max(...gaps)).toBeLessThanOrEqual(SHARED_AFTER_KILL_MS);
    await Promise.all(shops.map(shop => shop.phase('Succeeded')));
    await Promise.all(shops.map(shop => shop.close()));
    await Promise.all(engines.map(engine => engine.kill()));
    await Promise.all(proxies.map(proxy => proxy.close()));
    await redis.stop();
  });

  test.concurrent('Redis silent: traffic is taken from a bad release, given to none, and all goes on by itself', async () => {
    const namespaces = ['silent-bad', 'silent-good'];
    const redis = await startRedis();
    const starting = Promise.all(
      ['a', 'b'].map(name =>
        stage.engine({
          name,
          namespaces,
          redis: { url: redis.url, prefix: 'silent' },
          resyncSeconds: 5,
        }),
      ),
    );
    const spec = { analysis: { ...twoSteps, stepWeights: [20, 30, 40, 50], threshold: 2 } };
    const [bad, good] = await Promise.all(namespaces.map(namespace => adoptedShop(stage, namespace, spec)));
    const engines = await starting;
    if (!bad || !good) throw new Error('there are two shops');
    await Promise.all([bad.release('v2'), good.release('v2')]);
    await Promise.all([bad.atWeight(20), good.atWeight(20)]);
    const frozenAt = Date.now();
    redis.freeze();
    stage.rig.kubelet.setBehaviour({ namespace: bad.namespace, version: 'v2' }, { errorPercent: 100 });
    const failed = await bad.phase('Failed');
    expect(lastSaid(failed)).toMatchObject({ reason: 'RolledBack' });
    const lowered = (await acts(bad.namespace)).find(act => act.atMs > frozenAt && act.weight === 0);
    console.log(
      `Redis silent -> bad release rolled back ${seconds(lowered!.atMs - frozenAt)} (after 30 s of silence)`,
    );
    const held = await good.until('says why it holds', status =>
      status.conditions?.some((one: any) => one.reason === 'SchedulerSilent'),
    );
    for (const engine of engines) {
      const answer = await fetch(`${engine.url}/readyz`);
      expect(await answer.text()).toContain('the scheduler is silent');
      // REST goes on: people must be able to abort.
      expect(answer.status).toBe(200);
      const page = await (await fetch(`${engine.url}/metrics`)).text();
      const silent = Number(/^serin_scheduler_silent_seconds (\S+)$/m.exec(page)?.[1]);
      expect(silent * 1_000).toBeGreaterThan(SILENCE_MS);
    }
    const thawedAt = Date.now();
    redis.thaw();
    const done = await good.phase('Succeeded');
    expect(done.status.lastPromotedSpec).toBe(held.status.run.revision);
    // A tick that had begun may end within its own deadlines; from then on nothing rises.
    const raised = (await acts(good.namespace)).filter(
      act => act.kind === 'route' && act.atMs > frozenAt + 15_000 && act.atMs < thawedAt,
    );
    expect(raised).toEqual([]);
    expect(stage.recorder.primaryImages(bad.namespace)).toEqual(['example.com/web:v1']);
    await bad.close('v2');
    await good.close();
    await Promise.all(engines.map(engine => engine.kill()));
    await redis.stop();
  });
});

/** Alone on the machine: what is measured is the start of a process. */
describe('a single replica', () => {
  test('killed and started again: it takes its own Lease back and rolls back a bad release within 2 s', async () => {
    const namespace = 'single';
    const starting = replica(0, namespace, 'pod');
    const shop = await adoptedShop(stage, namespace, { analysis: { ...twoSteps, threshold: 1 } });
    const killed = await starting;
    await shop.release('v2');
    await untilRouted(namespace, 20);
    await killed.kill();
    stage.rig.kubelet.setBehaviour({ namespace, version: 'v2' }, { errorPercent: 100 });
    // Four a second: for longer than the window of a check and the time that Prometheus needs to see it.
    await waitFor(
      'the release has failed its users for a while',
      () => (shop.traffic.counts().byVersion['v2']?.failed ?? 0) >= 30,
    );
    const older = await replica(0, namespace, 'pod');
    const { startedAt } = older;
    const leased = await untilTaken(namespace, USER_1, startedAt);
    const back = await firstAct(namespace, USER_1, startedAt, 'route');
    console.log(
      `process start -> own Lease ${seconds(leased)}, traffic taken away ${seconds(back.atMs - startedAt)} (at most 2 s)`,
    );
    expect(back.weight).toBe(0);
    await shop.phase('Failed');
    expect(back.atMs - startedAt).toBeLessThanOrEqual(AFTER_START_MS);
    await stage.rig.release(namespace, 'v3');
    await shop.atWeight(20);

    // The same pod's name on a younger process: the kubelet has lost sight of the older one.
    const younger = await replica(1, namespace, 'pod');
    const takenMs = await untilTaken(namespace, USER_2, younger.startedAt);
    await waitFor('the older one steps down', () => has(older, 'this replica stands by'));
    const steppedDownAt = Date.now();
    console.log(`a younger process of the same pod: start -> Lease ${seconds(takenMs)}`);
    await shop.phase('Succeeded');
    const after = (await acts(namespace)).filter(act => act.atMs > steppedDownAt);
    expect(after.filter(act => act.by === USER_1)).toEqual([]);
    expect(after.filter(act => act.by === USER_2).length).toBeGreaterThan(0);
    expect(has(younger, 'this replica stands by')).toBe(false);
    await shop.close('v2');
  });
});
