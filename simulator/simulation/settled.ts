/**
 * Liveness: once faults have stopped, every canary settles within a bound, in the phase that its world calls for. The
 * bound is computed from the plan alone; a run that holds is settled only for a reason that this file sees by itself.
 */
import type { Json } from '../api/json.ts';
import { durationMsOf, intervalMsOf, isJudged, stepsOf, versionOf } from './checkers/reading.ts';
import { isPlainlyBad, isPlainlyGood, STEP_MS } from './decidable.ts';
import { STEADY_PER_SECOND } from './load.ts';
import type { Behaviour, Plan } from './plan.ts';
import type { CanaryView } from './witness.ts';

export interface World {
  behaviourOf(index: number, version: string): Behaviour | undefined;
  trafficOf(index: number): string;
  /** Its provider has told another share of failures than there was: nobody knows what is usual then. */
  wasLiedTo(index: number): boolean;
}

/** Without a history the primary is looked at first. */
const BASELINE_MS = 60_000;
const FINAL: ReadonlySet<string> = new Set(['Initialized', 'Succeeded', 'Failed']);
/** After this a deletion is let go. */
const TERMINATION_MS = 5 * 60_000;
/** What is frozen or down when the last fault strikes, the longest queue of a played controller, the end of a contest. */
const REST_MS = 12 * 60_000;
/** Times that readiness is waited for: the run, the promotion, the way back, and once more for a queued revision. */
const DEADLINES = 6;

/** Every spec that the plan may put into force. */
function specsOf(plan: Plan, index: number): Json[] {
  const edits = plan.items.flatMap(item =>
    item.kind === 'editSpec' && item.canary === index ? [item.spec] : [],
  );
  return [plan.canaries[index]!.spec, ...edits];
}

/** How long the slowest of its canaries may take to settle, in milliseconds. */
export function settleBoundMs(plan: Plan): number {
  const bounds = plan.canaries.flatMap((_canary, index) => specsOf(plan, index).map(boundMsOf));
  return Math.max(...bounds) + TERMINATION_MS + REST_MS;
}

function boundMsOf(spec: Json): number {
  const {
    iterations = 0,
    stepWeight,
    stepWeights = [],
    stepWeightPromotion = 0,
    threshold = 1,
  } = spec.analysis;
  const { noDataBudget = 10, errorBudget = 10 } = spec.analysis;
  const steps = stepWeight ? Math.ceil(100 / stepWeight) : stepWeights.length + 1;
  const back = stepWeightPromotion > 0 ? Math.ceil(100 / stepWeightPromotion) : 1;
  const checks = steps + iterations + back + threshold + noDataBudget + errorBudget;
  const deadlinesMs = DEADLINES * (spec.progressDeadlineSeconds ?? 600) * 1_000;
  // Two runs: the one that is going on, and the revision that waits for it.
  return (
    2 *
      (checks * intervalMsOf(spec) +
        durationMsOf(spec.analysis.bake, intervalMsOf(spec)) +
        judgingMsOf(spec)) +
    deadlinesMs
  );
}

/** Until a judge has decided, or come to its deadline. */
function judgingMsOf(spec: Json): number {
  if (!isJudged(spec)) return 0;
  const { deadline, noTrafficTimeout, minDwell } = spec.analysis.judge ?? {};
  const steps = stepsOf(spec).length * (STEP_MS + durationMsOf(minDwell, 60_000));
  const timeouts = durationMsOf(deadline, 3_600_000) + durationMsOf(noTrafficTimeout, 300_000);
  return BASELINE_MS + timeouts + steps;
}

/** Why this canary has not settled; undefined when it has. */
export function unsettled(view: CanaryView, world: World, nowMs: number): string | undefined {
  if (view.uid === undefined) return undefined;
  if (view.isDeleting) return 'it is still being deleted';
  const status = view.status.current();
  const target = view.target.current();
  if (!target.exists || isHeld(view, status, world)) return undefined;
  if (!isSteady(view, world)) return undefined;
  const { phase } = status;
  if (!FINAL.has(phase))
    return `the phase is ${phase}${status.stage ? `/${status.stage}` : ''}, ${reasonOf(status)}`;
  const good = versionOf(view, status.lastGood?.hash);
  const tried = versionOf(view, status.lastAppliedSpec);
  if (target.version !== good && target.version !== tried)
    return `the target has ${target.version} and nothing was done about it: last good ${good}, last tried ${tried}`;
  const weight = view.route.current().canaryWeight;
  if (weight > 0) return `the phase is ${phase} and the canary has ${weight} %`;
  if (!view.route.current().exists) return 'there is no route';
  if (target.pausedBy === 'engine') return `the phase is ${phase} and the target is paused`;
  if (view.apexSelects.current() !== `${view.plan.target}-primary`)
    return 'the apex Service does not select the primary';
  if (view.primary.current().version !== good)
    return `the primary has ${view.primary.current().version}, good is ${good}`;
  if (view.endpoints.primary.current() === 0) return 'the primary has no ready endpoint';
  if (target.replicas > 0) return `the phase is ${phase} and the target has ${target.replicas} replicas`;
  if (nowMs < view.weight.sinceMs()) return 'time runs backwards';
  return undefined;
}

function reasonOf(status: Json): string {
  const condition = (status.conditions ?? []).find((one: Json) => one.type === 'Progressing');
  return `${condition?.reason}: ${condition?.message}`;
}

/** A person, or the lack of data, holds it: that is settled. */
function isHeld(view: CanaryView, status: Json, world: World): boolean {
  const spec = view.specs.at(-1)?.spec;
  if (spec?.suspend || view.target.current().pausedBy === 'user') return true;
  if (
    status.paused &&
    view.commands.some(one => one.verb === 'pause' && one.revision === status.paused.revision)
  )
    return true;
  const isContested = (status.takenBack ?? []).length >= 3;
  if (isContested) return true;
  const reason = (status.conditions ?? []).find((one: Json) => one.type === 'Progressing')?.reason;
  const policies = [spec?.analysis?.onNoData ?? 'hold', spec?.analysis?.onError ?? 'hold'];
  // Without a copy of the requests a blue/green canary has none to be judged by.
  const isDark = spec?.analysis?.iterations > 0 && view.weight.current() === 0;
  const mayLackData =
    (isDark || world.trafficOf(view.index) !== 'steady') &&
    policies.includes('hold') &&
    spec?.analysis?.onStalled !== 'rollback';
  if (mayLackData && ['Stalled', 'NoData', 'ProviderError'].includes(reason)) return true;
  return reason === 'Stalled' && spec !== undefined && isJudged(spec) && !isDecidable(view, spec, world);
}

/** Stalled is no end for what counters show plainly: it goes on as soon as they do. */
function isDecidable(view: CanaryView, spec: Json, world: World): boolean {
  const behaviourOf = (version: string) => world.behaviourOf(view.index, version);
  const canary = behaviourOf(view.target.current().version);
  const primary = behaviourOf(view.primary.current().version);
  if (!canary || !primary || world.trafficOf(view.index) !== 'steady' || world.wasLiedTo(view.index))
    return false;
  const arms = { canary, primary, weightPercent: view.weight.current(), perSecond: STEADY_PER_SECOND };
  return isPlainlyBad(spec, arms) || isPlainlyGood(spec, arms);
}

/** Pods that come and go by themselves let nothing settle. */
function isSteady(view: CanaryView, world: World): boolean {
  const versions = [view.target.current().version, view.primary.current().version];
  return versions.every(version => {
    const behaviour = world.behaviourOf(view.index, version);
    return (
      !behaviour || (behaviour.flapEveryMs === 0 && behaviour.crashEveryMs === 0 && !behaviour.neverReady)
    );
  });
}
