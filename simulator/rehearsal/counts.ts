/**
 * What the proxies beside the pods of a rehearsal have counted: whole requests, how many failed, and how long they took,
 * drawn at random. It knows pods by their names only, and no route.
 */
import { binomial, type Uniform } from '../judging/draws.ts';
import { nested, shareAbove } from '../judging/streams.ts';
import { LINKERD_LATENCY_BUCKETS_MS } from '../world/podmetrics.ts';
import type { Latency, Traffic } from './scenario.ts';

/** Of one pod: cumulative. */
export interface PodCount {
  succeeded: number;
  failed: number;
  /** Answers that took at most as long, one for each of `UPPERS_MS`. */
  within: readonly number[];
}

export interface Counts {
  /**
   * This pod has answered so many requests as that release does.
   * @param failing share that fails
   * @returns how many of them failed
   */
  serve(pod: string, requests: number, who: 'primary' | 'canary', failing: number): number;
  /** Undefined: nothing. */
  of(pod: string): PodCount | undefined;
}

export const UPPERS_MS: readonly number[] = [...LINKERD_LATENCY_BUCKETS_MS, Number.POSITIVE_INFINITY];
/** Of the standard normal distribution. */
const QUANTILE_99 = 2.3263478740408408;
export const NO_COUNT: PodCount = { succeeded: 0, failed: 0, within: UPPERS_MS.map(() => 0) };

export function createCounts({ primary, canary }: Traffic, random: Uniform): Counts {
  const counts = new Map<string, PodCount>();
  const slow = { primary: slowShares(primary.latency), canary: slowShares(canary.latency) };
  return {
    serve(pod, requests, who, failing) {
      const failed = binomial(requests, failing, random);
      const slower = nested(requests, slow[who], random);
      const before = counts.get(pod) ?? NO_COUNT;
      counts.set(pod, {
        succeeded: before.succeeded + requests - failed,
        failed: before.failed + failed,
        within: before.within.map((sofar, index) => sofar + requests - (slower[index] ?? 0)),
      });
      return failed;
    },
    of: pod => counts.get(pod),
  };
}

/** Share of requests above each finite bound. */
function slowShares({ medianMs, spread }: Latency): number[] {
  const sigma = Math.log(spread) / QUANTILE_99;
  return LINKERD_LATENCY_BUCKETS_MS.map(boundMs => shareAbove(boundMs, medianMs, sigma));
}
