/**
 * Engines whose life cycle is weakened: pinning, promotion, its endings, deletion, and time. Most are those that the
 * Python model of the life cycle caught.
 */
import type { Action, Decision } from '../../engine/core/decision.ts';
import type { Observation } from '../../engine/core/observation.ts';
import type { Mutation } from './engine.ts';
import { routeOf, statusOf, without } from './mutationsOfFence.ts';

type TargetAction = Extract<Action, { kind: 'target' }>;

const targetOf = (decision: Decision): TargetAction | undefined =>
  decision.actions.find((action): action is TargetAction => action.kind === 'target');
const isTouch = (action: Action): boolean =>
  action.kind === 'target' && action.replicas === undefined && action.paused === undefined;
const isIdle = (o: Observation): boolean =>
  ['Initialized', 'Succeeded', 'Failed', 'Finalising'].includes(o.status.phase ?? '');
const nothing = (decision: Decision): Decision => ({ ...decision, actions: [], nextTickMs: 1_000 });

function drop(decision: Decision, isDropped: (action: Action) => boolean): Decision {
  return { ...decision, actions: decision.actions.filter(action => !isDropped(action)) };
}

const pinning: readonly Mutation[] = [
  {
    name: 'anyPods',
    says: 'pods of any revision count as those of the run',
    scenarios: ['plain', 'beginning'],
    see(o) {
      const revision = o.status.run?.revision;
      if (o.target && revision && o.status.phase === 'Progressing')
        for (const pods of o.target.pods) pods.revision = revision;
    },
  },
  {
    name: 'unpinned',
    says: 'traffic is given before the target is paused',
    scenarios: ['plain'],
    see(o) {
      const isReady = o.target?.pods.length === 1 && (o.target.pods[0]?.available ?? 0) > 0;
      if (o.target && o.target.pausedBy === 'nobody' && o.status.phase === 'Progressing' && isReady)
        o.target.pausedBy = 'engine';
    },
  },
  {
    name: 'restartKeepsTraffic',
    says: 'a new revision restarts the run without taking its traffic away first',
    scenarios: ['release', 'beginning'],
    answer(o, decision) {
      if (decision.rule !== 'supersede') return decision;
      const record = statusOf(decision);
      if (record) record.status.routeEpoch = o.route?.stamp.epoch ?? 0;
      return drop(decision, action => action.kind === 'route');
    },
  },
  {
    name: 'noDrain',
    says: 'pods are taken away at once when the traffic has left them',
    scenarios: ['flap', 'crash'],
    see(o) {
      if (o.status.zeroSince) o.status.zeroSince = new Date(o.now - 3_600_000).toISOString();
      delete o.route?.writtenAt;
    },
  },
  {
    name: 'scaleDownAlone',
    says: 'the target is scaled down although the primary is not ready',
    scenarios: ['ending'],
    see(o) {
      if (!isIdle(o) || !o.primary) return;
      o.endpoints.primary = 1;
      for (const pods of o.primary.pods) pods.available = pods.total;
    },
  },
  {
    name: 'pauseKept',
    says: 'the target is left paused at the end',
    scenarios: ['flap', 'crash'],
    answer(o, decision) {
      const target = targetOf(decision);
      if (isIdle(o) && target?.paused === false) delete target.paused;
      return target && isTouch(target) ? nothing(decision) : decision;
    },
  },
  {
    name: 'workloadWithoutStatus',
    says: 'workloads are written without the status write that proves the decision is not an old one',
    scenarios: ['staleBack'],
    answer(o, decision) {
      const [first, second] = decision.actions;
      const isFenced = first?.kind === 'status' && (second?.kind === 'target' || second?.kind === 'primary');
      const isSame = first?.kind === 'status' && first.status.phase === o.status.phase && !routeOf(decision);
      return isFenced && isSame ? { ...decision, actions: decision.actions.slice(1) } : decision;
    },
  },
  {
    name: 'noTouch',
    says: 'a raise from 0 does not touch the target, so that an older un-pause or scale-down still lands',
    scenarios: ['deleteFailed', 'staleBegin'],
    answer: (_o, decision) => drop(decision, isTouch),
  },
  {
    name: 'targetWithoutVersion',
    says: 'the target is written without its version',
    scenarios: ['deleteFailed'],
    slips: ['targetWithoutVersion'],
  },
];

const promotion: readonly Mutation[] = [
  {
    name: 'primaryNotStamped',
    says: 'the way back does not write a primary that has the last good template already',
    scenarios: ['lastStep'],
    see(o) {
      if (o.status.stage === 'back' && o.primary && o.primary.revision === o.status.lastGood?.hash)
        o.primary.isSurging = true;
    },
  },
  {
    name: 'notRestored',
    says: 'the way back does not write the last good template to the primary',
    scenarios: ['promotion', 'promotionRevert'],
    answer: (o, decision) =>
      o.status.stage === 'back' ? drop(decision, action => action.kind === 'primary') : decision,
  },
  {
    name: 'noQueue',
    says: 'a new revision restarts the run while the primary is being promoted',
    scenarios: ['promotionRelease'],
    see(o) {
      const { run, phase, lastGood } = o.status;
      if (phase === 'Promoting' && run && ![run.revision, lastGood?.hash].includes(o.target?.revision ?? ''))
        o.status.phase = 'Progressing';
    },
  },
  {
    name: 'promotionDeafToRevert',
    says: 'a revert is not looked at while the primary is being promoted',
    scenarios: ['promotionRevert'],
    rules: without('giveUpPromotion'),
  },
  {
    name: 'promotesTarget',
    says: 'what is promoted is read from the target, not from the stored revision',
    scenarios: ['lastStep'],
    answer(o, decision) {
      for (const action of decision.actions) {
        const isPromotion = action.kind === 'primary' && action.revision === o.status.run?.revision;
        if (isPromotion && o.target) action.revision = o.target.revision;
      }
      return decision;
    },
  },
  {
    name: 'promotesEarly',
    says: 'a run is promoted from whatever step has passed',
    scenarios: ['plain', 'crash'],
    see(o) {
      o.settings = { ...o.settings, steps: o.settings.steps.slice(0, 1) };
    },
  },
  {
    name: 'noBake',
    says: 'the last good revision is given up when the new primary is written, not when it has proved itself',
    scenarios: ['ending'],
    see(o) {
      if (!o.primary || o.status.stage !== 'bake') return;
      o.endpoints.primary = 1;
      o.primary.pods = [{ revision: o.primary.revision, total: 1, available: 1 }];
      o.primary.reportedAvailable = 1;
      o.primary.observedGeneration = o.primary.generation;
    },
  },
  {
    name: 'noTakeOver',
    says: 'a judged canary does not take over from a primary that has no endpoint',
    scenarios: ['promotion'],
    answer: (_o, decision) =>
      statusOf(decision)?.status.run?.cause === 'takeover' && routeOf(decision)
        ? nothing(decision)
        : decision,
  },
  {
    name: 'unreadyIgnored',
    says: 'traffic stays on a canary that has lost its last endpoint',
    scenarios: ['flap'],
    rules: without('unready'),
  },
  {
    name: 'unreadyPrimaryFed',
    says: 'traffic is given back to a primary without an endpoint',
    scenarios: ['flap'],
    see(o) {
      o.endpoints.primary = Math.max(1, o.endpoints.primary);
    },
  },
];

const endings: readonly Mutation[] = [
  {
    name: 'deletionUnpausesFirst',
    says: 'a deletion un-pauses the target before the route is safe',
    scenarios: ['deleteRelease'],
    answer(o, decision) {
      if (
        decision.rule !== 'terminate' ||
        o.status.phase !== 'Terminating' ||
        o.target?.pausedBy !== 'engine'
      )
        return decision;
      return { ...decision, actions: [{ kind: 'target', paused: false, epoch: 1 }] };
    },
  },
  {
    name: 'deletionLetsGo',
    says: 'a deletion lets go without waiting until the target serves',
    scenarios: ['delete'],
    answer(o, decision) {
      if (decision.rule !== 'terminate' || o.status.phase !== 'Terminating') return decision;
      return { ...decision, actions: [{ kind: 'removeFinalizer' }] };
    },
  },
  {
    name: 'revertIgnored',
    says: 'a revert does not end the run',
    scenarios: ['revert'],
    rules: without('revert', 'supersede'),
  },
  {
    name: 'abortIgnored',
    says: 'a run goes on over an abort',
    scenarios: ['retry'],
    rules: without('abort'),
  },
  {
    name: 'pauseIgnored',
    says: 'a paused run rises',
    scenarios: ['commands'],
    see(o) {
      if (o.status.phase === 'Progressing') delete o.status.paused;
    },
  },
  {
    name: 'noDataPasses',
    says: 'a check without data counts as passed',
    scenarios: ['noData'],
    see(o) {
      for (const check of o.judgement?.checks ?? []) if (check.outcome === 'noData') check.outcome = 'pass';
    },
  },
  {
    name: 'neverAgain',
    says: 'no tick is armed while an interval is waited for',
    scenarios: ['plain'],
    answer: (_o, decision) => ({
      ...decision,
      nextTickMs: decision.actions.length ? decision.nextTickMs : undefined,
    }),
  },
  {
    name: 'busy',
    says: 'a tick that has nothing to do asks for the next one at once',
    scenarios: ['plain'],
    answer: (_o, decision) =>
      decision.nextTickMs !== undefined && !decision.measure ? { ...decision, nextTickMs: 0 } : decision,
  },
  {
    name: 'oldRunForgotten',
    says: 'a rejected revision is started again by itself',
    scenarios: ['flap'],
    see(o) {
      if (o.status.phase !== 'Failed' || o.status.lastAppliedSpec === o.status.lastGood?.hash) return;
      o.status.lastAppliedSpec = 'none';
      if (o.status.run) o.status.run.generation = 0;
      if (o.status.run) o.status.run.revision = 'none';
    },
  },
];

export const lifeMutations: readonly Mutation[] = [...pinning, ...promotion, ...endings];
