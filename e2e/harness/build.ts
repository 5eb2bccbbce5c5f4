/**
 * Gets a real control plane: kube-apiserver, kube-controller-manager and etcd from the environment, KUBEBUILDER_ASSETS
 * or PATH, otherwise one binary that is built from the Go modules and cached outside the tree. A part that cannot be
 * had is an error that says so, never a skip.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { cached } from './cached.ts';
import { chosenPath, findOnPath, isExecutable } from './environment.ts';

export const PARTS = ['kube-apiserver', 'kube-controller-manager', 'etcd'] as const;
export type Part = (typeof PARTS)[number];
export type ControlPlaneBinaries = Record<Part, string>;

/** As in go.mod; without it in the binary the server calls itself v0.0.0-master, which clients cannot parse. */
const KUBERNETES_VERSION = 'v1.36.3';
const source = join(import.meta.dirname, 'controlplane');

/**
 * Paths of the three. All or none are taken as found: an API server of one version beside a controller manager of
 * another, newer one is a pair that Kubernetes does not support.
 */
export function controlPlaneBinaries(): ControlPlaneBinaries {
  const found = PARTS.map(find);
  const folder = found.every(path => path !== undefined) ? undefined : build();
  const paths = PARTS.map((part, index) => [part, folder ? join(folder, part) : found[index]]);
  return Object.fromEntries(paths) as ControlPlaneBinaries;
}

function find(part: Part): string | undefined {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  const asset = assets ? join(assets, part) : undefined;
  return chosenPath(part) ?? (asset && isExecutable(asset) ? asset : findOnPath(part));
}

function build(): string {
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum', 'main.go']) hash.update(readFileSync(join(source, file)));
  return cached(`controlplane-${hash.digest('hex').slice(0, 16)}`, draft => {
    if (spawnSync('go', ['version']).status !== 0) {
      const parts = PARTS.join(', ');
      throw new Error(
        `the end-to-end tests need ${parts} in KUBEBUILDER_ASSETS or on PATH, or Go 1.26 to build them`,
      );
    }
    console.log(
      `building Kubernetes ${KUBERNETES_VERSION} from its Go modules; this takes about 5 minutes, once`,
    );
    const [major, minor] = KUBERNETES_VERSION.slice(1).split('.');
    const variables = { gitVersion: KUBERNETES_VERSION, gitMajor: major, gitMinor: minor };
    const stamps = Object.entries(variables).map(
      ([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`,
    );
    const flags = ['-trimpath', '-ldflags', ['-s', '-w', ...stamps].join(' ')];
    execFileSync('go', ['build', ...flags, '-o', join(draft, 'controlplane'), '.'], {
      cwd: source,
      stdio: 'inherit',
      env: { ...process.env, CGO_ENABLED: '0' },
    });
    for (const part of PARTS) symlinkSync('controlplane', join(draft, part));
  });
}
