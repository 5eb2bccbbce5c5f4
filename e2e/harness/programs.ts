/**
 * Programs of the rig: started with their output in a log file, awaited, ended. It knows nothing about what they are.
 * A program that ends before it is ready is an error with the tail of its log.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';

/** The slowest part of the rig is ready in 3 s; the rest is for a machine that is busy. */
const READY_DEADLINE_MS = 60_000;
/** Longer than any graceful end of these programs; what has not ended by then is killed. */
const END_DEADLINE_MS = 20_000;
const POLL_MS = 50;
const TAIL_LINES = 25;

export interface Program extends ChildProcess {
  /** The last lines of its log, headed by its name. */
  tail(): string;
}

/** Starts a program whose output goes to the end of the file `logPath`. */
export function startProgram(
  name: string,
  path: string,
  args: readonly string[],
  logPath: string,
  environment: NodeJS.ProcessEnv = process.env,
): Program {
  const log = openSync(logPath, 'a');
  const child = spawn(path, args, { stdio: ['ignore', log, log], env: environment });
  closeSync(log);
  let failure = '';
  // Without a listener a program that is not there would end the whole test process.
  child.on('error', error => (failure = `${error.message}\n`));
  const tail = () =>
    `${name}: ${failure}${readFileSync(logPath, 'utf8').trimEnd().split('\n').slice(-TAIL_LINES).join('\n')}`;
  return Object.assign(child, { tail });
}

export function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

/** Resolves when the program has ended, at once if it had; after 20 s it is killed. */
export async function endProgram(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), END_DEADLINE_MS);
  await ended;
  clearTimeout(timer);
}

/** Polls until the answer is neither undefined nor false, and resolves with it; rejects with `what` at the deadline. */
export async function waitFor<T>(
  what: string,
  isThere: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = READY_DEADLINE_MS,
): Promise<T> {
  const startedAt = performance.now();
  for (;;) {
    const answer = await isThere();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() - startedAt > deadlineMs) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise(resolve => setTimeout(resolve, POLL_MS));
  }
}

/** Waits until the program is ready; rejects with the tail of its log when it ends or does not get there. */
export async function ready(program: Program, isReady: () => Promise<boolean>): Promise<void> {
  // By the next turn of the loop a program that could not be started has said why.
  await new Promise(resolve => setImmediate(resolve));
  try {
    await waitFor('it is ready', async () => {
      if (hasEnded(program)) throw new Error('it has ended');
      return await isReady().catch(() => false);
    });
  } catch (error) {
    throw new Error(`${(error as Error).message}; ${program.tail()}`, { cause: error });
  }
}

/** Loopback ports that were free a moment ago, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map(server => (server.address() as AddressInfo).port);
  await Promise.all(servers.map(server => once(server.close(), 'close')));
  return ports;
}
