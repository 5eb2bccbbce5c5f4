/**
 * The engine as a process of its own, whether it gets as far as to run or not: its log line by line, its address, and how
 * it ended. It knows no flag but the port.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { engineArguments, engineEnvironment } from '../../engine/launch.ts';
import { endProgram, waitFor } from './controlplane.ts';

export interface FollowedEngine {
  /** Without a slash at the end; empty when it was not waited for. */
  url: string;
  /** The lines so far, parsed. */
  log: any[];
  /** Resolves with the first line that has this message; rejects when the process ends without it. */
  said(message: string): Promise<any>;
  process: ChildProcess;
  /** Its exit code; null when a signal ended it. */
  ended(): Promise<number | null>;
  stop(signal: NodeJS.Signals): Promise<number | null>;
}

/** On a port of its own. `listens`: resolves when it does. */
export async function startFollowed(flags: readonly string[], listens = true): Promise<FollowedEngine> {
  const child = spawn(process.execPath, engineArguments(['--port', '0', ...flags]), {
    env: engineEnvironment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const engine = follow(child);
  if (listens) engine.url = `http://127.0.0.1:${(await engine.said('the server listens')).port}`;
  return engine;
}

/** The same of an engine that was started otherwise, with its standard output in a pipe. */
export function follow(child: ChildProcess): FollowedEngine {
  const log: any[] = [];
  createInterface({ input: child.stdout! }).on('line', line => void log.push(JSON.parse(line)));
  const exited = once(child, 'close');
  const ended = async () => ((await exited) as [number | null])[0];
  return {
    url: '',
    log,
    process: child,
    ended,
    said: message =>
      waitFor(`the engine says: ${message}`, () => {
        const line = log.find(one => one.msg === message);
        if (!line && child.exitCode !== null) throw new Error(`the engine has ended: ${JSON.stringify(log)}`);
        return line;
      }),
    async stop(signal) {
      await endProgram(child, signal);
      return await ended();
    },
  };
}
