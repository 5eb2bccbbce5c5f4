/**
 * The shell around `decide`: a watch event wakes a name; a name is observed, decided and acted on; queries run between
 * two decisions, and whatever must not wait for them is decided on the event. Memory holds caches only.
 */
import type { Canary } from '../api/decode.ts';
import { decide, decideUrgent } from '../core/decide.ts';
import { type Decision, isTakeAway } from '../core/decision.ts';
import { decideInSilence } from '../core/silence.ts';
import { isJudgedIn, isRunning } from '../core/facts.ts';
import type { Judgement, Observation, Problem } from '../core/observation.ts';
import { objectKey, type KubernetesObject } from '../kubernetes/types.ts';
import { refusedPrimary } from '../workloads/inspect.ts';
import { act, type Outcome } from './act.ts';
import { createCanaryIndex } from './canaryIndex.ts';
import { lookAgain } from './confirm.ts';
import type { Judging } from './judging.ts';
import { createHeldWrites } from './heldWrites.ts';
import { createInspections } from './inspections.ts';
import { observe, type Sighting } from './observe.ts';
import { createPace } from './pace.ts';
import { alertsTo, refersTo } from './references.ts';
import type { Scheduler } from './scheduler.ts';
import type { World } from './world.ts';

/** What the controller tells the outside: events, notifications, logs and metrics hang on it. */
export interface Listener {
  decided(sighting: Sighting, decision: Decision): void;
  /** The writes of a decision met a conflict or an error; some may have landed, even one whose reply was lost. */
  interrupted(sighting: Sighting, decision: Decision): void;
  failed(key: string, message: string): void;
  refused(object: KubernetesObject, problems: Problem[]): void;
}

export interface Parts {
  world: World;
  scheduler: Scheduler;
  /** Queries the metrics of one arm. Bounded by the signal; never throws. */
  measure(sighting: Sighting, arm: 'canary' | 'primary', signal: AbortSignal): Promise<Judgement>;
  /** Weighs raw counters, for canaries with a judge or a guard. Absent: nobody does. */
  judging?: Judging | undefined;
  /** Reads what no cache holds, while a canary is adopted: companions, autoscalers, owners of fields. */
  inspect(sighting: Sighting): Promise<Problem[]>;
  /** Reads the autoscalers of an adopted target and its primary. */
  inspectAutoscalers(sighting: Sighting): Promise<Problem[]>;
  /** Reads why pods do not become ready, once they have been waited for. */
  inspectPods(sighting: Sighting): Promise<Problem[]>;
  listener: Listener;
  /** Everything of this namespace is in the caches: before, it would look as if nothing existed there. */
  isSynced(namespace: string): boolean;
  /** Whether this replica runs ticks; every replica makes urgent decisions. */
  isActive(): boolean;
}

/** Decisions that follow one another at once, in one tick: adoption has eight. More would be a livelock. */
const PASSES_MAX = 16;
/** After a conflict the watch event wakes the canary; this is for an event that never comes. */
const CONFLICT_RETRY_MS = 1_000;
const FAILURE_RETRY_MS = 2_000;

/** A decision wants to know this first. */
interface Wanted {
  measure: 'canary' | 'primary';
  isEvidenceOnly: boolean;
  sighting: Sighting;
}

export type TickMode = 'full' | 'lowerOnly';

export interface Controller {
  start(): void;
  /** `lowerOnly`: the scheduler is silent, and nothing may rise, start or be promoted. */
  tick(key: string, signal: AbortSignal, mode?: TickMode): Promise<number | undefined>;
  /** The canaries that have traffic now, as the caches say. */
  carrying(): { key: string; intervalMs: number }[];
  /** Arms a tick for every canary that needs one. Walks the caches, never the API. */
  resync(): Promise<void>;
}

export function createController(parts: Parts): Controller {
  const { world, scheduler, listener } = parts;
  const { stores, clock } = world;
  const accepted = new Map<string, Canary>();
  const inspections = createInspections({
    clock,
    inspect: parts.inspect,
    inspectAutoscalers: parts.inspectAutoscalers,
    inspectPods: parts.inspectPods,
    onFailed: (key, message) => listener.failed(key, message),
    wake: key => parts.isActive() && scheduler.wake(key),
  });
  /** One chain of observe, decide, act for each canary of this process; queries run outside of it. */
  const chains = new Map<string, Promise<unknown>>();
  /** Canaries whose traffic is being taken away on a watch event; whoever comes after them waits. */
  const takeAways = new Map<string, Promise<unknown>>();
  const index = createCanaryIndex();
  const pace = createPace(() => clock.now());
  const heldWrites = createHeldWrites(() => clock.now());

  function exclusively<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = chains.get(key) ?? Promise.resolve();
    const next = async () => {
      await takeAways.get(key);
      return await work();
    };
    const running = before.then(next, next);
    const settled = running.catch(() => undefined);
    chains.set(key, settled);
    void settled.then(() => {
      if (chains.get(key) === settled) chains.delete(key);
    });
    return running;
  }

  function look(key: string, judgement?: Judgement): Sighting | undefined {
    const [namespace = '', name = ''] = key.split('/');
    const sight = observe(world, namespace, name, {
      ...inspections.of(key),
      judgement,
      lastAccepted: accepted.get(key),
      held: heldWrites.of(key),
      judge: parts.judging?.known(key),
    });
    if (sight.kind === 'seen') {
      const { problems, status } = sight.sighting.observation;
      if (problems.length === 0) accepted.set(key, sight.sighting.canary);
      // What was weighed of a run that is over stands in its status.
      if (!isJudgedIn(status.phase)) parts.judging?.forget(key);
      return sight.sighting;
    }
    if (sight.kind === 'refused') listener.refused(sight.object, sight.problems);
    else {
      accepted.delete(key);
      inspections.forget(key);
      heldWrites.forget(key);
      parts.judging?.forget(key);
    }
    return undefined;
  }

  async function carryOut(
    key: string,
    sighting: Sighting,
    decision: Decision,
  ): Promise<number | undefined | 'again'> {
    const waitMs = pace.waitMs(key, sighting.observation, decision);
    if (waitMs > 0) return waitMs;
    const outcome = await act(world, sighting, decision.actions);
    if (outcome.kind === 'done') {
      heldWrites.landed(key, decision.actions);
      listener.decided(sighting, decision);
      return decision.actions.length > 0 && decision.nextTickMs === 0 ? 'again' : decision.nextTickMs;
    }
    listener.interrupted(sighting, decision);
    if (isHeldBack(key, sighting, decision, outcome)) return 'again';
    if (outcome.kind === 'conflict') return CONFLICT_RETRY_MS;
    const refused =
      decision.rule === 'adopt' && outcome.action === 'createPrimary'
        ? refusedPrimary(outcome.error, sighting.names.primaryWorkload)
        : undefined;
    if (refused) {
      // As if an inspection had found it: said in the condition now, and tried again after the next inspection.
      inspections.refused(key, refused);
      return 'again';
    }
    listener.failed(key, `${outcome.action}: ${outcome.error.message}`);
    return outcome.error.retryAfterMs ?? FAILURE_RETRY_MS;
  }

  /** A Service that cannot be written stands before nothing: the next look goes on without it. */
  function isHeldBack(key: string, sighting: Sighting, { rule }: Decision, outcome: Outcome): boolean {
    // Whoever gives a workload back has nothing else to go on with.
    if (outcome.kind === 'done' || rule === 'terminate') return false;
    const error = outcome.kind === 'failed' ? outcome.error : undefined;
    const isHeld = heldWrites.failed(key, outcome.action, sighting.services.asked, error);
    if (isHeld && error) listener.failed(key, `${outcome.action}: ${error.message}`);
    return isHeld;
  }

  /** When Services have to be looked at again at the latest; the earlier of that and `next`, milliseconds. */
  function untilServices(key: string, { services }: Sighting, next: number | undefined): number | undefined {
    const times = heldWrites.of(key).map(one => one.untilMs);
    if (services.waitsUntil !== undefined) times.push(services.waitsUntil);
    const open = times.map(time => time - clock.now()).filter(leftMs => leftMs > 0);
    return sooner(next, open.length === 0 ? undefined : Math.min(...open));
  }

  /** Observe and decide, a second time where the first rested on caches that may be too old (`confirm.ts`). */
  async function consider(
    key: string,
    decideNow: (observation: Observation) => Decision | undefined,
    judgement?: Judgement,
  ): Promise<{ sighting: Sighting; decision: Decision } | 'unknown' | undefined> {
    const once = () => {
      const sighting = look(key, judgement);
      const decision = sighting && decideNow(sighting.observation);
      return sighting && decision && { sighting, decision };
    };
    const first = once();
    const confirmation = first && (await lookAgain(world, first.sighting, first.decision));
    if (confirmation === 'unknown') return 'unknown';
    return confirmation === 'changed' ? once() : first;
  }

  /** One observe, decide, act. The answer names the arm when metrics are wanted first. */
  async function pass(
    key: string,
    mode: TickMode,
    judgement?: Judgement,
  ): Promise<{ next: number | undefined | 'again' } | Wanted> {
    const considered = await consider(key, mode === 'lowerOnly' ? decideInSilence : decide, judgement);
    if (considered === 'unknown') return { next: CONFLICT_RETRY_MS };
    if (!considered) return { next: undefined };
    const { sighting, decision } = considered;
    if (decision.measure)
      return { measure: decision.measure, isEvidenceOnly: decision.isEvidenceOnly ?? false, sighting };
    const next = await carryOut(key, sighting, decision);
    return { next: next === 'again' ? next : untilServices(key, sighting, next) };
  }

  /** Checks and evidence are asked for at the same time, and neither ever throws. */
  async function measured(key: string, wanted: Wanted, signal: AbortSignal): Promise<Judgement> {
    const { measure: arm, sighting, isEvidenceOnly } = wanted;
    const { observation } = sighting;
    const [checked, evidence] = await Promise.all([
      isEvidenceOnly ? undefined : parts.measure(sighting, arm, signal),
      arm === 'canary' ? parts.judging?.look(key, sighting, signal) : undefined,
    ]);
    if (checked) return { ...checked, evidence };
    return {
      runId: observation.status.run?.id ?? '',
      epoch: observation.route?.stamp.epoch ?? 0,
      arm,
      checks: [],
      isEvidenceOnly: true,
      evidence,
      at: clock.now(),
    };
  }

  async function tick(
    key: string,
    signal: AbortSignal,
    mode: TickMode = 'full',
  ): Promise<number | undefined> {
    if (!parts.isActive()) return undefined;
    const unread = await inspections.ofNew(key, look(key));
    if (unread) {
      listener.failed(key, `looking at the target: ${unread.message}`);
      return unread.retryAfterMs ?? FAILURE_RETRY_MS;
    }
    inspections.ofWaiting(key, look(key));
    const sighting = look(key);
    if (sighting) parts.judging?.prepare(key, sighting);
    let judgement: Judgement | undefined;
    for (let count = 0; count < PASSES_MAX && !signal.aborted; count++) {
      const answer = await exclusively(key, () => pass(key, mode, judgement));
      judgement = undefined;
      if ('measure' in answer) judgement = await measured(key, answer, signal);
      else if (answer.next !== 'again') return sooner(answer.next, inspections.againMs(key));
    }
    return CONFLICT_RETRY_MS;
  }

  /**
   * On every watch event, in every replica: what must not wait for a tick. Traffic is taken away beside whatever this
   * process is doing for the canary (a write of it may hang until its deadline; the fences make that safe); everything
   * else waits for that, because it would only meet the same write.
   */
  function urgent(key: string, sighting = look(key)): void {
    if (!parts.isSynced(key.split('/')[0] ?? '')) return;
    const first = sighting && decideUrgent(sighting.observation);
    if (!sighting || !first) return;
    const work = async () => {
      const considered = await consider(key, decideUrgent);
      if (considered && considered !== 'unknown')
        await carryOut(key, considered.sighting, considered.decision);
    };
    const failed = (error: unknown) => listener.failed(key, String(error));
    if (!isTakeAway(sighting.observation, first) || takeAways.has(key)) {
      void exclusively(key, work).catch(failed);
      return;
    }
    const takeAway = work().catch(failed);
    takeAways.set(key, takeAway);
    void takeAway.then(() => takeAways.delete(key));
  }

  function wake(key: string): void {
    urgent(key);
    if (parts.isActive()) scheduler.wake(key);
  }

  return {
    start() {
      stores.canaries.onChange((object, deleted) => {
        const key = objectKey(object.metadata.namespace, object.metadata.name);
        if (deleted) index.remove(key);
        else index.set(key, object);
        wake(key);
      });
      const wakeOwner = (namesOf: (object: KubernetesObject) => string[]) => (object: KubernetesObject) => {
        for (const name of namesOf(object))
          for (const key of index.find(object.metadata.namespace ?? '', name)) wake(key);
      };
      stores.metricTemplates.onChange(template => {
        for (const object of stores.canaries.all())
          if (refersTo(object, template)) wake(objectKey(object.metadata.namespace, object.metadata.name));
      });
      stores.alertProviders.onChange(provider => {
        for (const object of stores.canaries.all())
          if (alertsTo(object, provider)) wake(objectKey(object.metadata.namespace, object.metadata.name));
      });
      stores.deployments.onChange(wakeOwner(object => [object.metadata.name]));
      stores.services.onChange(wakeOwner(object => [object.metadata.name]));
      stores.routes.onChange(wakeOwner(object => [object.metadata.name]));
      stores.replicaSets.onChange(
        wakeOwner(object => (object.metadata.ownerReferences ?? []).map(owner => owner.name)),
      );
      stores.endpointSlices.onChange(
        wakeOwner(object => [object.metadata.labels?.['kubernetes.io/service-name'] ?? '']),
      );
    },
    tick,
    carrying() {
      return stores.canaries.all().flatMap(object => {
        const key = objectKey(object.metadata.namespace, object.metadata.name);
        const observation = look(key)?.observation;
        const isCarrying = (observation?.route?.canaryWeight ?? 0) > 0;
        return observation && isCarrying ? [{ key, intervalMs: observation.settings.intervalMs }] : [];
      });
    },
    async resync() {
      const due: { key: string; at: number; urgency: number }[] = [];
      for (const object of stores.canaries.all()) {
        const key = objectKey(object.metadata.namespace, object.metadata.name);
        index.set(key, object);
        const sighting = look(key);
        if (!sighting) continue;
        // What became due while nobody watched: no event will say so again, and a Lease may take a while.
        urgent(key, sighting);
        const decision = decide(sighting.observation);
        const wantsNow = decision.actions.length > 0 || decision.measure !== undefined;
        const delayMs = wantsNow ? 0 : sooner(decision.nextTickMs, inspections.againMs(key));
        if (delayMs === undefined) continue;
        due.push({ key, at: clock.now() + delayMs, urgency: urgencyOf(sighting.observation, decision) });
      }
      // Schedulers take them in this order: after a start, the traffic that has to leave comes before all else.
      due.sort((a, b) => a.urgency - b.urgency);
      if (parts.isActive()) await scheduler.ensure(new Map(due.map(({ key, at }) => [key, at])));
    },
  };
}

function sooner(first: number | undefined, second: number | undefined): number | undefined {
  return first === undefined || second === undefined ? (first ?? second) : Math.min(first, second);
}

/** 0: traffic has to leave. 1: a rollout goes on. 2: everything else. */
function urgencyOf(observation: Observation, decision: Decision): 0 | 1 | 2 {
  if (isTakeAway(observation, decision)) return 0;
  const { status } = observation;
  return status.phase !== undefined && isRunning(status.phase) ? 1 : 2;
}
