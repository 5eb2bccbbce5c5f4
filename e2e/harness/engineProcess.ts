/**
 * The engine as users run it: a process of its own, started by its own command line. It can be killed without warning,
 * frozen and thawed. This file knows the flags that a test cares for and nothing of what the engine does.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { engineArguments, engineEnvironment } from '../../engine/launch.ts';
import { endProgram, hasEnded, waitFor } from './programs.ts';

/** Enough to see what led to a failure, without filling a report. */
const LOG_LINES_MAX = 400;
/** What an engine that does not come up said last. */
const SAID_LINES = 15;

export interface EngineProcessOptions {
  /** The replica's name, as the pod's name would be. */
  name: string;
  kubeconfig: string;
  metricsServer?: string;
  /** Absent: the whole cluster. The Lease is in the first of them, otherwise in `default`. */
  namespaces?: readonly string[];
  /** Absent: the scheduler in the process. */
  redis?: { url: string; prefix: string };
  resyncSeconds?: number;
  drainSeconds?: number;
}

export interface EngineProcess {
  readonly name: string;
  /** When the process was started, milliseconds since the epoch. */
  readonly startedAt: number;
  /** `http://127.0.0.1:<port>` of REST, health and metrics. */
  readonly url: string;
  /** Its last lines, as JSON. */
  readonly log: readonly string[];
  /** SIGKILL; resolves when it is dead. */
  kill(): Promise<void>;
  /** SIGTERM, as a rolling update does it; resolves when it has ended by itself, or was killed after 20 s. */
  stop(): Promise<void>;
  /** SIGSTOP: its connections stay open, and nothing in it moves until `thaw`. */
  freeze(): void;
  thaw(): void;
}

function flagsOf(options: EngineProcessOptions): string[] {
  const { kubeconfig, metricsServer, namespaces = [], redis, resyncSeconds = 30, drainSeconds = 1 } = options;
  const flags: Record<string, string> = {
    '--kubeconfig': kubeconfig,
    '--leader-election-namespace': namespaces[0] ?? 'default',
    '--drain-seconds': String(drainSeconds),
    '--port': '0',
    '--resync-seconds': String(resyncSeconds),
  };
  if (metricsServer !== undefined) flags['--metrics-server'] = metricsServer;
  if (namespaces.length > 0) flags['--namespace'] = namespaces.join(',');
  if (redis) Object.assign(flags, { '--redis-url': redis.url, '--redis-prefix': redis.prefix });
  return Object.entries(flags).flat();
}

/** Resolves when its caches are filled and it runs. Rejects with its last lines when it ends before. */
export async function startEngineProcess(options: EngineProcessOptions): Promise<EngineProcess> {
  const startedAt = Date.now();
  const child = spawn(process.execPath, engineArguments(flagsOf(options)), {
    env: engineEnvironment({ POD_NAME: options.name }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log: string[] = [];
  let port: number | undefined;
  let isRunning = false;
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', line => {
      log.push(line);
      if (log.length > LOG_LINES_MAX) log.shift();
      const entry = entryOf(line);
      port ??= entry.port;
      isRunning ||= entry.msg === 'serin runs';
    });
  }
  await waitFor(`engine ${options.name} runs`, () => {
    if (hasEnded(child)) throw new Error(`engine ${options.name} has ended`);
    return isRunning && port !== undefined;
  }).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw new Error(`${String(error)}\n${log.slice(-SAID_LINES).join('\n')}`, { cause: error });
  });
  return {
    name: options.name,
    startedAt,
    url: `http://127.0.0.1:${port}`,
    log,
    async kill() {
      // A stopped process is killed as well; the signal that wakes it is not needed.
      await endProgram(child, 'SIGKILL');
    },
    stop: () => endProgram(child, 'SIGTERM'),
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
  };
}

function entryOf(line: string): { msg?: string; port?: number } {
  try {
    return JSON.parse(line) as { msg?: string; port?: number };
  } catch {
    // Node's own warnings and stack traces are text.
    return {};
  }
}
