/**
 * What is rehearsed, as data that can be sent to another process: a Canary under one rule, its traffic, and what goes
 * wrong. Shares are 0 to 1, times milliseconds.
 */
import type { Json } from '../api/json.ts';

export interface Scenario {
  namespace: string;
  name: string;
  /** As the engine of the rehearsal gets it. */
  spec: Json;
  traffic: Traffic;
  /** A run that has not ended so long after its release is held. */
  endsAfterMs: number;
}

export interface Traffic {
  /** Requests a second of both arms. */
  rps: number;
  /** Of each arm. */
  pods: number;
  /** How often the metrics provider reads each pod. */
  scrapeMs: number;
  primary: Release;
  canary: Release;
  /** The canary is like the primary for so long after its first traffic. */
  breaksAfterMs: number;
  incident: Incident | undefined;
}

/** How a release answers. */
export interface Release {
  /** Share of the requests that fails. */
  failing: number;
  latency: Latency;
}

/** Lognormal. */
export interface Latency {
  medianMs: number;
  /** The slowest 1 % take at least so many times the median; above 1. */
  spread: number;
}

/** What happens to both arms; times count from the canary's first traffic. */
export interface Incident {
  fromMs: number;
  forMs: number;
  /** Of the requests that would not fail anyway. */
  failing: number;
}

/** How one rehearsal went. */
export interface Rehearsed {
  outcome: 'rolledBack' | 'promoted' | 'held';
  /** Who ended it, where it was rolled back; `other`: e.g. pods that do not become ready. */
  by: 'judge' | 'guard' | 'checks' | 'deadline' | 'other' | undefined;
  /** What people are told last: a constant of `engine/api/reasons.ts`, and its sentence. */
  reason: string;
  message: string;
  /** From the canary's first traffic until its last, until every step had passed, or until it was given up. */
  ms: number;
  /** Of users, in that time. */
  requests: number;
  /** Failed in the new release's pods. */
  failed: number;
  /** Failed anywhere. */
  failedAnywhere: number;
}
