/**
 * Invariant 2: (a) the canary's weight rises only over a ready canary, (b) traffic leaves the canary only for a primary
 * with a ready endpoint, (c) while neither has one the route stays as it is.
 */
import type { CanaryView } from '../witness.ts';
import type { Hand } from '../hands.ts';
import type { Rule } from './checker.ts';
import { CONFIRMED_MS, knownSince, routeWrite, runOf, specsSince, versionOf } from './reading.ts';

export const readiness: Rule = {
  name: 'readiness',
  says: 'a raise needs a ready canary of its revision, a take-away a ready primary endpoint',
  create: (_scene, report) => ({
    onChange(change, views, hand) {
      const write = routeWrite(change, views, hand);
      if (!write) return;
      const { view, before, after } = write;
      const weight = before?.canaryWeight ?? 0;
      if (after.canaryWeight > weight) {
        const why = unreadyCanary(view, hand, after.run);
        if (why) report(view, `the canary was raised from ${weight} to ${after.canaryWeight} %: ${why}`);
      } else if (after.canaryWeight < weight) {
        const fromMs = knownSince(hand) - CONFIRMED_MS;
        if (!view.endpoints.primary.held(fromMs, count => count > 0))
          report(
            view,
            `the canary was lowered from ${weight} to ${after.canaryWeight} % and the primary had no ready endpoint`,
          );
      } else if (!before && view.endpoints.apex.current() > 0) {
        if (!view.endpoints.primary.held(knownSince(hand), count => count > 0))
          report(view, 'a route to a primary without a ready endpoint was made over an apex that served');
      }
    },
  }),
};

function unreadyCanary(view: CanaryView, hand: Hand, run: string): string | undefined {
  const fromMs = knownSince(hand);
  if (!view.endpoints.canary.held(fromMs, count => count > 0)) return 'it had no ready endpoint';
  if (view.isDeleting) return undefined;
  const version = versionOf(view, runOf(run)?.revision);
  const percents = specsSince(view, fromMs).map(spec => Number(spec.analysis?.canaryReadyThreshold ?? 100));
  const percent = Math.min(...percents);
  const sizes = view.target.during(fromMs).map(target => target.replicas);
  const needed = Math.max(1, Math.ceil((Math.min(...sizes) * percent) / 100));
  if (view.targetPods.held(fromMs, pods => (pods.get(version ?? '')?.ready ?? 0) >= needed)) return undefined;
  return `fewer than ${needed} pods of ${version} were ready`;
}
