/** Nothing rises against a person's word: a paused run, a suspended Canary, a target that its user has paused. */
import type { Rule } from './checker.ts';
import { isAnalysing, knownSince, routeWrite, statusWrite } from './reading.ts';

export const holds: Rule = {
  name: 'holds',
  says: 'no weight rises while the run is paused or the Canary suspended, and nothing is judged then',
  create: (scene, report) => ({
    onChange(change, views, hand) {
      const write = routeWrite(change, views, hand);
      if (write && write.after.canaryWeight > (write.before?.canaryWeight ?? 0) && !write.view.isDeleting) {
        const { view, after } = write;
        const fromMs = knownSince(view, hand, after.epoch);
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
