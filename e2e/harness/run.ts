/**
 * Runs the end-to-end tests: gets every real program while there is a network, then starts the command inside a network
 * namespace whose loopback owns the pod and Service ranges, so that every pod has an address of its own and nothing can
 * leave. Default command: vitest with the e2e project. Whatever the command leaves behind ends with it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import { environmentOf, prepare, type Prepared } from './prepare.ts';

/** Pods' addresses, as `startKubelet` hands them out. */
const POD_RANGE = '10.244.0.0/16';
/** ClusterIPs: `--service-cluster-ip-range` of the control plane. */
const SERVICE_RANGE = '10.96.0.0/16';
/** After a signal the command has this long to end by itself. */
const GRACE_MS = 10_000;

const root = join(import.meta.dirname, '../..');

/** The shell stays as the namespace's first process: it has no use for signals, and reaps what the command orphans. */
const SET_UP = `"$1" link set lo up && "$1" route add local ${POD_RANGE} dev lo && "$1" route add local ${SERVICE_RANGE} dev lo || exit 1
shift
"$@"
exit $?`;

function start(prepared: Prepared, command: readonly string[]): ChildProcess {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const isolation = ['--net', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const inside = ['sh', '-c', SET_UP, 'sh', prepared.ip, ...command];
  // setpriv: when this process is killed without warning, the namespace and all in it end too.
  return spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', ...user, ...isolation, ...inside], {
    stdio: 'inherit',
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

function main(): void {
  const given = process.argv.slice(2);
  const child = start(
    prepare(),
    given.length > 0 ? given : ['vitest', 'run', '--project', 'e2e', '--root', root],
  );
  // A terminal has sent Ctrl-C to the command already: a second one would cut its cleaning up short.
  process.on('SIGINT', () => process.stdin.isTTY || forward(child, 'SIGINT'));
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => forward(child, signal));
  child.on('error', error => fail(error));
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (signal ? constants.signals[signal] : 0)));
}

function fail(error: unknown): void {
  console.error((error as Error).message);
  process.exit(1);
}

try {
  main();
} catch (error) {
  fail(error);
}
