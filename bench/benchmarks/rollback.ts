/** From the failed check that reaches the threshold to the route write: ticks between them, counted by the metric queries, and the time. */
import { auditTime } from '../../e2e/harness/audit.ts';
import { atMost, type Figure, greatest, median } from '../figures.ts';
import { until } from '../timeline.ts';
import { startWorld, type World } from '../world.ts';

const CANARIES = 10;
const THRESHOLD = 3;
const ANALYSIS = {
  interval: '2s',
  stepWeights: [10, 50],
  threshold: THRESHOLD,
  // The guard would be there before the checks that are counted.
  judge: { guard: { enabled: false } },
  metrics: [{ name: 'request-success-rate', interval: '1m', thresholdRange: { min: 99 } }],
};
const BAD_PERCENT = 42;
const DEADLINE_MS = 60_000;

export async function rollback(): Promise<Figure[]> {
  const world = await startWorld();
  try {
    await world.startEngine();
    const keys = await world.addApps(CANARIES, { analysis: ANALYSIS });
    await world.adopted(keys);
    for (const key of keys) world.metrics.answer(nameIn(key), { successPercent: BAD_PERCENT, latencyMs: 12 });
    const releasedAt = Math.min(...(await world.release(keys, 'v2')).values());
    await until(
      'every rollout is rolled back',
      () => keys.every(key => world.timeline.phases().get(key) === 'Failed') || undefined,
      DEADLINE_MS,
    );
    return await figuresOf(world, keys, releasedAt);
  } finally {
    await world.stop();
  }
}

/** As queries name the target; the primary's name does not contain it with the closing quote. */
const nameIn = (key: string) => `"${key.split('/')[1]}"`;

async function figuresOf(world: World, keys: readonly string[], releasedAt: number): Promise<Figure[]> {
  const audit = await world.plane.auditEvents('engine');
  const gaps = keys.map(key => {
    const [namespace, name] = key.split('/');
    // The first route write after the release raises, the second takes away.
    const routes = audit.filter(
      entry =>
        entry.resource === 'trafficsplits' &&
        entry.namespace === namespace &&
        entry.name === name &&
        auditTime(entry) > releasedAt,
    );
    const routeAt = routes[1] ? auditTime(routes[1]) : Number.NaN;
    const failed = world.metrics
      .answersAbout(nameIn(key))
      .filter(one => one.value === BAD_PERCENT && one.atMs < routeAt);
    const reachedAt = failed[THRESHOLD - 1]?.atMs ?? Number.NaN;
    return { ticks: failed.length - THRESHOLD, seconds: (routeAt - reachedAt) / 1_000 };
  });
  return [
    atMost(
      'rollback',
      `failed check that reaches the threshold of ${THRESHOLD} -> route write: checks between, most of ${keys.length}`,
      greatest(gaps.map(gap => gap.ticks)),
      0,
    ),
    atMost(
      'rollback',
      'metric answered -> route write at the API server, median',
      median(gaps.map(gap => gap.seconds)),
      undefined,
      's',
    ),
    atMost('rollback', 'the same, longest', greatest(gaps.map(gap => gap.seconds)), undefined, 's'),
  ];
}
