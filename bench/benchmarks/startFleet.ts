/**
 * A start with a thousand canaries, after a kill in the middle of the day: how soon the work begins, in which order, and
 * what it takes. While there is no engine some targets are reverted, some releases turn bad, others wait for their next
 * step, and others again are new. `SERIN_BENCH_CANARIES` is for a quick look with fewer.
 */
import { type Act, actsOf } from '../../e2e/harness/acts.ts';
import { atMost, type Figure, greatest, noted } from '../figures.ts';
import { loadAverage, memoryOf } from '../processes.ts';
import { until } from '../timeline.ts';
import { BUILT_IN_METRICS, startWorld, type World } from '../world.ts';

const CANARIES = Number(process.env['SERIN_BENCH_CANARIES'] ?? 1_000);
/** Of each kind of trouble; those that only wait for their next step are three times as many. */
const EACH = 10;
const INTERVAL_SECONDS = 20;
const ANALYSIS = {
  interval: `${INTERVAL_SECONDS}s`,
  stepWeights: [10, 50],
  threshold: 1,
  judge: { guard: { enabled: false } },
  metrics: BUILT_IN_METRICS,
};
const ASKED_SECONDS = 2;
const DEADLINE_MS = 300_000;
/** Apps that are made at once: a thousand Deployments in one go would measure the controllers. */
const BATCH = 100;
/** Room for a thousand adoptions: they are not what is measured. */
const FLAGS = ['--drain-seconds', '1'];

interface Groups {
  reverted: string[];
  failing: string[];
  advancing: string[];
  released: string[];
}

export async function startFleet(): Promise<Figure[]> {
  const world = await startWorld();
  try {
    const first = await world.startEngine({ flags: FLAGS });
    const keys: string[] = [];
    while (keys.length < CANARIES) {
      const count = Math.min(BATCH, CANARIES - keys.length);
      const batch = await world.addApps(count, { analysis: ANALYSIS, first: keys.length });
      await world.adopted(batch);
      keys.push(...batch);
      console.error(`${keys.length} canaries are adopted`);
    }
    const take = (count: number) => keys.splice(0, count);
    const groups: Groups = {
      reverted: take(EACH),
      failing: take(EACH),
      advancing: take(3 * EACH),
      released: take(3 * EACH),
    };
    const running = [...groups.reverted, ...groups.failing, ...groups.advancing];
    const sentAt = await world.release(running, 'v2');
    const hasTraffic = (key: string) =>
      world.timeline.at(key, 'weight 10', sentAt.get(key) ?? 0) !== undefined;
    await until('all have their first step', () => running.every(hasTraffic) || undefined, DEADLINE_MS);
    await first.end('SIGKILL');
    await new Promise(resolve => setTimeout(resolve, INTERVAL_SECONDS * 1_000));
    await world.release(groups.reverted, 'v1');
    await world.release(groups.released, 'v2');
    for (const key of groups.failing)
      world.metrics.answer(`"${key.split('/')[1]}"`, { successPercent: 42, latencyMs: 12 });
    const load = loadAverage();
    const engine = await world.startEngine({ flags: FLAGS });
    const phases = () => world.timeline.phases();
    await until(
      'all of it is done',
      () =>
        ([...groups.reverted, ...groups.failing].every(key => phases().get(key) === 'Failed') &&
          groups.advancing.every(key => world.timeline.at(key, 'weight 50', engine.startedAt)) &&
          groups.released.every(key => phases().get(key) !== 'Initialized')) ||
        undefined,
      DEADLINE_MS,
    );
    return await figuresOf(world, groups, engine, load);
  } finally {
    await world.stop();
  }
}

async function figuresOf(
  world: World,
  groups: Groups,
  { pid, startedAt, runsAt }: { pid: number; startedAt: number; runsAt: number },
  load: string,
): Promise<Figure[]> {
  const acts = (await actsOf(world.plane)).filter(act => act.atMs > startedAt && act.kind !== 'lease');
  /** Seconds from the start of the process to the first such act of each. */
  const times = (keys: readonly string[], kind: Act['kind']) =>
    keys.map(key => {
      const own = acts.find(act => act.kind === kind && `${act.namespace}/${act.name}` === key);
      return ((own?.atMs ?? Number.NaN) - startedAt) / 1_000;
    });
  const name = `start with ${CANARIES}`;
  const { residentMb, anonymousMb, peakMb } = memoryOf(pid);
  const rows: [string, number[]][] = [
    ['reverted: traffic taken away', times(groups.reverted, 'route')],
    ['check fails: traffic taken away', times(groups.failing, 'route')],
    ['next step due: traffic raised', times(groups.advancing, 'route')],
    ['new release: the run begins', times(groups.released, 'status')],
  ];
  return [
    atMost(
      name,
      `process start -> caches filled (load ${load})`,
      (runsAt - startedAt) / 1_000,
      undefined,
      's',
    ),
    ...rows.flatMap(([what, values], index) => [
      atMost(
        name,
        `process start -> first ${what}`,
        Math.min(...values),
        index === 0 ? ASKED_SECONDS : undefined,
        's',
      ),
      atMost(name, `process start -> last of ${values.length} ${what}`, greatest(values), undefined, 's'),
    ]),
    noted(
      name,
      'resident memory after it, and at most',
      `${residentMb.toFixed(0)} MB (${anonymousMb.toFixed(0)} MB of it not of files), ${peakMb.toFixed(0)} MB`,
    ),
  ];
}
