/**
 * Runs the end-to-end tests: gets every real program while there is a network, then starts the command inside a network
 * namespace whose loopback owns the pod and Service ranges, so that every pod has an address of its own and nothing can
 * leave. Without a command it runs every file of the e2e project, two at a time, each in a namespace of its own: they wait
 * far more than they work. Whatever a command leaves behind ends with it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import { environmentOf, prepare, type Prepared } from './prepare.ts';

/** Pods' addresses, as `startKubelet` hands them out. */
const POD_RANGE = '10.244.0.0/16';
/** ClusterIPs: `--service-cluster-ip-range` of the control plane. */
const SERVICE_RANGE = '10.96.0.0/16';
/** After a signal the command has this long to end by itself. */
const GRACE_MS = 10_000;

/** The cores of the machine that the tests are made for. */
const AT_ONCE = 2;
/** What takes longest begins first, or one of the two would end alone. */
const LONGEST = ['rollout.bullmq', 'ha', 'rollout.inprocess', 'scrape', 'ha.fleet', 'policy', 'chart'];

const root = join(import.meta.dirname, '../..');

/** The shell stays as the namespace's first process: it has no use for signals, and reaps what the command orphans. */
const SET_UP = `"$1" link set lo up && "$1" route add local ${POD_RANGE} dev lo && "$1" route add local ${SERVICE_RANGE} dev lo || exit 1
shift
"$@"
exit $?`;

function start(prepared: Prepared, command: readonly string[], stdio: 'inherit' | 'pipe'): ChildProcess {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const isolation = ['--net', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const inside = ['sh', '-c', SET_UP, 'sh', prepared.ip, ...command];
  // setpriv: when this process is killed without warning, the namespace and all in it end too.
  return spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...user, ...isolation, ...inside], {
    stdio: ['inherit', stdio, stdio],
    env: {
      ...process.env,
      ...environmentOf(prepared),
      PATH: `${join(root, 'node_modules/.bin')}${delimiter}${process.env['PATH'] ?? ''}`,
    },
  });
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Hands the signal to the command, which lies below `unshare` (it blocks signals) and the shell (it ignores them). */
function forward(child: ChildProcess, signal: NodeJS.Signals): void {
  const commands = childrenOf(child.pid ?? 0).flatMap(childrenOf);
  for (const pid of commands) process.kill(pid, signal);
  setTimeout(() => child.kill('SIGKILL'), GRACE_MS).unref();
}

/** How it ended, as a shell says it. */
function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    // All that it wrote has been read by then.
    child.on('close', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}

function testFiles(): string[] {
  const rankOf = (file: string) => {
    const rank = LONGEST.findIndex(name => file === `e2e/${name}.test.ts`);
    return rank < 0 ? LONGEST.length : rank;
  };
  return globSync('e2e/**/*.test.ts', { cwd: root })
    .filter(file => file !== 'e2e/chaos.test.ts')
    .sort((a, b) => rankOf(a) - rankOf(b) || a.localeCompare(b));
}

/** Each file's report is printed in one piece. The answer is the code of one that failed, or 0. */
async function runFiles(
  prepared: Prepared,
  running: Set<ChildProcess>,
  isOver: () => boolean,
): Promise<number> {
  const files = testFiles();
  let worst = 0;
  async function work(): Promise<void> {
    for (let file = files.shift(); file && !isOver(); file = files.shift()) {
      const command = ['vitest', 'run', '--project', 'e2e', '--root', root, file];
      const child = start(prepared, command, 'pipe');
      running.add(child);
      const written: Buffer[] = [];
      for (const stream of [child.stdout, child.stderr])
        stream?.on('data', (chunk: Buffer) => written.push(chunk));
      const code = await ended(child);
      running.delete(child);
      process.stdout.write(Buffer.concat(written));
      if (code !== 0) worst = code;
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return worst;
}

async function main(): Promise<void> {
  const given = process.argv.slice(2);
  const prepared = prepare();
  const running = new Set<ChildProcess>();
  let isOver = false;
  const end = (signal: NodeJS.Signals) => {
    isOver = true;
    for (const child of running) forward(child, signal);
  };
  // A terminal has sent Ctrl-C to the command already: a second one would cut its cleaning up short.
  process.on('SIGINT', () => {
    isOver = true;
    if (!process.stdin.isTTY) end('SIGINT');
  });
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => end(signal));
  if (given.length === 0) process.exit(await runFiles(prepared, running, () => isOver));
  const child = start(prepared, given, 'inherit');
  running.add(child);
  process.exit(await ended(child));
}

function fail(error: unknown): void {
  console.error((error as Error).message);
  process.exit(1);
}

await main().catch(fail);
