/**
 * How Node is started for the engine, whoever starts it: npm, the image, the chart, tests and benchmarks. It says what keeps
 * resident memory near what is in use, and why; `launch.test.ts` holds all of them to these lists.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** Node's, before the name of the script. */
export const NODE_FLAGS = [
  // Pages that a collection has emptied go back to the system instead of into a pool, and each collection compacts.
  '--memory-saver-mode',
  // MB. What a tick leaves behind is little; left alone, V8 spreads it over 100 MB before it looks for garbage.
  '--max-semi-space-size=2',
  // MB of old objects at which the first full collection begins, instead of at several hundred.
  '--initial-old-space-size=32',
  // By how much the old objects may grow until the next one, instead of to a multiple.
  '--heap-growing-percent=30',
];

/** Of glibc, which otherwise keeps what compilers and sockets have freed, once for each thread. Other libraries ignore it. */
export const MALLOC_ENVIRONMENT = {
  MALLOC_ARENA_MAX: '1',
  // Segments of V8's compilers have this size: each goes back to the system when it is freed.
  MALLOC_MMAP_THRESHOLD_: '32768',
  MALLOC_TRIM_THRESHOLD_: '65536',
};

/** Within the repository and the image; Node makes a folder in it for each version, list of flags and user. */
export const COMPILE_CACHE = '.compile-cache';

const root = join(import.meta.dirname, '..');
const main = join(root, 'engine/main.ts');

/** For `spawn`: the arguments of Node that start the engine with these flags. */
export function engineArguments(flags: readonly string[]): string[] {
  return [...NODE_FLAGS, main, ...flags];
}

/** For `spawn`: the environment that the engine is started in, which is this one's and what memory needs. */
export function engineEnvironment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return { ...process.env, ...MALLOC_ENVIRONMENT, NODE_COMPILE_CACHE: join(root, COMPILE_CACHE), ...more };
}

/** Compiles what the engine loads ahead of its start; a start that finds nothing to compile needs 20 MB less. */
export function compileAhead(): void {
  const { status } = spawnSync(process.execPath, [...NODE_FLAGS, join(root, 'engine/compile.ts')], {
    env: engineEnvironment(),
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status !== 0) throw new Error('the engine cannot be loaded');
}
