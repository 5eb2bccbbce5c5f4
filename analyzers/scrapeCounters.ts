/**
 * Raw counters without a metrics server: one look at the ready pods of both arms at the same moment, which checks and
 * looks between them share. It keeps nothing of its own, and there is no history but what is read from now on.
 */
import { unlessAborted } from './aborted.ts';
import type { Arm, ArmPods } from './analyzer.ts';
import type { CounterReader } from './counterReader.ts';
import { type Arms, IDLE_MS_MAX, identityOf, type Look, shortfallOf } from './scrape/arms.ts';
import type { PodCounters } from './scrape/counters.ts';

export interface ScrapeCountersOptions {
  arms: Arms;
  /** On every pod; for messages. */
  port: number;
}

export function createScrapeCounters({ arms, port }: ScrapeCountersOptions): CounterReader {
  async function lookAt(pods: ArmPods, arm: Arm): Promise<Look | undefined> {
    return pods[arm].length > 0 ? await arms.look(pods, arm, []) : undefined;
  }

  return {
    async read({ pods }, signal) {
      const late = `scrape: the pods were not read on port ${port} before the deadline`;
      if (signal.aborted) return { kind: 'providerError', message: late };
      arms.dropIdle(IDLE_MS_MAX);
      const looking = Promise.all([lookAt(pods, 'canary'), lookAt(pods, 'primary')]);
      const looks = await unlessAborted(looking, signal);
      if (!looks) return { kind: 'providerError', message: late };
      const [canary, primary] = looks.map(look => (look && !shortfallOf(look, port) ? look : undefined));
      const fresh = [canary, primary].filter(look => look !== undefined);
      if (fresh.length === 0) {
        const [look] = looks.filter(one => one !== undefined);
        const message = (look && shortfallOf(look, port)) ?? 'scrape: neither arm has a ready pod to read';
        return { kind: 'providerError', message };
      }
      // By then everything in it was counted. Of a look that somebody else made a little earlier nothing is new.
      const atMs = Math.min(...fresh.map(look => look.at));
      const reading = {
        atMs,
        canary: canary && countersOf(canary, pods, 'canary'),
        primary: primary && countersOf(primary, pods, 'primary'),
      };
      return { kind: 'reading', reading, sampledAtMs: Math.max(...fresh.map(look => look.at)) };
    },
    history: () => Promise.resolve({ kind: 'none' }),
  };
}

/** A pod that did not answer this time has what it counted until it last did; the rest comes with its next answer. */
function countersOf(look: Look, pods: ArmPods, arm: Arm): Map<string, PodCounters> {
  const seen = look.history.pods();
  const found = new Map<string, PodCounters>();
  for (const pod of pods[arm]) {
    const counters = seen.get(identityOf(pod));
    if (counters) found.set(pod.name, counters);
  }
  return found;
}
