/**
 * What judges: the words that metric providers and the verdict share. A provider is a pure pair, `request` and
 * `measure`; the shell fetches. Zero successes among n > 0 requests are 0 %, never "no data".
 */
import type { CounterReader } from './counterReader.ts';

/** The answer to one metric query. */
export type Measurement =
  | {
      kind: 'value';
      value: number /** How many requests or points it was computed from, where the provider can tell. */;
      sampleCount?: number;
    }
  | { kind: 'noData'; message: string }
  | { kind: 'providerError'; message: string };

/** What a metric measurement is compared with. Bounds are inclusive: a value equal to a bound passes. */
export interface ThresholdRange {
  min?: number;
  max?: number;
}

/** Everything that a query may name: Flagger's template functions. */
export interface QueryVariables {
  name: string;
  namespace: string;
  target: string;
  service: string;
  ingress: string;
  route: string;
  /** A Go duration as Prometheus reads it, e.g. `1m`. */
  interval: string;
  variables: Record<string, string>;
}

/** One metric of one canary, resolved: templates rendered, secrets read, provider chosen. */
export interface MetricQuery {
  /** The metric's name in the Canary. */
  metric: string;
  kind: 'request-success-rate' | 'request-duration' | 'custom';
  /** The rendered query; undefined for a built-in metric of an analyzer that needs none (scrape). */
  query: string | undefined;
  /** Which workload's pods are measured, for analyzers that ask the pods themselves. Default: the canary's. */
  arm?: Arm;
  /** Length of the window in milliseconds. */
  windowMs: number;
  /** For analyzers that keep their own history: to know less of the window than this is no data. Default: any. */
  leastWindowMs?: number;
}

export type Arm = 'canary' | 'primary';

/** Which pods are the canary's and the primary's, for analyzers that ask the pods themselves. */
export interface ArmPods {
  /** Names the run that they belong to: what was counted in one run says nothing about another. */
  history: string;
  canary: PodAddress[];
  primary: PodAddress[];
}

export interface PodAddress {
  name: string;
  ip: string;
}

/** What an analyzer that keeps its own history has to look at between two checks of one canary. */
export interface Followed {
  pods: ArmPods;
  /** Those that may be measured next. */
  arms: readonly Arm[];
  /** Lengths of the windows that will be asked for, milliseconds; not empty. */
  windowsMs: readonly number[];
}

/**
 * Answers the metrics of one canary. Never throws: a failure is a `providerError` whose message names what was asked
 * and never a secret. Results are in the order of `queries`. Bounded by the caller's signal.
 */
export interface Analyzer {
  readonly provider: string;
  /** Raw counters for the judge and the guard. Absent: the provider has none. */
  readonly counters?: CounterReader;
  measure(queries: MetricQuery[], pods: ArmPods, signal: AbortSignal): Promise<Measurement[]>;
  /**
   * For analyzers whose provider keeps no history. Called whenever the canary of this key may have come under analysis;
   * `watch` says what to look at now, and answers undefined when the analysis is over. Returns at once, never throws.
   */
  follow?(key: string, watch: () => Followed | undefined): void;
}
