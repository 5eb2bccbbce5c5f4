/**
 * Invariant 7: a target that is back at the promoted revision, or has a newer one, is no reason to go on with the old
 * run; and a new run begins at weight 0.
 */
import type { Rule } from './checker.ts';
import { isAnalysing, knownSince, routeWrite, runOf, versionOf } from './reading.ts';

export const revision: Rule = {
  name: 'revision',
  says: "traffic rises only for the revision that the target's template has, and each run begins at weight 0",
  create: (_scene, report) => ({
    onChange(change, views, hand) {
      const write = routeWrite(change, views, hand);
      if (!write || write.view.isDeleting) return;
      const { view, before, after } = write;
      if (after.canaryWeight <= (before?.canaryWeight ?? 0)) return;
      if (before && before.canaryWeight > 0 && before.run !== after.run)
        return report(
          view,
          `run ${after.run} was raised from the ${before.canaryWeight} % of run ${before.run}`,
        );
      const record = (view.statuses.get(after.epoch) ?? []).at(-1);
      // A promotion goes on to its own end; the next revision waits.
      if (record && !isAnalysing(record.status)) return;
      const version = versionOf(view, runOf(after.run)?.revision);
      if (!view.target.held(knownSince(hand), target => target.version === version))
        report(
          view,
          `${version} was raised to ${after.canaryWeight} % while the target has ${view.target.current().version}`,
        );
    },
  }),
};
