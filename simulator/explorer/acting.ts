/**
 * `engine/controller/act.ts`, action by action, on the abstract cluster: the same order, the same preconditions, the
 * same retake of a take-away (which is the engine's own `retakeAway`). Each clause names the line that it mirrors; when
 * `act.ts` changes, this file has to.
 */
import { type OwnedStep, writeOwned } from './actingOwned.ts';
import type { Emit, Model } from './model.ts';
import {
  BEHIND,
  budgetOf,
  GHOST,
  OWNED,
  type Pending,
  PRIMARY,
  ROUTE,
  spend,
  STATUS,
  type Step,
  TAMPERED,
  TARGET,
  thingBit,
  THINGS,
} from './parts.ts';
import {
  ghostAfterRoute,
  ghostAfterStatus,
  isAnalysing,
  judgeGivingUp,
  judgePrimaryWrite,
  judgeRouteWrite,
  judgeStatusWrite,
  judgeTargetWrite,
} from './properties.ts';
import { observedRoute, say } from './route.ts';

/** `LOWER_TRIES_MAX` in act.ts is 5; what two conflicts cannot show, five do not show within these budgets. */
export const TRIES_MAX = 2;

const CANARY = thingBit('canary');
const ROUTE_BIT = thingBit('route');
const TARGET_BIT = thingBit('target');
const PRIMARY_BIT = thingBit('primary');

type RouteStep = Extract<Step, { kind: 'route' }>;

const afterFirst = (pending: Pending): Pending => ({ ...pending, steps: pending.steps.slice(1) });

export function createActing(model: Model) {
  const { pools, engine } = model;
  const { slips } = engine;

  /** `act`: the loop goes on with the next action; after the last one the tick is over. */
  function goOn(state: number[], index: number, pending: Pending): void {
    const { held } = model.worker(state, index);
    model.setWorker(state, index, { held, pending: pending.steps.length > 0 ? pending : null });
  }

  /** `act`: 'conflict' and 'failed' end the tick; nothing is tried again with a fresh copy. */
  function end(state: number[], index: number): void {
    const { held } = model.worker(state, index);
    model.setWorker(state, index, { held, pending: null });
  }

  function conflict(
    state: readonly number[],
    index: number,
    label: string,
    emit: Emit,
    violation?: string,
  ): void {
    const next = [...state];
    end(next, index);
    emit(next, () => `W${index}: ${label}: 409, the tick ends`, violation);
  }

  /**
   * A write that lands, once with its reply (stores.*.absorb) and, while that fault is left, once without: then the
   * error ends the tick, and the own cache has not seen the write.
   */
  function land(
    state: readonly number[],
    index: number,
    emit: Emit,
    label: string,
    violation: string | undefined,
    change: (next: number[], isReplyLost: boolean) => void,
    rest: Pending,
  ): void {
    const next = [...state];
    change(next, false);
    goOn(next, index, rest);
    emit(next, () => `W${index}: ${label}`, violation);
    if (budgetOf(state, 'lost') === 0 || violation) return;
    const lost = [...state];
    change(lost, true);
    end(lost, index);
    spend(lost, 'lost');
    emit(lost, () => `W${index}: ${label}, its reply is lost`);
  }

  /** writeStatus: replaceStatus with the version of `sighting.object`, which its answer replaces for later actions. */
  function status(
    state: readonly number[],
    index: number,
    pending: Pending,
    step: Extract<Step, { kind: 'status' }>,
    emit: Emit,
  ): void {
    const next = pools.status.get(step.status);
    const label = `status := ${next.phase}${next.stage ? `/${next.stage}` : ''} ${next.canaryWeight} % epoch ${next.epoch} of route ${next.routeEpoch}`;
    if (!(pending.asSeen & CANARY) && !slips.has('statusWithoutVersion'))
      return conflict(state, index, label, emit);
    const violation = judgeStatusWrite(model, state, pending, next);
    const ghost = ghostAfterStatus(model, state, pending, next);
    land(
      state,
      index,
      emit,
      label,
      violation,
      (after, isReplyLost) => {
        model.renew(after, 'canary', index, isReplyLost);
        const wasRunning = isAnalysing(model.status(after).phase);
        const isStart = !wasRunning || model.status(after).run?.id !== next.run?.id;
        after[STATUS] = step.status;
        after[GHOST] = ghost;
        if (isStart && isAnalysing(next.phase)) mark(after, 1 - index, { isOld: true });
      },
      { ...pending, steps: pending.steps.slice(1), asSeen: pending.asSeen | CANARY },
    );
  }

  /** What a route write does to everything but its writer. */
  function place(next: number[], index: number, step: RouteStep, isReplyLost: boolean): void {
    const ghost = ghostAfterRoute(model, next, step);
    model.renew(next, 'route', index, isReplyLost);
    next[ROUTE] = pools.route.intern(step.route);
    next[GHOST] = ghost;
    if (step.mode !== 'lower') return;
    // Ghost: whoever decided before this take-away landed has decided on less than is known.
    mark(next, 1 - index, { lowered: true });
  }

  /** Ghosts of a decision that is being carried out by another worker. */
  function mark(state: number[], index: number, ghosts: Partial<Pending>): void {
    const { held, pending } = model.worker(state, index);
    if (pending) model.setWorker(state, index, { held, pending: { ...pending, ...ghosts } });
  }

  /** perform 'route' (raise): writeRoute under the version of the observation; a failure ends the tick. */
  function raise(
    state: readonly number[],
    index: number,
    pending: Pending,
    step: RouteStep,
    emit: Emit,
  ): void {
    const label = `route raised to ${say(step.route)}`;
    if (step.mode === 'create') return create(state, index, pending, step, emit);
    const isFree = slips.has('raiseWithoutVersion');
    if (!(pending.asSeen & ROUTE_BIT) && !isFree) {
      if (!slips.has('raiseRetries')) return conflict(state, index, label, emit);
      const route = { ...step.route, epoch: Math.max(step.route.epoch, model.route(state).epoch + 1) };
      return again(state, index, pending, { ...step, route }, emit);
    }
    const violation = judgeRouteWrite(model, state, pending, step);
    land(state, index, emit, label, violation, (next, isReplyLost) => place(next, index, step, isReplyLost), {
      ...pending,
      steps: pending.steps.slice(1),
    });
  }

  /** writeRoute of a route that is not there: a create, refused where it is. */
  function create(
    state: readonly number[],
    index: number,
    pending: Pending,
    step: RouteStep,
    emit: Emit,
  ): void {
    const owned = model.owned(state);
    if (owned.hasRoute) return conflict(state, index, 'route created', emit);
    const next = [...state];
    place(next, index, step, false);
    next[OWNED] = pools.owned.intern({ ...owned, hasRoute: true });
    goOn(next, index, afterFirst(pending));
    emit(next, () => `W${index}: route created as ${say(step.route)}`);
  }

  /** lowerRoute: the loop. A conflict or an unsure end is followed by a read of the route itself. */
  function lower(
    state: readonly number[],
    index: number,
    pending: Pending,
    step: RouteStep,
    emit: Emit,
  ): void {
    const label = `route lowered to ${say(step.route)}`;
    const isFree = slips.has('lowerWithoutVersion');
    if (!(pending.asSeen & ROUTE_BIT) && !isFree) return retake(state, index, pending, step, emit);
    const violation = judgeRouteWrite(model, state, pending, step);
    const next = [...state];
    place(next, index, step, false);
    goOn(next, index, afterFirst(pending));
    emit(next, () => `W${index}: ${label}`, violation);
    if (budgetOf(state, 'lost') === 0 || violation) return;
    // A timeout is 'unsure': the same action stays, and goes on with the read.
    const lost = [...state];
    place(lost, index, step, true);
    goOn(lost, index, { ...pending, asSeen: pending.asSeen & ~ROUTE_BIT });
    spend(lost, 'lost');
    emit(lost, () => `W${index}: ${label}, its reply is lost`);
  }

  /** lowerRoute: `attempt >= LOWER_TRIES_MAX` throws; else get, absorb, retakeAway: landed, void, or again. */
  function retake(
    state: readonly number[],
    index: number,
    pending: Pending,
    step: RouteStep,
    emit: Emit,
  ): void {
    if (slips.has('lowerGivesUp'))
      return conflict(state, index, 'take-away', emit, judgeGivingUp(model, state, step));
    if (pending.tries <= 0) return conflict(state, index, 'take-away, tries are spent', emit);
    const { epoch, run, end: ending, weight } = step.route;
    const answer = engine.retakeAway(
      { stamp: { epoch, run, end: ending }, canaryWeight: weight },
      model.owned(state).hasRoute ? observedRoute(model.route(state)) : undefined,
    );
    if (answer.kind === 'again')
      return again(
        state,
        index,
        pending,
        { ...step, route: { ...step.route, epoch: answer.stamp.epoch } },
        emit,
      );
    const next = [...state];
    absorbRoute(next, index);
    if (answer.kind === 'landed') {
      goOn(next, index, afterFirst(pending));
      emit(next, () => `W${index}: reads the route: its take-away has landed`);
      return;
    }
    end(next, index);
    const violation = judgeGivingUp(model, state, step);
    emit(next, () => `W${index}: reads the route: its take-away is void`, violation);
  }

  /** stores.routes.absorb of a read. */
  function absorbRoute(state: number[], index: number): void {
    state[BEHIND] = (state[BEHIND] as number) & ~(ROUTE_BIT << (index * THINGS.length));
  }

  /** The take-away again, under the version that was read; `act` gives the status that follows the stamp that landed. */
  function again(
    state: readonly number[],
    index: number,
    pending: Pending,
    step: RouteStep,
    emit: Emit,
  ): void {
    const { epoch } = step.route;
    const rest = pending.steps.slice(1).map(one => {
      if (one.kind !== 'status') return one;
      const status = pools.status.get(one.status);
      // `lowered.epoch !== action.status.routeEpoch`
      return status.routeEpoch === epoch
        ? one
        : { ...one, status: pools.status.intern({ ...status, epoch, routeEpoch: epoch }) };
    });
    const next = [...state];
    absorbRoute(next, index);
    goOn(next, index, {
      ...pending,
      steps: [step, ...rest],
      asSeen: pending.asSeen | ROUTE_BIT,
      tries: pending.tries - 1,
    });
    emit(next, () => `W${index}: 409 or unsure, reads the route, tries again with epoch ${epoch}`);
  }

  /** perform 'target': a merge patch under the version of `sighting.target`. */
  function target(
    state: readonly number[],
    index: number,
    pending: Pending,
    step: Extract<Step, { kind: 'target' }>,
    emit: Emit,
  ): void {
    const parts = [
      step.replicas === null ? '' : `${step.replicas} replicas`,
      step.pausedBy === null ? '' : step.pausedBy === 'engine' ? 'paused' : 'un-paused',
    ];
    const label = `target := ${parts.filter(Boolean).join(', ') || 'touched'}`;
    if (!(pending.asSeen & TARGET_BIT) && !slips.has('targetWithoutVersion'))
      return conflict(state, index, label, emit);
    const violation = judgeTargetWrite(model, state, step);
    land(
      state,
      index,
      emit,
      label,
      violation,
      (next, isReplyLost) => {
        const spec = model.target(next);
        model.renew(next, 'target', index, isReplyLost);
        // A touch moves the version and not the generation.
        if (step.replicas === null && step.pausedBy === null) return;
        next[TARGET] = pools.spec.intern({
          ...spec,
          generation: spec.generation + 1,
          isObserved: false,
          replicas: step.replicas ?? spec.replicas,
          written: step.replicas ?? spec.written,
          pausedBy: step.pausedBy ?? spec.pausedBy,
        });
        if (step.pausedBy === 'engine') next[GHOST] = (next[GHOST] as number) & ~TAMPERED;
      },
      afterFirst(pending),
    );
  }

  /** applyPrimary: an apply under the version and uid of `sighting.primary`, of a template that is stored. */
  function primary(
    state: readonly number[],
    index: number,
    pending: Pending,
    step: Extract<Step, { kind: 'primary' }>,
    emit: Emit,
  ): void {
    const label = `primary := ${step.revision}${step.isSurging ? ', surging' : ''}`;
    const isStored = model.owned(state).stored.includes(step.revision);
    if (!(pending.asSeen & PRIMARY_BIT) || !isStored) return conflict(state, index, label, emit);
    const violation = judgePrimaryWrite(model, state, step);
    land(
      state,
      index,
      emit,
      label,
      violation,
      (next, isReplyLost) => {
        const spec = model.primary(next);
        model.renew(next, 'primary', index, isReplyLost);
        const { isSurging } = step;
        next[PRIMARY] = pools.spec.intern({ ...spec, isObserved: false, template: step.revision, isSurging });
      },
      afterFirst(pending),
    );
  }

  /** storeRevision, forgetRevision, unmarkTarget, deleteRoute, pointApex, removeFinalizer: each lands whole. */
  function other(
    state: readonly number[],
    index: number,
    pending: Pending,
    step: OwnedStep,
    emit: Emit,
  ): void {
    const next = [...state];
    const label = writeOwned(model, next, index, pending, step);
    if (label === undefined) return conflict(state, index, step.kind, emit);
    goOn(next, index, afterFirst(pending));
    emit(next, () => `W${index}: ${label}`);
  }

  /** The next action of a worker that is in the middle of a decision. */
  function act(state: readonly number[], index: number, emit: Emit): void {
    const { pending } = model.worker(state, index);
    const step = pending?.steps[0];
    if (!pending || !step) return;
    switch (step.kind) {
      case 'status':
        return status(state, index, pending, step, emit);
      case 'route':
        return step.mode === 'lower'
          ? lower(state, index, pending, step, emit)
          : raise(state, index, pending, step, emit);
      case 'target':
        return target(state, index, pending, step, emit);
      case 'primary':
        return primary(state, index, pending, step, emit);
      case 'store':
      case 'forget':
      case 'unmark':
      case 'apex':
      case 'deleteRoute':
      case 'release':
        return other(state, index, pending, step, emit);
      default:
        return step satisfies never;
    }
  }

  return { act };
}
