/**
 * What raw counters show beyond doubt is acted on, and so is a deadline, at one of the next looks of whoever looks: also
 * by an engine that was killed in between, again and again. Looks that a fault came upon do not count.
 */
import type { Json } from '../../api/json.ts';
import { GOOD_BEHAVIOUR } from '../cluster.ts';
import type { Stretch } from '../readings.ts';
import type { CanaryView } from '../witness.ts';
import type { Rule, Scene } from './checker.ts';
import { boundsOf, divergence, type Bound } from './evidence.ts';
import { durationMsOf, isAnalysing, isJudged, judgeModeOf, runOf, versionOf } from './reading.ts';

/** From a reading to the write that follows from it, with a wide margin. */
const ACTS_MS = 5_000;
/** Looks without a fault that may pass: one begins anew after a start, one saw no failure by chance of rounding. */
const LOOKS_MAX = 4;
/** How much more than what is asked has to be there: a judge knows neither rates nor dispersion, and hedges. */
const SURPLUS_FACTOR = 3;
const SURPLUS = 10;
const DEADLINE_MS = 3_600_000;

interface Due {
  run: string;
  reason: string;
  /** What it is beyond: only readings in which it was again are looked at. */
  bound?: Bound;
  /** Readings since, with which something should have been done. */
  toldAtMs: number[];
  looks: number;
}

export const overdue: Rule = {
  name: 'overdue',
  says: 'what counters show beyond doubt, or a deadline asks for, is done at one of the next looks',
  create(scene, report) {
    const dues = new Map<CanaryView, Due>();
    return {
      onCounters({ namespace, workload, atMs, answer }) {
        const view = scene.witness.canaries.find(
          one => one.plan.namespace === namespace && one.plan.target === workload,
        );
        const run: string | undefined = view?.status.current().run?.id;
        if (!view || !run || !isUnderAnalysis(view, run)) return;
        if (answer.kind !== 'reading' || !answer.reading.canary || !answer.reading.primary) return;
        const stretches = stretchesOf(scene, view, run);
        const known = dues.get(view);
        const due = known?.run === run ? known : dueNow(scene, view, run, stretches);
        const last = stretches.at(-1);
        if (
          !due ||
          !last ||
          (due.bound && due.bound.count(last.canary) <= due.bound.share * last.canary.total)
        )
          return;
        due.toldAtMs.push(atMs);
        dues.set(view, due);
      },
      onPulse() {
        for (const [view, due] of dues) {
          if (!isUnderAnalysis(view, due.run)) {
            dues.delete(view);
            continue;
          }
          const passed = due.toldAtMs.filter(atMs => scene.now() - atMs >= ACTS_MS);
          due.toldAtMs = due.toldAtMs.filter(atMs => scene.now() - atMs < ACTS_MS);
          due.looks += passed.filter(atMs => scene.calmSinceMs() <= atMs).length;
          if (due.looks <= LOOKS_MAX) continue;
          report(view, `nothing was done at ${due.looks} looks although ${due.reason}`);
          dues.delete(view);
        }
      },
    };
  },
};

/** The run that the route's stamp names carries traffic, and no person holds it. */
function isUnderAnalysis(view: CanaryView, run: string): boolean {
  const status = view.status.current();
  const isHeld = view.specs.at(-1)?.spec.suspend || status.paused !== undefined || view.isDeleting;
  return !isHeld && view.weight.current() > 0 && view.route.current().run === run && isAnalysing(status);
}

/** Without what the canary had counted before it was first looked at: of a retry that is another run's. */
function stretchesOf(scene: Scene, view: CanaryView, run: string): Stretch[] {
  return scene.readings.since(view, (view.runSinceMs.get(run) ?? scene.now()) - 1_000).slice(1);
}

function dueNow(scene: Scene, view: CanaryView, run: string, stretches: readonly Stretch[]): Due | undefined {
  const sinceMs = view.runSinceMs.get(run) ?? scene.now();
  const [first, ...others] = view.specs.filter(
    (_one, index) => (view.specs[index + 1]?.atMs ?? Number.POSITIVE_INFINITY) >= sinceMs,
  );
  // What a run is judged by is fixed when it begins; one whose spec was edited is judged by both.
  if (!first || others.length > 0) return undefined;
  const late = lateness(scene, view, run, first.spec, stretches);
  if (late) return { run, reason: late, toldAtMs: [], looks: 0 };
  for (const { bound, alpha, after } of boundsAgainst(scene, view, run, first.spec, stretches)) {
    const reason = beyondDoubt(stretches, bound, alpha, after);
    if (reason) return { run, reason, bound, toldAtMs: [], looks: 0 };
  }
  return undefined;
}

/** A deadline counts from the beginning of judging, which is before the first traffic. */
function lateness(
  scene: Scene,
  view: CanaryView,
  run: string,
  spec: Json,
  stretches: readonly Stretch[],
): string | undefined {
  const { deadline, onDeadline = 'hold' } = spec.analysis?.judge ?? {};
  const wasPaused = view.status.current().run?.waitingSince !== undefined;
  if (!isJudged(spec) || onDeadline === 'hold' || wasPaused) return undefined;
  const begun = stretches.find(one => one.canary.total > 0)?.atMs ?? Number.POSITIVE_INFINITY;
  const passedMs = (stretches.at(-1)?.atMs ?? 0) - begun;
  const allowedMs = durationMsOf(deadline, DEADLINE_MS) + scene.clockSpreadMs(view.runSinceMs.get(run) ?? 0);
  return passedMs > allowedMs ? `its deadline has passed ${passedMs - allowedMs} ms ago` : undefined;
}

interface Against {
  bound: Bound;
  alpha: number;
  after: { requests: number; evaluations: number };
}

function boundsAgainst(
  scene: Scene,
  view: CanaryView,
  run: string,
  spec: Json,
  stretches: readonly Stretch[],
): Against[] {
  const version = versionOf(view, runOf(run)?.revision);
  const behaviour = version === undefined ? undefined : scene.behaviourOf(view.index, version);
  // Most canaries are good: nothing has to be counted for them.
  if (!behaviour || (behaviour.errorPercent === 0 && behaviour.latencyMs <= GOOD_BEHAVIOUR.latencyMs))
    return [];
  const judge: Json = spec.analysis?.judge ?? {};
  const mode = judgeModeOf(spec);
  if (mode === 'threshold') {
    const { enabled = true, alpha = 0.001, requests = 10, evaluations = 2 } = judge.guard ?? {};
    return !enabled ? [] : boundsOf(spec).map(bound => ({ bound, alpha, after: { requests, evaluations } }));
  }
  const { alpha = 0.01, regression = 0.1 } = judge;
  const after = { requests: 1, evaluations: 1 };
  if (mode === 'slo') return boundsOf(spec).map(bound => ({ bound, alpha, after }));
  // A primary that failed none of its requests fails at most so many, nineteen times of twenty.
  const ofPrimary =
    3 /
    Math.max(
      1,
      stretches.reduce((sum, one) => sum + one.primary.total, 0),
    );
  return [{ bound: { share: regression / 100 + ofPrimary, count: one => one.failed }, alpha, after }];
}

/** Only beside a primary that is beyond reproach: whatever it shows too may be nobody's fault. */
function beyondDoubt(
  stretches: readonly Stretch[],
  { share, count }: Bound,
  alpha: number,
  after: { requests: number; evaluations: number },
): string | undefined {
  let [n, x, evaluations] = [0, 0, 0];
  for (const { canary, primary } of stretches) {
    if (count(primary) > 0) return undefined;
    n += canary.total;
    x += count(canary);
    if (count(canary) > share * canary.total) evaluations += 1;
  }
  if (n < 2 * after.requests || evaluations < after.evaluations + 2 || x <= share * n || share >= 1)
    return undefined;
  const shown = n * divergence(x / n, Math.max(share, 1e-4));
  const needed = SURPLUS_FACTOR * Math.log(1 / alpha) + SURPLUS;
  return shown >= needed
    ? `${x} of ${n} requests are beyond a bound of ${share} (${shown.toFixed(1)}, and ${needed.toFixed(1)} is beyond doubt)`
    : undefined;
}
