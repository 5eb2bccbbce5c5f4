/**
 * A whole history as data: which canaries there are, what people and other programs do to them, which faults strike and
 * when. It is drawn from the seed before anything runs, so that a failure can be shrunk by leaving items out. All times
 * are milliseconds from the start of the simulation.
 */
import type { Json } from '../api/json.ts';

export interface Plan {
  seed: number;
  engines: EnginePlan[];
  /** Raw counters come from the pods themselves, without a history. Absent: from a server that keeps it. */
  isScraped?: boolean;
  drainMs: number;
  resyncMs: number;
  /** How long the metrics provider takes for an answer, each time something in between; absent: as long as anybody. */
  queryMs?: { least: number; most: number };
  /** Before this, items happen; after it only what heals. */
  restlessMs: number;
  canaries: CanaryPlan[];
  /** In the order of their times. */
  items: Item[];
}

export interface EnginePlan {
  /** How far its clock is off at the start. */
  offsetMs: number;
  /** How fast its clock runs: millionths above or below the right pace. */
  driftPpm: number;
}

export interface CanaryPlan {
  namespace: string;
  name: string;
  target: string;
  apex: string;
  spec: Json;
  replicas: number;
  strategy: Json;
  /** The apex Service was there before the Canary. */
  hasService: boolean;
  minReadySeconds: number;
  traffic: TrafficKind;
}

export const TRAFFIC_KINDS = ['steady', 'sparse', 'bursty', 'zero'] as const;
export type TrafficKind = (typeof TRAFFIC_KINDS)[number];

/** How the pods of a release behave, as their environment says. */
export interface Behaviour {
  errorPercent: number;
  latencyMs: number;
  readyAfterMs: number;
  neverReady: boolean;
  /** Runs this long, is down for a while, and so on; 0: never. */
  crashEveryMs: number;
  /** Ready for half of this and not ready for the other half; 0: always ready. */
  flapEveryMs: number;
}

/** Which effect of an engine a fault waits for. */
export const EFFECTS = ['route', 'status', 'target', 'primary', 'write', 'any'] as const;
/**
 * `between`: a write that comes right after one of the route or the status, as the next effect of one decision does.
 * `query`: the provider is asked for a metric.
 */
export type Effect = (typeof EFFECTS)[number] | 'between' | 'query';
export type Moment = 'before' | 'after';

/** Strikes the first matching call of that engine at or after its time. */
export interface OnCall {
  engine: number;
  effect: Effect;
  /** Only calls about this one. */
  canary?: number;
}

export type Fault =
  | ({ kind: 'crash'; moment: Moment; downMs: number } & OnCall)
  | ({ kind: 'freeze'; moment: Moment; forMs: number } & OnCall)
  | ({ kind: 'refuse'; code: number; retryAfterSeconds: number; times: number } & OnCall)
  /** No answer. `after`: the write happened. */
  | ({ kind: 'lost'; moment: Moment; how: 'hang' | 'reset' } & OnCall)
  | ({ kind: 'slow'; forMs: number } & OnCall)
  /** Stays on its way for so long: it is carried out when its sender has given it up, or is gone. */
  | ({ kind: 'late'; forMs: number } & OnCall)
  | { kind: 'stall'; engine: number; resource: string; forMs: number }
  | { kind: 'drop'; engine: number; resource: string }
  | { kind: 'replay'; engine: number; resource: string }
  /** The server forgets its history: whoever resumes a watch gets 410. */
  | { kind: 'compact'; engine: number }
  | { kind: 'tick'; engine: number; how: 'lost' | 'late' | 'twice' | 'parallel'; forMs: number }
  | { kind: 'wake'; engine: number; how: 'lost' | 'late'; forMs: number }
  /** Killed at this moment, whatever it is doing. */
  | { kind: 'kill'; engine: number; downMs: number }
  | { kind: 'clock'; engine: number; byMs: number }
  | { kind: 'metrics'; canary: number; how: MetricsTrouble; forMs: number }
  | { kind: 'counters'; canary: number; how: CounterTrouble; forMs: number }
  /** What the pods of both arms call is down: so many of their requests fail, whoever answers. */
  | { kind: 'incident'; canary: number; errorPercent: number; forMs: number }
  /** Pods cannot be created in the namespace of the canary. */
  | { kind: 'quota'; canary: number; forMs: number }
  /** Whoever is told of rollouts does not answer, or not well. */
  | { kind: 'receiver'; how: 'hang' | 'error' | 'slow'; forMs: number }
  /** Status writes of the canary are refused, by rights or by the schema. */
  | { kind: 'status'; canary: number; code: 403 | 422; forMs: number };

/** `slow`: within the engine's patience; `late`: beyond it. */
export const METRICS_TROUBLES = ['missing', 'nan', 'late', 'slow', 'good', 'bad', 'many', 'error'] as const;
export type MetricsTrouble = (typeof METRICS_TROUBLES)[number];

/** Of raw counters alone. `stale`: they stand still, and so does their time; `reset`: they begin anew, once; `half`: the primary's are missing. */
export const COUNTER_TROUBLES = ['stale', 'reset', 'half'] as const;
export type CounterTrouble = (typeof COUNTER_TROUBLES)[number];

/** What users, GitOps, nodes and strangers do. */
export type Deed =
  | { kind: 'release'; canary: number; version: string; behaviour: Behaviour }
  | { kind: 'revert'; canary: number }
  | { kind: 'command'; canary: number; verb: string; isBound: boolean }
  | { kind: 'editSpec'; canary: number; spec: Json }
  | { kind: 'breakSpec'; canary: number; forMs: number }
  | { kind: 'suspend'; canary: number; forMs: number }
  | { kind: 'deleteCanary'; canary: number; againAfterMs: number }
  | { kind: 'pauseTarget'; canary: number; forMs: number }
  | { kind: 'resumeTarget'; canary: number }
  | { kind: 'scaleTarget'; canary: number; replicas: number }
  | { kind: 'deleteTarget'; canary: number; againAfterMs: number }
  | {
      kind: 'gitops';
      canary: number;
      what: 'replicas' | 'weights' | 'selector';
      everyMs: number;
      times: number;
    }
  | { kind: 'editRoute'; canary: number; how: 'weights' | 'stamp' | 'garbage' | 'delete' }
  | { kind: 'editService'; canary: number; arm: 'apex' | 'primary' | 'canary'; how: 'delete' | 'selector' }
  | { kind: 'editPrimary'; canary: number; how: 'delete' | 'template' | 'replicas' }
  | {
      kind: 'disturb';
      canary: number;
      arm: 'target' | 'primary';
      how: 'unready' | 'kill';
      forMs: number;
      share: number;
    }
  | { kind: 'traffic'; canary: number; traffic: TrafficKind };

/** `on`: not at its time, but at the first matching call from then on, before it arrives or after it was carried out. */
export type Item = { id: number; atMs: number } & (Fault | (Deed & { on?: OnCall & { moment: Moment } }));
