/**
 * Real helm on a chart of the user's own application: one Deployment and, where asked for, its Service. The chart is
 * made in a temporary folder; values say the version, how it behaves, and whether the chart sets replicas.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { deployment, service } from '../../simulator/world/manifests.ts';
import { helmPath } from './tools.ts';

const run = promisify(execFile);
/** Installing two objects takes a second; the rest is for a machine that is busy. */
const HELM_DEADLINE_MS = 60_000;

export interface ChartValues {
  version: string;
  errorPercent?: number;
  /** Absent: the chart does not mention replicas. */
  replicas?: number;
  /** A label of the Deployment itself, not of its pods. */
  team?: string;
  /** One more port of the Service. */
  extraPort?: number;
}

export interface Helm {
  /** `helm upgrade --install` with these values and flags. Rejects with helm's own sentence. */
  upgrade(values: ChartValues, flags?: readonly string[]): Promise<void>;
  close(): void;
}

export function createHelm(options: { kubeconfig: string; namespace: string; withService: boolean }): Helm {
  const { kubeconfig, namespace } = options;
  const folder = mkdtempSync(join(tmpdir(), 'serin-helm-'));
  const chart = join(folder, 'web');
  mkdirSync(join(chart, 'templates'), { recursive: true });
  const about = { apiVersion: 'v2', name: 'web', version: '1.0.0' };
  writeFileSync(join(chart, 'Chart.yaml'), JSON.stringify(about));
  writeFileSync(join(chart, 'values.yaml'), JSON.stringify({ errorPercent: 0 }));
  writeFileSync(join(chart, 'templates/deployment.yaml'), deploymentTemplate(namespace));
  if (options.withService) {
    writeFileSync(join(chart, 'templates/service.yaml'), serviceTemplate(namespace));
  }
  const environment = {
    ...process.env,
    KUBECONFIG: kubeconfig,
    HELM_CACHE_HOME: join(folder, 'cache'),
    HELM_CONFIG_HOME: join(folder, 'config'),
    HELM_DATA_HOME: join(folder, 'data'),
  };
  return {
    async upgrade(values, flags = []) {
      const file = join(folder, 'given.yaml');
      writeFileSync(file, JSON.stringify(values));
      const args = ['upgrade', '--install', 'web', chart, '--namespace', namespace, '--values', file];
      await run(helmPath(), [...args, ...flags], { env: environment, timeout: HELM_DEADLINE_MS });
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function serviceTemplate(namespace: string): string {
  const extra = '{name: extra, port: {{ . }}, targetPort: http}';
  return stringify(service({ namespace, name: 'web' })).replace(
    /( +)- name: http\n(?:\1 +.+\n)+/,
    (first, indent) => `${first}{{ with .Values.extraPort }}\n${indent}- ${extra}\n{{ end }}`,
  );
}

/** The manifest as YAML, in which what varies becomes template actions. */
function deploymentTemplate(namespace: string): string {
  const environment = { ERROR_PERCENT: '{{ .Values.errorPercent }}' };
  const body = deployment({ namespace, name: 'web', version: '{{ .Values.version }}', environment });
  delete body.spec.replicas;
  return stringify(body, { aliasDuplicateObjects: false })
    .replace('  labels:\n', '$&{{ with .Values.team }}    team: {{ . }}{{ end }}\n')
    .replace('\nspec:\n', '$&{{ with .Values.replicas }}  replicas: {{ . }}{{ end }}\n');
}
