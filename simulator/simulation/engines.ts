/**
 * The engines of a simulation: each is the whole engine as `main` composes it, on a clock, a network and a scheduler
 * of its own, in a process that can be killed and started again. It keeps nothing for the engine from one life to the
 * next but the machine's clock.
 */
import type { Analyzer } from '../../analyzers/analyzer.ts';
import { createJudging } from '../../engine/controller/judging.ts';
import { createMeasure } from '../../engine/controller/measure.ts';
import { createDelivery } from '../../engine/notifiers/delivery.ts';
import { createReceiver, type ReceiverTrouble } from './receivers.ts';
import { createEngine, type Engine } from '../../engine/engine.ts';
import { createApiClient } from '../../engine/kubernetes/client.ts';
import type { Clock } from '../../engine/clock.ts';
import type { StatusError } from '../api/status.ts';
import { autoscalerProblems, inspectPods, inspectTarget } from '../../engine/workloads/inspect.ts';
import { createSmiStepper } from '../../steppers/smi.ts';
import type { Call } from './calls.ts';
import type { Chance } from './chance.ts';
import type { Cluster } from './cluster.ts';
import type { Hand, Hands } from './hands.ts';
import { createHistory, type History } from './history.ts';
import { createNetwork } from './network.ts';
import type { Plan } from './plan.ts';
import { createProcess, type Process } from './process.ts';
import { createStreams, type Streams } from './streams.ts';
import type { DeedOnCall, Strikes } from './strikes.ts';
import { createWeakScheduler } from './weakScheduler.ts';

/** What a metrics provider has to know of the engine that asks it. */
export interface Asker {
  engine: number;
  process: Process;
  lagMs: () => number;
  /** Name of the process, in this life of it. */
  life: string;
  /** Its caches show everything that has happened up to here. */
  knewAtMs(): number;
  /** Ends this process; somebody starts another one later. */
  crash(downMs: number): void;
}

export interface EnginesOptions {
  plan: Pick<Plan, 'canaries' | 'engines' | 'queryMs' | 'drainMs' | 'resyncMs'>;
  clock: Clock;
  chance: Chance;
  cluster: Pick<Cluster, 'api'>;
  strikes: Strikes;
  hands: Hands;
  note(who: string, what: string): void;
  /** The metrics provider as this life of an engine reaches it. */
  analyzer(asker: Asker): Analyzer;
  refusal(call: Call): StatusError | undefined;
  receiver(): ReceiverTrouble | undefined;
  onTold(id: string): void;
  onArrival(call: Call, hand: Hand): void;
  perform(deed: DeedOnCall): void;
  /** The engine did what no engine may: a tick threw, a handler failed. */
  onBroken(engine: number, message: string): void;
}

export interface Engines {
  start(): void;
  streams(engine: number): Streams;
  /** Something of this kind has changed in the API. */
  changed(kind: string): void;
  step(engine: number, byMs: number): void;
  /** Starts again after `downMs`. */
  kill(engine: number, downMs: number): void;
  /** True when this engine runs and is not frozen. */
  isAwake(engine: number): boolean;
  /** Since when this engine (at least one) has been running without a freeze; Infinity when none is. */
  awakeSinceMs(engine?: number): number;
  /** See `Scene.clockSpreadMs`. */
  clockSpreadMs(fromMs: number): number;
  stop(): void;
}

interface Slot {
  life: number;
  process: Process | undefined;
  streams: Streams | undefined;
  /** The machine's clock outlives the process. */
  offsets: History<number>;
  aliveSinceMs: number;
}

/** A round trip inside a cluster. */
const LAG_MIN_MS = 1;
const LAG_MAX_MS = 12;
/** From the process's start to its first request. */
const BOOT_MS = 1_500;

export function createEngines(options: EnginesOptions): Engines {
  const { plan, clock, chance } = options;
  const startedAtMs = clock.now();
  const slots: Slot[] = plan.engines.map(engine => ({
    life: 0,
    process: undefined,
    streams: undefined,
    offsets: createHistory(clock.now(), engine.offsetMs),
    aliveSinceMs: Number.POSITIVE_INFINITY,
  }));

  function crash(index: number, downMs: number): void {
    const slot = slots[index]!;
    slot.process?.kill();
    slot.aliveSinceMs = Number.POSITIVE_INFINITY;
    clock.setTimer(() => begin(index), downMs);
  }

  function begin(index: number): void {
    const slot = slots[index]!;
    slot.life += 1;
    const { driftPpm } = plan.engines[index]!;
    const process = createProcess({
      name: `engine-${index}`,
      clock,
      offsetMs: slot.offsets.current(),
      driftPpm,
    });
    const own = chance.fork(`engine/${index}/${slot.life}`);
    const lags = own.fork('lags');
    const lagMs = () => lags.whole(LAG_MIN_MS, LAG_MAX_MS);
    const streams = createStreams({ clock, process, lagMs });
    slot.process = process;
    slot.streams = streams;
    slot.aliveSinceMs = clock.now() + BOOT_MS;
    const engine = compose(options, index, {
      name: `${process.name}/${slot.life}`,
      process,
      streams,
      own,
      lagMs,
      // Whoever is dead already is not started twice.
      crash: ms => process.isAlive() && crash(index, ms),
    });
    process.clock.setTimer(() => {
      void engine.start().catch((error: unknown) => options.onBroken(index, String(error)));
    }, BOOT_MS);
    options.note(process.name, `starts, life ${slot.life}`);
  }

  return {
    start: () => plan.engines.forEach((_engine, index) => begin(index)),
    streams: index => slots[index]!.streams!,
    changed(kind) {
      const resource = kind === 'Canary' ? 'canaries' : `${kind.toLowerCase()}s`;
      for (const slot of slots) slot.streams?.changed(resource);
    },
    kill(index, downMs) {
      if (slots[index]!.process?.isAlive()) crash(index, downMs);
    },
    step(index, byMs) {
      const slot = slots[index]!;
      slot.offsets.set(clock.now(), slot.offsets.current() + byMs);
      slot.process?.step(byMs);
    },
    isAwake: index => slots[index]!.process?.isAlive() === true && !slots[index]!.process?.isFrozen(),
    awakeSinceMs(engine) {
      const asked = engine === undefined ? slots : [slots[engine]!];
      const awake = asked.filter(slot => slot.process?.isAlive() && !slot.process.isFrozen());
      return Math.min(Number.POSITIVE_INFINITY, ...awake.map(slot => slot.aliveSinceMs));
    },
    clockSpreadMs(fromMs) {
      const offsets = slots.flatMap(slot => slot.offsets.during(fromMs));
      const drift = Math.max(...plan.engines.map(engine => Math.abs(engine.driftPpm))) / 1e6;
      // A process that starts again takes the machine's time, drift included.
      const drifted = 2 * drift * (clock.now() - fromMs) + drift * (clock.now() - startedAtMs);
      // The API server's clock, by which objects are dated, is right.
      return Math.max(0, ...offsets) - Math.min(0, ...offsets) + drifted;
    },
    stop() {
      for (const slot of slots) slot.process?.kill();
    },
  };
}

interface Life {
  process: Process;
  name: string;
  streams: Streams;
  own: Chance;
  lagMs: () => number;
  crash(downMs: number): void;
}

function queryLag({ queryMs }: Pick<Plan, 'queryMs'>, chance: Chance): (() => number) | undefined {
  return queryMs && (() => chance.whole(queryMs.least, queryMs.most));
}

/** What `main` does, with the simulation's parts. */
function compose(options: EnginesOptions, index: number, life: Life): Engine {
  const { plan, cluster, strikes, hands, clock } = options;
  const { process, streams, own, lagMs } = life;
  const transport = createNetwork({
    clock,
    engine: index,
    process,
    canaries: plan.canaries,
    life: life.name,
    server: cluster.api.transport(process.name),
    strikes,
    streams,
    hands,
    lagMs,
    crash: life.crash,
    onArrival: options.onArrival,
    refusal: options.refusal,
    perform: options.perform,
  });
  const analyzer = options.analyzer({
    engine: index,
    process,
    lagMs: queryLag(plan, own.fork('queries')) ?? lagMs,
    life: life.name,
    knewAtMs: streams.knownUpTo,
    crash: life.crash,
  });
  const random = own.fork('random').next;
  const log = {
    info: () => {},
    warn: () => {},
    error: (fields: object, message: string) =>
      options.onBroken(index, `${message} ${JSON.stringify(fields)}`),
  };
  const post = createReceiver({
    clock,
    process,
    lagMs,
    trouble: options.receiver,
    onTold: options.onTold,
  });
  const delivery = createDelivery({ clock: process.clock, post, random, log });
  const engine: Engine = createEngine({
    clock: process.clock,
    client: createApiClient(transport, { clock: process.clock }),
    random,
    stepper: createSmiStepper('v1alpha2'),
    scheduler: createWeakScheduler({
      clock: process.clock,
      onTick: () => strikes.onTick(index),
      onWake: () => strikes.onWake(index),
      onBroken: (key, error) =>
        options.onBroken(
          index,
          `tick of ${key} threw ${error instanceof Error ? error.stack : String(error)}`,
        ),
    }),
    apiGroup: 'serin.dev',
    namespaces: [],
    selectorLabels: ['app'],
    drainMs: plan.drainMs,
    resyncMs: plan.resyncMs,
    isActive: () => true,
    measure: createMeasure({ world: () => engine.world, analyzer, connect: () => analyzer }),
    judging: createJudging({ world: () => engine.world, countersOf: () => analyzer.counters }),
    inspect: inspectTarget,
    inspectAutoscalers: autoscalerProblems,
    inspectPods,
    tell: { delivery, slack: undefined, eventWebhook: undefined, asksPrometheus: true },
    log,
  });
  return engine;
}
