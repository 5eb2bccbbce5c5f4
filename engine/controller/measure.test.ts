/** A check leaves nothing behind: the signals that analyzers listened to are forgotten with it. */
import { getEventListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { createVirtualClock } from '../../simulator/clock.ts';
import type { Analyzer } from '../../analyzers/analyzer.ts';
import { createMeasure } from './measure.ts';
import type { Sighting } from './observe.ts';
import type { World } from './world.ts';

const CHECKS = 50;

function setUp(analyzer: Analyzer) {
  const stores = { endpointSlices: { all: () => [], find: () => [] } };
  const clock = createVirtualClock(1_000_000);
  const world = { clock, stores } as unknown as World;
  const metrics = [{ name: 'errors', kind: 'custom', windowMs: 60_000, query: 'up', variables: {} }];
  const sighting = {
    observation: { settings: { metrics, intervalMs: 60_000, bakeMs: 60_000 }, status: {}, route: undefined },
    names: { namespace: 'shop', apex: 'web', primary: 'web-primary', canary: 'web-canary', target: 'web' },
    canary: { name: 'web', spec: {} },
  } as unknown as Sighting;
  const measure = createMeasure({ world: () => world, analyzer });
  return { clock, check: (signal: AbortSignal) => measure(sighting, 'canary', signal) };
}

test('a signal that an analyzer listened to is forgotten when the check is over', async () => {
  const given: WeakRef<AbortSignal>[] = [];
  const { clock, check } = setUp({
    provider: 'test',
    async measure(queries, _pods, signal) {
      signal.addEventListener('abort', () => {});
      given.push(new WeakRef(signal));
      return queries.map(() => ({ kind: 'value' as const, value: 1 }));
    },
  });
  const stopping = new AbortController();
  for (let count = 0; count < CHECKS; count++) await check(stopping.signal);
  expect(given).toHaveLength(CHECKS);
  expect(getEventListeners(stopping.signal, 'abort')).toHaveLength(0);
  setFlagsFromString('--expose_gc');
  const collect = runInNewContext('gc') as () => void;
  // The played clock forgets a cancelled timer when it would have been due.
  await clock.advance(60_000);
  collect();
  expect(given.filter(one => one.deref() !== undefined).length).toBeLessThan(CHECKS / 2);
});

test('an aborted tick aborts its check', async () => {
  const stopping = new AbortController();
  stopping.abort();
  let wasAborted = false;
  const { check } = setUp({
    provider: 'test',
    async measure(queries, _pods, signal) {
      wasAborted = signal.aborted;
      return queries.map(() => ({ kind: 'noData' as const, message: '' }));
    },
  });
  await check(stopping.signal);
  expect(wasAborted).toBe(true);
});
