/**
 * A canary that never failed a request and was never slow is not rolled back on evidence while the provider tells the
 * truth. Chance could do it to a real one, with a probability of alpha; the counts of a simulation are exact.
 */
import type { CanaryView } from '../witness.ts';
import type { Rule, Scene } from './checker.ts';
import { withoutEvidence } from './ending.ts';
import { routeWrite, runOf, versionOf } from './reading.ts';

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
        if (!isGood(scene, view, after.run) || wasLiedTo(scene, view, sinceMs)) return;
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

function wasLiedTo(scene: Scene, view: CanaryView, sinceMs: number): boolean {
  return scene.plan.items.some(
    item =>
      item.kind === 'metrics' &&
      item.canary === view.index &&
      item.how === 'bad' &&
      scene.startMs + item.atMs <= scene.now() &&
      scene.startMs + item.atMs + item.forMs >= sinceMs,
  );
}
