/**
 * Tells an analyzer that keeps its own history whose pods to look at, and only while their canary is under analysis: from
 * before the first traffic of a run, so that there is something to compare the first check with, to its end. It reads
 * caches alone.
 */
import type { CanaryStatus } from '../api/status.ts';
import { isRunning } from '../core/facts.ts';
import { isPinned } from '../core/readiness.ts';
import type { Analyzer, Arm, Followed } from '../../analyzers/analyzer.ts';
import { podsOf } from './measure.ts';
import { observe } from './observe.ts';
import type { World } from './world.ts';

export interface FollowOptions {
  world(): World;
  /** The one that answers built-in metrics of canaries that name no server of their own. */
  analyzer: Analyzer;
  /** Whether this replica makes checks. */
  isActive(): boolean;
}

/** @returns what is called with a canary's key (`namespace/name`) whenever it may have come under analysis */
export function createFollow(options: FollowOptions): (key: string) => void {
  const { analyzer } = options;

  function watch(key: string): Followed | undefined {
    const [namespace = '', name = ''] = key.split('/');
    const world = options.world();
    const phase = world.stores.canaries.get(namespace, name)?.status?.phase;
    // Most canaries are idle: for them this line is all.
    if (phase === undefined || !isRunning(phase) || !options.isActive()) return undefined;
    const sight = observe(world, namespace, name, {
      obstacles: [],
      troubles: [],
      judgement: undefined,
      lastAccepted: undefined,
    });
    if (sight.kind !== 'seen' || sight.sighting.canary.spec.metricsServer !== undefined) return undefined;
    const { observation } = sight.sighting;
    const { settings, status } = observation;
    const windowsMs = settings.metrics.filter(one => one.kind !== 'custom').map(one => one.windowMs);
    const judged = settings.suspend || settings.skipAnalysis ? [] : judgedArms(status);
    if (windowsMs.length === 0 || judged.length === 0) return undefined;
    // Until it is pinned the target may have pods of an earlier revision, whose answers are not this one's.
    const isOwn = isPinned(observation, status.run?.revision ?? '');
    const arms = judged.filter(arm => arm === 'primary' || isOwn);
    return { pods: podsOf(world, sight.sighting), arms, windowsMs };
  }

  return key => analyzer.follow?.(key, () => watch(key));
}

/** Whose metrics may be asked for next. A primary counts from when all its pods are of the promoted revision. */
export function judgedArms(status: CanaryStatus): Arm[] {
  if (status.phase === 'Progressing' || status.phase === 'WaitingPromotion') return ['canary'];
  if (status.phase !== 'Promoting') return [];
  switch (status.stage) {
    case undefined:
    case 'primary':
      return ['canary'];
    case 'shift':
      return ['canary', 'primary'];
    case 'bake':
      return ['primary'];
    case 'back':
    case 'skip':
      return [];
    default:
      return status.stage satisfies never;
  }
}
