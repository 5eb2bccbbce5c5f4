/** What one more idle canary costs: the same world with 1 and with 101 of them, counted over the same time. */
import { Redis } from 'ioredis';
import { atMost, type Figure, noted } from '../figures.ts';
import { BUILT_IN_METRICS, isWatch, startWorld, type World } from '../world.ts';

const MORE = 100;
const INTERVALS = 4;
const INTERVAL_SECONDS = 10;
const ANALYSIS = { interval: `${INTERVAL_SECONDS}s`, stepWeights: [10, 50], metrics: BUILT_IN_METRICS };

interface Counts {
  requests: string[];
  queries: number;
  jobs: number;
  redisKeys: number;
  redisCommands: number;
}

export async function idle(): Promise<Figure[]> {
  return [...(await measure('in-process')), ...(await measure('bullmq'))];
}

async function measure(scheduler: 'in-process' | 'bullmq'): Promise<Figure[]> {
  const world = await startWorld({ redis: scheduler === 'bullmq' });
  try {
    await world.startEngine();
    const app = { perNamespace: 1 + MORE, analysis: ANALYSIS };
    await world.adopted(await world.addApps(1, app));
    await world.quiet();
    const one = await countFor(world);
    await world.adopted(await world.addApps(MORE, { ...app, first: 1 }));
    await world.quiet();
    const all = await countFor(world);
    return figuresOf(scheduler, one, all);
  } finally {
    await world.stop();
  }
}

async function countFor(world: World): Promise<Counts> {
  const { plane, metrics, redis } = world;
  const before = {
    audit: (await plane.auditEvents('engine')).length,
    queries: metrics.count(),
    commands: (await redis?.commands()) ?? 0,
  };
  await new Promise(resolve => setTimeout(resolve, INTERVALS * INTERVAL_SECONDS * 1_000));
  const commands = (await redis?.commands()) ?? 0;
  const asked = (await plane.auditEvents('engine')).slice(before.audit);
  return {
    requests: asked.map(entry =>
      isWatch(entry) ? `watch ${entry.resource}` : `${entry.verb} ${entry.resource}`,
    ),
    queries: metrics.count() - before.queries,
    ...(redis ? await keysIn(redis.url) : { jobs: 0, redisKeys: 0 }),
    redisCommands: commands - before.commands,
  };
}

async function keysIn(url: string): Promise<{ jobs: number; redisKeys: number }> {
  const client = new Redis(url);
  try {
    const keys = await client.keys('serin*');
    // A job is a hash under its own id, which is the canary's key.
    return { jobs: keys.filter(key => key.includes('/')).length, redisKeys: keys.length };
  } finally {
    client.disconnect();
  }
}

function figuresOf(scheduler: string, one: Counts, all: Counts): Figure[] {
  const name = `idle (${scheduler})`;
  const seconds = INTERVALS * INTERVAL_SECONDS;
  const kinds = (requests: string[]) =>
    [...new Set(requests)].map(kind => `${requests.filter(one => one === kind).length} ${kind}`).join(', ');
  const leases = (counts: Counts) => counts.requests.filter(request => request.endsWith(' leases')).length;
  return [
    atMost(
      name,
      `${MORE} more idle canaries: API requests in ${seconds} s (beside the Lease)`,
      all.requests.length - leases(all) - (one.requests.length - leases(one)),
      0,
    ),
    atMost(name, `${MORE} more idle canaries: metric queries in ${seconds} s`, all.queries - one.queries, 0),
    ...(scheduler === 'bullmq'
      ? [atMost(name, `${MORE} more idle canaries: jobs in Redis`, all.jobs - one.jobs, 0)]
      : []),
    noted(name, 'requests with 1 and with 101 canaries', `${kinds(one.requests)}; ${kinds(all.requests)}`),
    ...(scheduler === 'bullmq'
      ? [
          noted(
            name,
            'Redis keys and commands with 1 and with 101 canaries',
            `${one.redisKeys} keys, ${one.redisCommands} commands; ${all.redisKeys} keys, ${all.redisCommands} commands`,
          ),
        ]
      : []),
  ];
}
