/**
 * The names under which `run.ts` hands the paths of the real programs to what it runs. Whoever needs a program asks
 * here, and is told how to get it when it is not there; nothing here looks anywhere else or installs anything.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** Each may be set by the user too; it then comes before everything that would be found or built. */
export const VARIABLES = {
  'kube-apiserver': 'SERIN_E2E_KUBE_APISERVER',
  'kube-controller-manager': 'SERIN_E2E_KUBE_CONTROLLER_MANAGER',
  etcd: 'SERIN_E2E_ETCD',
  'redis-server': 'SERIN_E2E_REDIS_SERVER',
  prometheus: 'SERIN_E2E_PROMETHEUS',
  helm: 'SERIN_E2E_HELM',
  kubectl: 'SERIN_E2E_KUBECTL',
} as const;

export type ProgramName = keyof typeof VARIABLES;

/** The program's path as the environment gives it; throws when it gives none. */
export function programPath(name: ProgramName): string {
  const path = chosenPath(name);
  if (path === undefined) {
    throw new Error(`${VARIABLES[name]} is not set: run the end-to-end tests by e2e/harness/run.ts`);
  }
  return path;
}

/** As `programPath`, but undefined when the variable is not set; throws when it names no executable file. */
export function chosenPath(name: ProgramName): string | undefined {
  const path = process.env[VARIABLES[name]];
  if (!path) return undefined;
  if (!isExecutable(path)) throw new Error(`${VARIABLES[name]}: ${path} is not an executable file`);
  return path;
}

/** Looks in the folders of PATH, and in `more` after them. */
export function findOnPath(program: string, more: readonly string[] = []): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...more];
  return folders
    .filter(Boolean)
    .map(folder => join(folder, program))
    .find(isExecutable);
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** What was built or unpacked is kept here, outside the tree, so that a fresh clone does not build it again. */
export function cacheDirectory(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'serin');
}
