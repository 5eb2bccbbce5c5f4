/**
 * Where a judge decides, every step rests on what raw counters show: enough requests of this run at this step that a
 * canary at the margin would hardly have answered so well, for as long as a step lasts. The counts are those that engines
 * were told, in the provider's own times.
 */
import type { Json } from '../../api/json.ts';
import type { Stretch } from '../readings.ts';
import type { CanaryView } from '../witness.ts';
import type { Rule, Scene } from './checker.ts';
import { mayFollow } from './deadline.ts';
import { type Shown, shownOf, unshown } from './evidence.ts';
import { durationMsOf, isJudged, knownSince, routeWrite, specsSince, statusWrite } from './reading.ts';

const DWELL_MS = 60_000;

/** The step that a run is at: when the raise to it was recorded. */
interface Step {
  run: string;
  recordedAtMs: number;
}

export const shown: Rule = {
  name: 'shown',
  says: 'with compare and slo the counters show enough before each step, at that step, for as long as it has to last',
  create(scene, report) {
    const steps = new Map<CanaryView, Step>();
    return {
      onChange(change, views, hand) {
        const write = routeWrite(change, views, hand);
        if (write && write.after.canaryWeight > (write.before?.canaryWeight ?? 0)) {
          const { view, before, after } = write;
          const record = (view.statuses.get(after.epoch) ?? []).find(one => one.status.run?.id === after.run);
          const step = steps.get(view);
          steps.set(view, { run: after.run, recordedAtMs: record?.atMs ?? scene.now() });
          const specs = specsSince(view, knownSince(hand));
          if (
            record?.status.run?.cause === 'verdict' &&
            (before?.canaryWeight ?? 0) > 0 &&
            step?.run === after.run
          ) {
            const why = unfounded(scene, view, step, specs, after.canaryWeight);
            if (why) report(view, `the canary was raised to ${after.canaryWeight} %: ${why}`);
          }
          return;
        }
        const status = statusWrite(change, views, hand);
        const isStart = status?.after.phase === 'Promoting' && status.before.phase !== 'Promoting';
        if (!status || !isStart) return;
        const { view, after } = status;
        const step = steps.get(view);
        const isByHand =
          after.run?.cause === 'command' ||
          view.commands.some(one => one.verb === 'promote' && one.revision === after.run?.revision);
        const specs = specsSince(view, knownSince(hand));
        if (isByHand || step?.run !== after.run?.id || specs.some(spec => spec.skipAnalysis)) return;
        const sinceMs = view.runSinceMs.get(step!.run) ?? scene.startMs;
        if (specs.some(spec => mayFollow(scene, view, { sinceMs }, spec, 'promote'))) return;
        const why = unfounded(scene, view, step!, specs, undefined);
        if (why) report(view, `the promotion of ${after.run?.revision} began: ${why}`);
      },
    };
  },
};

function unfounded(
  scene: Scene,
  view: CanaryView,
  step: Step,
  specs: readonly Json[],
  nextWeight: number | undefined,
): string | undefined {
  if (!specs.every(isJudged)) return undefined;
  const sinceMs = view.runSinceMs.get(step.run) ?? scene.startMs;
  // What is compared is fixed when a run begins, and what is asked of it is not.
  const judged = specsSince(view, sinceMs).filter(isJudged);
  const stretches = scene.readings.since(view, sinceMs - 1_000);
  const beganAtMs = beginOf(stretches, step.recordedAtMs);
  const ofStep = stretches.filter(one => one.atMs > beganAtMs);
  const dwelledMs = (ofStep.at(-1)?.atMs ?? beganAtMs) - beganAtMs;
  const leastMs = Math.min(...judged.map(spec => durationMsOf(spec.analysis?.judge?.minDwell, DWELL_MS)));
  if (dwelledMs < leastMs) return `the step was ${dwelledMs} ms old, and ${leastMs} ms are asked`;
  const asked = lenient(judged.map(spec => shownOf(spec, nextWeight)));
  const whys = judged.map(spec => unshown(ofStep, spec, asked));
  return whys.includes(undefined) ? undefined : whys.join('; ');
}

function lenient(all: readonly Shown[]): Shown {
  return { beta: Math.max(...all.map(one => one.beta)), margin: Math.max(...all.map(one => one.margin)) };
}

/** The reading that the raise to this step was decided on, of whichever engine had read last when it was recorded. */
function beginOf(stretches: readonly Stretch[], recordedAtMs: number): number {
  const last = new Map<number, number>();
  for (const { engine, toldAtMs, atMs } of stretches) if (toldAtMs <= recordedAtMs) last.set(engine, atMs);
  return Math.min(...last.values());
}
