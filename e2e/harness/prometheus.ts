/**
 * A real Prometheus that scrapes the port on which Linkerd's proxy would serve its metrics, with the labels that
 * linkerd-viz gives them: `namespace`, `pod`, `deployment`, and the pod's own. It can be killed and started again.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Kubelet } from '../../simulator/world/kubelet.ts';
import type { ControlPlane } from './controlplane.ts';
import { type Discovery, discoverPlayedPods, discoverPods } from './discovery.ts';
import { programPath } from './environment.ts';
import { endProgram, freePorts, type Program, ready, startProgram } from './programs.ts';

/** Queries of the tests answer in milliseconds; a Prometheus that hangs must not hang them. */
const QUERY_TIMEOUT_MS = 10_000;

export interface Sample {
  labels: Record<string, string>;
  value: number;
}

export interface RealPrometheus {
  url: string;
  /** Instant query; resolves with the vector. Rejects with Prometheus's own sentence. */
  query(promql: string): Promise<Sample[]>;
  /** Ends it without warning; `start` brings it back on the same port, with what it had written. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Ends it gracefully and starts it again. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface PrometheusOptions {
  controlPlane: ControlPlane;
  scrapeIntervalSeconds?: number;
}

const META = '__meta_kubernetes_';

function configuration(discoveryUrl: string, intervalSeconds: number): object {
  const interval = `${intervalSeconds * 1000}ms`;
  const relabelling = [
    { source_labels: [`${META}pod_container_port_name`], regex: 'linkerd-admin', action: 'keep' },
    {
      source_labels: [`${META}pod_ip`, `${META}pod_container_port_number`],
      separator: ':',
      target_label: '__address__',
    },
    { regex: `${META}pod_label_(.+)`, action: 'labelmap' },
    { source_labels: [`${META}namespace`], target_label: 'namespace' },
    { source_labels: [`${META}pod_name`], target_label: 'pod' },
    {
      // A ReplicaSet is named after its Deployment and the hash of the template.
      source_labels: [`${META}pod_controller_kind`, `${META}pod_controller_name`],
      regex: 'ReplicaSet;(.+)-[^-]+',
      target_label: 'deployment',
      replacement: '$1',
    },
  ];
  return {
    global: { scrape_interval: interval, scrape_timeout: interval },
    scrape_configs: [
      {
        job_name: 'linkerd-proxy',
        http_sd_configs: [{ url: discoveryUrl, refresh_interval: '1s' }],
        relabel_configs: relabelling,
      },
    ],
  };
}

/** A new pod is scraped within 7 s of its first address: Prometheus takes up changes of its targets every 5 s. */
export async function startPrometheus(
  options: PrometheusOptions | Kubelet,
  scrapeIntervalSeconds = 1,
): Promise<RealPrometheus> {
  const isPlayed = !('controlPlane' in options);
  const discovery = isPlayed ? await discoverPlayedPods(options) : await discoverPods(options.controlPlane);
  const intervalSeconds = (isPlayed ? undefined : options.scrapeIntervalSeconds) ?? scrapeIntervalSeconds;
  const folder = mkdtempSync(join(tmpdir(), 'serin-prometheus-'));
  const [port = 0] = await freePorts(1);
  writeFileSync(
    join(folder, 'prometheus.yml'),
    JSON.stringify(configuration(discovery.url, intervalSeconds)),
  );
  const prometheus = runningIn(folder, port, discovery);
  try {
    await prometheus.start();
    return prometheus;
  } catch (error) {
    await prometheus.stop();
    throw error;
  }
}

function runningIn(folder: string, port: number, discovery: Discovery): RealPrometheus {
  const url = `http://127.0.0.1:${port}`;
  let program: Program | undefined;
  const end = async (signal: NodeJS.Signals) => {
    if (program !== undefined) await endProgram(program, signal);
  };
  const prometheus: RealPrometheus = {
    url,
    query: promql => query(url, promql),
    kill: () => end('SIGKILL'),
    async start() {
      const flags = [
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--scrape.discovery-reload-interval=1s',
        '--log.level=warn',
      ];
      program = startProgram('prometheus', programPath('prometheus'), flags, join(folder, 'prometheus.log'));
      await ready(program, async () => (await fetch(`${url}/-/ready`)).status === 200);
    },
    async restart() {
      await end('SIGTERM');
      await prometheus.start();
    },
    async stop() {
      await end('SIGKILL');
      await discovery.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return prometheus;
}

async function query(url: string, promql: string): Promise<Sample[]> {
  const answer = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(promql)}`, {
    signal: AbortSignal.timeout(QUERY_TIMEOUT_MS),
  });
  const body: any = await answer.json();
  if (body.status !== 'success') throw new Error(`${promql}: ${body.error}`);
  if (body.data.resultType !== 'vector') throw new Error(`${promql} is a ${body.data.resultType}, no vector`);
  return body.data.result.map((sample: any) => ({ labels: sample.metric, value: Number(sample.value[1]) }));
}
