/** One process of many: plays the seeds that it is sent, one after the other, and answers what it saw of each. */
import { answerJobs } from '../processes.ts';
import { generatePlan } from './generate.ts';
import { type Outcome, simulate } from './simulate.ts';

export interface Answered
  extends Pick<Outcome, 'violation' | 'rollouts' | 'requests' | 'strikes' | 'simulatedMs' | 'hash'> {
  seed: number;
  /** Of the processor, in all of this seed. */
  cpuMs: number;
}

async function play(seed: number): Promise<Answered> {
  const startedAt = process.cpuUsage();
  const { violation, rollouts, requests, strikes, simulatedMs, hash } = await simulate(generatePlan(seed));
  const { user, system } = process.cpuUsage(startedAt);
  return { seed, cpuMs: (user + system) / 1_000, violation, rollouts, requests, strikes, simulatedMs, hash };
}

answerJobs(play);
