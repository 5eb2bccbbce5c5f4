/** The parts of one in-memory API server, and the knobs that tests may turn while it runs. */
import type { Access } from './access.ts';
import type { WriteContext } from './context.ts';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import type { Registry } from './registry.ts';
import type { WatchHub } from './watch.ts';

export interface Knobs {
  /** How often a watch that asked for them gets a bookmark, in milliseconds; the real server's pace is about a minute. */
  bookmarkIntervalMs: number;
  /** Duration of a watch without `timeoutSeconds`, in milliseconds; the real server takes 30 to 60 minutes. */
  watchTimeoutMs: number;
}

export interface Server extends WriteContext {
  registry: Registry;
  access: Access;
  watches: WatchHub;
  knobs: Knobs;
  /** Lists that are being paged through: what a continue token refers to. */
  pages: Map<string, { table: string; revision: number; items: KubernetesObject[] }>;
}
