/**
 * A worker looks and decides: its caches, each object as it is or one version behind, become an `Observation`, and the
 * engine's own `decide` or `decideUrgent` answers. Answers are remembered by what was seen. What the controller's
 * passes do with them (controller.ts) is mirrored here: a query runs between two looks, outside of the chain in which
 * urgent decisions and passes of one process wait for one another.
 */
import type { Action, Decision } from '../../engine/core/decision.ts';
import type { Judgement, Observation, Workload } from '../../engine/core/observation.ts';
import type { CheckResult } from '../../engine/api/status.ts';
import { conditionsOf } from '../../engine/core/conditions.ts';
import { factsOf } from '../../engine/core/facts.ts';
import { TRIES_MAX } from './acting.ts';
import { observedRoute } from './route.ts';
import type { Emit, Model } from './model.ts';
import {
  BEHIND,
  budgetOf,
  GHOST,
  type Held,
  LAST_OUTCOME_SHIFT,
  META,
  NOW_MS,
  OLD,
  type Outcome,
  OWNED,
  type Pending,
  type Pods,
  PRIMARY,
  PRIMARY_PODS,
  ROUTE,
  type Spec,
  spend,
  STATUS,
  type Step,
  TARGET,
  TARGET_PODS,
  thingBit,
  THINGS,
  UNIT_MS,
  WORDS_OF,
} from './parts.ts';
import { readyPods } from './cluster.ts';
import { judgeDecision } from './properties.ts';

type How = 'decide' | 'decideUrgent' | 'decideInSilence';

export interface Decided {
  rule: string;
  steps: Step[];
  measure: 'canary' | 'primary' | undefined;
  /** Undefined: only when woken. */
  nextTickMs: number | undefined;
  hold: string;
  violation: string | undefined;
  /** The decision has recorded the judgement that it was made with. */
  isCheck: boolean;
}

const ALL_SEEN = (1 << THINGS.length) - 1;
const CHECKS: Readonly<Record<Outcome, CheckResult>> = {
  pass: { metric: 'request-success-rate', outcome: 'pass', value: 100, min: 99 },
  fail: { metric: 'request-success-rate', outcome: 'fail', value: 50, min: 99 },
  none: { metric: 'request-success-rate', outcome: 'noData', message: 'no data' },
};

function workloadOf(spec: Spec, pods: Pods, uid: string): Workload {
  return {
    uid,
    resourceVersion: 'seen',
    generation: spec.generation,
    observedGeneration: spec.isObserved ? spec.generation : spec.generation - 1,
    reportedAvailable: spec.reported,
    replicas: spec.replicas,
    pausedBy: spec.pausedBy,
    revision: spec.template,
    pods: pods.pods.map(pod => ({ revision: pod.revision, total: 1, available: pod.isReady ? 1 : 0 })),
    isScaledByOthers: spec.written !== null && spec.written !== spec.replicas,
    isSurging: spec.isSurging,
  };
}

export function createDeciding(model: Model) {
  const { pools, engine, settings, scenario } = model;
  const memo = new Map<string, Decided | undefined>();

  /** The things whose former version this cache may show, as bits; 0 is always among the answers. */
  function views(state: readonly number[], index: number): number[] {
    const behind = ((state[BEHIND] as number) >> (index * THINGS.length)) & ALL_SEEN;
    if (behind === 0 || budgetOf(state, 'stale') === 0) return [0];
    const answer: number[] = [];
    for (let subset = behind; ; subset = (subset - 1) & behind) {
      answer.push(subset);
      if (subset === 0) return answer;
    }
  }

  function seen(state: readonly number[], old: number): number[] {
    const view = state.slice(0, OLD);
    for (const thing of THINGS) {
      if (!(old & thingBit(thing))) continue;
      for (const word of WORDS_OF[thing]) view[word] = state[OLD + word] as number;
    }
    return view;
  }

  function observationOf(
    view: readonly number[],
    owned: number,
    held: Held | null,
    skew: number,
  ): Observation {
    const status = pools.status.get(view[STATUS] as number);
    const meta = pools.meta.get(view[META] as number);
    const targetPods = pools.pods.get(view[TARGET_PODS] as number);
    const primaryPods = pools.pods.get(view[PRIMARY_PODS] as number);
    const { stored, apex, hasFinalizer, hasRoute } = pools.owned.get(owned);
    const now = NOW_MS + skew * UNIT_MS;
    const isPending = meta.command && meta.command.id !== status.handledCommand;
    const judgement: Judgement | undefined = held
      ? { runId: held.run, epoch: held.epoch, arm: held.arm, checks: [CHECKS[held.outcome]], at: now }
      : undefined;
    const deletingSince =
      meta.deleting === 'no' ? undefined : meta.deleting === 'yes' ? now : now - 6 * 60_000;
    const o: Observation = {
      now,
      canary: {
        namespace: 'shop',
        name: 'app',
        uid: 'u1',
        generation: 1,
        isDeleting: meta.deleting !== 'no',
        deletingSince,
        hasFinalizer,
      },
      settings,
      status: structuredClone(status),
      problems: [],
      obstacles: [],
      target: workloadOf(pools.spec.get(view[TARGET] as number), targetPods, 't'),
      primary: workloadOf(pools.spec.get(view[PRIMARY] as number), primaryPods, 'p'),
      route: hasRoute ? observedRoute(pools.route.get(view[ROUTE] as number)) : undefined,
      endpoints: { primary: readyPods(primaryPods), canary: readyPods(targetPods) },
      objects: { hasServices: true, apexSelects: apex },
      stored: new Set(stored),
      command: isPending && meta.command ? meta.command : undefined,
      staleCaches: [],
      notified: 0,
      judgement,
    };
    return scenario.reports ? o : reported(o);
  }

  /** The same with everything up to date that people read and that only the rule `report` looks at. */
  function reported(o: Observation): Observation {
    o.status.observedGeneration = o.canary.generation;
    if (o.target && !o.status.target)
      o.status.target = { hash: o.target.revision, generation: o.target.generation };
    o.status.conditions = conditionsOf(factsOf(o), o.status, undefined);
    return o;
  }

  function stepOf(action: Action): Step {
    switch (action.kind) {
      case 'status':
        return { kind: 'status', status: pools.status.intern(model.reduce(action.status)) };
      case 'route': {
        const { mode, split, stamp } = action;
        const route = {
          epoch: stamp.epoch,
          weight: split.canaryWeight,
          run: stamp.run,
          end: stamp.end,
          age: 0,
        };
        return { kind: 'route', mode, route };
      }
      case 'target': {
        const pausedBy = action.paused === undefined ? null : action.paused ? 'engine' : 'nobody';
        return { kind: 'target', replicas: action.replicas ?? null, pausedBy };
      }
      case 'primary':
        return { kind: 'primary', revision: action.revision, isSurging: action.surge };
      case 'storeRevision':
        return { kind: 'store', revision: action.revision };
      case 'forgetRevision':
        return { kind: 'forget', revision: action.revision };
      case 'unmarkTarget':
        return { kind: 'unmark' };
      case 'deleteRoute':
        return { kind: 'deleteRoute' };
      case 'pointApex':
        return { kind: 'apex', at: action.at };
      case 'removeFinalizer':
        return { kind: 'release' };
      case 'addFinalizer':
      case 'applyServices':
      case 'createPrimary':
        throw new Error(`the model begins after adoption: it has no ${action.kind}`);
      default:
        return action satisfies never;
    }
  }

  function answer(o: Observation, decision: Decision, how: How): Decided {
    return {
      rule: decision.rule,
      steps: decision.actions.map(stepOf),
      measure: decision.measure,
      nextTickMs: decision.nextTickMs,
      hold: decision.hold?.reason ?? '',
      violation: judgeDecision(o, decision),
      isCheck: hasCounted(o, decision, how),
    };
  }

  /** Whether the judgement made a difference to what is written, the time of the check included. */
  function hasCounted(o: Observation, decision: Decision, how: How): boolean {
    if (!o.judgement) return false;
    const record = decision.actions.find(action => action.kind === 'status');
    if (record?.kind !== 'status' || record.status.run?.checkedAt !== new Date(o.now).toISOString())
      return false;
    const without = engine[how]({ ...o, judgement: undefined });
    if (!without) return true;
    return JSON.stringify(without.actions) !== JSON.stringify(decision.actions);
  }

  function failed(error: unknown): Decided {
    const violation = `L0 decide threw: ${error instanceof Error ? error.message : String(error)}`;
    const nothing = { rule: '', steps: [], measure: undefined, nextTickMs: undefined, hold: '' };
    return { ...nothing, violation, isCheck: false };
  }

  function decided(view: readonly number[], owned: number, held: Held | null, index: number, how: How) {
    const skew = index === 1 ? (scenario.skew ?? 0) : 0;
    const key = `${view.join()},${owned},${skew},${how}${held ? `${held.run} ${held.epoch} ${held.arm} ${held.outcome}` : ''}`;
    if (memo.has(key)) return memo.get(key);
    let made: Decided | undefined;
    try {
      const o = observationOf(view, owned, held, skew);
      const decision = engine[how](o);
      made = decision && answer(o, decision, how);
    } catch (error) {
      made = failed(error);
    }
    memo.set(key, made);
    return made;
  }

  /** In silence no pass is urgent in another way than any. */
  const howOf = (index: number): How =>
    index === 1 && scenario.isSecondSilent ? 'decideInSilence' : 'decide';

  /** What a look with fresh caches would decide. */
  function fresh(state: readonly number[], held: Held | null = null): Decided {
    const made = decided(state.slice(0, OLD), state[OWNED] as number, held, 0, 'decide');
    if (!made) throw new Error('decide is total');
    return made;
  }

  function pendingOf(state: readonly number[], old: number, held: Held | null, made: Decided): Pending {
    const meta = pools.meta.get((old & thingBit('canary') ? state[OLD + META] : state[META]) as number);
    return {
      rule: made.rule,
      steps: made.steps,
      asSeen: ALL_SEEN & ~old,
      tries: made.steps.some(step => step.kind === 'route' && step.mode !== 'create') ? TRIES_MAX : 0,
      lowered: (old & thingBit('route')) !== 0 && isLowered(state),
      isOld: false,
      held: made.isCheck ? held : null,
      weight: pools.route.get((old & thingBit('route') ? state[OLD + ROUTE] : state[ROUTE]) as number).weight,
      lastOutcome: ((state[GHOST] as number) >> LAST_OUTCOME_SHIFT) & 3,
      isBehind: (old & thingBit('canary')) !== 0,
      verb: meta.command?.verb ?? '',
    };
  }

  /** The former version of the route carried more, or a run that has been ended since. */
  function isLowered(state: readonly number[]): boolean {
    const former = pools.route.get(state[OLD + ROUTE] as number);
    const now = model.route(state);
    return now.weight < former.weight || now.end !== '';
  }

  /** The caches have caught up with everything that was not seen in its former version. */
  function look(state: readonly number[], index: number, old: number): number[] {
    const next = [...state];
    const mine = ALL_SEEN << (index * THINGS.length);
    next[BEHIND] = ((next[BEHIND] as number) & ~mine) | (old << (index * THINGS.length));
    if (old !== 0) spend(next, 'stale');
    return next;
  }

  const nameOf = (index: number, old: number): string => {
    const behind = THINGS.filter(thing => old & thingBit(thing));
    return `W${index}${behind.length ? ` (former ${behind.join(', ')})` : ''}`;
  };

  /** `pass`: the queries are answered, and the answer is held until the next look of the same tick. */
  function measure(state: readonly number[], index: number, old: number, arm: Held['arm'], emit: Emit): void {
    const view = seen(state, old);
    const run = pools.status.get(view[STATUS] as number).run?.id ?? '';
    const { epoch } = pools.route.get(view[ROUTE] as number);
    for (const outcome of ['pass', 'fail', 'none'] as const) {
      const budget = outcome === 'fail' ? 'fail' : 'noData';
      if (outcome !== 'pass' && budgetOf(state, budget) === 0) continue;
      const next = look(state, index, old);
      if (outcome !== 'pass') spend(next, budget);
      model.setWorker(next, index, { held: { run, epoch, arm, outcome }, pending: null });
      emit(next, () => `${nameOf(index, old)}: queries the ${arm}: ${outcome}`);
    }
  }

  function begin(
    state: readonly number[],
    index: number,
    old: number,
    made: Decided,
    held: Held | null,
    kept: Held | null,
    emit: Emit,
  ): void {
    const next = look(state, index, old);
    const pending = made.steps.length > 0 ? pendingOf(state, old, held, made) : null;
    model.setWorker(next, index, { held: kept, pending });
    const urgent = kept ? ' urgently' : '';
    emit(
      next,
      () => `${nameOf(index, old)}: decides${urgent} ${made.rule}${made.hold && ` (${made.hold})`}`,
      made.violation,
    );
  }

  /** A tick's next pass, and beside a query the urgent decision. */
  return {
    fresh,
    decide(state: readonly number[], index: number, emit: Emit): void {
      const { held } = model.worker(state, index);
      for (const old of views(state, index)) {
        const view = seen(state, old);
        const made = decided(view, state[OWNED] as number, held, index, howOf(index));
        if (made?.measure) measure(state, index, old, made.measure, emit);
        else if (made && (made.steps.length > 0 || made.violation || held))
          begin(state, index, old, made, held, null, emit);
        const urgent = decided(view, state[OWNED] as number, null, index, 'decideUrgent');
        if (held && urgent) begin(state, index, old, urgent, null, held, emit);
        const isTicks = howOf(index) !== 'decide' || urgent?.steps.length === made?.steps.length;
        if (!held && urgent && !isTicks)
          begin(
            state,
            index,
            old,
            { ...urgent, violation: "L2 an urgent decision is not the tick's" },
            null,
            null,
            emit,
          );
      }
    },
  };
}

export type Deciding = ReturnType<typeof createDeciding>;
