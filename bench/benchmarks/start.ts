/** How soon an engine that is started acts on what became due while there was none: from the start of its process to the route write. */
import { auditTime } from '../../e2e/harness/audit.ts';
import { atMost, type Figure } from '../figures.ts';
import { until } from '../timeline.ts';
import { startWorld, type World } from '../world.ts';

const ANALYSIS = {
  interval: '2s',
  stepWeights: [10, 50],
  threshold: 1,
  judge: { guard: { enabled: false } },
  metrics: [{ name: 'request-success-rate', interval: '1m', thresholdRange: { min: 99 } }],
};
const DEADLINE_MS = 60_000;

interface Case {
  what: string;
  end: NodeJS.Signals;
  cause: 'revert' | 'failedCheck';
}

const CASES: readonly Case[] = [
  { what: 'target reverted while the engine was down (killed)', end: 'SIGKILL', cause: 'revert' },
  { what: 'failed check, after an orderly stop', end: 'SIGTERM', cause: 'failedCheck' },
  { what: 'failed check, after a kill (its Lease must run out)', end: 'SIGKILL', cause: 'failedCheck' },
];

export async function start(): Promise<Figure[]> {
  const world = await startWorld();
  try {
    const keys = await world.addApps(CASES.length, { analysis: ANALYSIS });
    const figures: Figure[] = [];
    let engine = await world.startEngine();
    await world.adopted(keys);
    for (const [index, one] of CASES.entries()) {
      const key = keys[index] ?? '';
      await untilRaised(world, key);
      await engine.end(one.end);
      if (one.cause === 'revert') await world.release([key], 'v1');
      else world.metrics.answer(`"${key.split('/')[1]}"`, { successPercent: 42, latencyMs: 12 });
      engine = await world.startEngine({ replica: `bench-${index}` });
      const { startedAt, runsAt } = engine;
      await until(`${key} is rolled back`, () => world.timeline.at(key, 'weight 0', startedAt), DEADLINE_MS);
      const [namespace] = key.split('/');
      const route = (await world.plane.auditEvents('engine')).find(
        entry =>
          entry.resource === 'trafficsplits' &&
          entry.verb === 'patch' &&
          entry.namespace === namespace &&
          auditTime(entry) > startedAt,
      );
      if (index === 0)
        figures.push(
          atMost('start', 'process start -> caches filled', (runsAt - startedAt) / 1_000, undefined, 's'),
        );
      const acted = route ? (auditTime(route) - startedAt) / 1_000 : Number.NaN;
      figures.push(atMost('start', `process start -> route write: ${one.what}`, acted, undefined, 's'));
    }
    return figures;
  } finally {
    await world.stop();
  }
}

async function untilRaised(world: World, key: string): Promise<void> {
  const sentAt = (await world.release([key], 'v2')).get(key) ?? 0;
  await until(`${key} gets traffic`, () => world.timeline.at(key, 'weight 10', sentAt), DEADLINE_MS);
}
