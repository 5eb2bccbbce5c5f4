/**
 * The judge and the guard on real parts: real HTTP requests, a real Prometheus that scrapes every 2 s, and the pods' own
 * metrics without it. An outage, 5 % of failures and slow answers in each mode, and a good release; what failed is
 * counted at the clients. The next check of a threshold is a minute away: who rolls back before is the guard.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningEngine, startEngine } from './harness/engine.ts';
import { type RealPrometheus, startPrometheus } from './harness/prometheus.ts';
import { type Rig, startRig } from './harness/rig.ts';

const REQUESTS_PER_SECOND = 30;
const STEP_WEIGHT = 50;
const SCRAPE_SECONDS = 2;
/** The services of this test are younger than the minute that the judge wants to have seen. */
const BASELINE_MS = 10_000;
const DEADLINE_MS = 120_000;

type Provider = 'prometheus' | 'scrape';

const metrics = [
  { name: 'request-success-rate', interval: '1m', thresholdRange: { min: 99 } },
  { name: 'request-duration', interval: '1m', thresholdRange: { max: 400 } },
];
/** What is asked of a release is little, so that it can be shown within seconds. */
const lenient = {
  minDwell: '4s',
  warmUp: '1s',
  promotionMargin: 2,
  budget: 2,
  latencyPromotionTolerance: 4,
};
const steps = { stepWeights: [STEP_WEIGHT], interval: '10s', bake: '2s' };
const modes: Record<string, object> = {
  threshold: { ...steps, interval: '60s', threshold: 5, metrics },
  compare: { ...steps, judge: { mode: 'compare', ...lenient } },
  slo: { ...steps, metrics, judge: { mode: 'slo', ...lenient } },
};
const faults: Record<string, { behaviour: object; metric: string }> = {
  outage: { behaviour: { errorPercent: 100 }, metric: 'request-success-rate' },
  fivepercent: { behaviour: { errorPercent: 5 }, metric: 'request-success-rate' },
  slow: { behaviour: { latencyMs: 900 }, metric: 'request-duration' },
};

let rig: Rig;
let prometheus: RealPrometheus;
let running: RunningEngine;

beforeAll(async () => {
  rig = await startRig();
  prometheus = await startPrometheus(rig.kubelet, SCRAPE_SECONDS);
  running = await startEngine(rig, undefined, undefined, BASELINE_MS);
});
afterAll(async () => {
  await running?.stop();
  await prometheus?.stop();
  await rig?.stop();
});

async function serving(namespace: string, provider: Provider, analysis: object | undefined) {
  await rig.shop(namespace);
  const server = provider === 'prometheus' ? { metricsServer: prometheus.url } : {};
  await rig.declare(namespace, { analysis, ...server });
  await rig.phase(namespace, 'Initialized');
  return rig.traffic(namespace, REQUESTS_PER_SECOND);
}

/** Nothing failed but what the new version itself answered. */
async function failuresOf(traffic: Awaited<ReturnType<typeof serving>>): Promise<number> {
  const counts = await traffic.stop();
  const foreign = traffic.failures.filter(one => one.cause !== 'release' || one.version !== 'v2');
  expect(foreign.slice(0, 3), running.log.slice(-20).join('\n')).toEqual([]);
  return counts.failed;
}

describe.concurrent.each(['prometheus', 'scrape'] as const)('%s', provider => {
  describe.each(Object.keys(modes))('%s', mode => {
    test.concurrent.each(Object.keys(faults))('%s: rolled back on evidence', async name => {
      const fault = faults[name];
      const namespace = `${provider}-${mode}-${name}`;
      const traffic = await serving(namespace, provider, modes[mode]);
      await rig.release(namespace, 'v2', fault?.behaviour);
      const { status } = await rig.phase(namespace, 'Failed', DEADLINE_MS);
      const failed = await failuresOf(traffic);
      expect(status.judge).toMatchObject({ mode, verdict: 'rollback', run: status.run.id });
      expect(status.transitions.at(-1)).toMatchObject({ reason: 'RolledBack', message: expect.any(String) });
      expect(status.transitions.at(-1).message).toContain(status.judge.sentence.slice(0, 40));
      const [strongest] = [...status.judge.comparisons].sort((a, b) => b.logEvidence - a.logEvidence);
      expect(strongest.metric).toBe(fault?.metric);
      // No check of a threshold had failed by then.
      if (mode === 'threshold') expect(status.failedChecks).toBe(0);
      const { total, failures } = strongest.canary;
      console.log(
        `${provider}, ${mode}, ${name}: ${failed} failed requests at the clients; ${failures} of ${total} counted; ${status.judge.sentence}`,
      );
      // What was counted is what the clients met, but for the last moments.
      if (name === 'outage') expect(failures).toBeLessThanOrEqual(failed);
    });
  });

  test.concurrent.each(['compare', 'slo'])('%s: a good release is promoted on what was shown', async mode => {
    const namespace = `${provider}-${mode}-good`;
    const traffic = await serving(namespace, provider, modes[mode]);
    await rig.release(namespace, 'v2');
    const { status } = await rig.phase(namespace, 'Succeeded', DEADLINE_MS);
    expect(await failuresOf(traffic)).toBe(0);
    expect(status.judge).toMatchObject({ mode, run: status.run.id });
    const promoting = status.transitions.find((one: any) => one.reason === 'Promoting');
    expect(promoting.message).toMatch(/:1 that the canary/);
    expect(status.judge.timeline.length).toBeGreaterThan(0);
  });
});
