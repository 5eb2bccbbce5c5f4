/** The engine as users run it: `npm start` as a process of its own. It knows how to start it, to watch its log and to end it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { endProgram, freePorts, hasEnded, waitFor } from '../e2e/harness/programs.ts';
import { compileAhead, engineArguments, engineEnvironment } from '../engine/launch.ts';

export interface EngineProcess {
  pid: number;
  /** Milliseconds since the epoch. */
  startedAt: number;
  /** When it said that its caches are filled. */
  runsAt: number;
  /** One value of its own metrics page: the sum over all series of this name. */
  metric(name: string): Promise<number>;
  /** The text of its metrics page. */
  metricsPage(): Promise<string>;
  end(signal?: NodeJS.Signals): Promise<void>;
}

export interface EngineOptions {
  kubeconfig: string;
  metricsServer: string;
  redisUrl?: string;
  /** More flags. */
  flags?: readonly string[];
  replica?: string;
}

const TAIL_LINES = 20;
/** For a look inside: SERIN_BENCH_NODE_FLAGS='--cpu-prof --cpu-prof-dir=/tmp/profiles'. */
const nodeFlags = (process.env['SERIN_BENCH_NODE_FLAGS'] ?? '').split(' ').filter(Boolean);

const now = () => performance.timeOrigin + performance.now();

export async function startEngineProcess(options: EngineOptions): Promise<EngineProcess> {
  const [port = 0] = await freePorts(1);
  const values = {
    kubeconfig: options.kubeconfig,
    'metrics-server': options.metricsServer,
    'leader-election-namespace': 'default',
    port: String(port),
    ...(options.redisUrl ? { 'redis-url': options.redisUrl } : {}),
  };
  const named = Object.entries(values).map(([name, value]) => `--${name}=${value}`);
  const flags = [...named, ...(options.flags ?? [])];
  compileAhead();
  const startedAt = now();
  const child = spawn(process.execPath, [...nodeFlags, ...engineArguments(flags)], {
    env: engineEnvironment({ POD_NAME: options.replica ?? 'bench' }),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const runsAt = await untilItRuns(child);
  const metricsPage = async () => await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return {
    pid: child.pid ?? 0,
    startedAt,
    runsAt,
    metricsPage,
    async metric(name) {
      return (await metricsPage())
        .split('\n')
        .filter(line => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
    },
    end: signal => endProgram(child, signal),
  };
}

async function untilItRuns(child: ChildProcess): Promise<number> {
  const tail: string[] = [];
  let runsAt: number | undefined;
  if (child.stdout === null) throw new Error('the engine has no output');
  createInterface({ input: child.stdout }).on('line', line => {
    if (line.includes('"serin runs"')) runsAt = now();
    tail.push(line);
    if (process.env['SERIN_BENCH_LOG']) console.error(line);
    if (tail.length > TAIL_LINES) tail.shift();
  });
  return await waitFor('the engine runs', () => {
    if (hasEnded(child)) throw new Error(`the engine has ended:\n${tail.join('\n')}`);
    return runsAt;
  });
}
