/**
 * Invariant 5: a workload is scaled down, and the target un-paused, only when the route has sent it nothing for the drain
 * time, and never while it is the only ready arm.
 */
import type { StoreChange } from '../../api/inprocess.ts';
import type { Json } from '../../api/json.ts';
import type { Hand } from '../hands.ts';
import type { CanaryView } from '../witness.ts';
import type { Report, Rule, Scene } from './checker.ts';
import { knownSince } from './reading.ts';

/** The API server dates a write to the second, rounded down. */
const SLACK_MS = 1_100;

/** From a stranger's edit until every write that was decided before it has landed. */
const STRANGER_MS = 15_000;

export const drained: Rule = {
  name: 'drained',
  says: 'the target is scaled down or un-paused only without traffic, drained, and not as the only ready arm',
  create(scene, report) {
    return {
      onChange(change, views, hand) {
        const { object, previous } = change;
        if (object.kind !== 'Deployment' || change.type !== 'MODIFIED' || hand.who !== 'engine' || !previous)
          return;
        for (const view of views) check(scene, report, view, change, hand);
      },
    };
  },
};

function check(scene: Scene, report: Report, view: CanaryView, change: StoreChange, hand: Hand): void {
  const before: Json = change.previous?.spec;
  const after: Json = change.object.spec;
  const isTarget = change.object.metadata.name === view.plan.target;
  const falls = after.replicas < before.replicas;
  const isReleased = isTarget && before.paused === true && after.paused !== true;
  const what = falls ? `scaled from ${before.replicas} to ${after.replicas}` : 'un-paused';
  if (!isTarget) {
    // Whoever scales the target scales the workload, and the primary is what serves.
    const isAsked = view.target.held(knownSince(hand), target => target.replicas === after.replicas);
    if (falls && !(isAsked && after.replicas > 0)) report(view, `the primary was ${what}`);
    return;
  }
  if (!falls && !isReleased) return;
  // Where no pod is, nothing drains.
  if (!falls && [...view.targetPods.current()].every(([, count]) => count.total === 0)) return;
  const route = view.route.current();
  if (route.canaryWeight > 0) {
    // A deletion gives the workload back: the target serves, and is let go under its traffic.
    if (view.isDeleting && !falls) return;
    // A stranger's weights that came after the engine looked: no write of it could have met them.
    if (view.routeHand !== 'engine' && view.routeTouchedMs >= knownSince(hand)) return;
    return report(view, `the target was ${what} while the route gives it ${route.canaryWeight} %`);
  }
  if (falls && !view.endpoints.primary.held(knownSince(hand), count => count > 0))
    return report(view, `the target was ${what} and the primary had no ready endpoint`);
  if (falls && view.apexSelects.current() === view.plan.target && !route.exists)
    return report(view, `the target was ${what} while the apex Service selects it`);
  // Weights that a stranger gave are taken back, and what was decided before anybody saw them may land.
  if (view.routeTouchedMs > scene.now() - scene.plan.drainMs - STRANGER_MS) return;
  const passedMs = scene.now() - view.weight.sinceMs();
  const leastMs = scene.plan.drainMs - SLACK_MS - scene.clockSpreadMs(scene.now() - passedMs - 1_000);
  if (route.exists && passedMs < leastMs)
    report(
      view,
      `the target was ${what} ${passedMs} ms after its last traffic, which drains for ${scene.plan.drainMs} ms`,
    );
}
