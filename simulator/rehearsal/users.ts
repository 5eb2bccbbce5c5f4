/**
 * The users of a rehearsal: their requests follow the route as it is in the store, and fail as the release that answers
 * them does at that time. It never looks at an engine or at its status.
 */
import type { Clock } from '../../engine/clock.ts';
import type { ProcessStore } from '../api/inprocess.ts';
import { poisson, type Uniform } from '../judging/draws.ts';
import { createLegs, type Leg } from '../simulation/legs.ts';
import type { Pods } from '../simulation/pods.ts';
import { createCounts, NO_COUNT, type PodCount } from './counts.ts';
import type { Traffic } from './scenario.ts';

export interface Tally {
  requests: number;
  /** In pods of the new release. */
  failed: number;
  failedAnywhere: number;
}

export interface Users {
  /** From now on they send requests. */
  begin(): void;
  /** Follows the route anew; after each change of it. */
  look(): void;
  /** What this pod has counted up to now; undefined: nothing. */
  countOf(pod: string): PodCount | undefined;
  /** What it has counted after so much more time with its share of the primary's traffic. */
  aged(pod: string, pods: number, forMs: number): PodCount;
  /** When the new release got its first traffic. */
  touchedAtMs(): number | undefined;
  /** When it got none any more, and what had happened since its first. */
  left(): { atMs: number; tally: Tally } | undefined;
  /** Everything since its first traffic, up to now. */
  tally(): Tally;
}

export interface UsersOptions {
  clock: Clock;
  store: ProcessStore;
  pods: Pods;
  apex: { namespace: string; apex: string };
  /** Version of the new release. */
  version: string;
  traffic: Traffic;
  random: Uniform;
}

export function createUsers(options: UsersOptions): Users {
  const { clock, traffic, version, random } = options;
  const follow = createLegs(options);
  const counts = createCounts(traffic, random);
  let legs: { leg: Leg; sinceMs: number }[] = [];
  let hasBegun = false;
  let touchedAtMs: number | undefined;
  let left: { atMs: number; tally: Tally } | undefined;
  let tally: Tally = { requests: 0, failed: 0, failedAnywhere: 0 };

  /** What one leg has carried since it was asked last. Nothing that matters to it has changed meanwhile. */
  function accrue(one: { leg: Leg; sinceMs: number }): void {
    const { leg, sinceMs } = one;
    one.sinceMs = clock.now();
    const requests = poisson(traffic.rps * leg.share * ((clock.now() - sinceMs) / 1_000), random);
    if (requests === 0) return;
    const isNew = leg.version === version;
    const agoMs = sinceMs - (touchedAtMs ?? Infinity);
    const who = isNew && agoMs >= traffic.breaksAfterMs ? 'canary' : 'primary';
    const isAnswered = leg.version !== '';
    const failed = isAnswered
      ? counts.serve(leg.pod, requests, who, failingOf(traffic, who, agoMs))
      : requests;
    if (touchedAtMs === undefined) return;
    tally = {
      requests: tally.requests + requests,
      failed: tally.failed + (isNew ? failed : 0),
      failedAnywhere: tally.failedAnywhere + failed,
    };
  }

  function accrueAll(): void {
    for (const one of legs) accrue(one);
  }

  function look(): void {
    if (!hasBegun) return;
    accrueAll();
    const sinceMs = clock.now();
    legs = follow(options.apex).map(leg => ({ leg, sinceMs }));
    const isTouched = legs.some(({ leg }) => leg.version === version);
    if (isTouched) left = undefined;
    else if (touchedAtMs !== undefined) left ??= { atMs: sinceMs, tally };
    if (!isTouched || touchedAtMs !== undefined) return;
    touchedAtMs = sinceMs;
    for (const inMs of changesOf(traffic)) clock.setTimer(accrueAll, inMs);
  }

  return {
    begin() {
      hasBegun = true;
      look();
    },
    look,
    countOf(pod) {
      for (const one of legs) if (one.leg.pod === pod) accrue(one);
      return counts.of(pod);
    },
    aged(pod, pods, forMs) {
      const requests = poisson((traffic.rps / pods) * (forMs / 1_000), random);
      counts.serve(pod, requests, 'primary', traffic.primary.failing);
      return counts.of(pod) ?? NO_COUNT;
    },
    touchedAtMs: () => touchedAtMs,
    left: () => left,
    tally() {
      accrueAll();
      return tally;
    },
  };
}

/** Share that fails at a time after the first traffic of the new release. */
function failingOf(traffic: Traffic, who: 'primary' | 'canary', agoMs: number): number {
  const { incident } = traffic;
  const { failing } = traffic[who];
  const isIncident = incident && agoMs >= incident.fromMs && agoMs < incident.fromMs + incident.forMs;
  return isIncident ? 1 - (1 - failing) * (1 - incident.failing) : failing;
}

/** Times at which something changes without a change in the store. */
function changesOf({ breaksAfterMs, incident }: Traffic): number[] {
  return [breaksAfterMs, ...(incident ? [incident.fromMs, incident.fromMs + incident.forMs] : [])];
}
