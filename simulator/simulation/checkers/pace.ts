/**
 * Invariant 9, in time: between two steps of one run the canary has its weight for an interval, whatever ticks come
 * twice, late, or from a process that was frozen on the way.
 */
import type { Json } from '../../api/json.ts';
import type { CanaryView } from '../witness.ts';
import type { Rule } from './checker.ts';
import { checkedMetricsOf, intervalMsOf, isAnalysing, isJudged, routeWrite, specsSince } from './reading.ts';

/** A step is timed from the decision, and lands after its requests. */
const SLACK_MS = 1_500;

/** A judge without checks beside it takes as long as it needs. */
function leastMsOf(spec: Json): number {
  return isJudged(spec) && checkedMetricsOf(spec).length === 0 ? 0 : intervalMsOf(spec);
}

export const pace: Rule = {
  name: 'pace',
  says: 'the canary keeps each weight for an interval before it is raised again',
  create(scene, report) {
    const raisedAtMs = new Map<CanaryView, number>();
    return {
      onChange(change, views, hand) {
        const write = routeWrite(change, views, hand);
        if (!write || write.after.canaryWeight <= (write.before?.canaryWeight ?? 0)) return;
        const { view, before, after } = write;
        const sinceMs = raisedAtMs.get(view) ?? 0;
        raisedAtMs.set(view, scene.now());
        if (
          !before ||
          before.canaryWeight === 0 ||
          before.run !== after.run ||
          !isAnalysing(view.status.current())
        )
          return;
        const leastMs = Math.min(...specsSince(view, sinceMs).map(leastMsOf)) - SLACK_MS;
        const passedMs = scene.now() - sinceMs;
        if (passedMs < leastMs - scene.clockSpreadMs(sinceMs))
          report(
            view,
            `the canary was raised from ${before.canaryWeight} to ${after.canaryWeight} % after ${passedMs} ms`,
          );
      },
    };
  },
};
