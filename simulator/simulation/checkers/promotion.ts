/**
 * Invariant 4: the primary's template changes only while promoting, and only to the stored revision that was judged
 * (or commanded, or skipped by the spec), or to the last good one on the way back.
 */
import type { Json } from '../../api/json.ts';
import type { Hand } from '../hands.ts';
import type { CanaryView } from '../witness.ts';
import type { Rule } from './checker.ts';
import { mayFollow } from './deadline.ts';
import { checkedMetricsOf, knownSince, lastStepOf, specsSince, statusWrite, versionOf } from './reading.ts';

export const promotion: Rule = {
  name: 'promotion',
  says: 'a promotion begins after every step has passed, and the primary gets only what is promoted or the last good',
  create(scene, report) {
    /** Why this run may be promoted, or a sentence why not. */
    function unjustified(view: CanaryView, status: Json, hand: Hand): string | undefined {
      const { revision } = status.run ?? {};
      if (view.commands.some(one => one.verb === 'promote' && one.revision === revision)) return undefined;
      const specs = specsSince(view, knownSince(hand));
      if (specs.some(spec => spec.skipAnalysis)) return undefined;
      const sinceMs = view.runSinceMs.get(status.run?.id) ?? scene.startMs;
      if (specs.some(spec => mayFollow(scene, view, { sinceMs }, spec, 'promote'))) return undefined;
      // Somebody else may have lowered it since, and not yet been heard of.
      const known = [view.route.current(), ...view.route.during(knownSince(hand))];
      const weight = Math.max(...known.map(route => route.canaryWeight));
      const needed = Math.min(...specs.map(lastStepOf));
      if (weight < needed) return `the canary has ${weight} % and the last step is ${needed} %`;
      if (specs.some(spec => checkedMetricsOf(spec).length === 0)) return undefined;
      const batches = scene.verdicts.batchesSince(view, view.epoch.begunMs(knownSince(hand)));
      if (batches.some(batch => batch.verdicts.has('pass'))) return undefined;
      return `no check has passed at ${weight} % (${batches.flatMap(batch => [...batch.verdicts]).join(', ') || 'none was made'})`;
    }

    return {
      onChange(change, views, hand) {
        const [view] = views;
        if (!view) return;
        const status = statusWrite(change, views, hand);
        if (status && status.after.phase === 'Promoting' && status.before.phase !== 'Promoting') {
          const why = unjustified(view, status.after, hand);
          if (why) report(view, `the promotion of ${status.after.run?.revision} began: ${why}`);
          return;
        }
        const { object, previous, type } = change;
        if (object.kind !== 'Deployment' || object.metadata.name !== `${view.plan.target}-primary`) return;
        if (type === 'DELETED' || hand.who !== 'engine') return;
        const version = view.primary.current().version;
        if (
          previous &&
          previous.spec.template &&
          view.primary.during(scene.now() - 1).at(-2)?.version === version
        )
          return;
        const why = misplaced(view, version, hand, previous !== undefined);
        if (why) report(view, `the primary was given ${version}: ${why}`);
      },
    };
  },
};

function misplaced(view: CanaryView, version: string, hand: Hand, isThere: boolean): string | undefined {
  const fromMs = knownSince(hand);
  const held = (isSo: (status: Json) => boolean) => view.status.held(fromMs, isSo);
  if (!isThere) {
    if (held(status => versionOf(view, status.lastGood?.hash) === version)) return undefined;
    if (!held(status => status.phase === 'Initializing' || status.phase === undefined))
      return 'it was made anew outside of an adoption';
    return view.target.held(fromMs, target => target.version === version)
      ? undefined
      : 'the target does not run it';
  }
  // While it is adopted nobody is served by it, and two engines may make it of two templates: the target's wins.
  const isAdopted = held(status => status.phase === 'Initializing');
  if (isAdopted && view.apexSelects.current() !== `${view.plan.target}-primary`)
    return view.target.held(fromMs, target => target.version === version)
      ? undefined
      : 'the target does not run it';
  if (!held(status => status.phase === 'Promoting')) return 'no promotion is going on';
  const isGood = (status: Json) => versionOf(view, status.lastGood?.hash) === version;
  if (held(status => status.stage === 'back' && isGood(status))) return undefined;
  const isOwn = (status: Json) => versionOf(view, status.run?.revision) === version;
  if (held(status => status.stage === 'primary' && isOwn(status))) return undefined;
  const isSkipped = (status: Json) => versionOf(view, status.lastAppliedSpec) === version;
  const isCommanded = view.commands.some(
    one => one.verb === 'skip' && versionOf(view, one.revision) === version,
  );
  if (held(status => status.stage === 'skip' && isSkipped(status)) && isCommanded) return undefined;
  return 'it is neither what is promoted nor the last good on the way back';
}
