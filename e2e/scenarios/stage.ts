/**
 * What the scenarios play on: one control plane, one Prometheus, one Redis where the scheduler wants it, engines as
 * processes, and users who are counted. A scenario has a namespace of its own, so that many run at once; what disturbs
 * engines has engines of its own, for its namespaces alone.
 */
import { expect } from 'vitest';
import { service } from '../../simulator/world/manifests.ts';
import type { Traffic, TrafficCounts } from '../../simulator/world/traffic.ts';
import {
  type EngineProcess,
  type EngineProcessOptions,
  startEngineProcess,
} from '../harness/engineProcess.ts';
import { waitFor } from '../harness/programs.ts';
import { type RealPrometheus, startPrometheus } from '../harness/prometheus.ts';
import { type Recorder, startRecorder } from '../harness/recorder.ts';
import { startRedis } from '../harness/redis.ts';
import { type Rig, type RigOptions, startRig } from '../harness/rig.ts';

export type SchedulerName = 'in-process' | 'BullMQ';

/** Two of five requests a second reach the canary at its first step: enough to judge, and light on two cores. */
const REQUESTS_PER_SECOND = 20;
/** The slowest scenario takes a third of this on an idle machine. */
const PHASE_DEADLINE_MS = 120_000;

export const successRate = { name: 'request-success-rate', interval: '5s', thresholdRange: { min: 99 } };
export const duration = { name: 'request-duration', interval: '5s', thresholdRange: { max: 500 } };
/** Beside checks that a test is about, the guard would roll back first now and then. */
export const unguarded = { guard: { enabled: false } };
export const analysis = {
  interval: '2s',
  stepWeights: [20, 50],
  threshold: 2,
  metrics: [successRate],
  judge: unguarded,
};
/** Windows no longer than the interval: nothing of an earlier run is in what is measured of a later one. */
export const ownWindows = {
  ...analysis,
  interval: '4s',
  metrics: [{ ...successRate, interval: '4s' }],
};

export interface Stage {
  readonly scheduler: SchedulerName;
  rig: Rig;
  prometheus: RealPrometheus;
  recorder: Recorder;
  /** Every engine that was started, dead ones included, oldest first. */
  engines: readonly EngineProcess[];
  /** An engine of this scheduler. It ends with the stage, or when the test that asked for it ends it. */
  engine(options: Partial<EngineProcessOptions> & Pick<EngineProcessOptions, 'name'>): Promise<EngineProcess>;
  /** Path of a kubeconfig of the engine's user, to be led through a proxy. */
  kubeconfig: string;
  /** Of a person who may do everything. */
  adminKubeconfig: string;
}

export interface RunningStage extends Stage {
  stop(): Promise<void>;
}

export async function startStage(scheduler: SchedulerName, options?: RigOptions): Promise<RunningStage> {
  const rig = await startRig(options);
  const [prometheus, recorder, redis] = await Promise.all([
    startPrometheus(rig.kubelet),
    startRecorder(rig.api),
    scheduler === 'BullMQ' ? startRedis() : undefined,
  ]);
  // Written once: whoever reads one while it is written again finds half of it.
  const kubeconfig = rig.plane.kubeconfig('engine');
  const adminKubeconfig = rig.plane.kubeconfig('admin');
  const engines: EngineProcess[] = [];
  return {
    scheduler,
    rig,
    prometheus,
    recorder,
    kubeconfig,
    adminKubeconfig,
    engines,
    async engine(options) {
      // Engines that serve the same namespaces share a queue; others must not take their ticks.
      const queue = redis && { url: redis.url, prefix: `serin-${options.namespaces?.[0] ?? 'all'}` };
      const engine = await startEngineProcess({
        kubeconfig,
        metricsServer: prometheus.url,
        ...(queue ? { redis: queue } : {}),
        ...options,
      });
      engines.push(engine);
      return engine;
    },
    async stop() {
      await Promise.all(engines.map(engine => engine.kill()));
      await redis?.stop();
      await recorder.close();
      await prometheus.stop();
      await rig.stop();
    },
  };
}

export interface Shop {
  namespace: string;
  traffic: Traffic;
  /** The first state of the Canary for which the answer is true. */
  until(what: string, isThere: (status: any) => unknown, deadlineMs?: number): Promise<any>;
  phase(phase: string, deadlineMs?: number): Promise<any>;
  atWeight(weight: number): Promise<void>;
  targetAt(replicas: number): Promise<void>;
  /** As `kubectl apply` of a new version. */
  release(version: string, behaviour?: object): Promise<void>;
  /** Ends the traffic. Fails when a request failed, but for those that the named version itself answered. */
  close(badVersion?: string): Promise<TrafficCounts>;
}

/**
 * A Deployment with a Service of the user's own, in service, with users on it; no Canary yet. `install` makes the
 * Deployment, and the Service if it likes, in a namespace that is there.
 */
export async function openShop(
  stage: Stage,
  namespace: string,
  install?: () => Promise<void>,
): Promise<Shop> {
  const { rig, recorder } = stage;
  if (install) {
    await rig.plane.applyYaml(`{apiVersion: v1, kind: Namespace, metadata: {name: ${namespace}}}`);
    await install();
  } else await rig.shop(namespace);
  const path = `/api/v1/namespaces/${namespace}/services`;
  const { status } = await rig.api.request('POST', path, service({ namespace, name: 'web' }));
  if (status !== 201 && !(install && status === 409))
    throw new Error(`the Service was refused with ${status}`);
  await waitFor('the Service serves', async () => {
    const slices = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`;
    const { body } = await rig.api.request('GET', slices);
    const replicas: number = recorder.deployment(namespace, 'web')?.spec.replicas;
    return body.items.some(
      (slice: any) => slice.endpoints?.filter((one: any) => one.conditions.ready).length === replicas,
    );
  });
  const traffic = rig.traffic(namespace, REQUESTS_PER_SECOND);

  const until: Shop['until'] = async (what, isThere, deadlineMs = PHASE_DEADLINE_MS) => {
    try {
      return await waitFor(
        `${namespace}: ${what}`,
        () => {
          const now = recorder.canary(namespace);
          return isThere(now?.status ?? {}) ? now : undefined;
        },
        deadlineMs,
      );
    } catch (error) {
      const seen = { status: recorder.canary(namespace)?.status, splits: recorder.splits(namespace) };
      throw new Error(`${String(error)}\n${JSON.stringify(seen, undefined, 1)}`, { cause: error });
    }
  };
  return {
    namespace,
    traffic,
    until,
    phase: (phase, deadlineMs) => until(`is ${phase}`, status => status.phase === phase, deadlineMs),
    async atWeight(weight) {
      await until(`weight ${weight}`, status => (status.canaryWeight ?? 0) >= weight);
    },
    async targetAt(replicas) {
      await until(
        `target at ${replicas}`,
        () => recorder.deployment(namespace, 'web')?.spec.replicas === replicas,
      );
    },
    release: (version, behaviour) => rig.release(namespace, version, behaviour),
    async close(badVersion) {
      const counts = await traffic.stop();
      const foreign = traffic.failures.filter(
        failure => !(failure.cause === 'release' && failure.version === badVersion),
      );
      expect({ failed: foreign.length, first: foreign.slice(0, 3) }).toEqual({ failed: 0, first: [] });
      // A client that could not keep up would have seen nothing.
      expect(counts.skipped).toBe(0);
      expect(counts.total).toBeGreaterThan(0);
      for (const split of recorder.splits(namespace))
        expect(split).toMatchObject({ primaryWeight: 100 - split.canaryWeight });
      return counts;
    },
  };
}

/** The same, adopted: the primary serves, and the target is at zero. */
export async function adoptedShop(
  stage: Stage,
  namespace: string,
  spec: object = { analysis },
): Promise<Shop> {
  const shop = await openShop(stage, namespace);
  await stage.rig.declare(namespace, spec);
  await shop.phase('Initialized');
  await shop.targetAt(0);
  return shop;
}

/** The last sentence that the engine said about the canary. */
export const lastSaid = (canary: any): { reason: string; message: string } =>
  canary.status.transitions.at(-1);
