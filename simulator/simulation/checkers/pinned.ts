/**
 * Every raise needs the engine's own pause of the target and pods of the run's revision only, so that no edit can put
 * an unjudged template behind a live weight; and the template is stored before.
 */
import type { CanaryView, PodCounts } from '../witness.ts';
import type { Rule } from './checker.ts';
import { knownSince, routeWrite, runOf, versionOf } from './reading.ts';

export const pinned: Rule = {
  name: 'pinned',
  says: "traffic rises only on a target that the engine has paused and that runs only the run's stored revision",
  create: (_scene, report) => ({
    onChange(change, views, hand) {
      const write = routeWrite(change, views, hand);
      if (!write || write.view.isDeleting) return;
      const { view, before, after } = write;
      if (after.canaryWeight <= (before?.canaryWeight ?? 0)) return;
      const fromMs = knownSince(hand);
      const why = loose(view, fromMs, runOf(after.run)?.revision ?? '');
      if (why) report(view, `the canary was raised to ${after.canaryWeight} %: ${why}`);
    },
  }),
};

function loose(view: CanaryView, fromMs: number, revision: string): string | undefined {
  if (!view.target.held(fromMs, target => target.pausedBy === 'engine'))
    return 'the engine had not paused the target';
  const version = versionOf(view, revision) ?? '';
  if (!view.targetPods.held(fromMs, pods => runsOnly(pods, version)))
    return `the target ran other pods than ${version}`;
  if (!view.stored.has(revision)) return `the template of ${revision} is not stored`;
  return undefined;
}

function runsOnly(pods: PodCounts, version: string): boolean {
  const there = [...pods].filter(([, count]) => count.total > 0);
  return there.length === 1 && there[0]![0] === version;
}
