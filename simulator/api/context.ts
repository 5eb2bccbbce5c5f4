/** What every write needs of the server around it. */
import type { Clock } from '../../engine/clock.ts';
import type { Random } from './random.ts';
import type { Storage } from './storage.ts';

export interface WriteContext {
  clock: Clock;
  random: Random;
  storage: Storage;
  /** How many ClusterIPs were given out. */
  addresses: { next: number };
  /** A declared difference, off unless asked for: pods that are servers on loopback may be published. */
  allowsLoopbackEndpoints: boolean;
}

/** The time as the server writes it into objects: whole seconds. */
export function timestamp(clock: Clock, laterByMs = 0): string {
  return new Date(clock.now() + laterByMs).toISOString().replace(/\.\d+Z$/, 'Z');
}
