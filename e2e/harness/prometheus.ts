/**
 * A real Prometheus that scrapes the port on which Linkerd's proxy would serve its metrics, with the labels that
 * linkerd-viz gives them: `namespace`, `pod`, `deployment`. Debian builds it without Kubernetes discovery, so the pods
 * come to it by HTTP discovery, from the played kubelet.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Kubelet } from '../../simulator/world/kubelet.ts';
import { endProgram, startProgram, waitFor } from './controlplane.ts';

export interface RealPrometheus {
  url: string;
  /** Ends it without warning; `start` brings it back on the same port. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

const CONFIG = (discovery: string) => `global: {scrape_interval: 1s, scrape_timeout: 900ms}
scrape_configs:
- job_name: linkerd-proxy
  http_sd_configs: [{url: '${discovery}', refresh_interval: 1s}]
`;

/** Answers the ready pods as Prometheus's HTTP discovery wants them. */
async function serveDiscovery(kubelet: Kubelet): Promise<{ url: string; close(): void }> {
  const server = createHttpServer((_request, response) => {
    const groups = kubelet.pods().flatMap(pod => {
      if (pod.address === undefined || pod.adminPort === undefined || pod.isGone) return [];
      // A pod's name is its Deployment's, the hash of the template, and a suffix.
      const deployment = pod.name.replace(/-[^-]+-[^-]+$/, '');
      return [
        {
          targets: [`${pod.address}:${pod.adminPort}`],
          labels: { namespace: pod.namespace, pod: pod.name, deployment },
        },
      ];
    });
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(groups));
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}/`,
    close: () => server.close(),
  };
}

async function freePort(): Promise<number> {
  return await new Promise(resolve => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

export async function startPrometheus(kubelet: Kubelet): Promise<RealPrometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'serin-prometheus-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const discovery = await serveDiscovery(kubelet);
  writeFileSync(join(folder, 'prometheus.yml'), CONFIG(discovery.url));
  let child: ReturnType<typeof startProgram> | undefined;
  async function start(): Promise<void> {
    const started = startProgram(
      'prometheus',
      'prometheus',
      [
        `--config.file=${join(folder, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--log.level=warn',
      ],
      join(folder, 'prometheus.log'),
    );
    child = started;
    await waitFor('Prometheus is ready', async () => {
      if (started.exitCode !== null) throw new Error(started.tail());
      return (await fetch(`${url}/-/ready`).catch(() => undefined))?.status === 200;
    });
  }
  await start();
  return {
    url,
    start,
    async kill() {
      if (child) await endProgram(child, 'SIGKILL');
    },
    async stop() {
      discovery.close();
      if (child) await endProgram(child, 'SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
