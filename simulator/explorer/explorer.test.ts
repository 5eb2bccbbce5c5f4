/**
 * The explorer itself: its table loses no state, canonical states are fixed points, and a few weakened engines are caught
 * in seconds. `npm run explore` looks at all of them, and at the real engine in all scenarios.
 */
import { describe, expect, test } from 'vitest';
import { realEngine } from './engine.ts';
import { runJob } from './job.ts';
import { createModel } from './model.ts';
import { MUTATIONS } from './mutations.ts';
import { createStateTable } from './pool.ts';
import { SCENARIOS } from './scenarios.ts';
import { createSuccessors } from './search.ts';
import { startState } from './starts.ts';

const run = (job: { scenario?: string; mutation?: string }, statesMax: number) =>
  runJob({ scenario: job.scenario, mutation: job.mutation, statesMax, msMax: 60_000, ignored: [] }).report;

describe('the table of states', () => {
  test('keeps every row once, also when it grows', () => {
    const table = createStateTable(3);
    const rows = Array.from({ length: 20_000 }, (_unused, index) => [index % 7, index >> 3, index & 7]);
    const seen = new Set(rows.map(row => row.join()));
    for (const row of [...rows, ...rows]) table.add(row, -1, 0);
    expect(table.size()).toBe(seen.size);
    for (let index = 0; index < table.size(); index++)
      expect(seen.delete(table.read(index).join())).toBe(true);
    expect(seen.size).toBe(0);
  });
});

describe('canonical states', () => {
  test.each(['fence', 'staleAll', 'late'])('are fixed points, in %s', name => {
    const scenario = SCENARIOS.find(one => one.name === name)!;
    const model = createModel(scenario, realEngine());
    const { successors } = createSuccessors(model);
    let level = scenario.from.map(start => startState(model, start));
    for (let depth = 0; depth < 6; depth++) {
      const next: number[][] = [];
      for (const state of level)
        successors(state, after => {
          model.canonicalise(after);
          const again = [...after];
          model.canonicalise(again);
          expect(again).toEqual(after);
          next.push(after);
        });
      level = next.slice(0, 200);
    }
  });
});

describe('the real engine', () => {
  test.each(['staleBegin', 'deleteFailed'])('breaks nothing in the first states of %s', scenario => {
    const report = run({ scenario }, 5_000);
    expect(report.found?.trace.join('\n')).toBeUndefined();
    expect(report.states).toBeGreaterThanOrEqual(5_000);
    expect(report.futures).toBeGreaterThan(100);
  });
});

describe('weakened engines', () => {
  const quick = ['raiseRouteFirst', 'judgedTwice', 'passOutlivesFailure', 'noTouch', 'promotionDeafToRevert'];
  test.each(quick)('%s is caught, with a trace', mutation => {
    const { found } = run({ mutation }, 20_000);
    expect(found?.trace.at(-1)).toMatch(/^VIOLATION /);
    expect(found?.trace[0]).toContain('start');
  });

  test('each has a name of its own and at least one scenario that exists', () => {
    const names = MUTATIONS.map(one => one.name);
    expect(new Set(names).size).toBe(names.length);
    const known = SCENARIOS.map(one => one.name);
    for (const one of MUTATIONS) expect(known).toEqual(expect.arrayContaining([...one.scenarios]));
  });
});
