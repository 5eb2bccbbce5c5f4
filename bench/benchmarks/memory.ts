/** Resident memory of the engine's process with 10 and with 200 canaries, after all of them have been rolled out, at rest. */
import { atMost, type Figure, noted } from '../figures.ts';
import { memoryOf } from '../processes.ts';
import { until } from '../timeline.ts';
import { BUILT_IN_METRICS, startWorld } from '../world.ts';

const ANALYSIS = { interval: '2s', stepWeights: [20, 50], threshold: 2, metrics: BUILT_IN_METRICS };
const DEADLINE_MS = 300_000;
const REST_MS = 30_000;
const ASKED_MB = 150;

export async function memory(): Promise<Figure[]> {
  return [
    ...(await after(10, 'in-process', undefined)),
    ...(await after(200, 'in-process', ASKED_MB)),
    ...(await after(200, 'bullmq', ASKED_MB)),
  ];
}

async function after(
  canaries: number,
  scheduler: 'in-process' | 'bullmq',
  asked: number | undefined,
): Promise<Figure[]> {
  const world = await startWorld({ redis: scheduler === 'bullmq' });
  try {
    const engine = await world.startEngine({ flags: ['--drain-seconds', '1'] });
    const started = memoryOf(engine.pid);
    const keys = await world.addApps(canaries, { analysis: ANALYSIS });
    await world.adopted(keys);
    await world.release(keys, 'v2');
    await until(
      'every rollout succeeds',
      () => {
        const phases = world.timeline.phases();
        return keys.every(key => phases.get(key) === 'Succeeded') || undefined;
      },
      DEADLINE_MS,
    );
    await world.quiet();
    await new Promise(resolve => setTimeout(resolve, REST_MS));
    const rested = memoryOf(engine.pid);
    const name = `memory (${scheduler})`;
    const parts = ({ residentMb, anonymousMb, peakMb }: typeof rested) =>
      `${residentMb.toFixed(0)} MB (${anonymousMb.toFixed(0)} MB of it not of files; peak ${peakMb.toFixed(0)} MB)`;
    return [
      atMost(name, `resident, ${canaries} canaries, after a rollout of each`, rested.residentMb, asked, 'MB'),
      noted(name, `just started; ${canaries} canaries at rest`, `${parts(started)}; ${parts(rested)}`),
    ];
  } finally {
    await world.stop();
  }
}
