/**
 * Every replica of the engine is restarted, one after the other and over again, while fifty rollouts advance: the API
 * server's audit log says which weights each route was given, the metrics server what was asked between them. Pods are
 * the cheap ones of the benchmarks and send no traffic: fifty canaries with real ones do not fit beside a control plane
 * on two cores.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startEngineProcess, type EngineProcess } from './harness/engineProcess.ts';
import { type Act, actsOf } from './harness/acts.ts';
import { REPLICA_USERS } from './harness/audit.ts';
import { BUILT_IN_METRICS, startWorld, type World } from '../bench/world.ts';
import { until } from '../bench/timeline.ts';

const CANARIES = 50;
const STEPS = [10, 20, 30, 40, 50];
const ANALYSIS = { interval: '4s', stepWeights: STEPS, threshold: 2, metrics: BUILT_IN_METRICS };
const ROLLOUT_DEADLINE_MS = 180_000;

let world: World;
const kubeconfigs: string[] = [];
const engines: EngineProcess[] = [];

beforeAll(async () => {
  world = await startWorld({ redis: true });
  kubeconfigs.push(...REPLICA_USERS.map(user => world.plane.kubeconfig(user)));
});
afterAll(async () => {
  await Promise.all(engines.map(engine => engine.kill()));
  await world?.stop();
});

async function start(index: number): Promise<void> {
  engines[index] = await startEngineProcess({
    name: `pod-${index}`,
    kubeconfig: kubeconfigs[index]!,
    metricsServer: world.metrics.url,
    redis: { url: world.redis!.url, prefix: 'fleet' },
  });
}

/** A rolling update: each replica is told to end, and its successor runs before the next one's turn. */
async function restartAll(): Promise<void> {
  for (let index = 0; index < REPLICA_USERS.length; index++) {
    await engines[index]!.stop();
    await start(index);
  }
}

/** Raises between which nobody asked for this app's metrics. */
function unjudged(name: string, raises: readonly Act[]): number[] {
  const answers = world.metrics.answersAbout(`"${name}"`);
  return raises
    .slice(1)
    .filter((raise, index) => {
      const sinceMs = raises[index]!.atMs;
      return !answers.some(answer => answer.atMs > sinceMs && answer.atMs < raise.atMs);
    })
    .map(raise => raise.weight!);
}

test(`rolling restarts under ${CANARIES} advancing canaries: no step is lost, none repeated, each judged`, async () => {
  for (let index = 0; index < REPLICA_USERS.length; index++) await start(index);
  const keys = await world.addApps(CANARIES, { analysis: ANALYSIS });
  await world.adopted(keys);
  const releasedAt = Date.now();
  await world.release(keys, 'v2');
  const phases = () => keys.map(key => world.timeline.phases().get(key));
  await until('the first of them moves', () => phases().includes('Progressing') || undefined, 60_000);
  const isOver = () => phases().every(phase => phase === 'Succeeded' || phase === 'Failed');
  let restarts = 0;
  for (const endMs = releasedAt + ROLLOUT_DEADLINE_MS; !isOver() && Date.now() < endMs; restarts++)
    await restartAll();
  expect(Object.groupBy(phases(), phase => phase ?? '')).toEqual({
    Succeeded: Array(CANARIES).fill('Succeeded'),
  });

  const routes = (await actsOf(world.plane)).filter(act => act.kind === 'route' && act.atMs > releasedAt);
  const wrong = keys.flatMap(key => {
    const [namespace, name = ''] = key.split('/');
    const own = routes.filter(act => act.namespace === namespace && act.name === name);
    const raises = own.filter(act => (act.weight ?? 0) > 0);
    const weights = raises.map(act => act.weight);
    const skipped = unjudged(name, raises);
    if (weights.join() === STEPS.join() && own.at(-1)?.weight === 0 && skipped.length === 0) return [];
    return [`${key}: ${own.map(act => `${act.by} ${act.weight}`).join(', ')}; unjudged: ${skipped.join()}`];
  });
  const by = REPLICA_USERS.map(user => routes.filter(act => act.by === user).length);
  console.log(
    `${CANARIES} rollouts of ${STEPS.length} steps under ${restarts} rolling restarts of ${REPLICA_USERS.length} replicas: ` +
      `${((Date.now() - releasedAt) / 1_000).toFixed(0)} s, ${by.join(' + ')} route writes, ${wrong.length} canaries with a step lost, repeated or not judged`,
  );
  expect(wrong).toEqual([]);
  // Each of the three did a part of the work, and each was restarted in it.
  expect(Math.min(...by)).toBeGreaterThan(0);
  expect(restarts).toBeGreaterThan(0);
});
