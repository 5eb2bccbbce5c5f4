/**
 * A Kubernetes reduced to what the core can see: two workloads, a route and a status, each with a version. Tests drive
 * the real `decide` through it step by step, crash between any two actions, and check the design's invariants after
 * every write. It performs no I/O and holds no rule of the engine.
 */
import type { CanaryStatus } from '../api/status.ts';
import type { ObservedRoute } from '../../steppers/stepper.ts';
import type { Command } from './commands.ts';
import type { Action, Decision } from './decision.ts';
import { retakeAway } from './fence.ts';
import type { Judgement, Observation, Workload } from './observation.ts';
import type { Settings } from './settings.ts';

export const testSettings: Settings = {
  targetName: 'app',
  apexName: 'app',
  intervalMs: 10_000,
  threshold: 2,
  steps: [20, 50],
  iterations: 0,
  stepWeightPromotion: 0,
  skipAnalysis: false,
  suspend: false,
  progressDeadlineMs: 60_000,
  primaryReadyPercent: 100,
  canaryReadyPercent: 100,
  onNoData: 'hold',
  onError: 'hold',
  noDataBudget: 10,
  errorBudget: 10,
  onStalled: 'hold',
  bakeMs: 10_000,
  drainMs: 2_000,
  metrics: [
    {
      name: 'request-success-rate',
      kind: 'request-success-rate',
      windowMs: 60_000,
      min: 99,
      max: undefined,
      query: undefined,
      template: undefined,
      variables: {},
    },
  ],
};

interface PlayedWorkload {
  version: number;
  generation: number;
  observedGeneration: number;
  replicas: number;
  pausedBy: Workload['pausedBy'];
  template: string;
  /** The template that the controller rolls out; a paused workload keeps the one it had. */
  rolling: string;
  pods: Map<string, { total: number; available: number }>;
  isSurging: boolean;
  /** What the engine last wrote to spec.replicas. */
  writtenReplicas: number | undefined;
}

function played(template: string, replicas: number): PlayedWorkload {
  const pods = new Map(replicas > 0 ? [[template, { total: replicas, available: replicas }]] : []);
  return {
    version: 1,
    generation: 1,
    observedGeneration: 1,
    replicas,
    pausedBy: 'nobody',
    template,
    rolling: template,
    pods,
    isSurging: false,
    writtenReplicas: undefined,
  };
}

export class InvariantBroken extends Error {}

function check(holds: boolean, message: string): void {
  if (!holds) throw new InvariantBroken(message);
}

/** How a revision behaves: `bad` fails its checks, `dead` never becomes ready, `deadPrimary` only as the primary. */
export type Nature = 'good' | 'bad' | 'dead' | 'deadPrimary';

export function createAbstractWorld(settings: Settings = testSettings) {
  const start = Date.parse('2026-01-01T00:00:00Z');
  let now = start;
  const natures = new Map<string, Nature>([['r1', 'good']]);
  let status: CanaryStatus = {};
  let statusVersion = 1;
  let route: ObservedRoute | undefined;
  let routeVersion = 0;
  const target = played('r1', 2);
  let primary: PlayedWorkload | undefined;
  const stored = new Set<string>();
  let apexSelects: 'primary' | 'target' | 'nothing' = 'target';
  let hasServices = false;
  let hasFinalizer = false;
  let deletingSince: number | undefined;
  let command: Command | undefined;
  let areMetricsDown = false;
  let judged: Judgement | undefined;
  const judgedRevisions = new Set<string>(['r1']);
  const flapped = { target: false, primary: false };
  const log: string[] = [];
  /** Somebody else wrote the weights and the engine has not written since: what they caused is theirs. */
  let isEditedByOthers = false;

  const natureOf = (revision: string): Nature => natures.get(revision) ?? 'good';

  function available(workload: PlayedWorkload): number {
    return [...workload.pods.values()].reduce((sum, pods) => sum + pods.available, 0);
  }

  function view(workload: PlayedWorkload, uid: string): Workload {
    return {
      uid,
      resourceVersion: String(workload.version),
      generation: workload.generation,
      observedGeneration: workload.observedGeneration,
      reportedAvailable: available(workload),
      replicas: workload.replicas,
      pausedBy: workload.pausedBy,
      revision: workload.template,
      pods: [...workload.pods].map(([revision, pods]) => ({ revision, ...pods })),
      isSurging: workload.isSurging,
      isScaledByOthers:
        workload.writtenReplicas !== undefined && workload.writtenReplicas !== workload.replicas,
    };
  }

  function endpoints() {
    return {
      primary: primary && hasServices && !flapped.primary ? available(primary) : 0,
      canary: hasServices && !flapped.target ? available(target) : 0,
    };
  }

  function observe(): Observation {
    const pending = command && command.id !== status.handledCommand ? command : undefined;
    return structuredClone({
      now,
      canary: {
        namespace: 'shop',
        name: 'app',
        uid: 'u1',
        generation: 1,
        isDeleting: deletingSince !== undefined,
        deletingSince,
        hasFinalizer,
      },
      settings,
      status,
      problems: [],
      obstacles: [],
      target: view(target, 't'),
      primary: primary ? view(primary, 'p') : undefined,
      route,
      endpoints: endpoints(),
      objects: { hasServices, apexSelects },
      stored,
      goodReplicas: 2,
      command: pending,
      staleCaches: [],
      notified: 0,
      judgement: judged,
    });
  }

  function touch(workload: PlayedWorkload): void {
    workload.version++;
    workload.generation++;
  }

  /** Executes one action as the API server would; false when its precondition failed. */
  function perform(action: Action, seen: Observation & { statusVersion: number }): boolean {
    switch (action.kind) {
      case 'status':
        if (seen.statusVersion !== statusVersion) return false;
        check((action.status.epoch ?? 0) >= (status.epoch ?? 0), 'the epoch of the status went back');
        status = structuredClone(action.status);
        seen.statusVersion = ++statusVersion;
        return true;
      case 'route':
        return writeRoute(action, seen);
      case 'target':
        if (seen.target?.resourceVersion !== String(target.version)) return false;
        writeTarget(action);
        return true;
      case 'primary':
        if (!primary || seen.primary?.resourceVersion !== String(primary.version)) return false;
        check(
          stored.has(action.revision) || action.revision === primary.template,
          'a template that is not stored went to the primary',
        );
        if (action.revision !== primary.template) {
          const isCommanded = status.stage === 'skip';
          check(status.phase === 'Promoting', `primary template written while ${status.phase}`);
          check(
            isCommanded || judgedRevisions.has(action.revision),
            `unjudged ${action.revision} went to the primary`,
          );
        }
        primary.template = action.revision;
        primary.rolling = action.revision;
        primary.isSurging = action.surge;
        if (action.replicas !== undefined) primary.replicas = action.replicas;
        touch(primary);
        return true;
      case 'storeRevision':
        stored.add(action.revision);
        return true;
      case 'addFinalizer':
        hasFinalizer = true;
        return true;
      case 'removeFinalizer':
        hasFinalizer = false;
        return true;
      case 'createPrimary':
        primary ??= { ...played(action.revision, action.replicas), pods: new Map() };
        return true;
      case 'applyServices':
        hasServices = true;
        return true;
      case 'pointApex':
        check(
          action.at === 'primary' ? endpoints().primary > 0 : endpoints().canary > 0,
          `apex pointed at a ${action.at} without endpoints`,
        );
        apexSelects = action.at;
        return true;
      case 'deleteRoute':
        check(apexSelects === 'target', 'deleted the route of an apex that does not select the target');
        route = undefined;
        return true;
      case 'forgetRevision':
        check(action.revision !== status.lastGood?.hash, 'forgot the last good template');
        check(action.revision !== status.run?.revision, "forgot the run's template");
        stored.delete(action.revision);
        return true;
      case 'unmarkTarget':
        target.writtenReplicas = undefined;
        return true;
      default:
        return action satisfies never;
    }
  }

  function writeRoute(action: Extract<Action, { kind: 'route' }>, seen: Observation): boolean {
    let { stamp } = action;
    if (route && seen.route?.resourceVersion !== route.resourceVersion) {
      if (action.mode !== 'lower') return false;
      const answer = retakeAway({ stamp, canaryWeight: action.split.canaryWeight }, route);
      if (answer.kind !== 'again') return answer.kind === 'landed';
      stamp = answer.stamp;
    }
    const before = route?.canaryWeight ?? 0;
    const { canaryWeight, primaryWeight } = action.split;
    check(canaryWeight + primaryWeight === 100, 'weights sum to 100');
    if (route) check(stamp.epoch > route.stamp.epoch, 'a route write needs a higher epoch');
    if (canaryWeight > before) {
      check(endpoints().canary > 0, 'raised a canary without endpoints');
      check(action.mode === 'raise', 'only a raise raises');
      check(status.canaryWeight === canaryWeight, 'a raise without a recorded intent');
      if (status.phase !== 'Terminating') {
        check(target.pausedBy === 'engine', 'raised an un-pinned target');
        const present = [...target.pods].filter(([, pods]) => pods.total > 0).map(([revision]) => revision);
        check(present.length === 1 && present[0] === status.run?.revision, 'raised pods of another revision');
        check(status.run?.cause !== undefined, 'a raise without a cause');
      }
    }
    if (canaryWeight < before) check(endpoints().primary > 0, 'sent traffic to a primary without endpoints');
    route = { ...action.split, stamp, resourceVersion: String(++routeVersion), isIntact: true };
    isEditedByOthers = false;
    if (seen.route) Object.assign(seen.route, { resourceVersion: route.resourceVersion });
    return true;
  }

  function writeTarget(action: Extract<Action, { kind: 'target' }>): void {
    const weight = route?.canaryWeight ?? 0;
    check(target.pausedBy !== 'user' || action.paused === undefined, "wrote over the user's pause");
    if (action.replicas === 0) {
      check(weight === 0, 'scaled down under traffic');
      check(endpoints().primary > 0, 'scaled down the only ready arm');
      check(apexSelects === 'primary', 'scaled down what the apex Service selects');
    }
    if (action.paused === false && status.phase !== 'Terminating')
      check(weight === 0, 'un-paused behind a live weight');
    if (action.paused !== undefined) target.pausedBy = action.paused ? 'engine' : 'nobody';
    if (action.replicas !== undefined) {
      target.replicas = action.replicas;
      target.writtenReplicas = action.replicas;
    }
    if (action.paused === undefined && action.replicas === undefined) target.version++;
    else touch(target);
  }

  /** One step of the workload's controller and kubelet: templates roll, pods start and become ready. */
  function roll(workload: PlayedWorkload, isPrimary: boolean): void {
    workload.observedGeneration = workload.generation;
    if (workload.pausedBy === 'nobody') workload.rolling = workload.template;
    if (workload.replicas === 0) workload.pods.clear();
    const nature = natureOf(workload.rolling);
    const isDead = nature === 'dead' || (isPrimary && nature === 'deadPrimary');
    const fresh = workload.pods.get(workload.rolling) ?? { total: 0, available: 0 };
    if (workload.replicas > 0) {
      workload.pods.set(workload.rolling, {
        total: workload.replicas,
        available: isDead ? 0 : workload.replicas,
      });
      if (fresh.available === workload.replicas && !isDead) {
        for (const revision of workload.pods.keys())
          if (revision !== workload.rolling) workload.pods.delete(revision);
      }
    }
    workload.version++;
  }

  /** What the metrics would say now, for the route as it is. */
  function measure(arm: 'canary' | 'primary'): void {
    const workload = arm === 'canary' ? target : primary;
    const revision = [...(workload?.pods.keys() ?? [])][0] ?? '';
    const value = natureOf(revision) === 'bad' ? 50 : 100;
    const metric = 'request-success-rate';
    const outcome = areMetricsDown ? ('error' as const) : value < 99 ? ('fail' as const) : ('pass' as const);
    judged = {
      runId: status.run?.id ?? '',
      epoch: route?.stamp.epoch ?? 0,
      arm,
      at: now,
      checks: [areMetricsDown ? { metric, outcome, message: 'down' } : { metric, outcome, value, min: 99 }],
    };
    if (outcome === 'pass' && arm === 'canary') judgedRevisions.add(revision);
  }

  /** After every step: nobody may be served by a revision that nothing allowed. */
  function checkState(): void {
    const weight = route?.canaryWeight ?? 0;
    if (weight > 0 && status.phase !== 'Terminating' && !isEditedByOthers) {
      for (const [revision, pods] of target.pods) {
        if (pods.available > 0)
          check(revision === route?.stamp.run.split('.')[0], `unjudged ${revision} behind weight ${weight}`);
      }
    }
  }

  /** Carries out a decision; `crashAfter` actions the process dies. */
  function execute(decision: Decision, seen: Observation, crashAfter = Number.POSITIVE_INFINITY): void {
    const versioned = { ...seen, statusVersion };
    log.push(
      `${decision.rule}: ${decision.actions.map(one => one.kind).join(', ')} ${decision.hold?.reason ?? ''}`,
    );
    let done = 0;
    for (const action of decision.actions) {
      if (done++ >= crashAfter) return;
      if (!perform(action, versioned)) return;
      checkState();
    }
  }

  return {
    observe,
    execute,
    measure,
    log,
    get status() {
      return status;
    },
    get route() {
      return route;
    },
    get target() {
      return target;
    },
    get primary() {
      return primary;
    },
    get hasFinalizer() {
      return hasFinalizer;
    },
    get stored() {
      return stored;
    },
    get apexSelects() {
      return apexSelects;
    },
    forgetJudgement: () => {
      judged = undefined;
    },
    advance: (ms: number) => {
      now += ms;
    },
    settleWorkloads: () => {
      roll(target, false);
      if (primary) roll(primary, true);
      checkState();
    },
    release: (revision: string, nature: Nature = 'good') => {
      natures.set(revision, nature);
      if (nature === 'deadPrimary' || target.template === revision) judgedRevisions.delete('');
      if (target.template === revision) return;
      target.template = revision;
      touch(target);
    },
    command: (verb: Command['verb'], revision: string, id: string) => {
      command = { verb, revision, id, reason: '', by: 'ann' };
    },
    allowUnjudged: (revision: string) => judgedRevisions.add(revision),
    flap: (arm: 'target' | 'primary', isDown: boolean) => {
      flapped[arm] = isDown;
    },
    pauseByUser: (isPaused: boolean) => {
      if (target.pausedBy !== 'engine') target.pausedBy = isPaused ? 'user' : 'nobody';
      touch(target);
    },
    metricsDown: (isDown: boolean) => {
      areMetricsDown = isDown;
    },
    remove: () => {
      deletingSince ??= now;
    },
    /** `kubectl scale`, or a manifest with replicas. */
    scale: (replicas: number) => {
      target.replicas = replicas;
      touch(target);
    },
    /** A chart or a GitOps loop sets the apex Service to what its manifest says. */
    takeApex: () => {
      apexSelects = 'target';
    },
    deleteServices: () => {
      hasServices = false;
    },
    deletePrimary: () => {
      primary = undefined;
    },
    /** Somebody writes the route's weights and leaves the stamp. */
    editRoute: (canaryWeight: number) => {
      isEditedByOthers = true;
      if (route)
        route = {
          ...route,
          canaryWeight,
          primaryWeight: 100 - canaryWeight,
          resourceVersion: String(++routeVersion),
        };
    },
  };
}

export type AbstractWorld = ReturnType<typeof createAbstractWorld>;
