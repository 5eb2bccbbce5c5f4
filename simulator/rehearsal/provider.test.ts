/** The provider of rehearsals by itself: what it tells of pods that count at a known pace. */
import { expect, test } from 'vitest';
import type { CounterQuery } from '../../analyzers/counterReader.ts';
import type { MetricSetting } from '../../engine/core/settings.ts';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { duration, successRate } from '../../analyzers/queries/linkerd.ts';
import { createVirtualClock } from '../clock.ts';
import { createChance } from '../simulation/chance.ts';
import { createProcess } from '../simulation/process.ts';
import { type PodCount, UPPERS_MS } from './counts.ts';
import { createProvider } from './provider.ts';
import { createScrapes, type ScrapesOptions } from './scrapes.ts';

const START_MS = Date.parse('2026-01-01T00:00:00Z');
const SCRAPE_MS = 10_000;
const MINUTE_MS = 60_000;

/** Each pod counts 9 successes and 1 failure a second, 20 ms each. */
function countAfter(ms: number): PodCount {
  const seconds = Math.floor(ms / 1_000);
  const within = UPPERS_MS.map(upperMs => (upperMs >= 20 ? 10 * seconds : 0));
  return { succeeded: 9 * seconds, failed: seconds, within };
}

function pod(name: string, app: string): KubernetesObject {
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: name.replace(/-[0-9]+$/, ''), uid: '1' };
  const metadata = { namespace: 'shop', name, labels: { app }, ownerReferences: [owner] };
  return { apiVersion: 'v1', kind: 'Pod', metadata };
}

function world(metrics: readonly MetricSetting[] = []) {
  const clock = createVirtualClock(START_MS);
  const living = new Map<string, number>();
  const agedMs = new Map<string, number>();
  const users = {
    countOf: (name: string) => countAfter(clock.now() - (living.get(name) ?? clock.now())),
    aged(name: string, pods: number, forMs: number) {
      agedMs.set(name, (agedMs.get(name) ?? 0) + forMs / pods);
      return countAfter(agedMs.get(name)!);
    },
  };
  const store = {
    get: (_kind: unknown, _namespace: unknown, name: string) => (living.has(name) ? {} : undefined),
  } as ScrapesOptions['store'];
  const scrapes = createScrapes({
    clock,
    store,
    users,
    scrapeMs: SCRAPE_MS,
    windowMs: MINUTE_MS,
    chance: createChance('provider'),
  });
  const process = createProcess({ name: 'engine', clock, offsetMs: 0, driftPpm: 0 });
  const analyzer = createProvider({ clock, scrapes, metrics })({
    engine: 0,
    process,
    lagMs: () => 5,
    life: 'one',
    knewAtMs: () => 0,
    crash: () => {},
  });
  const { signal } = new AbortController();
  async function answered<Answer>(asking: Promise<Answer>): Promise<Answer> {
    await clock.advance(5);
    return await asking;
  }
  return {
    clock,
    scrapes,
    begin(name: string, app: string) {
      living.set(name, clock.now());
      scrapes.noticed(pod(name, app));
    },
    end: (name: string) => living.delete(name),
    measure: async (kind: MetricSetting['kind'], query: string, windowMs = MINUTE_MS) => {
      const [answer] = await answered(
        analyzer.measure(
          [{ metric: kind, kind, query, windowMs }],
          { history: '', canary: [], primary: [] },
          signal,
        ),
      );
      return answer;
    },
    read: () => answered(analyzer.counters!.read(QUERY, signal)),
    history: () => answered(analyzer.counters!.history(QUERY, signal)),
  };
}

const QUERY: CounterQuery = {
  namespace: 'shop',
  canary: { deployment: 'web', replicaSets: ['web-b'] },
  primary: { deployment: 'web-primary', replicaSets: [] },
  pods: { history: '', canary: [], primary: [] },
};
const scope = { namespace: 'shop', deployment: 'web', replicaSets: ['web-b'], window: '1m' };

test('rates and quantiles are of the window, of the pods that are asked for, and need two samples', async () => {
  const { clock, begin, measure } = world();
  begin('web-a-1', 'web');
  begin('web-b-1', 'web');
  await clock.advance(SCRAPE_MS - 1);
  expect(await measure('request-success-rate', successRate(scope))).toMatchObject({ kind: 'noData' });
  await clock.advance(SCRAPE_MS);
  expect(await measure('request-success-rate', successRate(scope))).toEqual({ kind: 'value', value: 90 });
  const p99 = await measure('request-duration', duration(scope));
  // All of them are in the bucket from 10 to 20 ms.
  expect(p99).toEqual({ kind: 'value', value: expect.closeTo(19.9, 5) });
  const other = successRate({ ...scope, replicaSets: ['web-c'] });
  expect(await measure('request-success-rate', other)).toMatchObject({ kind: 'noData' });
  expect(await measure('request-success-rate', 'up')).toMatchObject({ kind: 'providerError' });
});

test('a query of a user is within its bounds', async () => {
  const metric = { name: 'custom', kind: 'custom', windowMs: 1, min: undefined, max: 3 } as MetricSetting;
  expect(await world([metric]).measure('custom', 'anything')).toEqual({ kind: 'value', value: 3 });
  expect(await world([{ ...metric, min: 1 }]).measure('custom', 'anything')).toEqual({
    kind: 'value',
    value: 1,
  });
});

test('raw counters are those of the last scrape of each pod; a pod that is gone has none', async () => {
  const { clock, begin, end, read } = world();
  begin('web-primary-a-1', 'web-primary');
  begin('web-primary-a-2', 'web-primary');
  expect(await read()).toMatchObject({ reading: { canary: undefined, primary: undefined } });
  await clock.advance(2 * SCRAPE_MS);
  begin('web-b-1', 'web');
  await clock.advance(500);
  // A canary is born without series, as long as something is known at all.
  const before = await read();
  expect(before).toMatchObject({ kind: 'reading', reading: { atMs: clock.now() } });
  if (before.kind !== 'reading') throw new Error(before.message);
  expect(before.reading.canary?.size).toBe(0);
  expect([...(before.reading.primary ?? [])].map(([name]) => name)).toEqual([
    'web-primary-a-1',
    'web-primary-a-2',
  ]);
  const seconds = [...(before.reading.primary?.values() ?? [])].map(
    counters => counters.requests.get('failure')?.count ?? 0,
  );
  for (const second of seconds) {
    expect(second).toBeGreaterThanOrEqual(10);
    expect(second).toBeLessThanOrEqual(20);
  }
  // Each at a moment of its own.
  expect(new Set(seconds).size).toBe(2);
  expect(before.sampledAtMs).toBe(START_MS + Math.max(...seconds) * 1_000 + (before.sampledAtMs! % 1_000));
  end('web-primary-a-1');
  await clock.advance(2 * SCRAPE_MS);
  const after = await read();
  if (after.kind !== 'reading') throw new Error(after.message);
  expect([...(after.reading.primary ?? [])].map(([name]) => name)).toEqual(['web-primary-a-2']);
  expect([...(after.reading.canary ?? [])].map(([name]) => name)).toEqual(['web-b-1']);
});

test('the primary has a history of half an hour at once', async () => {
  const { clock, scrapes, begin, history } = world();
  begin('web-primary-a-1', 'web-primary');
  await clock.advance(30_000);
  scrapes.age('web-primary');
  const answer = await history();
  if (answer.kind !== 'history') throw new Error(answer.kind);
  expect(answer.samples).toHaveLength(30);
  const failures = answer.samples.map(
    ({ pods }) => pods.get('web-primary-a-1')?.requests.get('failure')?.count ?? 0,
  );
  const steps = failures.slice(1).map((count, index) => count - failures[index]!);
  expect(new Set(steps)).toEqual(new Set([60]));
  expect(answer.samples.at(-1)?.atMs).toBe(START_MS);
});
