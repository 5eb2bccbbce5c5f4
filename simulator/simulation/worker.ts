/** One process of many: plays the seeds that it is sent, one after the other, and answers what it saw of each. */
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

process.on('message', (seed: number) => {
  void play(seed).then(
    answered => process.send?.(answered),
    (error: unknown) => {
      process.stderr.write(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});

// Nobody is left to answer to.
process.on('disconnect', () => process.exit(0));
