/**
 * Every scenario of one scheduler, on one stage: first with trouble for engines of some namespaces, then with two healthy
 * replicas for all.
 */
import { afterAll, beforeAll, describe } from 'vitest';
import { rawCounters } from './counters.ts';
import { crashes } from './crashes.ts';
import { deletions } from './deletions.ts';
import { otherWriters } from './otherWriters.ts';
import { metricsOutage, redisOutages } from './outages.ts';
import { releases } from './releases.ts';
import { services } from './services.ts';
import { type RunningStage, type SchedulerName, startStage } from './stage.ts';

export function describeRollouts(scheduler: SchedulerName): void {
  let running: RunningStage | undefined;
  const stage = (): RunningStage => {
    if (!running) throw new Error('the stage has not started');
    return running;
  };
  beforeAll(async () => {
    running = await startStage(scheduler);
  });
  afterAll(async () => {
    await running?.stop();
  });

  describe('engines of some namespaces, in trouble', () => {
    crashes(stage);
    metricsOutage(stage);
    if (scheduler === 'BullMQ') redisOutages(stage);
  });

  describe('two replicas of the whole cluster: a release', () => {
    beforeAll(async () => {
      await Promise.all(['one', 'two'].map(name => stage().engine({ name })));
    });
    afterAll(async () => {
      await Promise.all(stage().engines.map(engine => engine.kill()));
    });
    releases(stage);
    // The scheduler has no part in it.
    if (scheduler === 'in-process') rawCounters(stage);
    deletions(stage);
    otherWriters(stage);
    services(stage);
  });
}
