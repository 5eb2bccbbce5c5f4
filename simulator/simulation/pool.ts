/** Plays seeds in as many processes as there are processors; what one seed does cannot touch another. */
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Answered } from './worker.ts';

/** Most of what a simulation makes is garbage at once; with more room less of it is copied. Megabytes. */
const YOUNG_MB = 64;

export interface PoolOptions {
  /** The next seed, or undefined when there is none. */
  next(): number | undefined;
  /** True: no more seeds. */
  onAnswer(answered: Answered): void;
  /** Options of Node for the processes, e.g. to break the engine. */
  execArgv?: string[];
  environment?: Record<string, string>;
  processes?: number;
}

/** Resolves when every seed was answered. Rejects when a process dies. */
export async function playSeeds(options: PoolOptions): Promise<void> {
  const processes = options.processes ?? availableParallelism();
  const working = Array.from({ length: processes }, () => work(options));
  await Promise.all(working);
}

function work(options: PoolOptions): Promise<void> {
  const first = options.next();
  if (first === undefined) return Promise.resolve();
  const child: ChildProcess = fork(join(import.meta.dirname, 'worker.ts'), [], {
    execArgv: [`--max-semi-space-size=${YOUNG_MB}`, ...(options.execArgv ?? [])],
    env: { ...process.env, ...options.environment },
  });
  return new Promise((resolve, reject) => {
    let isDone = false;
    child.on('exit', (code, signal) =>
      isDone ? resolve() : reject(new Error(`a worker ended with ${code ?? signal} while it played a seed`)),
    );
    child.on('message', (answered: Answered) => {
      options.onAnswer(answered);
      const seed = options.next();
      isDone = seed === undefined;
      if (seed === undefined) child.kill();
      else child.send(seed);
    });
    child.send(first);
  });
}
