/**
 * Every reason that a condition, an event or a notification may carry, with the sentence that explains it. A reason is
 * a constant that programs compare; messages are for people and may change.
 */
export const reasons = {
  Accepted: 'The object is valid and supported.',
  InvalidSpec: 'A field has a value that cannot work.',
  NotSupportedYet: 'A field asks for something that Serin does not do yet.',
  Retired: 'A field asks for something that no longer exists.',
  UnknownProvider: 'A provider has a name that is not known.',
  MetricTemplateNotFound: 'A metric refers to a MetricTemplate that does not exist.',
  MetricTemplateRefused: 'A metric refers to a MetricTemplate that is not valid or not supported.',
  AlertProviderNotFound: 'An alert refers to an AlertProvider that does not exist.',
  AlertProviderRefused: 'An alert refers to an AlertProvider that is not valid or not supported.',
  SecretNotFound: 'A Secret that is referred to does not exist or lacks a key.',
  TargetNotFound: 'The target does not exist.',
  TargetTaken: 'An older Canary has the same target.',
  TargetHasAutoscaler: 'An autoscaler scales the target.',
  TargetPausedByUser:
    'The target was paused by its user; nothing starts and nothing rises until it is resumed.',
  CompanionExcludesPrimary: "An object that selects the target's pods would not select the primary's.",
  PrimaryDryRunRefused: 'The API server would refuse the primary.',
  QuotaExceeded: 'A quota does not leave room for the pods.',
  ImagePullFailed: 'An image cannot be pulled.',
  PodsUnschedulable: 'No node can take the pods.',
  Forbidden: 'The engine lacks a permission that it needs.',
  FieldOwnedByOther: 'Another manager applies a field that Serin has to write.',
  Contested: 'Another manager keeps taking back a field that Serin writes.',
  CacheStale: 'A watch has been silent for too long; traffic is not raised on old knowledge.',
  CrdsOutdated: 'The served CRDs lack fields that Serin needs.',
  Adopting: 'The primary, the Services and the route are being created.',
  Adopted: 'The primary serves all traffic.',
  PrimaryNotReady: 'The primary has too few ready pods.',
  CanaryNotReady: 'The canary has too few ready pods.',
  Started: 'A new revision is being rolled out.',
  Restarted: 'A newer revision replaced the one that was being rolled out.',
  WeightRaised: 'The canary was given more traffic.',
  CheckFailed: 'A metric is beyond its threshold.',
  NoData: 'A metric has no data.',
  ProviderError: 'A metric provider did not answer.',
  Stalled: 'The run cannot go on by itself.',
  Moving: 'The run goes on by itself.',
  Paused: 'The run was paused by a person.',
  Resumed: 'The run was resumed by a person.',
  Suspended: 'spec.suspend is set.',
  Waiting: 'The run waits for the next check.',
  Promoting: 'The revision is being copied to the primary.',
  Shifting: 'Traffic returns to the promoted primary.',
  Baking: 'The promoted primary is being watched.',
  Finalising: 'The canary is being scaled down.',
  Succeeded: 'The revision was promoted.',
  RolledBack: 'The revision failed its checks and all traffic is on the primary.',
  Aborted: 'The run was aborted.',
  Reverted: 'The target was set back to the promoted revision.',
  CanaryLost: 'The canary lost its last ready endpoint.',
  DeadlineExceeded: 'Pods did not become ready in time.',
  GoingBack: 'The last good revision is coming back to the primary.',
  RevisionQueued: 'A newer revision waits until this one has ended.',
  TookOver: 'The primary had no ready endpoint; the canary that passed every step carries all traffic.',
  Returned: 'The new primary failed; the canary carries its last share again.',
  RouteRestored: 'The route had been changed by somebody else.',
  CommandRefused: 'A command did not apply.',
  Terminating: 'The workload is being given back.',
  TerminationGivenUp: 'The workload could not be given back in time.',
} as const;

export type Reason = keyof typeof reasons;

/** What each condition of a Canary says; the sentence describes status True. */
export const conditionTypes = {
  Accepted: 'The object is valid, supported, and has its target for itself.',
  Ready: 'The apex Service is served: by the primary, or by the canary that takes its place.',
  Progressing: 'A revision is being rolled out.',
  Promoted: "The last revision was promoted; the reason is the phase. Flagger's condition.",
  Stalled: 'The run cannot go on by itself; somebody has to act.',
  Contested: 'Another manager keeps taking back a field that Serin writes.',
} as const;

export type ConditionType = keyof typeof conditionTypes;
