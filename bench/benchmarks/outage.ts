/**
 * A release that fails every request, on the real control plane with real HTTP requests and a real Prometheus: failed
 * requests at the clients until the traffic is off it. Unmodified threshold manifests with and without the guard, and
 * the judge that compares. 50 requests a second, 10 % of them to the canary, a scrape every 2 s.
 */
import { type EngineProcess, startEngineProcess } from '../engineProcess.ts';
import { atMost, type Figure, median } from '../figures.ts';
import { startPrometheus } from '../../e2e/harness/prometheus.ts';
import { type Rig, startRig } from '../../e2e/harness/rig.ts';

const REQUESTS_PER_SECOND = 50;
const SCRAPE_SECONDS = 2;
/** Pods take a while to start: Prometheus has found them by then. */
const READY_AFTER_MS = 8_000;
const RUNS = 3;
const DEADLINE_MS = 420_000;
/** A primary without a history is looked at for a minute. */
const HISTORY_MS = 65_000;

const metrics = [
  { name: 'request-success-rate', interval: '1m', thresholdRange: { min: 99 } },
  { name: 'request-duration', interval: '1m', thresholdRange: { max: 500 } },
];
const steps = { stepWeights: [10, 20, 30, 40, 50] };
const off = { judge: { guard: { enabled: false } } };

interface Case {
  what: string;
  analysis: object;
  /** Failed requests. */
  asked?: number;
}

/** Asked: a quarter of Flagger's 150, a fiftieth of its 1,791, and 25. */
const CASES: readonly Case[] = [
  {
    what: 'threshold 2 every 10 s, without the guard',
    analysis: { ...steps, interval: '10s', threshold: 2, metrics, ...off },
  },
  {
    what: 'threshold 2 every 10 s, unmodified',
    analysis: { ...steps, interval: '10s', threshold: 2, metrics },
    asked: 150 / 4,
  },
  {
    what: 'threshold 5 every 60 s, unmodified',
    analysis: { ...steps, interval: '60s', threshold: 5, metrics },
    asked: 1_791 / 50,
  },
  { what: 'compare', analysis: { ...steps, interval: '10s', judge: { mode: 'compare' } }, asked: 25 },
];

export async function outage(): Promise<Figure[]> {
  const rig = await startRig();
  const prometheus = await startPrometheus(rig.kubelet, SCRAPE_SECONDS);
  let engine: EngineProcess | undefined;
  try {
    engine = await startEngineProcess({
      kubeconfig: rig.plane.kubeconfig('engine'),
      metricsServer: prometheus.url,
    });
    const figures: Figure[] = [];
    for (const [index, one] of CASES.entries()) {
      const failed = await Promise.all(
        Array.from({ length: RUNS }, (_, run) => failedRequests(rig, `outage-${index}-${run}`, one)),
      );
      const what = `${one.what}: failed requests until the rollback, median of ${RUNS} (${failed.join(', ')})`;
      figures.push(atMost('outage', what, median(failed), one.asked));
    }
    return figures;
  } finally {
    await engine?.end();
    await prometheus.stop();
    await rig.stop();
  }
}

async function failedRequests(rig: Rig, namespace: string, { analysis }: Case): Promise<number> {
  await rig.shop(namespace);
  await rig.declare(namespace, { analysis });
  await rig.phase(namespace, 'Initialized');
  const traffic = rig.traffic(namespace, REQUESTS_PER_SECOND);
  await new Promise(resolve => setTimeout(resolve, HISTORY_MS));
  await rig.release(namespace, 'v2', { errorPercent: 100, readyAfterMs: READY_AFTER_MS });
  await rig.phase(namespace, 'Failed', DEADLINE_MS);
  return (await traffic.stop()).failed;
}
