/** Plays seeds in as many processes as there are processors; what one seed does cannot touch another. */
import { join } from 'node:path';
import { playJobs, type ProcessesOptions } from '../processes.ts';
import type { Answered } from './worker.ts';

/** Resolves when every seed was answered. Rejects when a process dies. */
export async function playSeeds(options: Omit<ProcessesOptions<number, Answered>, 'worker'>): Promise<void> {
  await playJobs({ ...options, worker: join(import.meta.dirname, 'worker.ts') });
}
