/**
 * Redis, Prometheus and iproute2: from PATH, otherwise by the system's package manager when root, otherwise an error
 * that says what to install. Packages are installed without starting their services.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';

const NEEDED = [
  { program: 'redis-server', package: 'redis-server' },
  { program: 'prometheus', package: 'prometheus' },
  { program: 'ip', package: 'iproute2' },
] as const;

/** Debian asks this before it starts a service of a package that it has just installed. */
const POLICY = '/usr/sbin/policy-rc.d';

function isMissing(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0;
}

export function installPackages(): void {
  const missing = NEEDED.filter(one => isMissing(one.program)).map(one => one.package);
  if (missing.length === 0) return;
  const canInstall = process.getuid?.() === 0 && !isMissing('apt-get');
  if (!canInstall) throw new Error(`the end-to-end tests need ${missing.join(', ')}: install them, or run as root on Debian`);
  console.log(`installing ${missing.join(', ')}`);
  const hadPolicy = existsSync(POLICY);
  if (!hadPolicy) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    execFileSync('apt-get', ['update', '-q'], { stdio: 'ignore', env });
    execFileSync('apt-get', ['install', '-yq', '--no-install-recommends', ...missing], { stdio: ['ignore', 'ignore', 'inherit'], env });
  } finally {
    if (!hadPolicy) rmSync(POLICY, { force: true });
  }
}
