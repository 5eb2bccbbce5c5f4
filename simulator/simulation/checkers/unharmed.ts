/**
 * A canary that never failed a request that the primary would not have failed, and was never slower, is not rolled back on evidence while the provider tells the
 * truth. Chance could do it to a real one, with a probability of alpha; the counts of a simulation are exact.
 */
import type { Item } from '../plan.ts';
import type { CanaryView } from '../witness.ts';
import type { Rule, Scene } from './checker.ts';
import { withoutEvidence } from './ending.ts';
import { judgeModeOf, routeWrite, runOf, specsSince, versionOf } from './reading.ts';

export const unharmed: Rule = {
  name: 'unharmed',
  says: 'evidence never ends the run of a canary that is no worse than the primary, unless the provider lied',
  create(scene, report) {
    return {
      onChange(change, views, hand) {
        const write = routeWrite(change, views, hand);
        if (!write || write.after.end !== 'failed' || (write.before?.canaryWeight ?? 0) === 0) return;
        const { view, after } = write;
        if (view.isDeleting || !withoutEvidence(scene, view, after, hand)) return;
        const sinceMs = view.runSinceMs.get(after.run) ?? scene.startMs;
        if (!isGood(scene, view, after.run)) return;
        if (struck(scene, view, sinceMs, item => item.kind === 'metrics' && item.how === 'bad')) return;
        // Held against the user's own bounds alone it is not excused by what the primary suffers too.
        const isAlone = specsSince(view, sinceMs).some(spec => judgeModeOf(spec) === 'slo');
        if (isAlone && struck(scene, view, sinceMs, item => item.kind === 'incident')) return;
        report(view, `run ${after.run} was ended on evidence, and its revision never failed a request`);
      },
    };
  },
};

/** No worse than anything that the primary has run since. */
function isGood(scene: Scene, view: CanaryView, run: string): boolean {
  const version = versionOf(view, runOf(run)?.revision);
  const behaviour = version && scene.behaviourOf(view.index, version);
  if (!behaviour || behaviour.errorPercent > 0) return false;
  const sinceMs = view.runSinceMs.get(run) ?? scene.startMs;
  return view.primary.during(sinceMs).every(primary => {
    const beside = scene.behaviourOf(view.index, primary.version);
    return beside !== undefined && behaviour.latencyMs <= beside.latencyMs;
  });
}

/** Whether such a fault lasted at some moment since. */
function struck(scene: Scene, view: CanaryView, sinceMs: number, isSuch: (item: Item) => boolean): boolean {
  return scene.plan.items.some(
    item =>
      'forMs' in item &&
      'canary' in item &&
      item.canary === view.index &&
      isSuch(item) &&
      scene.startMs + item.atMs <= scene.now() &&
      scene.startMs + item.atMs + item.forMs >= sinceMs,
  );
}
