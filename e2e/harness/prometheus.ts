/**
 * A real Prometheus that finds the pods by the API server and scrapes the port on which Linkerd's proxy would serve its
 * metrics, with the labels that linkerd-viz gives them: `namespace`, `pod`, `deployment`.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ControlPlane, endProgram, startProgram, waitFor } from './controlplane.ts';

export interface RealPrometheus {
  url: string;
  /** Ends it without warning; `start` brings it back on the same port. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

const CONFIG = (kubeconfig: string) => `global: {scrape_interval: 1s, scrape_timeout: 900ms}
scrape_configs:
- job_name: linkerd-proxy
  kubernetes_sd_configs: [{role: pod, kubeconfig_file: ${kubeconfig}}]
  relabel_configs:
  - {source_labels: [__meta_kubernetes_pod_container_port_name], regex: linkerd-admin, action: keep}
  - {source_labels: [__meta_kubernetes_pod_phase], regex: Running, action: keep}
  - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
  - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
  - {source_labels: [__meta_kubernetes_pod_controller_name], regex: '(.+)-[^-]+', target_label: deployment}
`;

async function freePort(): Promise<number> {
  return await new Promise(resolve => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

export async function startPrometheus(plane: ControlPlane): Promise<RealPrometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'serin-prometheus-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  writeFileSync(join(folder, 'prometheus.yml'), CONFIG(plane.kubeconfig('player')));
  let child: ReturnType<typeof startProgram> | undefined;
  async function start(): Promise<void> {
    const started = startProgram(
      'prometheus',
      'prometheus',
      [`--config.file=${join(folder, 'prometheus.yml')}`, `--storage.tsdb.path=${join(folder, 'data')}`, `--web.listen-address=127.0.0.1:${port}`, '--log.level=warn'],
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
      if (child) await endProgram(child, 'SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
