/**
 * Invariant 6: the last good revision changes only to one that serves alone on every pod of the primary and has been
 * watched there, and its template is kept.
 */
import type { CanaryView } from '../witness.ts';
import type { Rule, Scene } from './checker.ts';
import { durationMsOf, intervalMsOf, knownSince, specsSince, statusWrite, versionOf } from './reading.ts';

/** The watch begins with the decision to begin it. */
const SLACK_MS = 1_000;

export const lastGood: Rule = {
  name: 'lastGood',
  says: 'a revision becomes the last good one only as the proven primary, and its template is kept',
  create: (scene, report) => ({
    onChange(change, views, hand) {
      const [view] = views;
      if (!view) return;
      if (change.object.kind === 'ControllerRevision' && change.type === 'DELETED' && hand.who === 'engine') {
        const hash = change.object.metadata.labels?.['serin.dev/revision'];
        if (hash && hash === view.status.current().lastGood?.hash)
          report(view, `the template of the last good revision ${hash} was deleted`);
        return;
      }
      const status = statusWrite(change, views, hand);
      const hash: string | undefined = status?.after.lastGood?.hash;
      if (!status || !hash || hash === status.before.lastGood?.hash) return;
      const fromMs = knownSince(hand);
      const version = versionOf(view, hash);
      if (!version || !view.stored.has(hash))
        return report(view, `${hash} became the last good revision and its template is not stored`);
      if (!view.primary.held(fromMs, primary => primary.version === version))
        return report(view, `${version} became the last good revision and the primary does not have it`);
      if (view.route.current().canaryWeight > 0)
        return report(view, `${version} became the last good revision while the canary has traffic`);
      if (
        !view.primaryPods.held(
          fromMs,
          pods =>
            [...pods].every(([one, count]) => one === version || count.ready === 0) &&
            (pods.get(version)?.ready ?? 0) > 0,
        )
      )
        return report(view, `${version} became the last good revision and the primary does not run it alone`);
      const isWatched = status.before.stage === 'bake' && status.before.phase === 'Promoting';
      const isEnded = view.commands.some(one => one.verb === 'promote' && one.revision === hash);
      if (isWatched && !isEnded && !isBaked(view, scene, fromMs))
        report(view, `${version} became the last good revision before it had been watched long enough`);
      if (!isWatched && status.before.stage !== 'skip' && status.before.phase !== 'Initializing')
        report(
          view,
          `${version} became the last good revision from ${status.before.phase}/${status.before.stage ?? ''}`,
        );
    },
  }),
};

/** All traffic has been on the new primary for the time that the spec asks for. */
function isBaked(view: CanaryView, scene: Scene, fromMs: number): boolean {
  const least = Math.min(
    ...specsSince(view, fromMs).map(spec => durationMsOf(spec.analysis?.bake, intervalMsOf(spec))),
  );
  const sinceMs = view.weight.sinceMs();
  // Somebody else gave the canary weight meanwhile, and an engine took it back: the watch goes on.
  if (view.routeTouchedMs >= sinceMs - least - SLACK_MS) return true;
  return scene.now() - sinceMs >= least - SLACK_MS - scene.clockSpreadMs(sinceMs);
}
