/** Rehearsals of each kind, one by one: who ends them, how soon and at what cost, and that a seed decides all of it. */
import { describe, expect, test } from 'vitest';
import { type Canary, decodeCanary } from '../../engine/api/decode.ts';
import { rehearse, refusalOf } from './rehearse.ts';
import { type Rule, rulesOf } from './rules.ts';
import type { Rehearsed, Scenario, Traffic } from './scenario.ts';

const LATENCY = { medianMs: 50, spread: 3 };
const GOOD = { failing: 0.001, latency: LATENCY };
const TRAFFIC: Traffic = {
  rps: 50,
  pods: 2,
  scrapeMs: 5_000,
  primary: GOOD,
  canary: GOOD,
  breaksAfterMs: 0,
  incident: undefined,
};
/** A threshold rolls back good releases by chance; not where nothing fails. */
const FAULTLESS = { primary: { ...GOOD, failing: 0 }, canary: { ...GOOD, failing: 0 } };
const OUTAGE = { canary: { ...GOOD, failing: 1 } };
const FIXED = {
  interval: '10s',
  threshold: 2,
  metrics: [{ name: 'request-success-rate', interval: '1m', thresholdRange: { min: 99 } }],
};

function canaryOf(analysis: object, more: object = {}): Canary {
  const decoded = decodeCanary({
    metadata: { namespace: 'shop', name: 'web' },
    spec: {
      targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
      service: { port: 80 },
      analysis: { stepWeights: [10, 20, 30, 40, 50], ...analysis },
      ...more,
    },
  });
  if (!decoded.ok) throw new Error(JSON.stringify(decoded.problems));
  return decoded.canary;
}

function scenarioOf({ spec, endsAfterMs }: Rule, traffic: Partial<Traffic> = {}): Scenario {
  return { namespace: 'shop', name: 'web', spec, traffic: { ...TRAFFIC, ...traffic }, endsAfterMs };
}

async function played(
  canary: Canary,
  name: Rule['name'],
  traffic: Partial<Traffic> = {},
  seed = '1',
): Promise<Rehearsed> {
  const rule = rulesOf(canary).find(one => one.name === name);
  if (!rule) throw new Error(`there is no rule ${name}`);
  return await rehearse(scenarioOf(rule, traffic), seed);
}

const seeds = (count: number) => Array.from({ length: count }, (_, index) => `seeds/${index}`);

describe('a good release', () => {
  test('is promoted by the judge when every step has been shown', async () => {
    const run = await played(canaryOf({}), 'own');
    expect(run).toMatchObject({ outcome: 'promoted', by: undefined, reason: 'Succeeded' });
    // Five steps of at least a minute.
    expect(run.ms).toBeGreaterThan(299_900);
    expect(run.ms).toBeLessThan(1_200_000);
    // Whole requests, as many as were sent in that time.
    const sent = (TRAFFIC.rps * run.ms) / 1_000;
    expect(Number.isInteger(run.requests)).toBe(true);
    expect(Math.abs(run.requests - sent)).toBeLessThan(5 * Math.sqrt(sent));
    expect(run.failed).toBeLessThanOrEqual(run.failedAnywhere);
    expect(run.failedAnywhere).toBeLessThan(0.003 * sent);
  });

  test('passes its checks, with the guard beside them and without', async () => {
    const own = await played(canaryOf(FIXED), 'own', FAULTLESS);
    expect(own).toMatchObject({ outcome: 'promoted', by: undefined, failedAnywhere: 0 });
    // Five checks; one more where the first finds no two samples.
    expect(own.ms).toBeGreaterThan(49_900);
    expect(own.ms).toBeLessThan(65_000);
    expect(await played(canaryOf(FIXED), 'fixed', FAULTLESS)).toMatchObject({ outcome: 'promoted' });
  });
});

describe('an outage', () => {
  test('is rolled back by the judge in seconds, and by a fixed threshold after its intervals', async () => {
    const own = await played(canaryOf({}), 'own', OUTAGE);
    expect(own).toMatchObject({ outcome: 'rolledBack', by: 'judge', reason: 'RolledBack' });
    expect(own.ms).toBeLessThan(12_000);
    expect(own.failed).toBeLessThan(100);
    const fixed = await played(canaryOf({}), 'fixed', OUTAGE);
    expect(fixed).toMatchObject({ outcome: 'rolledBack', by: 'checks' });
    expect(fixed.message).toContain('failed check 5 of 5');
    expect(fixed.ms).toBeGreaterThan(299_900);
    expect(fixed.failed).toBeGreaterThan(10 * own.failed);
  });

  test('is rolled back by the guard of a manifest that names its threshold', async () => {
    const traffic = { ...OUTAGE, scrapeMs: 2_000 };
    const own = await played(canaryOf(FIXED), 'own', traffic);
    expect(own).toMatchObject({ outcome: 'rolledBack', by: 'guard' });
    expect(own.ms).toBeLessThan(10_000);
    const fixed = await played(canaryOf(FIXED), 'fixed', traffic);
    expect(fixed).toMatchObject({ outcome: 'rolledBack', by: 'checks' });
    // Two intervals, but for the milliseconds that a write takes.
    expect(fixed.ms).toBeGreaterThan(19_900);
    expect(fixed.ms).toBeLessThan(35_000);
  });

  test('is seen at whatever moments the pods of either side are scraped', async () => {
    for (const seed of seeds(20)) {
      const run = await played(canaryOf({}), 'own', { ...OUTAGE, pods: 1 }, seed);
      expect([seed, run.outcome, run.by]).toEqual([seed, 'rolledBack', 'judge']);
      expect(run.ms).toBeLessThan(15_000);
    }
  });
});

describe('what changes meanwhile', () => {
  test('a release that breaks late is good until then', async () => {
    const breaksAfterMs = 120_000;
    const run = await played(canaryOf({}), 'own', { canary: { ...GOOD, failing: 0.2 }, breaksAfterMs });
    expect(run).toMatchObject({ outcome: 'rolledBack', by: 'judge' });
    expect(run.ms).toBeGreaterThan(breaksAfterMs);
    expect(run.ms).toBeLessThan(breaksAfterMs + 30_000);
  });

  test('an incident of both sides rolls nothing back under the judge', async () => {
    const incident = { fromMs: 60_000, forMs: 60_000, failing: 0.3 };
    const run = await played(canaryOf({}), 'own', { incident });
    expect(run).toMatchObject({ outcome: 'promoted' });
    // Three of ten failed in that minute, on both sides.
    expect(run.failedAnywhere).toBeGreaterThan(700);
    expect(run.failed).toBeLessThan(run.failedAnywhere / 2);
    const fixed = await played(canaryOf(FIXED), 'fixed', { incident: { ...incident, fromMs: 5_000 } });
    expect(fixed).toMatchObject({ outcome: 'rolledBack', by: 'checks' });
  });

  test('a slow release is rolled back for its latency', async () => {
    const slow = { canary: { ...GOOD, latency: { medianMs: 150, spread: 3 } } };
    const own = await played(canaryOf({}), 'own', slow);
    expect(own).toMatchObject({ outcome: 'rolledBack', by: 'judge' });
    expect(own.message).toContain(' ms more often than primary');
    const metrics = [{ name: 'request-duration', interval: '1m', thresholdRange: { max: 300 } }];
    const fixed = await played(canaryOf({ ...FIXED, metrics }), 'fixed', slow);
    expect(fixed).toMatchObject({ outcome: 'rolledBack', by: 'checks' });
    expect(fixed.message).toContain('request-duration is ');
  });
});

describe('a run that does not end', () => {
  test('is held, with the reason that people are told', async () => {
    const judge = { deadline: '2m', noTrafficTimeout: '10s' };
    const run = await played(canaryOf({ judge }), 'own', { rps: 0 });
    expect(run).toMatchObject({ outcome: 'held', reason: 'Stalled', requests: 0, failed: 0 });
    expect(run.message).toContain('No requests reach the canary');
    const suspended = await played(canaryOf({ judge }, { suspend: true }), 'own');
    expect(suspended).toMatchObject({ outcome: 'held', reason: 'Suspended', ms: 0 });
  });

  test('ends as its deadline says', async () => {
    const thin = { rps: 0.5 };
    const end = async (onDeadline: string) =>
      await played(canaryOf({ judge: { deadline: '1m', onDeadline } }), 'own', thin);
    expect(await end('rollback')).toMatchObject({ outcome: 'rolledBack', by: 'deadline' });
    expect(await end('promote')).toMatchObject({ outcome: 'promoted' });
    expect(await end('hold')).toMatchObject({ outcome: 'held', reason: 'Stalled' });
  });
});

test('equal seeds give equal rehearsals, others give others', async () => {
  const [rule] = rulesOf(canaryOf({}));
  const scenario = scenarioOf(rule!, { canary: { ...GOOD, failing: 0.03 } });
  const [first, again] = [await rehearse(scenario, '7'), await rehearse(scenario, '7')];
  expect(again).toEqual(first);
  expect((await rehearse(scenario, '8')).requests).not.toBe(first.requests);
});

test("templates, receivers, ports and names that only a cluster has are in nobody's way", async () => {
  const metrics = [
    ...FIXED.metrics,
    { name: 'lag', templateRef: { name: 'lag', namespace: 'metrics' }, thresholdRange: { max: 3 } },
    { name: 'own', query: 'up{namespace="{{ namespace }}"}', thresholdRange: { min: 7 } },
  ];
  const alerts = [{ name: 'on-call', providerRef: { name: 'missing' } }];
  const more = {
    provider: 'linkerd',
    metricsServer: 'http://nowhere.test:9090',
    service: { port: 80, name: 'front', targetPort: 'web-port' },
  };
  const canary = canaryOf({ ...FIXED, metrics, alerts }, more);
  for (const namespace of ['shop', 'default']) {
    const [rule] = rulesOf({ ...canary, namespace });
    const scenario = { ...scenarioOf(rule!, FAULTLESS), namespace };
    expect(await rehearse(scenario, '1')).toMatchObject({ outcome: 'promoted' });
  }
});

test('a Canary that no cluster would take is said to be one', () => {
  const [rule] = rulesOf(canaryOf({}));
  expect(refusalOf(scenarioOf(rule!))).toBeUndefined();
  expect(refusalOf({ ...scenarioOf(rule!), namespace: 'Not_A_Name' })).toContain('metadata.name');
});

describe('the rules beside each other', () => {
  const shapes = (analysis: object) =>
    rulesOf(canaryOf(analysis)).map(({ name, settings, isAssumed }) => [
      name,
      settings.judge?.mode ?? 'threshold',
      settings.guard !== undefined,
      settings.threshold,
      settings.metrics.map(({ name: metric, min, max }) => [metric, min ?? max]),
      isAssumed,
    ]);
  const usual = [
    ['request-success-rate', 99],
    ['request-duration', 500],
  ];

  test('a judge stands beside the usual threshold, or beside the one that the manifest has', () => {
    expect(shapes({})).toEqual([
      ['own', 'compare', false, 1, [], false],
      ['fixed', 'threshold', false, 5, usual, true],
    ]);
    expect(shapes({ ...FIXED, judge: { mode: 'slo' } })).toEqual([
      ['own', 'slo', false, 2, [['request-success-rate', 99]], false],
      ['fixed', 'threshold', false, 2, [['request-success-rate', 99]], false],
    ]);
  });

  test('guarded checks stand beside bare ones, and bare ones alone', () => {
    expect(shapes(FIXED).map(([name, , isGuarded]) => [name, isGuarded])).toEqual([
      ['own', true],
      ['fixed', false],
    ]);
    const judge = { guard: rulesOf(canaryOf(FIXED))[1]!.spec.analysis.judge.guard };
    expect(shapes({ ...FIXED, judge }).map(([name]) => name)).toEqual(['own']);
  });

  test('checks without a bound stand beside the usual threshold, with their own metrics', () => {
    const lag = { name: 'lag', templateRef: { name: 'lag' }, thresholdRange: { max: 3 } };
    expect(shapes({ threshold: 3, metrics: [lag] })).toEqual([
      ['own', 'threshold', false, 3, [['lag', 3]], false],
      ['fixed', 'threshold', false, 3, [...usual, ['lag', 3]], true],
    ]);
  });

  test('a day is the longest that is waited for an end', () => {
    const [slow] = rulesOf(canaryOf({ ...FIXED, interval: '10h', threshold: 100 }));
    expect(slow?.endsAfterMs).toBe(86_400_000);
    const [quick] = rulesOf(canaryOf({ judge: { deadline: '10m' } }));
    expect(quick?.endsAfterMs).toBeGreaterThan(600_000);
    expect(quick?.endsAfterMs).toBeLessThan(1_000_000);
  });
});
