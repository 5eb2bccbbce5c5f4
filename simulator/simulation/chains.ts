/**
 * Which requests of one process about one canary belong to one chain: each was asked at the moment that the answer to
 * the one before was there, as the writes of one decision are. What is decided anew begins another chain. It never looks
 * into a request: what is made anew has no name in its path, and is in no chain with what has.
 */
import { type Call, type CallKind, isAbout } from './calls.ts';
import type { CanaryPlan } from './plan.ts';

export interface Link {
  /** Name of the chain; no other process, nor a later life of this one, has it too. */
  chain: string;
  /** When its first request was asked, and up to when the process knew everything then. */
  sinceMs: number;
  knewAtMs: number;
  /** What the request before it in the chain was; undefined for the first. */
  after: CallKind | undefined;
}

export interface Chains {
  /** This request is asked now. */
  ask(call: Call, knewAtMs: number): Link;
  /** Its answer has reached the process now. */
  answer(call: Call, link: Link): void;
}

/** @param life name of the process in this life of it */
export function createChains(life: string, canaries: readonly CanaryPlan[], now: () => number): Chains {
  /** The last answer about each canary. */
  const answered = new Map<string, { link: Link; kind: CallKind; atMs: number }>();
  const keyOf = (call: Call) => `${call.namespace}/${canaries.findIndex(canary => isAbout(call, canary))}`;
  let begun = 0;
  return {
    ask(call, knewAtMs) {
      const last = answered.get(keyOf(call));
      if (last?.atMs === now()) return { ...last.link, after: last.kind };
      begun += 1;
      return { chain: `${life}/${begun}`, sinceMs: now(), knewAtMs, after: undefined };
    },
    answer(call, link) {
      answered.set(keyOf(call), { link, kind: call.kind, atMs: now() });
    },
  };
}
