/**
 * Plays one plan from its start to its end on a virtual clock, in this process, without a socket and without a real
 * wait, and answers what it saw. Equal plans give equal answers, to the byte.
 */
import { createVirtualClock } from '../clock.ts';
import { POD } from '../controllers/objects.ts';
import { createAccountant } from './accountant.ts';
import { createChance } from './chance.ts';
import type { Checker, Scene, Violation } from './checkers/checker.ts';
import { createCheckers } from './checkers/registry.ts';
import { createCluster } from './cluster.ts';
import { summaryOf } from './counterSource.ts';
import { createDeeds, type Deeds, describe } from './deeds.ts';
import { createEngines, type Engines, type EnginesOptions } from './engines.ts';
import { createHands } from './hands.ts';
import { createMetricsSource } from './metricsSource.ts';
import { narrate } from './narrate.ts';
import { type Item, type Plan } from './plan.ts';
import { createProxies } from './proxies.ts';
import { createReadings } from './readings.ts';
import { createStrikes } from './strikes.ts';
import { createTimeline } from './timeline.ts';
import { createTroubles, isFault } from './troubles.ts';
import { type CanaryView, createWitness } from './witness.ts';
import { createVerdicts } from './verdicts.ts';
import { settleBoundMs, unsettled } from './settled.ts';

export const START_MS = Date.parse('2026-01-01T00:00:00Z');

export interface Outcome {
  violation: Violation | undefined;
  /** Runs that engines started. */
  rollouts: number;
  /** Requests of engines that arrived at the API server. */
  requests: number;
  /** Faults that struck. */
  strikes: number;
  simulatedMs: number;
  hash: string;
  lines: readonly string[];
  failedRequests: ReadonlyMap<string, number>;
}

const PULSE_MS = 1_000;
/** Faults that nothing waits for which takes traffic away: it comes with the watch event, asks nobody and tells later. */
const BESIDE: ReadonlySet<string> = new Set(['metrics', 'receiver', 'quota', 'tick', 'wake']);
/** How long nothing may happen once all has settled. */
const QUIET_MS = 180_000;

interface State {
  violation: Violation | undefined;
  rollouts: number;
  requests: number;
  strikes: number;
  /** When the last fault ends that has struck so far. */
  troubledUntilMs: number;
  /** The same for each engine, without those that what must not wait does not depend on. */
  hamperedUntilMs: number[];
  settledSinceMs: number;
  checkers: Checker[];
}

function createStage(plan: Plan) {
  const clock = createVirtualClock(START_MS);
  const { now } = clock;
  const timeline = createTimeline(now, START_MS);
  const hands = createHands(now);
  const cluster = createCluster(plan, clock);
  const witness = createWitness(plan, cluster.store, now);
  const { canaries } = plan;
  const { store, pods } = cluster;
  const troubles = createTroubles(plan, cluster, now, START_MS + plan.restlessMs);
  const isThere = (namespace: string, pod: string) => store.get(POD, namespace, pod) !== undefined;
  const proxies = createProxies({ now, isThere, lies: troubles.metricsOf, trouble: troubles.countersOf });
  const accountant = createAccountant({
    canaries,
    store,
    pods,
    now,
    startMs: START_MS,
    incidentOf: troubles.incidentOf,
    onAnswered: proxies.answered,
  });
  const state: State = {
    violation: undefined,
    rollouts: 0,
    requests: 0,
    strikes: 0,
    troubledUntilMs: START_MS,
    hamperedUntilMs: plan.engines.map(() => START_MS),
    settledSinceMs: Number.POSITIVE_INFINITY,
    checkers: [],
  };
  const { note } = timeline;
  const verdicts = createVerdicts();
  const readings = createReadings();
  const strikes = createStrikes({
    plan,
    now: () => now() - START_MS,
    onStrike(item, about) {
      if (isFault(item)) strike(item);
      note('fault', `${describe(item, undefined)} strikes ${about}`);
    },
  });

  function strike(item: Item): void {
    state.strikes += 1;
    const lastsMs = 'forMs' in item ? item.forMs : 'downMs' in item ? item.downMs : 0;
    state.troubledUntilMs = Math.max(state.troubledUntilMs, now() + lastsMs);
    if (BESIDE.has(item.kind)) return;
    // A server that forgets its history does so for everybody.
    const isOwn = 'engine' in item && item.kind !== 'compact';
    state.hamperedUntilMs = state.hamperedUntilMs.map((untilMs, engine) =>
      isOwn && item.engine !== engine ? untilMs : Math.max(untilMs, now() + lastsMs),
    );
  }

  function violate(found: Violation): void {
    state.violation ??= found;
    note('VIOLATION', `${found.checker} ${found.canary}: ${found.message}`);
  }

  return {
    clock,
    now,
    note,
    timeline,
    hands,
    cluster,
    witness,
    accountant,
    proxies,
    troubles,
    state,
    strikes,
    strike,
    verdicts,
    readings,
    violate,
  };
}

type Stage = ReturnType<typeof createStage>;

function enginesOptions(plan: Plan, stage: Stage, deeds: Deeds): EnginesOptions {
  const { state, note, troubles } = stage;
  return {
    ...stage,
    plan,
    chance: createChance(`play/${plan.seed}`),
    refusal: troubles.refusalOf,
    receiver: troubles.receiver,
    onTold: id => note('receiver', `is told ${id}`),
    perform: deeds.perform,
    analyzer: asker =>
      createMetricsSource({
        ...stage,
        ...asker,
        isScraped: plan.isScraped ?? false,
        perform: deeds.perform,
        trouble: troubles.metricsOf,
        counterTrouble: troubles.countersOf,
        onAnswer(answer) {
          const about = `${answer.metric} of ${answer.namespace}/${answer.workload}`;
          note(`engine-${answer.engine}`, `is told ${about}: ${JSON.stringify(answer.measurement)}`);
          for (const view of stage.witness.canaries)
            if (view.plan.namespace === answer.namespace && view.plan.target === answer.workload)
              stage.verdicts.hear(answer, view);
          for (const checker of state.checkers) checker.onAnswer?.(answer);
        },
        onCounters(told) {
          note(`engine-${told.engine}`, `is told ${summaryOf(told)}`);
          for (const view of stage.witness.canaries)
            if (view.plan.namespace === told.namespace && view.plan.target === told.workload)
              stage.readings.hear(told, view);
          for (const checker of state.checkers) checker.onCounters?.(told);
        },
      }),
    onArrival(call, hand) {
      state.requests += 1;
      for (const checker of state.checkers) checker.onArrival?.(call, hand);
    },
    onBroken(engine, message) {
      const atMs = stage.now() - START_MS;
      stage.violate({ checker: 'broken', atMs, canary: '', message: `engine-${engine}: ${message}` });
    },
  };
}

/** Everything that hangs on a change: books, views, checkers, the timeline. */
function attend(stage: Stage, engines: Engines): void {
  const { cluster, witness, accountant, hands, state, note } = stage;
  const runs = new Map<CanaryView, string>();
  cluster.store.subscribe(change => {
    const hand = hands.current();
    engines.changed(change.object.kind);
    const views = witness.observe(change, hand);
    for (const view of views) {
      accountant.accrue(view.index);
      accountant.look(view.index);
      const run: string | undefined = view.status.current().run?.id;
      if (run && run !== runs.get(view)) {
        state.rollouts += 1;
        runs.set(view, run);
      }
    }
    const line = narrate(change);
    if (line) note(hand.who === 'engine' ? `engine-${hand.engine}` : hand.who, line);
    for (const checker of state.checkers) checker.onChange?.(change, views, hand);
  });
}

export interface SimulateOptions {
  /** Ends early, without a word about what has not settled; milliseconds from the start. */
  untilMs?: number;
}

export async function simulate(plan: Plan, options: SimulateOptions = {}): Promise<Outcome> {
  const stage = createStage(plan);
  const { clock, now, cluster, witness, accountant, state, timeline } = stage;
  const deeds = createDeeds({ ...stage, plan, startMs: START_MS });
  const engines = createEngines(enginesOptions(plan, stage, deeds));
  attend(stage, engines);
  const scene: Scene = {
    plan,
    now,
    startMs: START_MS,
    witness,
    accountant,
    verdicts: stage.verdicts,
    readings: stage.readings,
    behaviourOf: (canary, version) => deeds.behaviourOf(canary, version),
    settledSinceMs: () => state.settledSinceMs,
    calmSinceMs: () => Math.max(state.troubledUntilMs, engines.awakeSinceMs()),
    unhamperedSinceMs: () =>
      Math.min(
        ...state.hamperedUntilMs.map((untilMs, engine) => Math.max(untilMs, engines.awakeSinceMs(engine))),
      ),
    clockSpreadMs: engines.clockSpreadMs,
  };
  state.checkers = createCheckers(scene, stage.violate);
  plan.canaries.forEach((_canary, index) => {
    deeds.found(index);
    clock.setTimer(() => deeds.declare(index), 4_000 + 500 * index);
  });
  for (const item of plan.items)
    clock.setTimer(() => {
      if (!isFault(item)) return item.on ? undefined : deeds.perform(item);
      if ('effect' in item || item.kind === 'tick' || item.kind === 'wake') return;
      stage.note('fault', describe(item, undefined));
      stage.strike(item);
      accountant.accrueAll();
      stage.troubles.begin(item, engines);
      if (item.kind !== 'incident') return;
      accountant.look(item.canary);
      clock.setTimer(
        () => {
          accountant.accrue(item.canary);
          accountant.look(item.canary);
        },
        Math.min(item.forMs, START_MS + plan.restlessMs - now()),
      );
    }, item.atMs);
  engines.start();

  const endMs = START_MS + (options.untilMs ?? Number.POSITIVE_INFINITY);
  const pulse = async (untilMs: number, isDone: () => boolean) => {
    while (!state.violation && now() < Math.min(untilMs, endMs) && !isDone()) {
      await clock.advance(PULSE_MS);
      accountant.accrueAll();
      for (const checker of state.checkers) checker.onPulse?.();
    }
  };
  await pulse(START_MS + plan.restlessMs, () => false);
  const boundMs = settleBoundMs(plan);
  const wasLiedTo = (index: number) =>
    plan.items.some(
      item => item.kind === 'metrics' && item.canary === index && (item.how === 'good' || item.how === 'bad'),
    );
  const world = { behaviourOf: deeds.behaviourOf, trafficOf: accountant.trafficOf, wasLiedTo };
  const restless = () =>
    witness.canaries.flatMap(view => {
      const message = unsettled(view, world, now());
      return message ? [{ canary: `${view.plan.namespace}/${view.plan.name}`, message }] : [];
    });
  await pulse(now() + boundMs, () => restless().length === 0);
  if (!state.violation && now() < endMs) {
    const [left] = restless();
    if (left)
      stage.violate({
        checker: 'settles',
        atMs: now() - START_MS,
        canary: left.canary,
        message: `${boundMs / 1_000} s after the last fault: ${left.message}`,
      });
  }
  state.settledSinceMs = now();
  await pulse(now() + QUIET_MS, () => false);
  engines.stop();
  cluster.stop();
  return {
    violation: state.violation,
    rollouts: state.rollouts,
    requests: state.requests,
    strikes: state.strikes,
    simulatedMs: now() - START_MS,
    hash: timeline.hash(),
    lines: timeline.lines(),
    failedRequests: accountant.booked(),
  };
}
