/** One process of many: plays the rehearsals that it is sent, one after the other. */
import { answerJobs } from '../processes.ts';
import type { Rehearsal } from './company.ts';
import { rehearse } from './rehearse.ts';

answerJobs(async ({ index, scenario, seed }: Rehearsal) => ({
  index,
  rehearsed: await rehearse(scenario, seed),
}));
