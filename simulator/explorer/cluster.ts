/**
 * Everything in the abstract cluster that moves by itself or by other people's hands: workload controllers, kubelets,
 * users, time. One function for each, each of which hands out the states that may follow.
 */
import { COMMAND_TABLE } from '../../engine/core/commands.ts';
import type { Emit, Model } from './model.ts';
import {
  budgetOf,
  DRAINED,
  GHOST,
  META,
  type Meta,
  OLD,
  OWNED,
  type Pods,
  PRIMARY,
  PRIMARY_PODS,
  ROUTE,
  type Spec,
  spend,
  STATUS,
  TAMPERED,
  TARGET,
  TARGET_PODS,
  type Worker,
  WORKER,
} from './parts.ts';

interface Rolled {
  label: string;
  /** A pod turns ready: that may never happen. */
  isReadiness?: boolean;
  spec: Spec;
  pods: Pods;
}

export const readyPods = (pods: Pods): number => pods.pods.filter(pod => pod.isReady).length;

function withPods(spec: Spec, pods: Pods, label: string): Rolled {
  return { label, spec: { ...spec, reported: readyPods(pods) }, pods };
}

/** A Deployment's controller looks at its object: pods are ended, started, or replaced one surge at a time. */
function observed(spec: Spec, { rolling, pods }: Pods): Rolled {
  const seen = { ...spec, isObserved: true };
  const isPaused = spec.pausedBy !== 'nobody';
  // A paused Deployment scales the ReplicaSet that it has.
  const next = isPaused ? rolling : spec.template;
  if (spec.replicas === 0) return withPods(seen, { rolling: next, pods: [] }, 'its pods end');
  if (pods.length === 0) {
    return withPods(
      seen,
      { rolling: next, pods: [{ revision: next, isReady: false }] },
      `a pod of ${next} starts`,
    );
  }
  if (next === rolling) return withPods(seen, { rolling, pods }, 'its controller looks at it');
  const kept = pods.filter(pod => pod.isReady && pod.revision !== next);
  const already = pods.find(pod => pod.revision === next) ?? { revision: next, isReady: false };
  return withPods(seen, { rolling: next, pods: byRevision([...kept, already]) }, `it rolls to ${next}`);
}

function byRevision(pods: Pods['pods']): Pods['pods'] {
  return pods.sort((a, b) => (a.revision < b.revision ? -1 : 1));
}

/** What a workload's controller and kubelet may do next. */
function rollsOf(spec: Spec, pods: Pods): Rolled[] {
  const rolls: Rolled[] = [];
  if (!spec.isObserved) rolls.push(observed(spec, pods));
  const fresh = pods.pods.find(pod => pod.revision === pods.rolling);
  if (spec.pausedBy === 'nobody' && fresh?.isReady && pods.pods.length > 1)
    rolls.push(withPods(spec, { ...pods, pods: [fresh] }, `its roll to ${pods.rolling} is done`));
  for (const pod of pods.pods) {
    if (pod.isReady) continue;
    const ready = pods.pods.map(one => (one === pod ? { ...one, isReady: true } : one));
    rolls.push({
      ...withPods(spec, { ...pods, pods: ready }, `its pod of ${pod.revision} becomes ready`),
      isReadiness: true,
    });
  }
  return rolls;
}

const ARMS = [
  { arm: 'target', spec: TARGET, pods: TARGET_PODS, podsThing: 'targetPods' },
  { arm: 'primary', spec: PRIMARY, pods: PRIMARY_PODS, podsThing: 'primaryPods' },
] as const;

export function createCluster(model: Model) {
  const { pools, scenario } = model;
  const rolls = new Map<string, { label: string; isReadiness: boolean; spec: number; pods: number }[]>();

  function numberedRolls(specId: number, podsId: number) {
    const key = `${specId},${podsId}`;
    const known = rolls.get(key);
    if (known) return known;
    const found = rollsOf(pools.spec.get(specId), pools.pods.get(podsId)).map(
      ({ label, isReadiness = false, spec, pods }) => ({
        label,
        isReadiness,
        spec: pools.spec.intern(spec),
        pods: pools.pods.intern(pods),
      }),
    );
    rolls.set(key, found);
    return found;
  }

  /** Workload controllers and kubelets, without any fault. */
  function workloads(state: readonly number[], emit: Emit, canBecomeReady = true): void {
    for (const { arm, spec, pods, podsThing } of ARMS) {
      for (const roll of numberedRolls(state[spec] as number, state[pods] as number)) {
        if (roll.isReadiness && !canBecomeReady) continue;
        const next = [...state];
        model.renew(next, arm, -1);
        if (roll.pods !== state[pods]) model.renew(next, podsThing, -1);
        next[spec] = roll.spec;
        next[pods] = roll.pods;
        emit(next, () => `${arm}: ${roll.label}`);
      }
    }
  }

  function flaps(state: readonly number[], emit: Emit): void {
    if (budgetOf(state, 'flap') === 0) return;
    for (const { arm, spec, pods, podsThing } of ARMS) {
      const now = pools.pods.get(state[pods] as number);
      if (readyPods(now) === 0) continue;
      const down = { ...now, pods: now.pods.map(pod => ({ ...pod, isReady: false })) };
      const next = [...state];
      model.renew(next, arm, -1);
      model.renew(next, podsThing, -1);
      next[pods] = pools.pods.intern(down);
      next[spec] = pools.spec.intern({ ...pools.spec.get(state[spec] as number), reported: 0 });
      spend(next, 'flap');
      emit(next, () => `${arm}: its pods lose readiness`);
    }
  }

  function edit(state: readonly number[], change: Partial<Spec>): number[] {
    const next = [...state];
    const spec = model.target(state);
    model.renew(next, 'target', -1);
    next[TARGET] = pools.spec.intern({
      ...spec,
      ...change,
      generation: spec.generation + 1,
      isObserved: false,
    });
    return next;
  }

  function users(state: readonly number[], emit: Emit): void {
    const { template, pausedBy } = model.target(state);
    const good = model.status(state).lastGood?.hash ?? '';
    if (budgetOf(state, 'release') > 0) {
      for (const revision of scenario.releases) {
        if (revision === template) continue;
        const next = edit(state, { template: revision });
        spend(next, 'release');
        emit(next, () => `user: releases ${revision}`);
      }
    }
    if (budgetOf(state, 'revert') > 0 && good !== template) {
      const next = edit(state, { template: good });
      spend(next, 'revert');
      emit(next, () => `user: reverts to ${good}`);
    }
    if (budgetOf(state, 'userPause') > 0) {
      const next = edit(state, { pausedBy: pausedBy === 'nobody' ? 'user' : 'nobody' });
      if (pausedBy === 'engine') next[GHOST] = (next[GHOST] as number) | TAMPERED;
      spend(next, 'userPause');
      emit(next, () => (pausedBy === 'nobody' ? 'user: pauses the target' : 'user: resumes the target'));
    }
    if (budgetOf(state, 'scale') > 0) {
      const replicas = 1 - model.target(state).replicas;
      const next = edit(state, { replicas });
      spend(next, 'scale');
      emit(next, () => `user: scales the target to ${replicas}`);
    }
    if (budgetOf(state, 'edit') > 0) {
      for (const weight of [0, 20, 100]) {
        const route = model.route(state);
        if (route.weight === weight) continue;
        const next = [...state];
        model.renew(next, 'route', -1);
        next[ROUTE] = pools.route.intern({ ...route, weight });
        next[GHOST] = ((next[GHOST] as number) | TAMPERED) & ~DRAINED;
        spend(next, 'edit');
        emit(next, () => `somebody: edits the route to ${weight} %`);
      }
    }
    annotations(state, emit);
  }

  /** Commands and deletion. */
  function annotations(state: readonly number[], emit: Emit): void {
    const meta = model.meta(state);
    const { phase, run } = model.status(state);
    const renewMeta = (change: Partial<Meta>): number[] => {
      const next = [...state];
      model.renew(next, 'canary', -1);
      next[META] = pools.meta.intern({ ...meta, ...change });
      return next;
    };
    const left = budgetOf(state, 'command');
    if (left > 0 && phase && meta.deleting === 'no') {
      for (const verb of scenario.verbs) {
        if (!COMMAND_TABLE[verb].includes(phase)) continue;
        const revision = verb === 'skip' ? model.target(state).template : (run?.revision ?? '');
        const next = renewMeta({ command: { verb, revision, id: `c${left}`, reason: '', by: 'ann' } });
        spend(next, 'command');
        emit(next, () => `user: commands ${verb} ${revision}`);
      }
    }
    if (budgetOf(state, 'delete') > 0 && meta.deleting === 'no') {
      const next = renewMeta({ deleting: 'yes' });
      spend(next, 'delete');
      emit(next, () => 'user: deletes the Canary');
    }
    if (budgetOf(state, 'limit') > 0 && meta.deleting === 'yes') {
      const next = renewMeta({ deleting: 'long' });
      spend(next, 'limit');
      emit(next, () => 'time: five minutes pass');
    }
  }

  function olderWorker(id: number): number {
    const { held, pending } = pools.worker.get(id);
    if (!pending?.steps.some(step => step.kind === 'status')) return id;
    const worker: Worker = {
      held,
      pending: {
        ...pending,
        steps: pending.steps.map(step =>
          step.kind === 'status' ? { ...step, status: model.olderStatus(step.status) } : step,
        ),
      },
    };
    return pools.worker.intern(worker);
  }

  /** The process dies: what it held and what it was about to do is gone. */
  function crash(state: readonly number[], index: number, emit: Emit): void {
    if (budgetOf(state, 'crash') === 0 || state[WORKER + index] === model.idle) return;
    const next = [...state];
    next[WORKER + index] = model.idle;
    spend(next, 'crash');
    emit(next, () => `W${index}: dies`);
  }

  /** One unit of time. Nothing is handed out when no rule could tell. */
  function time(state: readonly number[], emit: Emit): void {
    const next = [...state];
    next[STATUS] = model.olderStatus(state[STATUS] as number);
    if (state[OLD + STATUS] !== 0) next[OLD + STATUS] = model.olderStatus(state[OLD + STATUS] as number);
    next[ROUTE] = model.olderRoute(state[ROUTE] as number);
    if (state[OLD + ROUTE] !== 0) next[OLD + ROUTE] = model.olderRoute(state[OLD + ROUTE] as number);
    for (const word of [WORKER, WORKER + 1]) next[word] = olderWorker(state[word] as number);
    if (model.route(state).weight === 0) next[GHOST] = (next[GHOST] as number) | DRAINED;
    if (next.some((word, index) => word !== state[index])) emit(next, () => 'time: an interval passes');
  }

  return {
    crash,
    workloads,
    flaps,
    users,
    time,
    isGone: (state: readonly number[]) => !pools.owned.get(state[OWNED] as number).hasFinalizer,
  };
}

export type Cluster = ReturnType<typeof createCluster>;
