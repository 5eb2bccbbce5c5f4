/**
 * Redis, Prometheus and iproute2: from the environment or PATH, otherwise by the system's package manager when root,
 * otherwise an error that says what to install. Packages are installed without starting their services.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { chosenPath, findOnPath } from './environment.ts';

const NEEDED = [
  { program: 'redis-server', package: 'redis-server' },
  { program: 'prometheus', package: 'prometheus' },
  { program: 'ip', package: 'iproute2' },
] as const;

export type PackagedProgram = (typeof NEEDED)[number]['program'];

/** Not on an ordinary user's PATH in Debian, and `ip` lies there. */
const SYSTEM_FOLDERS = ['/usr/sbin', '/sbin'];
/** Debian asks this before it starts a service of a package that it has just installed; 101 says no. */
const POLICY = '/usr/sbin/policy-rc.d';
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const INSTALL_DEADLINE_MS = 600_000;

/** Paths of the three; installs what is missing. */
export function packagedPrograms(): Record<PackagedProgram, string> {
  const missing = NEEDED.filter(one => find(one.program) === undefined).map(one => one.package);
  if (missing.length > 0) install(missing);
  return Object.fromEntries(
    NEEDED.map(({ program }) => {
      const path = find(program);
      if (path === undefined) throw new Error(`${program} is not there although its package was installed`);
      return [program, path];
    }),
  ) as Record<PackagedProgram, string>;
}

function find(program: PackagedProgram): string | undefined {
  return (program === 'ip' ? undefined : chosenPath(program)) ?? findOnPath(program, SYSTEM_FOLDERS);
}

function install(packages: readonly string[]): void {
  if (process.getuid?.() !== 0 || findOnPath('apt-get') === undefined) {
    throw new Error(
      `the end-to-end tests need ${packages.join(', ')}: install them, or run this as root on Debian`,
    );
  }
  console.log(`installing ${packages.join(', ')} with apt-get`);
  const hadPolicy = existsSync(POLICY);
  if (!hadPolicy) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    apt('update', '-q');
    apt('install', '-yq', '--no-install-recommends', ...packages);
  } finally {
    if (!hadPolicy) rmSync(POLICY, { force: true });
  }
}

function apt(...args: string[]): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const limits = { timeout: INSTALL_DEADLINE_MS, maxBuffer: OUTPUT_BYTES_MAX };
  try {
    execFileSync('apt-get', args, { stdio: ['ignore', 'pipe', 'pipe'], env, ...limits });
  } catch (error) {
    const { stdout, stderr, message } = error as Error & { stdout?: Buffer; stderr?: Buffer };
    const said = [stdout, stderr].map(output => output?.toString().slice(-2_000) ?? '').join('');
    throw new Error(`apt-get ${args.join(' ')} failed: ${said || message}`, { cause: error });
  }
}
