/**
 * What must hold. Three kinds: of a decision over what it saw, of a write at the moment it lands, and of a state. They
 * are written from the design (sections 1 and 6) and share no predicate with the engine. S1 to S9 are the names of the
 * fence model, P1 to P7 of the life cycle's, I1 to I12 of section 6.
 */
import type { CanaryStatus } from '../../engine/api/status.ts';
import type { Action, Decision } from '../../engine/core/decision.ts';
import type { Observation, Workload } from '../../engine/core/observation.ts';
import type { Model } from './model.ts';
import {
  CAUSE_OPEN,
  CAUSE_OVERTAKEN,
  CAUSE_USED,
  DRAINED,
  GHOST,
  JUDGED,
  LAST_OUTCOME_SHIFT,
  type Pending,
  type Route,
  RUN_ENDED,
  type Step,
  TAMPERED,
} from './parts.ts';
import { ageOf } from './reduce.ts';
import { readyPods } from './cluster.ts';

export const isAnalysing = (phase: string | undefined): boolean =>
  phase === 'Progressing' || phase === 'Waiting' || phase === 'WaitingPromotion';

const runsOnly = (workload: Workload, revision: string): boolean =>
  workload.pods.length > 0 && workload.pods.every(pods => pods.revision === revision);

/** Of a decision, over its own view. */
export function judgeDecision(o: Observation, decision: Decision): string | undefined {
  if (decision.actions.length === 0 && !decision.measure && decision.nextTickMs === 0)
    return `L1 a decision without actions asks to be asked again at once (${decision.hold?.reason ?? decision.rule})`;
  for (const action of decision.actions) {
    const problem = judgeAction(o, decision, action);
    if (problem) return problem;
  }
  return undefined;
}

function judgeAction(o: Observation, decision: Decision, action: Action): string | undefined {
  switch (action.kind) {
    case 'route':
      return judgeSplit(o, decision, action);
    case 'status':
      return judgeRecord(o, decision, action.status);
    case 'primary': {
      // A status that is written before it in the same decision has landed by then.
      const record = decision.actions.find(one => one.kind === 'status');
      const status = record?.kind === 'status' ? record.status : o.status;
      const { phase, stage, lastGood, run, lastAppliedSpec } = status;
      if (action.revision === o.primary?.revision || action.revision === lastGood?.hash) return undefined;
      const isSkip = stage === 'skip' && action.revision === lastAppliedSpec;
      const isPromoted = action.revision === run?.revision && stage !== 'back';
      return phase === 'Promoting' && (isSkip || isPromoted)
        ? undefined
        : `P2 ${action.revision} goes to the primary in ${phase}/${stage}`;
    }
    case 'target':
      return judgeTargetAction(o, action);
    case 'removeFinalizer':
      return judgeLettingGo(o);
    case 'addFinalizer':
    case 'applyServices':
    case 'createPrimary':
    case 'deleteRoute':
    case 'forgetRevision':
    case 'pointApex':
    case 'storeRevision':
    case 'unmarkTarget':
      return undefined;
    default:
      return action satisfies never;
  }
}

function judgeSplit(
  o: Observation,
  decision: Decision,
  { split, mode, stamp }: Extract<Action, { kind: 'route' }>,
): string | undefined {
  const before = o.route?.canaryWeight ?? 0;
  const { status, target } = o;
  if (split.canaryWeight + split.primaryWeight !== 100) return 'I1 weights do not sum to 100';
  if (mode === 'lower' && split.canaryWeight > before) return 'I3 a take-away raises';
  if (split.canaryWeight < before && o.endpoints.primary === 0)
    return 'P1 traffic to a primary without a ready endpoint';
  if (split.canaryWeight <= before) return undefined;
  if (o.endpoints.canary === 0) return 'P1 raise of a canary without a ready endpoint';
  if (status.phase === 'Terminating') return undefined;
  const record = decision.actions.find(one => one.kind === 'status');
  const run = record?.kind === 'status' ? record.status.run : status.run;
  if (!run?.cause) return 'I3 a raise without a cause';
  if (record && run.cause === 'verdict' && before > 0 && o.judgement?.checks[0]?.outcome !== 'pass')
    return 'I3 a raise by verdict without a verdict that passed';
  const isFresh =
    status.run?.passedEpoch === o.route?.stamp.epoch &&
    o.now - Date.parse(status.run?.checkedAt ?? '') < o.settings.intervalMs;
  if (!record && before > 0 && isAnalysing(status.phase) && !isFresh)
    return 'S8 raise finished on a pass that is too old';
  if (stamp.run !== run.id) return 'I3 a raise for another run than the status speaks of';
  if (!target || target.pausedBy !== 'engine') return 'P2 raise while un-pinned';
  if (!runsOnly(target, run.revision)) return 'P2 raise while the target runs other pods than the revision';
  if (o.endpoints.primary === 0 && run.cause !== 'takeover' && run.cause !== 'return')
    return 'I2 raise beside a primary without a ready endpoint';
  if (run.cause === 'takeover' && o.endpoints.primary > 0) return 'I3 a take-over beside a ready primary';
  if (isAnalysing(status.phase) && status.paused?.revision === run.revision)
    return 'I3 raise while a person has paused the run';
  return undefined;
}

function judgeRecord(o: Observation, decision: Decision, next: CanaryStatus): string | undefined {
  const { status, primary, target } = o;
  const before = status.lastGood?.hash;
  if (next.lastGood?.hash !== before && before !== undefined) {
    const good = next.lastGood?.hash ?? '';
    if (target?.revision === before) return 'P6 success declared over a visible revert';
    if (!primary || !runsOnly(primary, good) || o.endpoints.primary === 0 || (o.route?.canaryWeight ?? 0) > 0)
      return 'P3 last good given up before the new primary proved itself';
  }
  const isOlder = (next.run?.generation ?? 0) < (status.run?.generation ?? 0);
  const isReplaced = next.run?.id !== status.run?.id && next.run?.revision !== status.run?.revision;
  const seen = Math.min(next.run?.generation ?? 0, target?.generation ?? 0);
  if (isReplaced && (isOlder || seen <= (status.run?.generation ?? 0)))
    return 'S7 an older revision replaces the one that runs';
  const { command } = o;
  const isAbort = command?.verb === 'abort' && command.revision === status.run?.revision;
  if (isAbort && next.handledCommand === command.id && isAnalysing(status.phase) && isAnalysing(next.phase))
    return 'I7 the run goes on over an abort';
  if (next.phase === 'Promoting' && isAnalysing(status.phase)) {
    if (!target || !runsOnly(target, next.run?.revision ?? ''))
      return 'P2 verdict taken on other pods than the revision';
    if (target.revision === before) return 'P6 a promotion begins over a visible revert';
  }
  if (isAnalysing(status.phase) && target?.revision === before && next.run?.id === status.run?.id) {
    if (isAnalysing(next.phase) && decision.rule === 'phase')
      return 'I7 the run goes on over a visible revert';
  }
  return undefined;
}

function judgeTargetAction(o: Observation, action: Extract<Action, { kind: 'target' }>): string | undefined {
  if (action.paused !== undefined && o.target?.pausedBy === 'user')
    return action.paused ? "P5 a pause is written over the user's" : "P5 the user's pause is removed";
  if (action.replicas === 0) {
    if ((o.route?.canaryWeight ?? 0) > 0) return 'P4 scale-down under traffic';
    if (o.endpoints.primary === 0) return 'P4 scale-down of the only ready arm';
  }
  return undefined;
}

function judgeLettingGo(o: Observation): string | undefined {
  const waited = o.now - (o.canary.deletingSince ?? o.now);
  if (waited >= 5 * 60_000 || !o.target) return undefined;
  if (o.target.pausedBy === 'engine') return 'P5 let go with the target paused';
  if (o.objects.apexSelects === 'primary') return 'P5 let go with the apex on the primary';
  if (o.endpoints.canary === 0 || o.target.replicas === 0)
    return 'P5 let go with a target that does not serve';
  return undefined;
}

/** Of a status write that lands. */
export function judgeStatusWrite(
  model: Model,
  state: readonly number[],
  pending: Pending,
  next: CanaryStatus,
): string | undefined {
  const now = model.status(state);
  const route = model.route(state);
  const ghost = state[GHOST] as number;
  if ((next.epoch ?? 0) < (now.epoch ?? 0)) return 'S9 the epoch of the status goes back';
  const isRaise = pending.steps.some(step => step.kind === 'route' && step.mode === 'raise');
  const { held } = pending;
  if (isRaise && held && held.epoch !== next.routeEpoch)
    return 'S4 raise recorded on a verdict of another step';
  const isSameStep = now.run !== undefined && now.run.id === next.run?.id && held?.epoch === route.epoch;
  if (
    held &&
    isSameStep &&
    now.run?.checkedAt !== undefined &&
    ageOf(now.run.checkedAt) < 1 &&
    !model.scenario.skew
  )
    return 'I9 one interval is judged twice';
  if (next.lastGood?.hash !== now.lastGood?.hash && model.primary(state).template !== next.lastGood?.hash)
    return 'P3 the last good revision is not what the primary has';
  const isBegun = next.phase === 'Promoting' && isAnalysing(now.phase);
  if (isBegun && (ghost & JUDGED) === 0 && !passesAll(model, pending, next))
    return 'P2 promoted without having passed every step';
  return undefined;
}

/** Whether this decision was entitled to begin a promotion, by what it saw. */
export function passesAll(model: Model, { held, verb, weight }: Pending, next: CanaryStatus): boolean {
  if (verb === 'promote' || model.settings.skipAnalysis) return true;
  return (
    held?.outcome === 'pass' && held.epoch === next.routeEpoch && weight >= (model.settings.steps.at(-1) ?? 0)
  );
}

type RouteStep = Extract<Step, { kind: 'route' }>;

/** Of a route write that lands. */
export function judgeRouteWrite(
  model: Model,
  state: readonly number[],
  pending: Pending,
  step: RouteStep,
): string | undefined {
  const now = model.route(state);
  const next = step.route;
  if (next.epoch <= now.epoch) return 'S9 a route write that is not above the epoch that it replaces';
  if (step.mode === 'lower') {
    if (next.weight > now.weight && !((state[GHOST] as number) & TAMPERED)) return 'I3 a take-away raises';
    if (now.weight > 0 && pending.isOld)
      return 'S7 a late take-away of an earlier run takes the traffic of a newer one';
    if (now.weight > 0 && now.run !== next.run)
      return 'S7 a take-away of one run takes the traffic of another';
    return undefined;
  }
  return next.weight > now.weight ? judgeRaise(model, state, pending, next) : undefined;
}

function judgeRaise(
  model: Model,
  state: readonly number[],
  pending: Pending,
  next: Route,
): string | undefined {
  const ghost = state[GHOST] as number;
  const status = model.status(state);
  if (pending.lowered) return 'S1 route raised on a decision older than a take-away that landed';
  if (status.phase === 'Terminating')
    return next.weight <= (status.canaryWeight ?? 0) ? undefined : 'S4 route raised without an intent';
  if (ghost & CAUSE_OVERTAKEN) return 'S1 route raised on an intent older than a take-away that landed';
  if (ghost & RUN_ENDED && isAnalysing(status.phase))
    return 'S1x route raised for a run that a take-away had ended';
  // A take-over and a return may be recorded one over the other; what lands is one of the two, and the status follows.
  const isIntended = status.canaryWeight === next.weight || status.phase === 'Promoting';
  if (ghost & TAMPERED) return undefined;
  if (status.run?.id !== next.run || !isIntended || !(ghost & CAUSE_OPEN))
    return 'S4 route raised with no such cause in the status';
  if (ghost & CAUSE_USED) return 'S4 one recorded cause raised the route twice';
  if (!isAnalysing(status.phase) || model.route(state).weight === 0) return undefined;
  if (pending.held)
    return pending.held.outcome === 'pass' ? undefined : 'S8 raise on a verdict that is no pass';
  if (!pending.isBehind && pending.lastOutcome !== 1)
    return 'S8 raise finished after a check that was no pass';
  return undefined;
}

/** A take-away that is given up while the route carries the very run that it is about. */
export function judgeGivingUp(model: Model, state: readonly number[], step: RouteStep): string | undefined {
  const { weight, run } = model.route(state);
  if (!model.owned(state).hasRoute) return undefined;
  return weight > step.route.weight && run === step.route.run
    ? 'S6 a take-away is dropped while the route still carries its run'
    : undefined;
}

/** Of a write to the target that lands. */
export function judgeTargetWrite(
  model: Model,
  state: readonly number[],
  step: Extract<Step, { kind: 'target' }>,
): string | undefined {
  const { weight } = model.route(state);
  const { template, pausedBy } = model.target(state);
  const { pods } = model.targetPods(state);
  // Two clocks that differ by the drain time cannot keep it, and nobody knows when others took the traffic away.
  const isExcused = model.scenario.skew !== undefined || ((state[GHOST] as number) & TAMPERED) !== 0;
  const isDrained = isExcused || ((state[GHOST] as number) & DRAINED) !== 0;
  const isTerminating = model.status(state).phase === 'Terminating';
  const replaces = pods.some(pod => pod.revision !== template);
  if (step.replicas === 0) {
    if (weight > 0 && !isExcused) return 'P4 scaled down under traffic';
    if (!isDrained && pods.length > 0) return 'P4 scaled down before it had drained';
  }
  if (step.pausedBy === 'engine' && pausedBy === 'user') return "P5 a pause lands on the user's";
  if (step.pausedBy !== 'nobody' || pausedBy !== 'engine') return undefined;
  if (weight > 0 && (!isTerminating || replaces)) {
    const isOnlyArm = isTerminating && readyPods(model.primaryPods(state)) === 0;
    return isOnlyArm || isExcused ? undefined : 'P2 un-paused behind a live weight';
  }
  return replaces && !isDrained ? 'P4 pods are replaced before they have drained' : undefined;
}

/** Of a write to the primary's template that lands. */
export function judgePrimaryWrite(
  model: Model,
  state: readonly number[],
  step: Extract<Step, { kind: 'primary' }>,
): string | undefined {
  const { phase, stage, lastGood, run } = model.status(state);
  if (step.revision === model.primary(state).template) return undefined;
  // A late write under a deletion: the primary gets what had passed every step, and is given up anyway.
  if (phase === 'Terminating') return undefined;
  if (phase !== 'Promoting') return `I4 the primary's template changes while ${phase}`;
  if (step.revision === lastGood?.hash || stage === 'skip') return undefined;
  if (step.revision !== run?.revision || !((state[GHOST] as number) & JUDGED))
    return 'P2 an unjudged template lands on the primary';
  return undefined;
}

/** Of a state. */
export function judgeState(model: Model, state: readonly number[]): string | undefined {
  const { phase, lastGood } = model.status(state);
  const { weight, run } = model.route(state);
  const isRunning = phase === 'Promoting' || phase === 'Terminating';
  if (!isRunning && model.primary(state).template !== lastGood?.hash)
    return `P3 the primary is left with a template that is not the last good, in ${phase}`;
  if (weight === 0 || phase === 'Terminating' || (state[GHOST] as number) & TAMPERED) return undefined;
  const stranger = model
    .targetPods(state)
    .pods.find(pod => pod.isReady && pod.revision !== run.split('.')[0]);
  return stranger ? `P2 ${stranger.revision} serves behind a weight that was given to ${run}` : undefined;
}

/** How the ghosts change with a status write. */
export function ghostAfterStatus(
  model: Model,
  state: readonly number[],
  pending: Pending,
  next: CanaryStatus,
): number {
  const now = model.status(state);
  let ghost = state[GHOST] as number;
  if (next.run?.id !== now.run?.id)
    ghost &= ~(CAUSE_OPEN | CAUSE_USED | CAUSE_OVERTAKEN | RUN_ENDED | JUDGED | (3 << LAST_OUTCOME_SHIFT));
  const isRaise = pending.steps.some(step => step.kind === 'route' && step.mode === 'raise');
  if (isRaise)
    ghost = (ghost & ~(CAUSE_USED | CAUSE_OVERTAKEN)) | CAUSE_OPEN | (pending.lowered ? CAUSE_OVERTAKEN : 0);
  else if (next.canaryWeight !== now.canaryWeight) ghost &= ~(CAUSE_OPEN | CAUSE_USED | CAUSE_OVERTAKEN);
  const isBegun = next.phase === 'Promoting' && isAnalysing(now.phase);
  if (isBegun && passesAll(model, pending, next)) ghost |= JUDGED;
  const { held } = pending;
  if (held && held.epoch === model.route(state).epoch)
    ghost = (ghost & ~(3 << LAST_OUTCOME_SHIFT)) | (OUTCOMES[held.outcome] << LAST_OUTCOME_SHIFT);
  return ghost;
}

const OUTCOMES = { pass: 1, fail: 2, none: 3 } as const;

/** How the ghosts change with a route write. */
export function ghostAfterRoute(model: Model, state: readonly number[], step: RouteStep): number {
  const now = model.route(state);
  const { route, mode } = step;
  const status = model.status(state);
  let ghost = state[GHOST] as number;
  if (route.weight !== now.weight) ghost &= ~(3 << LAST_OUTCOME_SHIFT);
  if (route.weight > 0 || now.weight > 0) ghost &= ~DRAINED;
  if (mode === 'lower') {
    if (ghost & CAUSE_OPEN) ghost |= CAUSE_OVERTAKEN;
    const isEnd = route.end !== '' && route.end !== 'promoted';
    if (isEnd && route.run === status.run?.id && isAnalysing(status.phase)) ghost |= RUN_ENDED;
  } else if (route.weight > now.weight) ghost |= CAUSE_USED;
  return ghost;
}
