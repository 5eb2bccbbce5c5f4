/**
 * What must not wait: once nothing is amiss with one engine, traffic leaves a canary within seconds when it is lost, reverted, replaced,
 * aborted, no longer the judged revision, or given more than was recorded.
 */
import type { Json } from '../../api/json.ts';
import type { CanaryView } from '../witness.ts';
import type { Rule } from './checker.ts';
import { isAnalysing, runOf, versionOf } from './reading.ts';

/** From the last trouble on: caches catch up, watches that were given up come back, back-offs end. */
const CALM_MS = 100_000;
/** From the event to the route, with a wide margin over watch, decision and write. */
const BOUND_MS = 5_000;

const REASONS: Readonly<Record<string, (view: CanaryView, status: Json) => boolean>> = {
  'it has no ready endpoint': view => view.endpoints.canary.current() === 0,
  'the target is back at the last good revision': (view, status) =>
    isAnalysing(status) &&
    view.target.current().version === versionOf(view, status.lastGood?.hash) &&
    !isGood(view, status),
  'the target has another revision': (view, status) =>
    isAnalysing(status) &&
    view.target.current().exists &&
    runVersion(view) !== undefined &&
    view.target.current().version !== runVersion(view),
  'it was aborted': (view, status) => {
    const last = view.commands.at(-1);
    return (
      isAnalysing(status) &&
      last?.verb === 'abort' &&
      last.revision === status.run?.revision &&
      last.atMs >= (view.runSinceMs.get(status.run?.id) ?? Number.POSITIVE_INFINITY)
    );
  },
  'it runs other pods than those that are judged': view => {
    const there = [...view.targetPods.current()].filter(([, count]) => count.ready > 0);
    return runVersion(view) !== undefined && there.some(([version]) => version !== runVersion(view));
  },
  'its route has no stamp that could be read': view => runVersion(view) === undefined,
  'more was routed than recorded': (view, status) =>
    view.route.current().canaryWeight > (status.canaryWeight ?? 0),
  'the run has failed': (_view, status) =>
    ['Failed', 'Succeeded', 'Initialized', 'Finalising'].includes(status.phase),
};

export const reaction: Rule = {
  name: 'reaction',
  says: `in calm, traffic leaves a lost, reverted, replaced or aborted canary within ${BOUND_MS / 1_000} s`,
  create(scene, report) {
    const sinceMs = new Map<string, number>();

    function look(view: CanaryView): void {
      const status = view.status.current();
      const mayMove =
        view.uid !== undefined &&
        !view.isDeleting &&
        view.weight.current() > 0 &&
        view.endpoints.primary.current() > 0 &&
        status.phase !== undefined;
      for (const [reason, isSo] of Object.entries(REASONS)) {
        const key = `${view.index} ${reason}`;
        if (!mayMove || !isSo(view, status)) {
          sinceMs.delete(key);
          continue;
        }
        const firstMs = sinceMs.get(key) ?? scene.now();
        sinceMs.set(key, firstMs);
        const beganMs = Math.max(firstMs, scene.unhamperedSinceMs() + CALM_MS);
        if (scene.now() - beganMs > BOUND_MS)
          report(
            view,
            `the canary keeps ${view.weight.current()} % although ${reason}, for ${scene.now() - firstMs} ms`,
          );
      }
    }

    return {
      onChange(_change, views) {
        for (const view of views) look(view);
      },
      onPulse() {
        for (const view of scene.witness.canaries) look(view);
      },
    };
  },
};

function runVersion(view: CanaryView): string | undefined {
  return versionOf(view, runOf(view.route.current().run)?.revision);
}

function isGood(view: CanaryView, status: Json): boolean {
  return runVersion(view) === versionOf(view, status.lastGood?.hash);
}
