/** Nothing rises against a person's word: a paused or aborted run, a suspended Canary. */
import type { Rule } from './checker.ts';
import { isAnalysing, knownSince, routeWrite, runOf, statusWrite } from './reading.ts';

export const holds: Rule = {
  name: 'holds',
  says: 'no weight rises and nothing is promoted once the run is paused or aborted, or the Canary suspended',
  create: (scene, report) => ({
    onChange(change, views, hand) {
      const write = routeWrite(change, views, hand);
      if (write && write.after.canaryWeight > (write.before?.canaryWeight ?? 0) && !write.view.isDeleting) {
        const { view, after } = write;
        const fromMs = knownSince(hand);
        const record = (view.statuses.get(after.epoch) ?? []).at(-1);
        if (record && !isAnalysing(record.status)) return;
        if (
          view.status
            .during(fromMs)
            .every(
              status =>
                status.paused?.revision !== undefined && status.paused.revision === status.run?.revision,
            )
        )
          report(view, `the canary was raised to ${after.canaryWeight} % while the run was paused`);
        const last = view.commands.at(-1);
        const runSinceMs = view.runSinceMs.get(after.run) ?? scene.now();
        const isAborted = last?.verb === 'abort' && last.revision === runOf(after.run)?.revision;
        if (isAborted && last.atMs >= runSinceMs && last.atMs < fromMs)
          report(view, `the canary was raised to ${after.canaryWeight} % after its run had been aborted`);
        if (
          view.specs
            .filter((_one, index) => (view.specs[index + 1]?.atMs ?? scene.now()) >= fromMs)
            .every(one => one.spec.suspend)
        )
          report(view, `the canary was raised to ${after.canaryWeight} % while the Canary was suspended`);
      }
      const status = statusWrite(change, views, hand);
      if (!status || status.before.phase === status.after.phase) return;
      if (
        status.after.phase === 'Promoting' &&
        status.before.paused &&
        status.before.paused.revision === status.before.run?.revision
      ) {
        const isCommanded = status.view.commands.some(
          one => one.verb === 'promote' && one.revision === status.after.run?.revision,
        );
        if (!isCommanded) report(status.view, 'a paused run was promoted');
      }
    },
  }),
};
