/**
 * What a metrics provider has read of the pods of a rehearsal: each pod at an interval, at a moment of its own, from its
 * first to its end. It keeps samples and answers nothing.
 */
import type { Clock } from '../../engine/clock.ts';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import type { ProcessStore } from '../api/inprocess.ts';
import { POD } from '../controllers/objects.ts';
import type { Chance } from '../simulation/chance.ts';
import type { PodCount } from './counts.ts';
import type { Users } from './users.ts';

export interface Scrapes {
  /** A pod has come. That it is gone is found out by the next scrape. */
  noticed(pod: KubernetesObject): void;
  /** The pods of this workload have been served and read for half an hour before now. */
  age(workload: string): void;
  of(workload: string, replicaSets: readonly string[]): [pod: string, Scraped][];
}

export interface ScrapesOptions {
  clock: Clock;
  store: ProcessStore;
  users: Pick<Users, 'countOf' | 'aged'>;
  scrapeMs: number;
  /** The longest window that will be asked for. */
  windowMs: number;
  chance: Chance;
}

export interface Sample extends PodCount {
  atMs: number;
}

/** One pod as the provider knows it. */
export interface Scraped {
  workload: string;
  replicaSet: string;
  startedAtMs: number;
  /** Oldest first. */
  samples: Sample[];
  /** The provider has found it gone: its series end here. */
  isGone: boolean;
}

export const MINUTE_MS = 60_000;
export const HISTORY_MINUTES = 30;
/** A sample is taken for the latest one for so long. */
const LOOKBACK_MS = 300_000;

export function createScrapes({ clock, store, users, scrapeMs, windowMs, chance }: ScrapesOptions): Scrapes {
  const pods = new Map<string, Scraped>();
  const keptMs = Math.max(HISTORY_MINUTES * MINUTE_MS + LOOKBACK_MS, windowMs) + scrapeMs;

  function read(name: string, { samples }: Scraped): void {
    const count = users.countOf(name);
    if (!count) return;
    const atMs = clock.now();
    samples.push({ atMs, ...count });
    while ((samples[0]?.atMs ?? atMs) < atMs - keptMs) samples.shift();
  }

  function of(workload: string, replicaSets: readonly string[]): [string, Scraped][] {
    return [...pods].filter(
      ([, one]) =>
        one.workload === workload && (replicaSets.length === 0 || replicaSets.includes(one.replicaSet)),
    );
  }

  return {
    of,
    noticed(pod) {
      const { name, namespace = '', labels, ownerReferences } = pod.metadata;
      if (pods.has(name)) return;
      const scraped: Scraped = {
        workload: labels?.['app'] ?? '',
        replicaSet: ownerReferences?.[0]?.name ?? '',
        startedAtMs: clock.now(),
        samples: [],
        isGone: false,
      };
      pods.set(name, scraped);
      const scrape = () => {
        scraped.isGone = store.get(POD, namespace, name) === undefined;
        if (scraped.isGone) return;
        read(name, scraped);
        clock.setTimer(scrape, scrapeMs);
      };
      clock.setTimer(scrape, chance.whole(1, scrapeMs));
    },
    age(workload) {
      const aged = of(workload, []);
      const nowMs = clock.now();
      for (const [name, one] of aged) {
        one.startedAtMs = nowMs - (HISTORY_MINUTES + 1) * MINUTE_MS;
        one.samples = Array.from({ length: HISTORY_MINUTES + 1 }, (_, index) => ({
          ...users.aged(name, aged.length, MINUTE_MS),
          atMs: nowMs - (HISTORY_MINUTES - index) * MINUTE_MS,
        }));
      }
    },
  };
}

/** As a query at this time finds it. */
export function latestBy({ samples }: Scraped, atMs: number): Sample | undefined {
  const sample = samples.findLast(one => one.atMs <= atMs);
  return sample && sample.atMs > atMs - LOOKBACK_MS ? sample : undefined;
}
