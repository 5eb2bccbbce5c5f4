/** 200 canaries released at once, all good, five steps of 10 s: how long until the last of them is through, for each scheduler. */
import type { EngineProcess } from '../engineProcess.ts';
import { atMost, type Figure, greatest, median, noted } from '../figures.ts';
import { cpuBetween, cpuSeconds, loadAverage, memoryOf } from '../processes.ts';
import { type Mark, until } from '../timeline.ts';
import { BUILT_IN_METRICS, isEvent, isLease, isRead, isWatch, startWorld, type World } from '../world.ts';

const CANARIES = 200;
const STEPS = [10, 20, 30, 40, 50];
const ANALYSIS = { interval: '10s', stepWeights: STEPS, threshold: 2, metrics: BUILT_IN_METRICS };
const ASKED_SECONDS = 60;
const DEADLINE_MS = 400_000;

export async function fleet(): Promise<Figure[]> {
  return [...(await releaseAll('in-process')), ...(await releaseAll('bullmq'))];
}

async function releaseAll(scheduler: 'in-process' | 'bullmq'): Promise<Figure[]> {
  const world = await startWorld({ redis: scheduler === 'bullmq' });
  try {
    const engine = await world.startEngine();
    const keys = await world.addApps(CANARIES, { analysis: ANALYSIS });
    await world.adopted(keys);
    await world.quiet();
    const load = loadAverage();
    const cpu = cpuSeconds();
    const audited = (await world.plane.auditEvents('engine')).length;
    const sentAt = await world.release(keys, 'v2');
    await until('every rollout has ended', () => hasEnded(world, keys) || undefined, DEADLINE_MS);
    const used = cpuBetween(cpu, cpuSeconds());
    const name = `fleet (${scheduler})`;
    return [
      ...timesOf(name, world, sentAt, load),
      ...(await costOf(name, world, engine, audited)),
      noted(name, 'CPU time by program', used),
    ];
  } finally {
    await world.stop();
  }
}

function hasEnded(world: World, keys: readonly string[]): boolean {
  const phases = world.timeline.phases();
  return keys.every(key => ['Succeeded', 'Failed'].includes(phases.get(key) ?? ''));
}

function timesOf(name: string, world: World, sentAt: ReadonlyMap<string, number>, load: string): Figure[] {
  const { timeline } = world;
  const releasedAt = Math.min(...sentAt.values());
  const keys = [...sentAt.keys()];
  /** Seconds from the first request of the release until each app has the mark. */
  const since = (mark: Mark) =>
    keys.map(key => ((timeline.at(key, mark, releasedAt) ?? Number.NaN) - releasedAt) / 1_000);
  const ownDelay = keys.map(
    key =>
      ((timeline.at(key, 'phase Progressing', releasedAt) ?? Number.NaN) - (sentAt.get(key) ?? 0)) / 1_000,
  );
  const first = `weight ${STEPS[0] ?? 0}`;
  const ownWait = keys.map(
    key =>
      ((timeline.at(key, first as Mark, releasedAt) ?? Number.NaN) -
        (timeline.at(key, 'pod', releasedAt) ?? Number.NaN)) /
      1_000,
  );
  const back = keys.map(key => {
    const raisedAt = timeline.at(key, `weight ${STEPS.at(-1) ?? 0}`, releasedAt) ?? Number.NaN;
    return ((timeline.at(key, 'weight 0', raisedAt) ?? Number.NaN) - releasedAt) / 1_000;
  });
  const ended = keys.filter(key => timeline.phases().get(key) === 'Succeeded').length;
  const last = (what: string, values: readonly number[], bound?: number) =>
    atMost(name, `release -> ${what}`, greatest(values), bound, 's');
  return [
    noted(name, `succeeded of ${CANARIES} (load ${load})`, String(ended)),
    atMost(name, 'own template change -> Progressing, median', median(ownDelay), undefined, 's'),
    last('last Progressing', since('phase Progressing')),
    last('last pod of a canary ready', since('pod')),
    last('last first weight', since('weight 10')),
    atMost(name, 'own pod ready -> own first weight, median', median(ownWait), undefined, 's'),
    last(
      'last canary has passed its five steps (50 s of them are intervals)',
      since('phase Promoting'),
      ASKED_SECONDS,
    ),
    last('last canary promoted, all traffic on the new primary', back, ASKED_SECONDS),
    last(
      'last Succeeded (60 s of them are intervals and the watch over the primary)',
      since('phase Succeeded'),
      ASKED_SECONDS,
    ),
  ];
}

async function costOf(name: string, world: World, engine: EngineProcess, audited: number): Promise<Figure[]> {
  const asked = (await world.plane.auditEvents('engine'))
    .slice(audited)
    .filter(entry => !isWatch(entry) && !isLease(entry));
  const events = asked.filter(isEvent);
  const reads = asked.filter(entry => isRead(entry) && !isEvent(entry));
  const writes = asked.filter(entry => !isRead(entry) && !isEvent(entry));
  const conflicts = writes.filter(entry => entry.code === 409).length;
  const memory = memoryOf(engine.pid);
  const limited = await engine.metric('serin_api_limited_seconds_total');
  return [
    noted(
      name,
      'reads, writes, conflicts and events a canary',
      [reads, writes, { length: conflicts }, events]
        .map(one => (one.length / CANARIES).toFixed(2))
        .join(', '),
    ),
    atMost(name, 'waiting for the client-side limit, all requests together', limited, undefined, 's'),
    noted(
      name,
      'resident memory at the end, and at most',
      `${memory.residentMb.toFixed(0)} MB, ${memory.peakMb.toFixed(0)} MB`,
    ),
  ];
}
