/**
 * The accountant's rule: no request fails but what a bad revision answered at a weight that the rules allowed, or what
 * the world itself caused. What an engine can do to users is checked where it is done: pods taken away from under the
 * primary, a Service or a route that leads nowhere, a workload that is let go before another serves.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Json } from '../../api/json.ts';
import { isPodReady, type CanaryView } from '../witness.ts';
import type { Report, Rule } from './checker.ts';
import { knownSince } from './reading.ts';

/** The played controllers act on counts that are some milliseconds old. */
const CONTROLLER_MS = 100;

/** After this a deletion is let go, loudly, whatever the target does. */
const GIVEN_UP_MS = 5 * 60_000 - 1_000;

/** A Canary is let go after its target was given its marks back, which may take as long as a request. */
const UNMARK_MS = 12_000;

export const users: Rule = {
  name: 'users',
  says: 'no engine takes the last ready pod, Service or endpoint away from under users',
  create(scene, report) {
    /** Whose hand wrote the primary's spec last. */
    const primaryHands = new Map<CanaryView, string>();
    const lost = new Map<CanaryView, number>();
    /** Pods of the primary that is there: those of one that somebody deleted go with it. */
    const own = new Map<CanaryView, Set<string>>();
    return {
      onChange(change, views, hand) {
        const { object, previous, type } = change;
        for (const view of views) {
          const { apex, target, name } = view.plan;
          if (object.kind === 'Deployment' && object.metadata.name === `${target}-primary`) {
            if (type !== 'MODIFIED' || object.metadata.generation !== previous?.metadata.generation)
              primaryHands.set(view, hand.who);
            if (type === 'DELETED') own.delete(view);
          }
          const { uid = '' } = object.metadata;
          if (object.kind === 'Pod' && type === 'ADDED') own.set(view, (own.get(view) ?? new Set()).add(uid));
          if (object.kind === 'Pod' && own.get(view)?.has(uid) && primaryHands.get(view) === 'engine')
            watchPods(view, object, previous, lost, scene.now(), report);
          if (hand.who !== 'engine') continue;
          if (object.kind === 'Service' && type === 'DELETED')
            report(view, `Service ${object.metadata.name} was deleted`);
          if (object.kind === 'TrafficSplit' && type === 'DELETED')
            watchRouteGone(view, knownSince(hand), report);
          const isPointed = !isDeepStrictEqual(object.spec?.selector, previous?.spec?.selector);
          if (object.kind === 'Service' && object.metadata.name === apex && isPointed)
            watchApex(view, knownSince(hand), report);
          if (object.kind === 'Canary' && object.metadata.name === name && type === 'DELETED')
            watchRelease(
              view,
              knownSince(hand),
              scene.now() + scene.clockSpreadMs(scene.now() - GIVEN_UP_MS),
              report,
            );
        }
      },
    };
  },
};

/**
 * A rollout of the primary that the engine began leaves it with a ready pod at every moment.
 * @param lost when a pod of the primary stopped being ready by itself
 */
function watchPods(
  view: CanaryView,
  pod: Json,
  previous: Json,
  lost: Map<CanaryView, number>,
  nowMs: number,
  report: Report,
): void {
  if (pod.metadata.labels?.app !== `${view.plan.target}-primary` || !previous || !isPodReady(previous))
    return;
  if (pod.metadata.deletionTimestamp === undefined) {
    if (!isPodReady(pod)) lost.set(view, nowMs);
    return;
  }
  if (previous.metadata.deletionTimestamp !== undefined || view.weight.current() === 100) return;
  if (!view.primary.current().exists || view.primary.current().replicas === 0) return;
  const hasOther = [...view.primaryPods.current()].some(([, count]) => count.ready > 0);
  // A pod that was ready a moment ago is what the controller counted on.
  const isCounted = nowMs - (lost.get(view) ?? 0) <= CONTROLLER_MS;
  if (!hasOther && !isCounted)
    report(view, 'the last ready pod of the primary was taken away by its own rollout');
}

/** The apex points at an arm that serves. */
function watchApex(view: CanaryView, fromMs: number, report: Report): void {
  const selected = view.apexSelects.current();
  // Canary and target were deleted, and what the Canary owns goes with it: there is nothing to give back.
  if (view.isDeleting && !view.target.current().exists && selected === view.plan.target) return;
  const arm =
    selected === view.plan.target
      ? view.targetPods
      : selected === `${view.plan.target}-primary`
        ? view.primaryPods
        : undefined;
  if (!arm) return report(view, `the apex Service was pointed at ${selected || 'nothing'}`);
  if (!arm.held(fromMs - CONTROLLER_MS, pods => [...pods].some(([, count]) => count.ready > 0)))
    report(view, `the apex Service was pointed at ${selected}, which had no ready pod`);
}

/** Without the route clients go where the apex Service selects: at the end, to a target that serves. */
function watchRouteGone(view: CanaryView, fromMs: number, report: Report): void {
  const hasPods = view.targetPods.held(fromMs, pods => [...pods].some(([, count]) => count.ready > 0));
  const selected = view.apexSelects.current();
  const isElsewhere = selected !== view.plan.target && selected !== `${view.plan.target}-primary`;
  if (view.isDeleting && (isElsewhere || (selected === view.plan.target && hasPods))) return;
  report(
    view,
    `the route was deleted and the apex Service selects ${view.apexSelects.current() || 'nothing'}`,
  );
}

/** A Canary is let go when its target serves by itself. */
function watchRelease(view: CanaryView, fromMs: number, nowMs: number, report: Report): void {
  const target = view.target.current();
  if (!target.exists || view.apexSelects.current() === '') return;
  if (view.deletedAtMs !== undefined && nowMs - view.deletedAtMs >= GIVEN_UP_MS) return;
  if (view.apexSelects.current() === `${view.plan.target}-primary`)
    return report(view, 'the Canary was let go while the apex Service selects the primary');
  // It never had a route: nothing was taken from the target, and nothing has to be given back.
  if ((view.status.current().routeEpoch ?? 0) === 0) return;
  if (!view.targetPods.held(fromMs - UNMARK_MS, pods => [...pods].some(([, count]) => count.ready > 0)))
    report(view, 'the Canary was let go and its target had no ready pod');
}
