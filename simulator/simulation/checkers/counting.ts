/**
 * Invariant 9: a tick that comes twice counts nothing twice: each failed or passed check that is counted was made. And
 * as many failed checks as the spec allows are the end of a run.
 */
import type { Verdict } from '../verdicts.ts';
import type { Rule } from './checker.ts';
import { isAnalysing, knownSince, specsSince, statusWrite, unreadChecks } from './reading.ts';

export const counting: Rule = {
  name: 'counting',
  says: 'failed checks and iterations are counted once for each check that was made, and end a run in time',
  create(scene, report) {
    return {
      onChange(change, views, hand) {
        const status = statusWrite(change, views, hand);
        if (!status) return;
        const { view, before, after } = status;
        const run: string = after.run?.id ?? '';
        const sinceMs = view.runSinceMs.get(run) ?? scene.now();
        const batches = scene.verdicts.batchesSince(view, sinceMs - 1_000);
        const count = (verdict: Verdict) => batches.filter(batch => batch.verdicts.has(verdict)).length;
        const known = view.specs.map(one => one.spec);
        const failed = count('fail') + unreadChecks(scene, view, sinceMs, known).failed;
        if ((after.failedChecks ?? 0) > failed)
          report(view, `${after.failedChecks} failed checks are counted and ${failed} failed`);
        const specs = specsSince(view, knownSince(hand));
        const threshold = Math.max(...specs.map(spec => Math.max(1, spec.analysis?.threshold ?? 1)));
        const hasFailedAgain =
          after.run?.id === before.run?.id && (after.failedChecks ?? 0) > (before.failedChecks ?? 0);
        if (hasFailedAgain && after.failedChecks >= threshold && isAnalysing(after))
          report(
            view,
            `${after.failedChecks} checks have failed, ${threshold} are allowed, and the run goes on`,
          );
        const hasMetrics = view.specs.every(one => (one.spec.analysis?.metrics ?? []).length > 0);
        if (hasMetrics && (after.iterations ?? 0) > count('pass'))
          report(view, `${after.iterations} passed checks are counted and ${count('pass')} passed`);
      },
    };
  },
};
