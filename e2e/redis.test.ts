/** The same rollouts with the shared scheduler on a real Redis, which is flushed in the middle of one. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../engine/clock.ts';
import { createBullmqScheduler } from '../engine/controller/schedulerBullmq.ts';
import { type RunningEngine, startEngine } from './harness/engine.ts';
import { type RealPrometheus, startPrometheus } from './harness/prometheus.ts';
import { startRedis } from './harness/redis.ts';
import { type Rig, startRig } from './harness/rig.ts';

let rig: Rig;
let prometheus: RealPrometheus;
let redis: Awaited<ReturnType<typeof startRedis>>;
const engines: RunningEngine[] = [];

beforeAll(async () => {
  rig = await startRig();
  [prometheus, redis] = await Promise.all([startPrometheus(rig.kubelet), startRedis()]);
  const quiet = { info: () => {}, warn: () => {}, error: () => {} };
  // Two replicas, both active: they share the queue, and either may tick a canary.
  for (let replica = 0; replica < 2; replica++) {
    const scheduler = () => createBullmqScheduler({ redisUrl: redis.url, clock: systemClock, log: quiet });
    engines.push(await startEngine(rig, prometheus.url, scheduler));
  }
});
afterAll(async () => {
  for (const engine of engines) await engine.stop();
  await redis?.stop();
  await prometheus?.stop();
  await rig?.stop();
});

const analysis = {
  interval: '2s',
  stepWeights: [20, 50],
  threshold: 2,
  metrics: [{ name: 'request-success-rate', interval: '5s', thresholdRange: { min: 99 } }],
};

test('a good release is promoted although Redis is flushed on the way; a bad one is rolled back', async () => {
  await rig.shop('queued');
  await rig.declare('queued', { analysis });
  await rig.phase('queued', 'Initialized');
  const traffic = rig.traffic('queued');
  await rig.release('queued', 'v2');
  await rig.until('weight 20', async () => (await rig.canary('queued')).status.canaryWeight >= 20);
  await redis.flush();
  const done = await rig.phase('queued', 'Succeeded', 90_000);
  expect(done.status.lastPromotedSpec).toBe(done.status.lastAppliedSpec);
  await rig.release('queued', 'v3', { errorPercent: 50 });
  await rig.phase('queued', 'Failed');
  await traffic.stop();
  const foreign = traffic.failures.filter(
    failure => !(failure.cause === 'release' && failure.version === 'v3'),
  );
  expect(foreign.slice(0, 3)).toEqual([]);
});
