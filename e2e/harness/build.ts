/**
 * Gets a real control plane: kube-apiserver, kube-controller-manager and etcd from KUBEBUILDER_ASSETS or PATH, otherwise
 * one binary that is built from the Go modules and cached outside the tree. A part that cannot be had is an error that
 * says so, never a skip.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

export const PARTS = ['kube-apiserver', 'kube-controller-manager', 'etcd'] as const;
export type Part = (typeof PARTS)[number];
export type ControlPlaneBinaries = Record<Part, string>;

const KUBERNETES_VERSION = 'v1.36.3';
const source = join(import.meta.dirname, 'controlplane');

export function cacheDirectory(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'serin');
}

function found(part: Part): string | undefined {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets && existsSync(join(assets, part))) return join(assets, part);
  for (const folder of (process.env['PATH'] ?? '').split(':')) if (folder && existsSync(join(folder, part))) return join(folder, part);
  return undefined;
}

export function controlPlaneBinaries(): ControlPlaneBinaries {
  const paths = PARTS.map(part => found(part));
  if (paths.every(path => path !== undefined)) return Object.fromEntries(PARTS.map((part, i) => [part, paths[i]])) as ControlPlaneBinaries;
  const folder = build();
  return Object.fromEntries(PARTS.map(part => [part, join(folder, part)])) as ControlPlaneBinaries;
}

function build(): string {
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum', 'main.go']) hash.update(readFileSync(join(source, file)));
  const folder = join(cacheDirectory(), `controlplane-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(join(folder, 'etcd'))) return folder;
  if (spawnSync('go', ['version']).status !== 0) {
    throw new Error(`the end-to-end tests need ${PARTS.join(', ')} on PATH or in KUBEBUILDER_ASSETS, or Go 1.26 to build them`);
  }
  mkdirSync(cacheDirectory(), { recursive: true });
  const draft = mkdtempSync(join(cacheDirectory(), 'building-'));
  console.log(`building Kubernetes ${KUBERNETES_VERSION} from its Go modules; this takes about 5 minutes, once`);
  const version = 'k8s.io/component-base/version';
  const flags = `-s -w -X ${version}.gitVersion=${KUBERNETES_VERSION} -X ${version}.gitMajor=1 -X ${version}.gitMinor=36`;
  try {
    execFileSync('go', ['build', '-trimpath', '-ldflags', flags, '-o', join(draft, 'controlplane'), '.'], {
      cwd: source,
      stdio: 'inherit',
      env: { ...process.env, CGO_ENABLED: '0' },
    });
    for (const part of PARTS) symlinkSync('controlplane', join(draft, part));
    renameSync(draft, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return folder;
}
