/**
 * Which transitions are told to people: one table, total over the reasons. Events and the event webhook carry every
 * transition; what stands here as `untold` is of no use to a person, or is said by another transition already. Pure.
 */
import type { Reason } from '../api/reasons.ts';
import type { CanaryStatus, Transition } from '../api/status.ts';

/** `afterAdoption`: a usual stage while a canary is adopted, and news at any later time. */
type Telling = 'told' | 'afterAdoption' | 'untold';

export const toldReasons: Readonly<Record<Reason, Telling>> = {
  // The object is refused, so nothing starts until somebody has mended it.
  InvalidSpec: 'told',
  InvalidWeights: 'told',
  NotSupportedYet: 'told',
  Retired: 'told',
  UnknownProvider: 'told',
  ProviderNotServed: 'told',
  MetricTemplateNotFound: 'told',
  MetricTemplateRefused: 'told',
  AlertProviderNotFound: 'told',
  AlertProviderRefused: 'told',
  CrossNamespaceRef: 'told',
  SecretNotFound: 'told',
  TargetNotFound: 'told',
  TargetTaken: 'told',
  TargetHasAutoscaler: 'told',
  TargetPausedByUser: 'told',
  CompanionExcludesPrimary: 'told',
  PrimaryDryRunRefused: 'told',
  ServiceRefused: 'told',
  QuotaExceeded: 'told',
  ImagePullFailed: 'told',
  PodsUnschedulable: 'told',
  Forbidden: 'told',
  FieldOwnedByOther: 'told',
  Contested: 'told',
  // What the engine itself lacks, so that nothing goes on.
  CrdsOutdated: 'told',
  CrdsMissing: 'told',
  ApiServerUnreachable: 'told',
  ApiVersionNotServed: 'told',
  LeaseUnavailable: 'told',
  Accepted: 'untold',
  // Adoption: that it has ended is news, its stages are not.
  Adopting: 'untold',
  Adopted: 'told',
  // The steps of a rollout.
  Started: 'told',
  Restarted: 'told',
  WeightRaised: 'told',
  Waiting: 'told',
  CheckFailed: 'told',
  Promoting: 'told',
  Succeeded: 'told',
  // Stages between Promoting and Succeeded: both ends are told, and so is what goes wrong between them.
  Shifting: 'untold',
  Baking: 'untold',
  Finalising: 'untold',
  // The user's own edit.
  ServicesFollowed: 'untold',
  // What holds a rollout.
  PrimaryNotReady: 'afterAdoption',
  CanaryNotReady: 'told',
  CacheStale: 'told',
  Judging: 'told',
  TrafficTooThin: 'told',
  NoData: 'told',
  ProviderError: 'told',
  Stalled: 'told',
  RevisionQueued: 'told',
  SchedulerSilent: 'told',
  // Of conditions alone, and the usual work on pods.
  Moving: 'untold',
  Serving: 'untold',
  Uncontested: 'untold',
  Scaled: 'untold',
  // Gates that people close and open.
  Paused: 'told',
  Resumed: 'told',
  Suspended: 'told',
  // What ends a rollout, or turns it back.
  RolledBack: 'told',
  Aborted: 'told',
  Reverted: 'told',
  CanaryLost: 'told',
  DeadlineExceeded: 'told',
  GoingBack: 'told',
  TookOver: 'told',
  Returned: 'told',
  RouteRestored: 'told',
  ObjectRestored: 'told',
  // Whoever commands is answered where the command was given.
  CommandRefused: 'untold',
  // Whoever deletes a Canary knows; that it could not be given back they may not see.
  Terminating: 'untold',
  TerminationGivenUp: 'told',
};

/** Whether people are told. A reason that is in no table is told rather than lost. */
export function isTold({ reason, number }: Transition, { phase, transitions = [] }: CanaryStatus): boolean {
  const telling = Object.hasOwn(toldReasons, reason) ? toldReasons[reason as Reason] : 'told';
  if (telling !== 'afterAdoption') return telling === 'told';
  const isAdopting = phase === undefined || phase === 'Initializing';
  // Told again after a restart, it may be from before the end of the adoption.
  return !isAdopting && !transitions.some(later => later.number > number && later.reason === 'Adopted');
}
