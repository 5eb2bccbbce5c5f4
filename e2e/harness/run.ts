/**
 * Runs the end-to-end tests: gets every real part while there is a network, then starts the command again inside a
 * network namespace whose loopback owns the pod and Service ranges, so that every pod has an address of its own and
 * nothing can leave. Default command: vitest with the e2e project.
 */
import { spawn } from 'node:child_process';
import { controlPlaneBinaries } from './build.ts';
import { installPackages } from './packages.ts';

const POD_RANGE = '10.244.0.0/16';
const SERVICE_RANGE = '10.96.0.0/16';

installPackages();
const binaries = controlPlaneBinaries();

const command = process.argv.length > 2 ? process.argv.slice(2) : ['vitest', 'run', '--project', 'e2e'];
const setUp = `ip link set lo up && ip route add local ${POD_RANGE} dev lo && ip route add local ${SERVICE_RANGE} dev lo && exec "$@"`;
// A pid namespace of its own: when the command ends, whatever it left behind ends with it.
const isolation = process.getuid?.() === 0 ? ['-n'] : ['-Urn'];
const child = spawn(
  'unshare',
  [...isolation, '-p', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', setUp, 'sh', ...command],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      SERIN_E2E_KUBE_APISERVER: binaries['kube-apiserver'],
      SERIN_E2E_KUBE_CONTROLLER_MANAGER: binaries['kube-controller-manager'],
      SERIN_E2E_ETCD: binaries.etcd,
    },
  },
);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
