/**
 * Twenty canaries, good and bad releases mixed, while everything that the engine leans on breaks at random moments, the
 * engines themselves above all. Who was right is decided by what the API server and the clients saw, never by what an
 * engine says: no wrong outcome, no lost rollback, no failed request but those that a bad release itself answered.
 */
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRandom } from '../simulator/api/random.ts';
import type { Traffic } from '../simulator/world/traffic.ts';
import { type ApiProxy, startApiProxy } from './harness/apiProxy.ts';
import { type EngineProcess, startEngineProcess } from './harness/engineProcess.ts';
import { type RealRedis, startRedis } from './harness/redis.ts';
import { waitFor } from './harness/programs.ts';
import { duration, successRate, type RunningStage, startStage } from './scenarios/stage.ts';

/** `SERIN_CHAOS_SEED` plays the same order of faults again; when they strike within a rollout is the machine's affair. */
const seed = Number(process.env['SERIN_CHAOS_SEED'] ?? Math.floor(Math.random() * 1e9));
const CANARIES = 20;
const REPLICAS = 3;
/** Faults go on until every rollout is over, but no longer than this; then everything has to settle. */
const CHAOS_MS = Number(process.env['SERIN_CHAOS_SECONDS'] ?? 75) * 1_000;
const SETTLE_MS = 240_000;
const REQUESTS_PER_SECOND = 4;

const random = createRandom(seed);
const between = (least: number, most: number) => Math.round(least + random.next() * (most - least));

type Nature = 'good' | 'failing' | 'slow' | 'dead';
const NATURES: Nature[] = ['good', 'good', 'failing', 'good', 'slow', 'dead'];

interface Shop {
  namespace: string;
  nature: Nature;
  traffic: Traffic;
}

interface Replica {
  name: string;
  proxy: ApiProxy;
  engine: EngineProcess | undefined;
}

let stage: RunningStage;
let redis: RealRedis;
const replicas: Replica[] = [];
const timeline: string[] = [];
const began = Date.now();

beforeAll(async () => {
  [stage, redis] = await Promise.all([startStage('in-process'), startRedis()]);
  for (let index = 0; index < REPLICAS; index++) {
    const proxy = await startApiProxy(stage.rig.plane, stage.kubeconfig);
    const replica: Replica = { name: `engine-${index}`, proxy, engine: undefined };
    replicas.push(replica);
    await start(replica);
  }
});
afterAll(async () => {
  await Promise.all(replicas.map(async ({ engine }) => await engine?.kill()));
  await Promise.all(replicas.map(({ proxy }) => proxy.close()));
  await redis?.stop();
  await stage?.stop();
});

async function start(replica: Replica): Promise<void> {
  replica.engine = await startEngineProcess({
    name: replica.name,
    kubeconfig: replica.proxy.kubeconfig,
    metricsServer: stage.prometheus.url,
    redis: { url: redis.url, prefix: 'chaos' },
    resyncSeconds: 5,
    drainSeconds: 10,
  });
}

/** What can break, each with the way back. It takes the time that it takes; the next fault comes only after it. */
const faults: Record<string, () => Promise<void>> = {
  async 'an engine is killed and started again'() {
    const replica = replicas[between(0, REPLICAS - 1)]!;
    await replica.engine?.kill();
    await setTimeout(between(0, 2_000));
    await start(replica);
  },
  async 'an engine is frozen'() {
    const { engine } = replicas[between(0, REPLICAS - 1)]!;
    engine?.freeze();
    await setTimeout(between(2_000, 12_000));
    engine?.thaw();
  },
  async 'two engines are killed at once'() {
    const [first, second] = replicas;
    await Promise.all([first, second].map(async replica => await replica?.engine?.kill()));
    for (const replica of [first!, second!]) await start(replica);
  },
  async 'the API server is killed'() {
    await stage.rig.plane.killApiServer();
    await setTimeout(between(500, 4_000));
    await stage.rig.plane.startApiServer();
  },
  async 'etcd stands still'() {
    stage.rig.plane.pauseEtcd();
    await setTimeout(between(1_000, 5_000));
    stage.rig.plane.resumeEtcd();
  },
  async 'Redis is killed and comes back empty'() {
    await redis.kill();
    await setTimeout(between(500, 5_000));
    await redis.start();
  },
  async 'Prometheus is killed'() {
    await stage.prometheus.kill();
    await setTimeout(between(500, 6_000));
    await stage.prometheus.start();
  },
  async 'the network of an engine is slow'() {
    const { proxy } = replicas[between(0, REPLICAS - 1)]!;
    proxy.slow(between(200, 1_500));
    await setTimeout(between(2_000, 6_000));
    proxy.slow(0);
  },
  async 'the network of an engine is cut'() {
    const { proxy } = replicas[between(0, REPLICAS - 1)]!;
    proxy.cut(true);
    await setTimeout(between(1_000, 8_000));
    proxy.cut(false);
  },
};

async function openShop(index: number): Promise<Shop> {
  const namespace = `shop-${index}`;
  const nature = NATURES[index % NATURES.length]!;
  await stage.rig.shop(namespace, { replicas: 1 });
  await stage.rig.declare(namespace, {
    progressDeadlineSeconds: 45,
    // Half of the traffic at once: four requests a second leave no doubt about a release that fails all of its own.
    analysis: { interval: '3s', stepWeights: [50], threshold: 2, metrics: [successRate, duration] },
  });
  await waitFor(`${namespace} is adopted`, () => phaseOf(namespace) === 'Initialized', 120_000);
  return { namespace, nature, traffic: stage.rig.traffic(namespace, REQUESTS_PER_SECOND) };
}

const phaseOf = (namespace: string) => stage.recorder.canary(namespace)?.status?.phase;
const isOver = ({ namespace, nature }: Shop) =>
  phaseOf(namespace) === (nature === 'good' ? 'Succeeded' : 'Failed') &&
  stage.recorder.deployment(namespace, 'web')?.spec.replicas === 0;

async function release({ namespace, nature }: Shop): Promise<void> {
  if (nature === 'dead') stage.rig.kubelet.setBehaviour({ namespace, version: 'v2' }, { neverReady: true });
  const behaviour = { failing: { errorPercent: 100 }, slow: { latencyMs: 1_500 }, good: {}, dead: {} };
  await stage.rig.release(namespace, 'v2', behaviour[nature]);
}

function note(what: string): void {
  timeline.push(`${((Date.now() - began) / 1_000).toFixed(1)} s  ${what}`);
}

async function strike(until: () => boolean): Promise<void> {
  const names = Object.keys(faults);
  while (!until()) {
    const name = names[between(0, names.length - 1)]!;
    note(name);
    await faults[name]!();
    note('  … mended');
    await setTimeout(between(1_000, 4_000));
  }
}

/** The auditor: objects as the API server has them, and requests as clients sent them. */
async function verdictOn({ namespace, nature, traffic }: Shop): Promise<string[]> {
  const counts = await traffic.stop();
  const wrong: string[] = [];
  const images = stage.recorder.primaryImages(namespace);
  const wanted = nature === 'good' ? ['example.com/web:v1', 'example.com/web:v2'] : ['example.com/web:v1'];
  if (images.join() !== wanted.join()) wrong.push(`the primary had ${images.join(', ')}`);
  const weight = stage.recorder.splits(namespace).at(-1)?.canaryWeight;
  if (weight !== 0) wrong.push(`the canary is left with ${weight} %`);
  const foreign = traffic.failures.filter(
    failure => !(failure.cause === 'release' && failure.version === 'v2' && nature === 'failing'),
  );
  if (foreign.length > 0) wrong.push(`${foreign.length} failed requests, e.g. ${JSON.stringify(foreign[0])}`);
  if (counts.total < REQUESTS_PER_SECOND) wrong.push('hardly a request was sent');
  if (nature === 'dead' && counts.byVersion['v2'] !== undefined)
    wrong.push('a dead release was sent requests');
  return wrong.map(text => `${namespace} (${nature}): ${text}`);
}

test(`everything breaks, seed ${seed}`, { timeout: 600_000 }, async () => {
  const shops: Shop[] = [];
  for (let index = 0; index < CANARIES; index += 5)
    shops.push(...(await Promise.all([0, 1, 2, 3, 4].map(more => openShop(index + more)))));
  note('all are adopted');
  const end = Date.now() + CHAOS_MS;
  const releasing = (async () => {
    for (const shop of shops) {
      await waitFor(
        `${shop.namespace} is released`,
        async () => {
          // The user's own command fails while there is no API server, and is given again.
          await release(shop).catch(() => undefined);
          const image = stage.recorder.deployment(shop.namespace, 'web')?.spec.template.spec.containers[0]
            .image;
          return image === 'example.com/web:v2';
        },
        60_000,
      );
      await setTimeout(between(0, 2_000));
    }
    note('all are released');
  })();
  await Promise.all([releasing, strike(() => Date.now() > end)]);
  note('the faults are over');
  const unsettled = () => shops.filter(shop => !isOver(shop));
  await waitFor('every canary is settled', () => unsettled().length === 0, SETTLE_MS).catch(() => undefined);
  note('settled');
  const wrong = [
    ...unsettled().map(({ namespace, nature }) => {
      const status = stage.recorder.canary(namespace)?.status;
      return `${namespace} (${nature}) is ${status?.phase}/${status?.stage}: ${status?.transitions?.at(-1)?.message}`;
    }),
    ...(await Promise.all(shops.map(verdictOn))).flat(),
  ];
  const requests = shops.reduce((sum, { traffic }) => sum + traffic.counts().total, 0);
  const failed = shops.reduce((sum, { traffic }) => sum + traffic.counts().failed, 0);
  console.log(
    `seed ${seed}: ${CANARIES} rollouts, ${requests} requests, ${failed} failed\n${timeline.join('\n')}`,
  );
  expect(wrong).toEqual([]);
});
