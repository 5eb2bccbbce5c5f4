/**
 * The steps by which tests of the core live through an abstract world: a tick, ticks until something holds, a world that
 * has been adopted. They hold no rule and check nothing by themselves.
 */
import { type AbstractWorld, createAbstractWorld, testSettings } from './abstractWorld.ts';
import { decide } from './decide.ts';

/** Ticks, rolls the workloads and lets time pass until `isDone`, or fails with the log. */
export function runUntil(world: AbstractWorld, isDone: () => boolean, steps = 400): void {
  for (let step = 0; step < steps; step++) {
    if (isDone()) return;
    tick(world);
    world.settleWorkloads();
    world.advance(1_000);
  }
  throw new Error(
    `not reached: ${world.status.phase}/${world.status.stage}\n${world.log.slice(-30).join('\n')}`,
  );
}

/** One tick as the shell does it: queries between two decisions. `crashAfter` actions the process dies. */
export function tick(world: AbstractWorld, crashAfter?: number): void {
  const seen = world.observe();
  const decision = decide(seen);
  if (decision.measure) {
    world.measure(decision.measure);
    const again = world.observe();
    world.execute(decide(again), again, crashAfter);
    world.forgetJudgement();
    return;
  }
  world.execute(decision, seen, crashAfter);
}

/** A world whose workload has been taken over and that is at rest. */
export function adopted(settings = testSettings): AbstractWorld {
  const world = createAbstractWorld(settings);
  runUntil(world, () => world.status.phase === 'Initialized' && world.target.replicas === 0);
  return world;
}

export const phaseIs = (world: AbstractWorld, phase: string) => () => world.status.phase === phase;
