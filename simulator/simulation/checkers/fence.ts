/**
 * The fences (design, section 1): a route write is strictly above the epoch of the object that it replaces, more is
 * recorded before it is given, and less is taken before it is recorded. Status epochs only rise, and so does the
 * generation of the target that was seen.
 */
import type { Rule } from './checker.ts';
import { routeWrite, statusWrite } from './reading.ts';

export const fence: Rule = {
  name: 'fence',
  says: 'route epochs rise with each write; less is routed before it is recorded',
  create: (_scene, report) => ({
    onChange(change, views, hand) {
      const route = routeWrite(change, views, hand);
      if (route?.before) {
        const { before, after, view } = route;
        if (after.epoch <= before.epoch)
          report(view, `a route of epoch ${before.epoch} was replaced under epoch ${after.epoch}`);
        return;
      }
      const status = statusWrite(change, views, hand);
      if (!status) return;
      const { view, before, after } = status;
      if ((after.epoch ?? 0) < (before.epoch ?? 0))
        report(view, `the status epoch fell from ${before.epoch} to ${after.epoch}`);
      const [seen, last] = [after.target, before.target];
      if (seen?.uid === last?.uid && (seen?.generation ?? 0) < (last?.generation ?? 0))
        report(
          view,
          `generation ${last.generation} of the target had been seen, now it is ${seen?.generation}`,
        );
      // Somebody else may have edited the weights since the engine lowered them.
      const routed = view.routeHand === 'engine' ? view.route.current().canaryWeight : 0;
      const weight = after.canaryWeight ?? 0;
      if (weight < (before.canaryWeight ?? 0) && routed > weight && view.route.current().exists)
        report(view, `the status records ${weight} % while the route still gives the canary ${routed} %`);
      if (after.phase === 'Failed' && before.phase !== 'Failed' && routed > 0)
        report(view, `the run was recorded as failed while the route gives the canary ${routed} %`);
    },
  }),
};
