/**
 * Engines whose fences are weakened: those that the Python model of the fences caught, and the faults that the explorer
 * found in the real engine, so that none of them comes back.
 */
import type { Action, Decision } from '../../engine/core/decision.ts';
import { retakeAway } from '../../engine/core/fence.ts';
import type { Observation } from '../../engine/core/observation.ts';
import { formatRunId, parseRunId } from '../../engine/core/run.ts';
import type { Mutation, Rule } from './engine.ts';
import { UNIT_MS } from './parts.ts';

type StatusAction = Extract<Action, { kind: 'status' }>;
type RouteAction = Extract<Action, { kind: 'route' }>;

export const statusOf = (decision: Decision): StatusAction | undefined =>
  decision.actions.find((action): action is StatusAction => action.kind === 'status');
export const routeOf = (decision: Decision): RouteAction | undefined =>
  decision.actions.find((action): action is RouteAction => action.kind === 'route');
export const without =
  (...names: string[]) =>
  (rules: readonly Rule[]): Rule[] =>
    rules.filter(rule => !names.includes(rule.name));

const routeEpoch = (o: Observation): number => o.route?.stamp.epoch ?? 0;
const isLowering = (decision: Decision): boolean => routeOf(decision)?.mode === 'lower';
/** Raises that were recorded before, without a status of their own. */
const isFinishing = (decision: Decision): boolean =>
  routeOf(decision)?.mode === 'raise' && !statusOf(decision);

function drop(decision: Decision, isDropped: (action: Action) => boolean): Decision {
  return { ...decision, actions: decision.actions.filter(action => !isDropped(action)) };
}

const FENCE = ['crash', 'fence', 'restart', 'lost'];

export const fenceMutations: readonly Mutation[] = [
  {
    name: 'epochOfStatus',
    says: 'a decision takes the epoch after the status, whatever the route has',
    scenarios: ['partial', 'fence', 'late'],
    answer(o, decision) {
      const from = Math.max(o.status.epoch ?? 0, routeEpoch(o)) + 1;
      const to = (o.status.epoch ?? 0) + 1;
      for (const action of decision.actions) {
        if (action.kind === 'route' && action.stamp.epoch === from) action.stamp.epoch = to;
        if (action.kind !== 'status') continue;
        if (action.status.epoch === from) action.status.epoch = to;
        if (action.status.routeEpoch === from) action.status.routeEpoch = to;
      }
      return decision;
    },
  },
  {
    name: 'noRecordedEpoch',
    says: 'repair does not compare with the route epoch that the status was decided on',
    scenarios: ['fence', 'crash', 'lost'],
    see(o) {
      o.status.routeEpoch = routeEpoch(o);
    },
  },
  {
    name: 'staleRouteAllowed',
    says: 'a cached route that is older than the status may be acted on',
    scenarios: ['staleFence'],
    rules: without('staleRoute'),
  },
  {
    name: 'statusWithoutVersion',
    says: 'the status is written without its version',
    scenarios: FENCE,
    slips: ['statusWithoutVersion'],
  },
  {
    name: 'raiseWithoutVersion',
    says: 'the route is raised without its version',
    scenarios: FENCE,
    slips: ['raiseWithoutVersion'],
  },
  {
    name: 'lowerWithoutVersion',
    says: 'the route is lowered without its version',
    scenarios: FENCE,
    slips: ['lowerWithoutVersion'],
  },
  {
    name: 'raiseRetries',
    says: 'a raise that met a conflict is tried again with a fresh copy',
    scenarios: FENCE,
    slips: ['raiseRetries'],
  },
  {
    name: 'raiseRouteFirst',
    says: 'the route is raised before the intent is in the status',
    scenarios: ['crash'],
    answer(_o, decision) {
      if (routeOf(decision)?.mode === 'raise') decision.actions.reverse();
      return decision;
    },
  },
  {
    name: 'lowerStatusFirst',
    says: 'the status is written before the route is lowered',
    scenarios: ['crash', 'flap'],
    answer(_o, decision) {
      if (isLowering(decision)) decision.actions.reverse();
      return decision;
    },
  },
  {
    name: 'noStampAtZero',
    says: 'a take-away at weight 0 does not write the route',
    scenarios: ['beginning', 'restart'],
    answer(o, decision) {
      const route = routeOf(decision);
      if (route?.mode !== 'lower' || o.route?.canaryWeight !== 0) return decision;
      for (const action of decision.actions)
        if (action.kind === 'status') action.status.routeEpoch = routeEpoch(o);
      return drop(decision, action => action.kind === 'route');
    },
  },
  {
    name: 'lowerKeepsEpoch',
    says: 'a take-away keeps the epoch of the route that it replaces',
    scenarios: ['fence', 'crash'],
    answer(o, decision) {
      const route = routeOf(decision);
      if (route?.mode === 'lower') route.stamp.epoch = routeEpoch(o);
      return decision;
    },
  },
  {
    name: 'followKeepsPhase',
    says: 'a status that follows the route forgets how the run ended',
    scenarios: ['crash', 'fence'],
    answer(o, decision) {
      const record = statusOf(decision);
      if (!decision.rule.startsWith('follow') || !record) return decision;
      const { phase, stage, run, lastAppliedSpec } = o.status;
      Object.assign(record.status, { phase, stage, run, lastAppliedSpec });
      return decision;
    },
  },
  {
    name: 'noFollow',
    says: 'the status never follows the route',
    scenarios: ['crash', 'fence'],
    rules: without('followEnded', 'followRoute'),
  },
  {
    name: 'noFinish',
    says: 'a raise that was recorded is never finished',
    scenarios: ['crash', 'beginning'],
    answer: (_o, decision) => (isFinishing(decision) ? drop(decision, () => true) : decision),
  },
  {
    name: 'finishUnchecked',
    says: 'a raise that was recorded is finished whatever has been measured since',
    scenarios: ['crash'],
    see(o) {
      const { run } = o.status;
      if (!run || (o.status.canaryWeight ?? 0) <= (o.route?.canaryWeight ?? 0)) return;
      run.passedEpoch = routeEpoch(o);
      run.checkedAt = new Date(o.now).toISOString();
    },
  },
  {
    name: 'retakeKeepsEpoch',
    says: 'a take-away that met a newer route is written again under its old epoch',
    scenarios: ['crash', 'flap', 'restart'],
    retake(wanted, route) {
      const answer = retakeAway(wanted, route);
      return answer.kind === 'again' ? { ...answer, stamp: wanted.stamp } : answer;
    },
  },
  {
    name: 'retakeAnyRun',
    says: 'a take-away is tried again although the route belongs to another run',
    scenarios: ['late'],
    retake(wanted, route) {
      if (!route) return { kind: 'void' };
      const answer = retakeAway({ ...wanted, stamp: { ...wanted.stamp, run: route.stamp.run } }, route);
      return answer.kind === 'again'
        ? { ...answer, stamp: { ...answer.stamp, run: wanted.stamp.run } }
        : answer;
    },
  },
  {
    name: 'retakeOverwritesReason',
    says: 'a take-away is written over another one that had ended the run',
    scenarios: ['crash', 'late'],
    retake(wanted, route) {
      const isEnded = route?.canaryWeight === 0 && route.stamp.end !== '';
      if (!isEnded || route.stamp.run !== wanted.stamp.run) return retakeAway(wanted, route);
      const epoch = Math.max(wanted.stamp.epoch, route.stamp.epoch + 1);
      return { kind: 'again', stamp: { ...wanted.stamp, epoch }, resourceVersion: route.resourceVersion };
    },
    isHarmless: 'the run stays ended; only the reason that the status may follow is the later one',
  },
  {
    name: 'retakeRaises',
    says: 'a partial take-away that met a route with less writes its own weight',
    scenarios: ['partial'],
    retake(wanted, route) {
      const isLess = route !== undefined && route.canaryWeight < wanted.canaryWeight;
      if (!isLess || route.stamp.run !== wanted.stamp.run) return retakeAway(wanted, route);
      const epoch = Math.max(wanted.stamp.epoch, route.stamp.epoch + 1);
      return { kind: 'again', stamp: { ...wanted.stamp, epoch }, resourceVersion: route.resourceVersion };
    },
  },
  {
    name: 'revisionUnordered',
    says: 'any other template than the run has counts as a newer one',
    scenarios: ['staleTarget', 'endingStale'],
    see(o) {
      const { target, status, route } = o;
      const runs = [status.run?.generation ?? 0, parseRunId(route?.stamp.run ?? '')?.generation ?? 0];
      if (target && target.revision !== status.run?.revision)
        target.generation = Math.max(target.generation, ...runs.map(generation => generation + 1));
    },
  },
  {
    name: 'lowerByStatusRun',
    says: 'a take-away is stamped with the run of the status, and judged against it',
    isHarmless:
      'with caches one version behind the status never speaks of an older run than a route with traffic',
    scenarios: ['staleFence', 'late'],
    rules: without('strandedRun'),
    answer(o, decision) {
      const route = routeOf(decision);
      if (route?.mode === 'lower' && o.status.run) route.stamp.run = o.status.run.id;
      return decision;
    },
  },
  {
    name: 'verdictOfAnyStep',
    says: 'a verdict counts for whatever step and run the canary is in',
    scenarios: ['crash', 'plain'],
    see(o) {
      if (!o.judgement || !o.status.run) return;
      o.judgement.epoch = routeEpoch(o);
      o.judgement.runId = o.status.run.id;
    },
  },
  {
    name: 'lowerGivesUp',
    says: 'a take-away that met a conflict is dropped',
    scenarios: ['crash', 'flap', 'restart'],
    slips: ['lowerGivesUp'],
  },
  {
    name: 'lowerWithoutStatus',
    says: 'a take-away writes the route and leaves the status to whoever follows, the end of a way back too',
    scenarios: ['crash', 'flap'],
    answer: (_o, decision) =>
      isLowering(decision) ? drop(decision, one => one.kind === 'status') : decision,
  },
  {
    name: 'runWithoutCommand',
    isFromStart: true,
    says: 'a retry is the same run as the one that failed',
    isHarmless:
      'a target that was cleaned up and scaled up again has another generation, which is part of the run',
    scenarios: ['late'],
    answer(_o, decision) {
      const run = statusOf(decision)?.status.run;
      const identity = parseRunId(run?.id ?? '');
      if (!run || !identity) return decision;
      run.id = formatRunId({ ...identity, commandId: '' });
      for (const action of decision.actions)
        if (action.kind === 'route') action.stamp.run = action.stamp.run.split('.').slice(0, 2).join('.');
      return decision;
    },
  },
  {
    name: 'judgedTwice',
    says: 'a judgement counts although its interval has been judged already',
    scenarios: ['crash', 'plain'],
    see(o) {
      const { run } = o.status;
      if (!o.judgement || !run) return;
      const due = new Date(o.now - UNIT_MS).toISOString();
      if (run.checkedAt) run.checkedAt = due;
      if (run.steppedAt) run.steppedAt = due;
    },
  },
  {
    name: 'passOutlivesFailure',
    says: 'a pass still counts after a later check of the same step failed',
    scenarios: ['crash'],
    answer(o, decision) {
      const run = statusOf(decision)?.status.run;
      const before = o.status.run;
      if (run && before?.passedEpoch !== undefined && run.id === before.id)
        run.passedEpoch ??= before.passedEpoch;
      return decision;
    },
  },
  {
    name: 'drainFromDecision',
    says: 'the drain begins when a take-away is decided, not when it lands',
    scenarios: ['flap', 'crash'],
    see(o) {
      delete o.route?.writtenAt;
    },
  },
  {
    name: 'pauseWithoutStamp',
    says: 'a pause leaves the route alone, so that a raise which is on its way lands after it',
    scenarios: ['commands'],
    answer(o, decision) {
      const record = statusOf(decision);
      if (decision.rule !== 'obey' || !record || !routeOf(decision)) return decision;
      record.status.routeEpoch = routeEpoch(o);
      return drop(decision, action => action.kind === 'route');
    },
  },
];
