/** What is looked at, how often, and what is gone on with: after a restart, on another replica, under another mode. */
import { describe, expect, test } from 'vitest';
import type { CounterAnswer, CounterReader, HistoryAnswer } from '../../analyzers/counterReader.ts';
import { GUARD_DEFAULTS } from '../../analyzers/judge/guard.ts';
import { pods } from '../../analyzers/judge/samples.ts';
import { JUDGE_DEFAULTS } from '../../analyzers/judge/settings.ts';
import { createVirtualClock } from '../../simulator/clock.ts';
import type { CanaryStatus } from '../api/status.ts';
import type { Settings } from '../core/settings.ts';
import { createJudging } from './judging.ts';
import type { Sighting } from './observe.ts';
import type { World } from './world.ts';

const START_MS = Date.parse('2026-01-01T00:00:00Z');
const SUCCESS = { name: 'request-success-rate', kind: 'request-success-rate', windowMs: 60_000, min: 99 };

/** A service of some pace whose arms fail as they are told. */
function createService(clock: { now(): number }) {
  const counts = { canary: { ok: 0, failed: 0 }, primary: { ok: 1_000, failed: 1 } };
  let reads = 0;
  let histories = 0;
  let broken: CounterAnswer | undefined;
  const tenMinutes = [
    { atMs: START_MS - 600_000, pods: pods({ p1: { ok: 0 } }) },
    { atMs: START_MS, pods: pods({ p1: { ok: 6_000 } }) },
  ];
  let past: HistoryAnswer = { kind: 'history', samples: tenMinutes };
  let sampledAtMs: (() => number) | undefined;
  const reader: CounterReader = {
    async read() {
      reads += 1;
      if (broken) return broken;
      const reading = {
        atMs: clock.now(),
        canary: pods({ c1: counts.canary }),
        primary: pods({ p1: counts.primary }),
      };
      return { kind: 'reading', reading, sampledAtMs: sampledAtMs?.() };
    },
    async history() {
      histories += 1;
      return past;
    },
  };
  return {
    reader,
    counts,
    reads: () => reads,
    histories: () => histories,
    breaks: (answer: CounterAnswer | undefined) => void (broken = answer),
    remembers: (answer: HistoryAnswer) => void (past = answer),
    samples: (at: (() => number) | undefined) => void (sampledAtMs = at),
    serve(arm: 'canary' | 'primary', ok: number, failed = 0) {
      counts[arm] = { ok: counts[arm].ok + ok, failed: counts[arm].failed + failed };
    },
  };
}

function setUp(settings: Partial<Settings>) {
  const clock = createVirtualClock(START_MS);
  const service = createService(clock);
  const stores = {
    endpointSlices: { find: () => [] },
    deployments: { get: () => undefined },
    replicaSets: { find: () => [] },
  };
  const world = { clock, stores } as unknown as World;
  const create = () => createJudging({ world: () => world, countersOf: () => service.reader });
  const status: CanaryStatus = {
    phase: 'Progressing',
    run: { id: 'r2.2', revision: 'r2', generation: 2, startedAt: '2026-01-01T00:00:00Z' },
  };
  const seen = { weight: 10, epoch: 7, status };
  const sighting = () =>
    ({
      observation: {
        now: clock.now(),
        settings: { steps: [10, 50], metrics: [SUCCESS], intervalMs: 10_000, ...settings },
        status: seen.status,
        route: { canaryWeight: seen.weight, stamp: { epoch: seen.epoch } },
      },
      names: {
        namespace: 'shop',
        apex: 'web',
        primary: 'web-primary',
        canary: 'web-canary',
        target: 'web',
        primaryWorkload: 'web-primary',
      },
      canary: { name: 'web', spec: {} },
    }) as unknown as Sighting;
  let judging = create();
  const look = () => judging.look('shop/web', sighting(), new AbortController().signal);
  return {
    clock,
    service,
    seen,
    look,
    prepare: () => judging.prepare('shop/web', sighting()),
    known: () => judging.known('shop/web'),
    /** As if the status had been written now. */
    written() {
      const judge = judging.known('shop/web');
      seen.status = { ...seen.status, ...(judge ? { judge } : {}) };
    },
    restart: () => void (judging = create()),
    /** Time passes, and then somebody looks. */
    async after(ms: number) {
      await clock.advance(ms);
      return await look();
    },
  };
}

const guarded = { guard: GUARD_DEFAULTS };
const compared = { judge: { ...JUDGE_DEFAULTS, warmUpMs: 1 }, metrics: [] };

describe('a guard', () => {
  test('rolls back a canary that fails beyond doubt, with the numbers', async () => {
    const { service, look, after } = setUp(guarded);
    expect((await look())?.kind).toBe('hold');
    service.serve('canary', 0, 20);
    service.serve('primary', 180);
    expect((await after(5_000))?.kind).toBe('hold');
    service.serve('canary', 0, 20);
    service.serve('primary', 180);
    const evidence = await after(5_000);
    expect(evidence?.kind).toBe('rollback');
    expect(evidence?.message).toContain('40 of 40');
  });

  test('says nothing against one that is within its bounds', async () => {
    const { service, look, after, known } = setUp(guarded);
    await look();
    for (let count = 0; count < 20; count++) {
      service.serve('canary', 100, count === 3 ? 1 : 0);
      service.serve('primary', 900);
      expect((await after(5_000))?.kind).toBe('hold');
    }
    expect(known()).toMatchObject({ mode: 'threshold', verdict: 'NoEvidence', run: 'r2.2' });
  });

  test('is told in between that there can be nothing new, without a query', async () => {
    const { service, look, after } = setUp(guarded);
    const first = await look();
    const reads = service.reads();
    const again = await after(500);
    expect(service.reads()).toBe(reads);
    expect(again?.nextMs).toBe((first?.nextMs ?? 0) - 500);
  });

  test('looks a little after the next sample, and every 2 s when it is late', async () => {
    const { service, look, after, clock } = setUp(guarded);
    const sampledEvery = (ms: number) => () =>
      START_MS + Math.floor((clock.now() - START_MS) / ms) * ms - 500;
    service.samples(sampledEvery(4_000));
    expect((await look())?.nextMs).toBe(2_000);
    expect((await after(2_000))?.nextMs).toBe(2_000);
    // A new sample: the next one is due 4 s after it.
    expect((await after(2_000))?.nextMs).toBe(3_750);
    // A look that came late has missed some, and knows it.
    expect((await after(12_500))?.nextMs).toBe(2_000 + 1_250);
    service.samples(() => START_MS);
    expect((await after(4_000))?.nextMs).toBe(2_000);
  });

  test('does not wait for a scrape that comes once a minute: another replica may know better', async () => {
    const { service, look, after, clock } = setUp(guarded);
    service.samples(() => START_MS + Math.floor((clock.now() - START_MS) / 60_000) * 60_000 - 500);
    await look();
    expect((await after(60_000))?.nextMs).toBe(5_000);
  });

  test('looks once before there is traffic, and not while the run is promoted', async () => {
    const { service, look, after, seen } = setUp(guarded);
    seen.weight = 0;
    await look();
    const reads = service.reads();
    expect(await after(20_000)).toBeUndefined();
    seen.weight = 10;
    seen.status = { ...seen.status, phase: 'Promoting' };
    expect(await after(20_000)).toBeUndefined();
    expect([service.reads(), service.histories()]).toEqual([reads, 1]);
  });

  test('a look that came late does not slow down those after it', async () => {
    const { service, look, after, clock } = setUp(guarded);
    service.samples(() => Math.floor(clock.now() / 2_000) * 2_000);
    await look();
    for (let count = 0; count < 5; count++) await after(2_250);
    // The engine was held up.
    expect((await after(9_000))?.nextMs).toBeLessThanOrEqual(2_250);
    expect((await after(2_250))?.nextMs).toBeLessThanOrEqual(2_250);
  });

  test('a retry begins with what its pods have answered before', async () => {
    const { service, look, after, seen } = setUp(guarded);
    seen.status = { ...seen.status, run: { ...seen.status.run!, id: 'r2.2.retry-1' } };
    service.serve('canary', 0, 5_000);
    await look();
    for (let count = 0; count < 4; count++) {
      service.serve('canary', 50);
      service.serve('primary', 450);
      expect((await after(5_000))?.kind).toBe('hold');
    }
  });

  test('begins while the pods come up, so that the first raise carries a checkpoint', async () => {
    const { prepare, seen, known, service, after, clock, written, restart } = setUp(guarded);
    seen.weight = 0;
    seen.status = { ...seen.status, phase: 'Progressing' };
    prepare();
    await clock.advance(100);
    expect(known()).toMatchObject({ mode: 'threshold', checkpoint: expect.any(String) });
    const reads = service.reads();
    prepare();
    await clock.advance(10_000);
    expect(service.reads()).toBe(reads);
    written();
    restart();
    seen.weight = 10;
    seen.epoch += 1;
    service.serve('canary', 0, 10);
    service.serve('primary', 90);
    // One look is enough for another replica to have counted everything since the first raise.
    await after(2_000);
    expect(known()?.comparisons[0]?.canary).toMatchObject({ total: 10, failures: 10 });
    expect(service.histories()).toBe(1);
  });

  test.each([
    ['a canary with traffic', { weight: 10 }, guarded],
    ['no run', { phase: 'Succeeded' }, guarded],
    ['a judge, which is asked before the first step', {}, compared],
  ] as const)('is not begun for %s', async (_, { weight = 0, phase = 'Progressing' }: any, settings) => {
    const { prepare, seen, service, clock } = setUp(settings as Partial<Settings>);
    seen.weight = weight;
    seen.status = { ...seen.status, phase };
    prepare();
    await clock.advance(100);
    expect(service.reads()).toBe(0);
  });

  test('without a metric that it could guard there is none', async () => {
    const { look } = setUp({});
    expect(await look()).toBeUndefined();
  });
});

describe('a judge', () => {
  async function begun(settings: Partial<Settings> = compared) {
    const all = setUp(settings);
    all.seen.weight = 0;
    expect((await all.look())?.kind).toBe('ready');
    all.seen.weight = 10;
    all.seen.epoch += 1;
    return all;
  }

  test('shows a good canary to be one, and rolls back a bad one', async () => {
    for (const [failed, kind] of [
      [0, 'pass'],
      [50, 'rollback'],
    ] as const) {
      const { service, after } = await begun();
      let last = await after(5_000);
      for (let count = 0; count < 40 && last?.kind === 'hold'; count++) {
        service.serve('canary', 50 - failed, failed);
        service.serve('primary', 450);
        last = await after(5_000);
      }
      expect(last?.kind).toBe(kind);
    }
  });

  test('what was enough for a step is not taken for the next one', async () => {
    const { service, after, seen, look } = await begun();
    let last = await after(5_000);
    for (let count = 0; count < 40 && last?.kind === 'hold'; count++) {
      service.serve('canary', 500);
      service.serve('primary', 4_500);
      last = await after(5_000);
    }
    expect(last?.kind).toBe('pass');
    seen.weight = 50;
    seen.epoch += 1;
    expect((await look())?.kind).toBe('hold');
  });

  test('a canary that answered before it had traffic begins at that', async () => {
    const { service, look, seen, after } = setUp(compared);
    seen.weight = 0;
    service.serve('canary', 0, 1_000);
    await look();
    seen.weight = 10;
    service.serve('canary', 50);
    service.serve('primary', 450);
    expect((await after(5_000))?.kind).toBe('hold');
  });

  test('without a history it looks at the primary for a minute first', async () => {
    const { service, look, seen, after, clock } = setUp(compared);
    service.remembers({ kind: 'none' });
    seen.weight = 0;
    let last = await look();
    expect(last?.kind).toBe('preparing');
    while (last?.kind === 'preparing') {
      service.serve('primary', 500, 1);
      last = await after(last.nextMs);
    }
    expect(last?.kind).toBe('ready');
    expect(clock.now() - START_MS).toBe(60_000);
  });

  test('a run that has traffic already does not wait for that', async () => {
    const { service, look, seen } = setUp(compared);
    service.remembers({ kind: 'none' });
    seen.weight = 10;
    expect((await look())?.kind).toBe('hold');
  });

  test('its deadline stands still while the run is paused', async () => {
    const { seen, after, service } = await begun({
      judge: { ...compared.judge, deadlineMs: 60_000 },
      metrics: [],
    });
    const serve = () => {
      service.serve('canary', 1);
      service.serve('primary', 9);
    };
    serve();
    await after(5_000);
    seen.status = { ...seen.status, paused: { revision: 'r2', by: 'ann', at: '2026-01-01T00:00:05Z' } };
    serve();
    expect((await after(120_000))?.kind).toBe('hold');
    const { paused: _paused, ...resumed } = seen.status;
    seen.status = { ...resumed, run: { ...seen.status.run!, waitingSince: '2026-01-01T00:02:00Z' } };
    serve();
    expect((await after(30_000))?.kind).toBe('hold');
    serve();
    expect(await after(60_000)).toMatchObject({ kind: 'stalled', action: 'hold' });
  });

  test('counters that nobody answers are an error, with the sentence', async () => {
    const { service, after } = await begun();
    service.breaks({ kind: 'providerError', message: 'HTTP 503' });
    expect(await after(5_000)).toMatchObject({ kind: 'error', message: 'HTTP 503' });
    service.breaks(undefined);
    expect((await after(10_000))?.kind).toBe('hold');
  });

  test('an arm that cannot be read is silence', async () => {
    const { service, after, clock } = await begun();
    const reading = { atMs: clock.now() + 1_000, canary: pods({}), primary: undefined };
    service.breaks({ kind: 'reading', reading, sampledAtMs: undefined });
    expect((await after(5_000))?.kind).toBe('silent');
  });

  test('traffic that is too thin for what is asked is said before the first step', async () => {
    const { service, look, seen } = setUp(compared);
    const sample = (atMs: number, ok: number) => ({ atMs, pods: pods({ p1: { ok, failed: 1 } }) });
    service.remembers({ kind: 'history', samples: [sample(START_MS - 600_000, 10), sample(START_MS, 40)] });
    seen.weight = 0;
    expect((await look())?.warning).toContain('longer than the deadline');
  });
});

describe('what is remembered', () => {
  /** Three looks at a canary that fails a little more than it may: evidence that is not enough yet. */
  async function weighed() {
    const all = setUp(guarded);
    await all.look();
    for (let count = 0; count < 3; count++) {
      all.service.serve('canary', 18, 2);
      all.service.serve('primary', 180);
      await all.after(5_000);
    }
    return all;
  }

  test('another replica goes on from the checkpoint, to the bit', async () => {
    const one = await weighed();
    one.written();
    const other = await weighed();
    other.written();
    other.restart();
    for (const { service } of [one, other]) {
      service.serve('canary', 15, 5);
      service.serve('primary', 180);
    }
    await one.after(5_000);
    await other.after(5_000);
    expect(other.service.histories()).toBe(1);
    expect(other.known()?.logEvidence).toBe(one.known()?.logEvidence);
    expect(other.known()?.comparisons).toEqual(one.known()?.comparisons);
  });

  test('without a checkpoint it begins anew', async () => {
    const all = await weighed();
    all.restart();
    expect(all.known()).toBeUndefined();
    await all.after(5_000);
    expect(all.service.histories()).toBe(2);
    expect(all.known()?.comparisons[0]?.canary.total).toBe(0);
  });

  test('a checkpoint of another run is none', async () => {
    const all = await weighed();
    all.written();
    all.restart();
    all.seen.status = { ...all.seen.status, run: { ...all.seen.status.run!, id: 'r3.3', revision: 'r3' } };
    await all.after(5_000);
    expect(all.known()).toMatchObject({ run: 'r3.3', timeline: [[0, 10, 0, 0, 0, 0, 0, 0]] });
  });

  test('an older checkpoint than what is in memory changes nothing', async () => {
    const all = await weighed();
    const early = all.known();
    all.service.serve('canary', 18, 2);
    await all.after(5_000);
    const { total } = all.known()!.comparisons[0]!.canary;
    all.seen.status = { ...all.seen.status, ...(early ? { judge: early } : {}) };
    await all.after(5_000);
    expect(all.known()?.comparisons[0]?.canary.total).toBe(total);
  });

  test('the course of the run has a point for each status write, and stays bounded', async () => {
    const all = await weighed();
    for (let count = 0; count < 200; count++) {
      all.service.serve('canary', 20);
      all.service.serve('primary', 180);
      await all.after(5_000);
      all.written();
    }
    const timeline = all.known()?.timeline ?? [];
    expect(timeline.length).toBeLessThanOrEqual(60);
    expect(timeline.length).toBeGreaterThan(25);
    expect(timeline.at(-1)?.[0]).toBe(1_015);
    expect(Buffer.byteLength(JSON.stringify(all.known()))).toBeLessThan(8_192);
  });
});

test('many canaries together are looked at more rarely', async () => {
  const clock = createVirtualClock(START_MS);
  const service = createService(clock);
  const { look } = setUp(guarded);
  expect((await look())?.nextMs).toBe(2_000);
  const stores = {
    endpointSlices: { find: () => [] },
    deployments: { get: () => undefined },
    replicaSets: { find: () => [] },
  };
  const judging = createJudging({
    world: () => ({ clock, stores }) as unknown as World,
    countersOf: () => service.reader,
  });
  const all = setUp(guarded);
  await all.look();
  const sighting = (name: string) =>
    ({
      observation: {
        now: clock.now(),
        settings: { steps: [10, 50], metrics: [SUCCESS], intervalMs: 10_000, ...guarded },
        status: {
          phase: 'Progressing',
          run: { id: `${name}.2`, revision: name, generation: 2, startedAt: '2026-01-01T00:00:00Z' },
        },
        route: { canaryWeight: 10, stamp: { epoch: 1 } },
      },
      names: { namespace: 'shop', target: name, primaryWorkload: `${name}-primary` },
      canary: { name, spec: {} },
    }) as unknown as Sighting;
  const nextMs: number[] = [];
  for (let count = 0; count < 200; count++) {
    const evidence = await judging.look(
      `shop/app-${count}`,
      sighting(`app-${count}`),
      new AbortController().signal,
    );
    nextMs.push(evidence?.nextMs ?? 0);
  }
  // Each takes two turns at first, its history and its counters: ten a second.
  expect([nextMs[0], nextMs[1], nextMs[199]]).toEqual([2_000, 100, 19_900]);
  expect(service.reads()).toBeLessThan(5);
});
