/** Engines that die or freeze between two of their writes, at every moment that matters and at random ones. */
import { expect, test } from 'vitest';
import { type ApiProxy, type HeldRequest, type SeenRequest, startApiProxy } from '../harness/apiProxy.ts';
import type { EngineProcess } from '../harness/engineProcess.ts';
import { waitFor } from '../harness/programs.ts';
import { adoptedShop, analysis, lastSaid, type Shop, type Stage } from './stage.ts';

const isRouteWrite =
  (weight: number) =>
  ({ method, path, body }: SeenRequest): boolean =>
    method === 'PATCH' &&
    path.includes('/trafficsplits/') &&
    body?.spec?.backends?.some(
      (backend: any) => backend.service === 'web-canary' && backend.weight === weight,
    );

const isStatusWrite =
  (phase: string) =>
  ({ method, path, body }: SeenRequest): boolean =>
    method === 'PUT' && path.endsWith('/canaries/web/status') && body?.status?.phase === phase;

interface Pair {
  /** The next matching request of either engine is held, and that engine is frozen in the same moment. */
  freezeAt(
    isWanted: (request: SeenRequest) => boolean,
  ): Promise<{ held: HeldRequest; frozen: EngineProcess }>;
  stop(): Promise<void>;
}

/** Two replicas, each behind a proxy of its own. */
async function startPair(stage: Stage, namespace: string): Promise<Pair> {
  const proxies: ApiProxy[] = [];
  const engines: EngineProcess[] = [];
  for (const name of ['one', 'two']) {
    const proxy = await startApiProxy(stage.rig.plane, stage.kubeconfig);
    proxies.push(proxy);
    engines.push(
      await stage.engine({
        name,
        namespaces: [namespace],
        kubeconfig: proxy.kubeconfig,
        resyncSeconds: 5,
      }),
    );
  }
  return {
    async freezeAt(isWanted) {
      const caught = proxies.map(async (proxy, index) => {
        const held = await proxy.hold(isWanted);
        const frozen = engines[index];
        if (!frozen) throw new Error('each proxy has its engine');
        frozen.freeze();
        for (const other of proxies) other.disarm();
        return { held, frozen };
      });
      return await Promise.race(caught);
    },
    async stop() {
      await Promise.all(engines.map(engine => engine.kill()));
      await Promise.all(proxies.map(proxy => proxy.close()));
    },
  };
}

/** The late write is refused by the API server, and the engine wakes up to that. */
async function wake({ held, frozen }: { held: HeldRequest; frozen: EngineProcess }): Promise<void> {
  expect(await held.letThrough()).toBe(409);
  held.reply();
  frozen.thaw();
  const resource = held.path.endsWith('/status') ? 'canaries/status' : 'trafficsplits';
  // After a long sleep its own deadline may come before the reply: code 0.
  const ended = new RegExp(`^serin_api_requests_total\\{.*resource="${resource}",code="(409|0)"\\}`, 'm');
  await waitFor('the woken engine knows', async () =>
    ended.test(await (await fetch(`${frozen.url}/metrics`)).text()),
  );
}

const revisionsOf = (status: any): string[] => status.history.map((past: any) => past.outcome);

export function crashes(stage: () => Stage): void {
  test.concurrent('killed between status and route, and between route and reply: it goes on where it was', async () => {
    const namespace = 'killed';
    const proxy = await startApiProxy(stage().rig.plane, stage().kubeconfig);
    const restart = () =>
      stage().engine({
        name: 'one',
        namespaces: [namespace],
        kubeconfig: proxy.kubeconfig,
        resyncSeconds: 5,
      });
    // It waits for its namespace, which comes with the shop.
    const starting = restart();
    const shop = await adoptedShop(stage(), namespace);
    let engine = await starting;
    // The first raise is recorded and never sent, the second lands and is never answered.
    for (const { weight, isSent } of [
      { weight: 20, isSent: false },
      { weight: 50, isSent: true },
    ]) {
      const caught = proxy.hold(isRouteWrite(weight));
      if (weight === 20) await shop.release('v2');
      const held = await caught;
      if (isSent) expect(await held.letThrough()).toBe(200);
      await engine.kill();
      expect(stage().recorder.canary(namespace).status.canaryWeight).toBe(weight);
      engine = await restart();
    }
    const { status } = await shop.phase('Succeeded');
    expect(status.lastPromotedSpec).toBe(status.lastAppliedSpec);
    await shop.close();
    await engine.kill();
    await proxy.close();
  });

  test.concurrent('frozen between status and route of a raise: another rolls back, and the late raise does not land', async () => {
    const { pair, shop } = await pairAndShop(stage(), 'frozenraise');
    const asleep = pair.freezeAt(isRouteWrite(50));
    await shop.release('v2');
    const one = await asleep;
    // What nobody had seen at 20 % is seen now, by the other engine.
    stage().rig.kubelet.setBehaviour({ namespace: shop.namespace, version: 'v2' }, { errorPercent: 100 });
    const failed = await shop.phase('Failed');
    expect(lastSaid(failed)).toMatchObject({ reason: 'RolledBack' });
    await wake(one);
    const splits = stage().recorder.splits(shop.namespace);
    expect(splits.map(split => split.canaryWeight)).not.toContain(50);
    expect(splits.at(-1)).toMatchObject({ canaryWeight: 0, end: 'failed' });
    expect(revisionsOf(stage().recorder.canary(shop.namespace).status)).toEqual(['Failed']);
    await shop.close('v2');
    await pair.stop();
  });

  for (const [what, namespace, isWanted] of [
    ['route', 'frozenroute', isRouteWrite(0)],
    ['status', 'frozenstatus', isStatusWrite('Failed')],
  ] as const) {
    test.concurrent(`frozen before the ${what} write of a take-away: another ends it, and the next run is left alone`, async () => {
      const { pair, shop } = await pairAndShop(stage(), namespace);
      await shop.release('v2', { errorPercent: 100 });
      await shop.atWeight(20);
      const one = await pair.freezeAt(isWanted);
      const failed = await shop.phase('Failed');
      expect(lastSaid(failed)).toMatchObject({ reason: 'RolledBack' });
      await shop.release('v3');
      const next = await shop.until(
        'the next run has traffic',
        status => status.run.revision !== failed.status.run.revision && status.canaryWeight > 0,
      );
      await wake(one);
      const done = await shop.phase('Succeeded');
      expect(revisionsOf(done.status)).toEqual(['Succeeded', 'Failed']);
      // What was decided about the old run ended nothing of the new one.
      const ends = stage()
        .recorder.splits(namespace)
        .filter(split => split.run === next.status.run.id)
        .map(split => split.end);
      expect(ends.filter(end => end !== '')).toEqual(['promoted']);
      await shop.close('v2');
      await pair.stop();
    });
  }

  test.concurrent('killed every few seconds for whole rollouts: each ends as it should', async () => {
    const namespaces = ['stormgood', 'stormbad'];
    const restart = () => stage().engine({ name: 'one', namespaces, resyncSeconds: 5 });
    const starting = restart();
    const [good, bad] = await Promise.all(namespaces.map(namespace => adoptedShop(stage(), namespace)));
    let engine = await starting;
    if (!good || !bad) throw new Error('there are two shops');
    await Promise.all([good.release('v2'), bad.release('v2', { errorPercent: 100 })]);
    let isOver = false;
    let kills = 0;
    const storm = (async () => {
      while (!isOver) {
        await new Promise(resolve => setTimeout(resolve, 3_000 + Math.random() * 6_000));
        await engine.kill();
        kills++;
        engine = await restart();
      }
    })();
    const ends = await Promise.all([good.phase('Succeeded'), bad.phase('Failed')]);
    isOver = true;
    await storm;
    expect(ends[0].status.lastPromotedSpec).toBe(ends[0].status.lastAppliedSpec);
    expect(stage().recorder.primaryImages('stormbad')).toEqual(['example.com/web:v1']);
    expect(kills).toBeGreaterThan(0);
    await good.close();
    await bad.close('v2');
    await engine.kill();
  });
}

async function pairAndShop(stage: Stage, namespace: string): Promise<{ pair: Pair; shop: Shop }> {
  const pair = startPair(stage, namespace);
  const shop = await adoptedShop(stage, namespace, { analysis });
  return { pair: await pair, shop };
}
