/** How soon a change of a template is seen, and how soon a canary that is ready gets its first traffic: alone and among 200. */
import { atMost, type Figure, greatest, median } from '../figures.ts';
import { loadAverage } from '../processes.ts';
import { until } from '../timeline.ts';
import { BUILT_IN_METRICS, startWorld, type World } from '../world.ts';

const ANALYSIS = { interval: '10s', stepWeights: [10, 20, 30, 40, 50], metrics: BUILT_IN_METRICS };
const SAMPLES = 20;
/** A release begins when the one before has got its first traffic and this long has passed. */
const PAUSE_MS = 300;
const DEADLINE_MS = 30_000;
const FIRST_WEIGHT_MAX_SECONDS = 0.3;

interface Sample {
  progressing: number;
  fromPod: number;
  fromEndpoint: number;
}

export async function latency(): Promise<Figure[]> {
  return [...(await among(10, 0.05)), ...(await among(200, 0.2))];
}

async function among(canaries: number, askedSeconds: number): Promise<Figure[]> {
  const world = await startWorld();
  try {
    await world.startEngine();
    const keys = await world.addApps(canaries, { analysis: ANALYSIS });
    await world.adopted(keys);
    await world.quiet();
    const load = loadAverage();
    const samples: Sample[] = [];
    for (const key of keys.slice(0, SAMPLES)) samples.push(await sample(world, key));
    return figuresOf(canaries, askedSeconds, samples, load);
  } finally {
    await world.stop();
  }
}

async function sample(world: World, key: string): Promise<Sample> {
  const { timeline } = world;
  const sentAt = (await world.release([key], 'v2')).get(key) ?? 0;
  const weightAt = await until(
    `${key} gets traffic`,
    () => timeline.at(key, 'weight 10', sentAt),
    DEADLINE_MS,
  );
  const seen = (mark: 'pod' | 'endpoint' | 'phase Progressing') =>
    timeline.at(key, mark, sentAt) ?? Number.NaN;
  await new Promise(resolve => setTimeout(resolve, PAUSE_MS));
  return {
    progressing: (seen('phase Progressing') - sentAt) / 1_000,
    fromPod: (weightAt - seen('pod')) / 1_000,
    fromEndpoint: (weightAt - seen('endpoint')) / 1_000,
  };
}

function figuresOf(canaries: number, asked: number, samples: readonly Sample[], load: string): Figure[] {
  const name = `latency (${canaries})`;
  const note = `${samples.length} releases one by one, load ${load}`;
  const of = (field: keyof Sample) => samples.map(one => one[field]);
  return [
    atMost(
      name,
      `template change -> Progressing seen, median (${note})`,
      median(of('progressing')),
      asked,
      's',
    ),
    atMost(name, 'the same, longest', greatest(of('progressing')), undefined, 's'),
    atMost(
      name,
      'last pod ready -> first weight seen, median',
      median(of('fromPod')),
      FIRST_WEIGHT_MAX_SECONDS,
      's',
    ),
    atMost(name, 'the same, longest', greatest(of('fromPod')), undefined, 's'),
    atMost(
      name,
      'endpoint published -> first weight seen, median',
      median(of('fromEndpoint')),
      undefined,
      's',
    ),
  ];
}
