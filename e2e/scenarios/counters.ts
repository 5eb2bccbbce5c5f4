/** Raw counters as the judge reads them, held against what clients saw and against what the pods themselves say. */
import { expect, test } from 'vitest';
import type { CounterQuery, CounterReader } from '../../analyzers/counterReader.ts';
import { incrementsSinceBirth, type PodCounters } from '../../analyzers/scrape/counters.ts';
import { linkerdSource } from '../../analyzers/scrape/sources.ts';
import { createPrometheusAnalyzer } from '../../analyzers/prometheus.ts';
import { createScrapeAnalyzer } from '../../analyzers/scrape.ts';
import { systemClock } from '../../engine/clock.ts';
import { ADMIN_PORT } from '../../simulator/world/manifests.ts';
import { waitFor } from '../harness/programs.ts';
import { adoptedShop, analysis, type Stage, successRate } from './stage.ts';

const REQUESTS_MIN = 40;
/** One of Linkerd's bounds. */
const BOUND_MS = 500;
/** Pods of a test are younger. */
const AGE_MS_MAX = 600_000;

/** What each arm counts in whole: requests, failures, within BOUND_MS, and beyond every bound. */
async function totalsBy(reader: CounterReader, query: CounterQuery) {
  const answer = await reader.read(query, AbortSignal.timeout(10_000));
  if (answer.kind !== 'reading') throw new Error(answer.message);
  const { canary, primary } = answer.reading;
  const totals = [canary, primary].map(pods => pods && totalOf(pods));
  return { totals, answer };
}

function totalOf(pods: ReadonlyMap<string, PodCounters>) {
  const all = [...pods.values()].map(incrementsSinceBirth);
  const sum = (count: (one: (typeof all)[number]) => number) =>
    all.reduce((total, one) => total + count(one), 0);
  return {
    requests: sum(one => one.requests),
    failures: sum(one => one.failures),
    within: sum(one => one.buckets.get(BOUND_MS) ?? 0),
    all: sum(one => one.buckets.get(Number.POSITIVE_INFINITY) ?? 0),
  };
}

async function queryOf(stage: Stage, namespace: string, version: string): Promise<CounterQuery> {
  const path = `/apis/apps/v1/namespaces/${namespace}/replicasets`;
  const { body } = await stage.rig.api.request('GET', path);
  const canarySets = body.items
    .filter((set: any) => set.metadata.ownerReferences[0].name === 'web')
    .filter((set: any) => set.spec.template.spec.containers[0].image.endsWith(`:${version}`))
    .map((set: any) => set.metadata.name);
  expect(canarySets).toHaveLength(1);
  const podsOf = (isOf: (name: string) => boolean) =>
    stage.rig.kubelet
      .pods()
      .filter(pod => pod.namespace === namespace && isOf(pod.name) && pod.isReady && !pod.isGone)
      .map(pod => ({ name: pod.name, ip: pod.address ?? '' }));
  return {
    namespace,
    canary: { deployment: 'web', replicaSets: canarySets },
    primary: { deployment: 'web-primary', replicaSets: [] },
    pods: {
      history: namespace,
      canary: podsOf(name => name.startsWith(`${canarySets[0]}-`)),
      primary: podsOf(name => name.startsWith('web-primary-')),
    },
  };
}

export function rawCounters(stage: () => Stage): void {
  test.concurrent('raw counters of both arms are what clients saw, by Prometheus and by the pods', async () => {
    const namespace = 'counted';
    // Within its threshold, and the next check is a minute away: the weight stays.
    const metrics = [{ ...successRate, thresholdRange: { min: 10 } }];
    const shop = await adoptedShop(stage(), namespace, {
      analysis: { ...analysis, interval: '60s', stepWeights: [50], metrics },
    });
    await shop.release('v2', { errorPercent: 25 });
    await shop.atWeight(50);
    await waitFor(
      'the canary has answered some',
      () => (shop.traffic.counts().byVersion['v2']?.total ?? 0) >= REQUESTS_MIN,
    );
    const { byVersion } = await shop.close('v2');
    const seen = byVersion['v2'];
    if (!seen) throw new Error('nobody has met the canary');

    const query = await queryOf(stage(), namespace, 'v2');
    const prometheus = createPrometheusAnalyzer({ address: stage().prometheus.url }).counters;
    const scrape = createScrapeAnalyzer({
      clock: systemClock,
      source: linkerdSource,
      port: ADMIN_PORT,
      path: '/metrics',
    });
    if (!prometheus) throw new Error('the analyzer reads no counters');
    const { totals: ofPods } = await totalsBy(scrape.counters, query);
    // Probes go on meanwhile, and are in none of it.
    const { answer } = await waitFor('Prometheus has scraped all of it', async () => {
      const read = await totalsBy(prometheus, query);
      return read.totals[0]?.requests === seen.total && read.totals[1]?.requests === ofPods[1]?.requests
        ? read
        : undefined;
    });
    const [canary, primary] = (await totalsBy(prometheus, query)).totals;
    const { total, failed } = seen;
    expect(canary).toMatchObject({ requests: total, failures: failed, all: total });
    expect([canary, primary]).toEqual(ofPods);
    expect(primary).toMatchObject({ failures: 0, requests: expect.any(Number) });
    expect(primary?.requests).toBeGreaterThan(0);
    const { reading, sampledAtMs } = answer;
    expect(reading.atMs - (sampledAtMs ?? 0)).toBeGreaterThanOrEqual(0);
    expect(reading.atMs - (sampledAtMs ?? 0)).toBeLessThan(10_000);
    for (const pod of [...(reading.canary?.values() ?? []), ...(reading.primary?.values() ?? [])])
      expect(Math.abs((pod.startedAt ?? 0) - reading.atMs)).toBeLessThan(AGE_MS_MAX);

    const past = await prometheus.history(query, AbortSignal.timeout(10_000));
    if (past.kind !== 'history') throw new Error(past.kind);
    const names = new Set(query.pods.primary.map(pod => pod.name));
    for (const { atMs, pods } of past.samples) {
      expect(atMs % 60_000).toBe(0);
      expect([...pods.keys()].filter(name => !names.has(name))).toEqual([]);
      expect(totalOf(pods).requests).toBeLessThanOrEqual(primary?.requests ?? 0);
    }
    scrape.close();
    await shop.release('v1');
    await shop.phase('Failed');
  });
}
