/**
 * How the judge and the guard get raw cumulative counters: of both arms at one evaluation time of the provider, and of the
 * primary over the last half hour. A reader never throws and takes no time from the engine's clock for the provider's.
 */
import type { ArmPods } from './analyzer.ts';
import type { Reading } from './judge/counters.ts';
import type { PodCounters } from './scrape/counters.ts';

/** The workload of one arm, as queries name it. */
export interface ArmScope {
  deployment: string;
  /** ReplicaSets of the revision that counts; empty: every pod of the Deployment. */
  replicaSets: readonly string[];
}

export interface CounterQuery {
  namespace: string;
  canary: ArmScope;
  primary: ArmScope;
  /** For readers that ask the pods themselves. */
  pods: ArmPods;
}

export type CounterAnswer =
  | {
      kind: 'reading';
      reading: Reading;
      /**
       * When the newest sample in it was taken (milliseconds since the epoch), where the provider can tell: the pace at
       * which new data comes.
       */
      sampledAtMs: number | undefined;
    }
  | { kind: 'providerError'; message: string };

export type HistoryAnswer =
  | { kind: 'history'; samples: readonly { atMs: number; pods: ReadonlyMap<string, PodCounters> }[] }
  /** The provider keeps none (scrape): what is read from now on has to do. */
  | { kind: 'none' }
  | { kind: 'providerError'; message: string };

export interface CounterReader {
  /** Both arms at one evaluation time. Never throws; bounded by the signal. */
  read(query: CounterQuery, signal: AbortSignal): Promise<CounterAnswer>;
  /** The primary's last 30 minutes in steps of 60 s. */
  history(query: CounterQuery, signal: AbortSignal): Promise<HistoryAnswer>;
}
