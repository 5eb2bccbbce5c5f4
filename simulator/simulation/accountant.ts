/**
 * The users' side: at each moment it follows a request from the apex Service through the TrafficSplit and the endpoints
 * to a pod, as all of them are at that moment, and books what fails on its cause. It shares no code with the engine,
 * and what it counts is also what the metrics provider of the simulation knows.
 */
import type { ProcessStore } from '../api/inprocess.ts';
import { createLegs, type Leg } from './legs.ts';
import { requestsBetween } from './load.ts';
import type { Answered } from './proxies.ts';
import type { CanaryPlan, TrafficKind } from './plan.ts';
import type { Pods } from './pods.ts';

export interface Sample {
  atMs: number;
  total: number;
  failed: number;
  latencyMs: number;
}

export interface Accountant {
  /** Books what happened since the last call, with the picture that held. Called before each change. */
  accrue(index: number): void;
  accrueAll(): void;
  /** Looks again. Called after each change that concerns the canary. */
  look(index: number): readonly Leg[];
  picture(index: number): readonly Leg[];
  /** Requests that a workload has answered up to a moment; only pods of these ReplicaSets count, if any are named. */
  sampleAt(namespace: string, workload: string, replicaSets: readonly string[], atMs: number): Sample;
  /** Failed requests by cause and version, of all canaries. */
  booked(): ReadonlyMap<string, number>;
  setTraffic(index: number, kind: TrafficKind): void;
  trafficOf(index: number): TrafficKind;
}

export interface AccountantOptions {
  canaries: readonly CanaryPlan[];
  store: ProcessStore;
  pods: Pods;
  now: () => number;
  startMs: number;
  /** Percent of a canary's requests that fail whoever answers them. */
  incidentOf(namespace: string, target: string): number;
  /** What pods have answered, as it is booked. */
  onAnswered(answered: Answered): void;
}

/** Samples that are kept of each workload; older ones are beyond any window. */
const SAMPLES_MAX = 2_000;

export function createAccountant(options: AccountantOptions): Accountant {
  const { canaries, now, startMs } = options;
  const follow = createLegs(options);
  const pictures: Leg[][] = canaries.map(() => []);
  const bookedUntilMs = canaries.map(() => now());
  const traffic = canaries.map(canary => canary.traffic);
  const samples = new Map<string, Map<string, Sample[]>>();
  const booked = new Map<string, number>();

  function samplesOf(workload: string, replicaSet: string): Sample[] {
    const sets = samples.get(workload) ?? new Map<string, Sample[]>();
    samples.set(workload, sets);
    let list = sets.get(replicaSet);
    if (!list) {
      list = [{ atMs: startMs, total: 0, failed: 0, latencyMs: 0 }];
      sets.set(replicaSet, list);
    }
    return list;
  }

  function accrue(index: number): void {
    const canary = canaries[index]!;
    const fromMs = bookedUntilMs[index]!;
    const atMs = now();
    bookedUntilMs[index] = atMs;
    const requests = requestsBetween(traffic[index]!, fromMs - startMs, atMs - startMs);
    if (requests === 0) return;
    for (const leg of pictures[index]!) {
      const total = requests * leg.share;
      const failed = total * leg.failing;
      if (failed > 0) {
        const key = leg.cause === 'release' ? `release ${leg.version}` : leg.cause;
        booked.set(key, (booked.get(key) ?? 0) + failed);
      }
      if (leg.version === '') continue;
      const { workload, pod, replicaSet, latencyMs } = leg;
      const { namespace } = canary;
      options.onAnswered({
        namespace,
        workload,
        replicaSet,
        pod,
        fromMs,
        toMs: atMs,
        requests: total,
        failed,
        latencyMs,
      });
      const list = samplesOf(`${canary.namespace}/${leg.workload}`, leg.replicaSet);
      const last = list[list.length - 1]!;
      const next = {
        atMs,
        total: last.total + total,
        failed: last.failed + failed,
        latencyMs: leg.latencyMs,
      };
      if (last.atMs === atMs)
        Object.assign(last, { ...next, latencyMs: Math.max(last.latencyMs, leg.latencyMs) });
      else {
        // Nothing was answered since the last sample of another picture: the curve is flat up to here.
        if (last.atMs < fromMs) list.push({ ...last, atMs: fromMs });
        list.push(next);
      }
      if (list.length > SAMPLES_MAX) list.splice(0, SAMPLES_MAX / 2);
    }
  }

  return {
    accrue,
    accrueAll: () => canaries.forEach((_canary, index) => accrue(index)),
    look(index) {
      pictures[index] = follow(canaries[index]!);
      return pictures[index];
    },
    picture: index => pictures[index]!,
    sampleAt(namespace, workload, replicaSets, atMs) {
      const sum: Sample = { atMs, total: 0, failed: 0, latencyMs: 0 };
      for (const [replicaSet, list] of samples.get(`${namespace}/${workload}`) ?? []) {
        if (replicaSets.length > 0 && !replicaSets.includes(replicaSet)) continue;
        const { total, failed, latencyMs } = interpolated(list, atMs);
        sum.total += total;
        sum.failed += failed;
        sum.latencyMs = Math.max(sum.latencyMs, latencyMs);
      }
      return sum;
    },
    booked: () => booked,
    trafficOf: index => traffic[index]!,
    setTraffic(index, kind) {
      accrue(index);
      traffic[index] = kind;
    },
  };
}

/** What the curve of one ReplicaSet says for this moment. */
function interpolated(list: readonly Sample[], atMs: number): Sample {
  let position = list.length - 1;
  while (position > 0 && list[position]!.atMs > atMs) position -= 1;
  const before = list[position]!;
  const after = list[position + 1];
  if (!after || atMs <= before.atMs) return before;
  const part = (atMs - before.atMs) / (after.atMs - before.atMs);
  return {
    atMs,
    total: before.total + (after.total - before.total) * part,
    failed: before.failed + (after.failed - before.failed) * part,
    latencyMs: after.latencyMs,
  };
}
