/**
 * A run is ended only for a reason that is true: failed checks, evidence, a lost canary, a newer revision, a person. And whoever
 * ends one run leaves the traffic of another alone.
 */
import type { Json } from '../../api/json.ts';
import type { Hand } from '../hands.ts';
import type { Answer } from '../metricsSource.ts';
import type { CanaryView, RouteView } from '../witness.ts';
import type { Rule, Scene } from './checker.ts';
import { mayFollow } from './deadline.ts';
import { unfounded } from './evidence.ts';
import {
  CONFIRMED_MS,
  isAnalysing,
  knownSince,
  routeWrite,
  runOf,
  specsSince,
  unreadChecks,
  versionOf,
} from './reading.ts';

export const ending: Rule = {
  name: 'ending',
  says: 'a run is ended only by failed checks, evidence, a lost canary, a newer revision or a person',
  create(scene, report) {
    return {
      onChange(change, views, hand) {
        const write = routeWrite(change, views, hand);
        if (!write || write.after.end === '' || write.view.isDeleting) return;
        const { before, after } = write;
        if (before && before.canaryWeight > after.canaryWeight && before.run && before.run !== after.run)
          report(write.view, `run ${before.run} lost ${before.canaryWeight} % to an end of run ${after.run}`);
        const why = untrue(scene, write.view, write.after, hand);
        if (why) report(write.view, `run ${write.after.run} was ended as ${write.after.end}: ${why}`);
      },
    };
  },
};

function untrue(scene: Scene, view: CanaryView, after: RouteView, hand: Hand): string | undefined {
  const fromMs = knownSince(hand) - CONFIRMED_MS;
  const run = runOf(after.run);
  const version = versionOf(view, run?.revision);
  const specs = specsSince(view, fromMs);
  const sinceMs = view.runSinceMs.get(after.run) ?? scene.startMs;
  switch (after.end) {
    case 'failed':
      return withoutEvidence(scene, view, after, hand) && isHarmless(scene, view, sinceMs);
    case 'unready':
      if (view.endpoints.canary.held(fromMs, count => count === 0)) return undefined;
      return isLate(scene, specs, sinceMs) ? undefined : 'the canary had ready endpoints';
    case 'superseded':
      return view.target.held(fromMs, target => target.version !== version)
        ? undefined
        : 'the target has no other revision';
    case 'aborted': {
      const isCommanded = view.commands.some(one => one.verb === 'abort' && one.revision === run?.revision);
      const isReverted = view.target.held(fromMs, target => target.version !== version);
      const isStray = view.status.held(fromMs, status => !isAnalysing(status));
      return isCommanded || isReverted || isStray ? undefined : 'nobody asked for it';
    }
    case 'promoted':
      return view.primary.held(fromMs, primary => primary.version === version) ||
        view.status.held(fromMs, status => status.stage === 'skip')
        ? undefined
        : 'the primary does not have it';
    default:
      return `${after.end} is no end`;
  }
}

/** Why a run that has failed was ended by nothing else than evidence; undefined when something else may be the reason. */
export function withoutEvidence(
  scene: Scene,
  view: CanaryView,
  after: RouteView,
  hand: Hand,
): string | undefined {
  const fromMs = knownSince(hand) - CONFIRMED_MS;
  const specs = specsSince(view, fromMs);
  const sinceMs = view.runSinceMs.get(after.run) ?? scene.startMs;
  if (view.status.held(fromMs, status => status.phase === 'Promoting')) return undefined;
  if (view.status.held(fromMs, status => isContestedAnew(status))) return undefined;
  if (specs.some(spec => mayFollow(scene, view, { sinceMs }, spec, 'rollback'))) return undefined;
  return hasFailed(scene, view, sinceMs, specs);
}

function hasFailed(
  scene: Scene,
  view: CanaryView,
  sinceMs: number,
  specs: readonly Json[],
): string | undefined {
  const batches = scene.verdicts.batchesSince(view, sinceMs - 1_000);
  const unread = unreadChecks(scene, view, sinceMs, specs);
  const failed = batches.filter(batch => batch.verdicts.has('fail')).length + unread.failed;
  const needed = Math.min(...specs.map(spec => Math.max(1, spec.analysis?.threshold ?? 1)));
  if (failed >= needed) return undefined;
  // A budget counts checks without an answer, whatever the policy for them was when they were made.
  const open = batches.filter(batch => [...batch.answers.values()].some(isOpen)).length + unread.open;
  const mayStall = specs.some(
    ({ analysis }) =>
      analysis?.onStalled === 'rollback' &&
      open >= Math.min(analysis.noDataBudget ?? 10, analysis.errorBudget ?? 10),
  );
  return mayStall ? undefined : `${failed} of ${needed} checks failed`;
}

/** Why evidence was no reason to end it: by none of the specs that it was judged by; those hold from its beginning on. */
function isHarmless(scene: Scene, view: CanaryView, sinceMs: number): string | undefined {
  const stretches = scene.readings.since(view, sinceMs - 1_000);
  const whys = specsSince(view, sinceMs - 1_000).map(spec => unfounded(stretches, spec));
  return whys.includes(undefined) ? undefined : whys.join('; ');
}

function isOpen({ measurement }: Answer): boolean {
  return measurement.kind !== 'value' || !Number.isFinite(measurement.value);
}

function isLate(scene: Scene, specs: readonly Json[], sinceMs: number): boolean {
  const leastMs = Math.min(...specs.map(spec => (spec.progressDeadlineSeconds ?? 600) * 1_000));
  return scene.now() - sinceMs >= leastMs - 1_000 - scene.clockSpreadMs(sinceMs);
}

/** Fields were taken back while the run was going on: what was taken back before is no reason to end it. */
function isContestedAnew(status: Json): boolean {
  const takenBack: { at: string }[] = status.takenBack ?? [];
  const beganAt: string = status.run?.startedAt ?? '';
  return takenBack.length >= 3 && takenBack.some(one => one.at >= beganAt);
}
