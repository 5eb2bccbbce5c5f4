/**
 * Twenty canaries, good and bad releases mixed and spread over the whole run, while everything that the engine leans on
 * breaks at random moments, the engines themselves above all. Who was right is decided by the API server's audit log and
 * by the requests' results, never by what an engine says: no wrong outcome, no lost rollback, no failed request but those
 * that a bad release itself answered.
 */
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRandom, type Random } from '../simulator/api/random.ts';

import { type ApiProxy, startApiProxy } from './harness/apiProxy.ts';
import { type EngineProcess, startEngineProcess } from './harness/engineProcess.ts';
import { waitFor } from './harness/programs.ts';
import { type RealRedis, startRedis } from './harness/redis.ts';
import { auditOf, type Nature, type Shop, shopsIn } from './scenarios/auditor.ts';
import { duration, type RunningStage, startStage, successRate } from './scenarios/stage.ts';

/** `SERIN_CHAOS_SEED` plays the same order of faults again; when they strike within a rollout is the machine's affair. */
const seed = Number(process.env['SERIN_CHAOS_SEED'] ?? Math.floor(Math.random() * 1e9));
const CANARIES = 20;
const REPLICAS = 3;
const CHAOS_MS = Number(process.env['SERIN_CHAOS_SECONDS'] ?? 75) * 1_000;
/** The last release comes early enough to be struck as well. */
const RELEASES_WITHIN = 0.85;
const SETTLE_MS = 240_000;
const REQUESTS_PER_SECOND = 4;
/** A release that is only slow is far beyond what a busy machine makes of a good one. */
const SLOW_MS = 5_000;
const DURATION_MS_MAX = 2_500;

/**
 * Clients cannot know that a pod has left while there is no API server to tell them: no engine helps them then, but the
 * grace that Kubernetes gives a pod by default.
 */
const LINGER_MS = 30_000;

const NATURES: Nature[] = ['good', 'good', 'failing', 'good', 'slow', 'dead'];

interface Replica {
  name: string;
  proxy: ApiProxy;
  engine: EngineProcess | undefined;
}

type Faults = Readonly<Record<string, () => Promise<void>>>;

let stage: RunningStage;
let redis: RealRedis;
const replicas: Replica[] = [];
const timeline: string[] = [];
const began = Date.now();

/** Each striker draws from a stream of its own: how long another's fault takes does not change the order of its own. */
const streamOf = (index: number) => createRandom(seed * 3 + index);
const between = (random: Random, least: number, most: number) =>
  Math.round(least + random.next() * (most - least));

beforeAll(async () => {
  [stage, redis] = await Promise.all([startStage('in-process', { lingerMs: LINGER_MS }), startRedis()]);
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

/** What can happen to engines, each with the way back. The next one comes only after it. */
function engineFaults(random: Random): Faults {
  const anyOf = () => replicas[between(random, 0, REPLICAS - 1)]!;
  return {
    async 'an engine is killed and started again'() {
      const replica = anyOf();
      await replica.engine?.kill();
      await setTimeout(between(random, 0, 2_000));
      await start(replica);
    },
    async 'an engine is frozen'() {
      const { engine } = anyOf();
      engine?.freeze();
      await setTimeout(between(random, 2_000, 12_000));
      engine?.thaw();
    },
    async 'two engines are killed at once'() {
      const pair = replicas.slice(0, 2);
      await Promise.all(pair.map(async replica => await replica.engine?.kill()));
      for (const replica of pair) await start(replica);
    },
    async 'the network of an engine is slow'() {
      const { proxy } = anyOf();
      proxy.slow(between(random, 200, 1_500));
      await setTimeout(between(random, 2_000, 6_000));
      proxy.slow(0);
    },
    async 'the network of an engine is cut'() {
      const { proxy } = anyOf();
      proxy.cut(true);
      await setTimeout(between(random, 1_000, 8_000));
      proxy.cut(false);
    },
  };
}

/** What can happen to everything that engines lean on, beside the above. */
function worldFaults(random: Random): Faults {
  return {
    async 'the API server and its controllers are killed'() {
      await stage.rig.plane.killApiServer();
      await setTimeout(between(random, 500, 4_000));
      await stage.rig.plane.startApiServer();
      await stage.rig.plane.restartControllers();
    },
    async 'etcd stands still'() {
      stage.rig.plane.pauseEtcd();
      await setTimeout(between(random, 1_000, 5_000));
      stage.rig.plane.resumeEtcd();
    },
    async 'Redis is killed and comes back empty'() {
      await redis.kill();
      await setTimeout(between(random, 500, 5_000));
      await redis.start();
    },
    async 'Prometheus is killed'() {
      await stage.prometheus.kill();
      await setTimeout(between(random, 500, 6_000));
      await stage.prometheus.start();
    },
  };
}

function note(what: string): void {
  const now = Date.now();
  timeline.push(
    `${new Date(now).toISOString().slice(11, 23)} ${((now - began) / 1_000).toFixed(1)} s  ${what}`,
  );
}

/** As from a deck of cards: each fault before any comes again. */
async function strike(faults: Faults, random: Random, until: number): Promise<void> {
  let deck: string[] = [];
  while (Date.now() < until) {
    if (deck.length === 0) deck = Object.keys(faults);
    const [name = ''] = deck.splice(between(random, 0, deck.length - 1), 1);
    note(name);
    await faults[name]!();
    note(`  … mended: ${name}`);
    await setTimeout(between(random, 1_000, 4_000));
  }
}

async function release({ namespace, nature }: Shop): Promise<void> {
  if (nature === 'dead') stage.rig.kubelet.setBehaviour({ namespace, version: 'v2' }, { neverReady: true });
  const behaviour = { failing: { errorPercent: 100 }, slow: { latencyMs: SLOW_MS }, good: {}, dead: {} };
  await stage.rig.release(namespace, 'v2', behaviour[nature]);
}

/** One after the other, from the first fault nearly to the last. */
async function releaseAll(shops: readonly Shop[], endMs: number): Promise<void> {
  const startMs = Date.now();
  const gapMs = ((endMs - startMs) * RELEASES_WITHIN) / shops.length;
  for (const [index, shop] of shops.entries()) {
    await setTimeout(Math.max(0, startMs + index * gapMs - Date.now()));
    // The user's own command fails while there is no API server, and is given again.
    await waitFor(
      `${shop.namespace} is released`,
      async () => {
        await release(shop).catch(() => undefined);
        const [container] =
          stage.recorder.deployment(shop.namespace, 'web')?.spec.template.spec.containers ?? [];
        return container?.image === 'example.com/web:v2';
      },
      60_000,
    );
  }
  note('all are released');
}

/** Waiting is all that the engine's own word is good for here. */
const isSettled = ({ namespace }: Shop): boolean =>
  ['Succeeded', 'Failed'].includes(stage.recorder.canary(namespace)?.status?.phase) &&
  stage.recorder.deployment(namespace, 'web')?.spec.replicas === 0;

test(`everything breaks, seed ${seed}`, { timeout: 600_000 }, async () => {
  const spec = {
    progressDeadlineSeconds: 75,
    // Half of the traffic at once: four requests a second leave no doubt about a release that fails all of its own.
    analysis: {
      interval: '3s',
      stepWeights: [50],
      threshold: 2,
      metrics: [successRate, { ...duration, thresholdRange: { max: DURATION_MS_MAX } }],
    },
  };
  const natures = Array.from({ length: CANARIES }, (_, index) => NATURES[index % NATURES.length]!);
  const shops = await shopsIn(stage, natures, spec, REQUESTS_PER_SECOND);
  note('all are adopted');
  const endMs = Date.now() + CHAOS_MS;
  const [ofEngines, ofWorld] = [streamOf(1), streamOf(2)];
  await Promise.all([
    releaseAll(shops, endMs),
    strike(engineFaults(ofEngines), ofEngines, endMs),
    strike(worldFaults(ofWorld), ofWorld, endMs),
  ]);
  note('the faults are over');
  await waitFor('every canary is settled', () => shops.every(isSettled), SETTLE_MS).catch(() => undefined);
  note('settled');
  const { wrong, summary } = await auditOf(stage, shops);
  console.log(`seed ${seed}: ${summary}\n${timeline.join('\n')}`);
  expect(wrong).toEqual([]);
});
