/** The engine as a process of its own: killed in the middle of a rollout, frozen while another takes over. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { endProgram } from './harness/controlplane.ts';
import { type RealPrometheus, startPrometheus } from './harness/prometheus.ts';
import { type Rig, startRig } from './harness/rig.ts';

let rig: Rig;
let prometheus: RealPrometheus;
const running: ChildProcess[] = [];
const main = join(import.meta.dirname, '../engine/main.ts');

beforeAll(async () => {
  rig = await startRig();
  prometheus = await startPrometheus(rig.kubelet);
});
afterEach(async () => {
  for (const child of running.splice(0)) {
    child.kill('SIGCONT');
    await endProgram(child, 'SIGKILL');
  }
});
afterAll(async () => {
  await prometheus?.stop();
  await rig?.stop();
});

function startEngine(name: string): ChildProcess {
  const flags = [
    '--kubeconfig',
    rig.plane.kubeconfig('engine'),
    '--metrics-server',
    prometheus.url,
    '--leader-election-namespace',
    'default',
    '--drain-seconds',
    '1',
    '--port',
    '0',
  ];
  const child = spawn(process.execPath, [main, ...flags], {
    env: { ...process.env, POD_NAME: name },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child.stdout?.resume();
  running.push(child);
  return child;
}

const analysis = {
  interval: '2s',
  stepWeights: [20, 40, 60],
  threshold: 2,
  metrics: [{ name: 'request-success-rate', interval: '5s', thresholdRange: { min: 99 } }],
};

async function serving(namespace: string) {
  await rig.shop(namespace);
  await rig.declare(namespace, { analysis });
  await rig.phase(namespace, 'Initialized');
  return rig.traffic(namespace);
}

const atWeight = (namespace: string, weight: number) =>
  rig.until(
    `weight ${weight}`,
    async () => ((await rig.canary(namespace)).status?.canaryWeight ?? 0) >= weight,
  );

test('killed at every step and started again: the rollout goes on where it was', async () => {
  let engine = startEngine('one');
  const traffic = await serving('killed');
  await rig.release('killed', 'v2');
  for (const weight of [20, 40, 60]) {
    await atWeight('killed', weight);
    await endProgram(engine, 'SIGKILL');
    engine = startEngine('one');
  }
  const done = await rig.phase('killed', 'Succeeded');
  expect(done.status.lastPromotedSpec).toBe(done.status.lastAppliedSpec);
  const counts = await traffic.stop();
  expect({ failed: counts.failed, failures: traffic.failures.slice(0, 3) }).toEqual({
    failed: 0,
    failures: [],
  });
});

test('frozen while another takes over and rolls back: what it decided before moves no traffic when it wakes', async () => {
  const first = startEngine('first');
  const traffic = await serving('frozen');
  startEngine('second');
  await rig.release('frozen', 'v2', { errorPercent: 60 });
  await atWeight('frozen', 20);
  first.kill('SIGSTOP');
  const failed = await rig.phase('frozen', 'Failed');
  first.kill('SIGCONT');
  const { epoch } = failed.status;
  // The woken engine has had its say when its next write to the lease is through, or when it did nothing for seconds.
  const weights = new Set<number>();
  for (let look = 0; look < 50; look++) {
    const { body } = await rig.api.request(
      'GET',
      '/apis/split.smi-spec.io/v1alpha2/namespaces/frozen/trafficsplits/web',
    );
    weights.add(body.spec.backends.find((backend: any) => backend.service === 'web-canary').weight);
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  expect([...weights]).toEqual([0]);
  expect((await rig.canary('frozen')).status.epoch).toBeGreaterThanOrEqual(epoch);
  const counts = await traffic.stop();
  const foreign = traffic.failures.filter(
    failure => !(failure.cause === 'release' && failure.version === 'v2'),
  );
  expect(foreign.slice(0, 3)).toEqual([]);
  expect(counts.total).toBeGreaterThan(100);
});
