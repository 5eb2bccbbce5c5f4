/**
 * From a transition in a Canary's status to the notification of it. Pure: it reads the status alone, so that a restarted
 * engine tells the same, but for phase and weight, which are those of the moment in which it is told.
 */
import type { CanaryStatus, CheckResult, Transition } from '../api/status.ts';
import type { JudgedCheck, Notification } from './notifier.ts';

export interface Told {
  canary: { uid: string; namespace: string; name: string; target: string };
  /** The status that holds the transition, or that it has left behind. */
  status: CanaryStatus;
  transition: Transition;
  /** The query of a metric, as it is sent to the provider; undefined for those that have none of their own. */
  queryOf(metric: string): string | undefined;
  cluster?: string | undefined;
}

/** Longer queries are cut: sixteen checks of a message have to fit into the bodies that receivers take. */
const QUERY_CHARACTERS_MAX = 1_000;
/** What may stand behind a rollback whose own transition does not carry the cause. */
const CAUSES: readonly string[] = ['GoingBack', 'Aborted', 'Reverted', 'CanaryLost'];

/** Unique for each transition: `<canary uid>/<number>`. */
export function notificationId(canaryUid: string, number: number): string {
  return `${canaryUid}/${number}`;
}

export function notificationOf({ canary, status, transition, queryOf, cluster }: Told): Notification {
  const { uid, ...identity } = canary;
  const checks = judgedChecks(status, transition, queryOf);
  const cause = causeOf(status, transition);
  return {
    id: notificationId(uid, transition.number),
    severity: transition.severity,
    reason: transition.reason,
    message: transition.message,
    canary: identity,
    phase: status.phase ?? 'Initializing',
    revision: status.run?.revision ?? status.lastAppliedSpec ?? '',
    canaryWeight: status.canaryWeight ?? 0,
    fields: [...(cause === undefined ? [] : [{ title: 'Cause', value: cause }]), ...checks.flatMap(fieldsOf)],
    checks,
    time: transition.at,
    ...(cluster === undefined ? {} : { cluster }),
  };
}

/**
 * The checks that led to this transition: those of a judgement carry its very time. The failed ones come first, with
 * their queries.
 */
function judgedChecks(
  status: CanaryStatus,
  transition: Transition,
  queryOf: (metric: string) => string | undefined,
): JudgedCheck[] {
  if (status.run?.checkedAt !== transition.at) return [];
  const judged = (status.checks ?? []).map((check): JudgedCheck => {
    const query =
      check.outcome === 'pass' ? undefined : queryOf(check.metric)?.slice(0, QUERY_CHARACTERS_MAX);
    return query === undefined ? check : { ...check, query };
  });
  return [
    ...judged.filter(check => check.outcome !== 'pass'),
    ...judged.filter(check => check.outcome === 'pass'),
  ];
}

function fieldsOf(check: JudgedCheck): { title: string; value: string }[] {
  const { metric, query } = check;
  return [
    { title: metric, value: measured(check) },
    ...(query === undefined ? [] : [{ title: `Query of ${metric}`, value: query }]),
  ];
}

/** E.g. `91.2, must be at least 99`. */
function measured({ value, min, max, message }: CheckResult): string {
  const bounds = [
    ...(min === undefined ? [] : [`at least ${min}`]),
    ...(max === undefined ? [] : [`at most ${max}`]),
  ].join(' and ');
  const found = value === undefined ? (message ?? 'no value') : String(Number(value.toFixed(3)));
  return bounds ? `${found}, must be ${bounds}` : found;
}

/** A promotion that turned back ends as `RolledBack` some time after the transition that says why. */
function causeOf(status: CanaryStatus, { reason, number, at }: Transition): string | undefined {
  const { run, transitions = [] } = status;
  if (reason !== 'RolledBack' || !run || run.checkedAt === at) return undefined;
  return transitions.findLast(
    one => one.number < number && one.at >= run.startedAt && CAUSES.includes(one.reason),
  )?.message;
}
