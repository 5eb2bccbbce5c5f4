/** What the engine leans on goes away in the middle of a rollout: Prometheus, and the Redis of the shared scheduler. */
import { expect, test } from 'vitest';
import { startPrometheus } from '../harness/prometheus.ts';
import { type RealRedis, startRedis } from '../harness/redis.ts';
import { adoptedShop, type Stage } from './stage.ts';

export function metricsOutage(stage: () => Stage): void {
  test.concurrent('Prometheus down mid-run: the rollout holds, and goes on when it is back', async () => {
    const namespace = 'blind';
    // Its own, so that the others go on seeing.
    const prometheus = await startPrometheus(stage().rig.kubelet);
    const starting = stage().engine({
      name: 'blind',
      namespaces: [namespace],
      metricsServer: prometheus.url,
    });
    const shop = await adoptedShop(stage(), namespace);
    const engine = await starting;
    await shop.release('v2');
    await shop.atWeight(20);
    await prometheus.kill();
    const held = await shop.until(
      'says that nobody answers',
      status => status.run?.errors >= 2 && status.checks.some((check: any) => check.outcome === 'error'),
    );
    expect(held.status.phase).toBe('Progressing');
    expect(held.status.failedChecks).toBe(0);
    await prometheus.start();
    await shop.phase('Succeeded');
    const weights = stage()
      .recorder.splits(namespace)
      .filter(split => split.run === held.status.run.id)
      .map(split => split.canaryWeight);
    // It neither fell nor rose for want of an answer.
    expect(weights).toEqual([20, 50, 0]);
    await shop.close();
    await engine.kill();
    await prometheus.stop();
  });
}

/** Only for the scheduler that has one: the clock is lost, and the rollouts are not. */
export function redisOutages(stage: () => Stage): void {
  const outages: [string, string, (redis: RealRedis) => Promise<void>][] = [
    ['flushed', 'flushed', redis => redis.flush()],
    ['killed and started empty', 'emptied', async redis => (await redis.kill(), await redis.start())],
  ];
  for (const [what, namespace, strike] of outages) {
    test.concurrent(`Redis ${what} mid-run: a good release is promoted, the next, bad one rolled back`, async () => {
      const redis = await startRedis();
      const start = (name: string) =>
        stage().engine({
          name,
          namespaces: [namespace],
          redis: { url: redis.url, prefix: namespace },
          resyncSeconds: 5,
        });
      const starting = Promise.all([start('one'), start('two')]);
      const shop = await adoptedShop(stage(), namespace);
      const engines = await starting;
      await shop.release('v2');
      await shop.atWeight(20);
      await strike(redis);
      await shop.phase('Succeeded');
      await shop.release('v3', { errorPercent: 100 });
      await shop.atWeight(20);
      await strike(redis);
      await shop.phase('Failed');
      expect(stage().recorder.primaryImages(namespace)).toEqual(['example.com/web:v1', 'example.com/web:v2']);
      await shop.close('v3');
      await Promise.all(engines.map(engine => engine.kill()));
      await redis.stop();
    });
  }
}
