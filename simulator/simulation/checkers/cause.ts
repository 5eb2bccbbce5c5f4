/**
 * Invariant 3: every raise of the canary's weight has exactly one recorded cause, and the cause is true: readiness and
 * gates, a verdict of this run at this step, a command, a skip, a return, or a dead primary. The record lands first.
 */
import type { Json } from '../../api/json.ts';
import type { Hand } from '../hands.ts';
import type { CanaryView, RouteView, StatusView } from '../witness.ts';
import type { Rule, Scene } from './checker.ts';
import { checkedMetricsOf, intervalMsOf, knownSince, routeWrite, specsSince } from './reading.ts';

/** From the record to the answer that says it has landed, and rounding. */
const SLACK_MS = 250;

export const cause: Rule = {
  name: 'cause',
  says: 'every raise has one recorded cause, written before it, and the cause is true',
  create(scene, report) {
    return {
      onChange(change, views, hand) {
        const write = routeWrite(change, views, hand);
        if (!write || write.after.canaryWeight <= (write.before?.canaryWeight ?? 0)) return;
        const { view, before, after } = write;
        const why = unfounded(scene, view, before, after, hand);
        if (why)
          report(view, `the canary was raised to ${after.canaryWeight} % under epoch ${after.epoch}: ${why}`);
      },
    };
  },
};

function unfounded(
  scene: Scene,
  view: CanaryView,
  before: RouteView | undefined,
  after: RouteView,
  hand: Hand,
): string | undefined {
  const record = (view.statuses.get(after.epoch) ?? []).find(
    one => one.status.canaryWeight === after.canaryWeight && one.status.run?.id === after.run,
  );
  if (record) return untrue(scene, view, before, after, hand, record);
  return view.isDeleting && after.canaryWeight === 100 ? undefined : 'no status recorded it before';
}

/** Why the recorded cause is not the case. The view's epoch is the new one already: the step before is in its history. */
function untrue(
  scene: Scene,
  view: CanaryView,
  before: RouteView | undefined,
  after: RouteView,
  hand: Hand,
  record: StatusView,
): string | undefined {
  const { status } = record;
  const fromMs = knownSince(hand);
  const specs = specsSince(view, fromMs);
  const weight = before?.canaryWeight ?? 0;
  switch (status.run?.cause) {
    case 'first':
      if (weight > 0) return `cause first at ${weight} %`;
      return specs.some(spec => !(spec.analysis?.iterations > 0))
        ? undefined
        : 'blue/green begins by verdict';
    case 'verdict':
      if (weight === 0) return uniterated(scene, view, view.runSinceMs.get(after.run) ?? 0, specs);
      return outdated(scene, hand, record, specs) ?? unpassed(scene, view, view.epoch.beforeMs(), specs);
    case 'command':
      return view.isDeleting || view.commands.some(one => one.verb === 'promote')
        ? undefined
        : 'nobody commanded it';
    case 'skip':
      return specs.some(spec => spec.skipAnalysis) ? undefined : 'skipAnalysis is not set';
    case 'return':
      return status.phase === 'Promoting' && status.stage === 'back'
        ? undefined
        : 'the promotion is not going back';
    case 'takeover':
      return view.endpoints.primary.held(fromMs, count => count === 0)
        ? undefined
        : 'the primary had a ready endpoint all the time';
    default:
      return `the cause is ${status.run?.cause}`;
  }
}

/** Whoever finishes a raise that was recorded before rests on a verdict that is younger than an interval. */
function outdated(scene: Scene, hand: Hand, record: StatusView, specs: readonly Json[]): string | undefined {
  if (record.chain === hand.chain) return undefined;
  const ageMs = hand.askedAtMs - record.atMs;
  const mostMs = Math.max(...specs.map(intervalMsOf)) + SLACK_MS + scene.clockSpreadMs(record.atMs);
  return ageMs < mostMs ? undefined : `it was recorded ${ageMs} ms before, and nothing was judged since`;
}

function hasNoMetrics(specs: readonly Json[]): boolean {
  return specs.some(spec => checkedMetricsOf(spec).length === 0);
}

function unpassed(
  scene: Scene,
  view: CanaryView,
  fromMs: number,
  specs: readonly Json[],
): string | undefined {
  if (hasNoMetrics(specs)) return undefined;
  const batches = scene.verdicts.batchesSince(view, fromMs);
  if (batches.some(batch => batch.verdicts.has('pass'))) return undefined;
  const said = batches.flatMap(batch => [...batch.verdicts]).join(', ');
  return `no check has passed at this step (${said || 'none was made'})`;
}

function uniterated(
  scene: Scene,
  view: CanaryView,
  fromMs: number,
  specs: readonly Json[],
): string | undefined {
  if (hasNoMetrics(specs)) return undefined;
  const passed = scene.verdicts.batchesSince(view, fromMs).filter(batch => batch.verdicts.has('pass')).length;
  const needed = Math.min(...specs.map(spec => Number(spec.analysis?.iterations ?? 0)));
  return passed >= needed ? undefined : `${passed} of ${needed} iterations have passed`;
}
