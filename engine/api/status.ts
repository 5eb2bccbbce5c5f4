/**
 * The status of a Canary: everything that the engine must remember, and all of it. What Flagger writes keeps Flagger's
 * names and meanings; the rest is Serin's. Bounded: at most 32 KiB when serialised, asserted before every write.
 */
import { z } from 'zod';

export const PHASES = [
  'Initializing',
  'Initialized',
  'Waiting',
  'Progressing',
  'WaitingPromotion',
  'Promoting',
  'Finalising',
  'Succeeded',
  'Failed',
  'Terminating',
] as const;
export type Phase = (typeof PHASES)[number];

/** Where a promotion stands. `primary`: the new template rolls out on the primary. `shift`: traffic returns to it. `bake`: it is watched. `back`: the last good template returns. `skip`: an unjudged template is written by explicit command. */
export const STAGES = ['primary', 'shift', 'bake', 'back', 'skip'] as const;
export type Stage = (typeof STAGES)[number];

export const CAUSES = ['first', 'verdict', 'command', 'skip', 'return', 'takeover'] as const;

export const STATUS_BYTES_MAX = 32 * 1024;
export const HISTORY_MAX = 10;
export const TRANSITIONS_MAX = 12;
export const CHECKS_MAX = 16;
export const TAKEN_BACK_MAX = 12;
/** Metrics that a judge compares: failures and three bounds of the latency. */
export const COMPARISONS_MAX = 4;
export const TIMELINE_MAX = 60;
export const CHECKPOINT_CHARACTERS_MAX = 16 * 1024;

const time = () => z.string().max(40);
const hash = () => z.string().max(64);

const revisionSchema = z
  .object({
    hash: hash().describe('Hash of the pod template, prefixed by the version of the algorithm.'),
    generation: z.int().describe("The target's metadata.generation at which this template was seen."),
    uid: z.string().max(64).optional().describe('The target at which it was seen.'),
  })
  .describe(
    'One revision of the target. Its template is stored in the ControllerRevision named <canary>-<hash>.',
  );
export type RevisionRef = z.infer<typeof revisionSchema>;

const checkSchema = z.object({
  metric: z.string().max(253).describe('Name of the metric in the analysis.'),
  outcome: z.enum(['pass', 'fail', 'noData', 'error']).describe('How the last check of this metric ended.'),
  value: z
    .number()
    .optional()
    .describe('The measured value: percent for a success rate, milliseconds for a duration.'),
  min: z.number().optional().describe('Lower bound that the value was compared with.'),
  max: z.number().optional().describe('Upper bound that the value was compared with.'),
  message: z.string().max(512).optional().describe('Why there is no value.'),
});
export type CheckResult = z.infer<typeof checkSchema>;

const runSchema = z.object({
  id: z
    .string()
    .max(160)
    .describe('Identity of the run: revision hash, generation, and the id of the command that restarted it.'),
  revision: hash().describe('Hash of the revision that is rolled out.'),
  generation: z.int().describe("The target's generation at which the revision was seen."),
  targetUid: z
    .string()
    .max(64)
    .optional()
    .describe(
      'The target that the revision was seen at: one that is made anew counts its generations from 1.',
    ),
  startedAt: time().describe('When the run started.'),
  waitingSince: time()
    .optional()
    .describe('From when the deadline for its pods counts, when it was paused meanwhile.'),
  steppedAt: time().optional().describe('When the canary weight last changed.'),
  checkedAt: time().optional().describe('When the metrics were last judged.'),
  passedEpoch: z.int().optional().describe('Epoch of the route for which the last check passed.'),
  passedAll: z.boolean().optional().describe('Every step of the analysis passed.'),
  noData: z.int().optional().describe('Checks in a row that had no data.'),
  errors: z.int().optional().describe('Checks in a row in which a metric provider failed.'),
  cause: z.enum(CAUSES).optional().describe('Why the weight last rose.'),
  causeDetail: z.string().max(256).optional().describe('Who or what caused the last raise.'),
  peakWeight: z.int().optional().describe('The last split before traffic left the canary, for the way back.'),
});
export type Run = z.infer<typeof runSchema>;

const conditionSchema = z.object({
  type: z.string().max(64).describe('Type of the condition.'),
  status: z.enum(['True', 'False', 'Unknown']).describe('Whether the condition holds.'),
  reason: z.string().max(128).describe('A constant that programs may compare.'),
  message: z.string().max(1024).describe('A sentence for people.'),
  lastTransitionTime: time().describe('When the status of the condition last changed.'),
  lastUpdateTime: time().optional().describe('When reason or message last changed.'),
  observedGeneration: z.int().optional().describe('Generation of the Canary that the condition speaks of.'),
});
export type Condition = z.infer<typeof conditionSchema>;

const transitionSchema = z.object({
  number: z.int().describe('Rises by one with each transition.'),
  at: time().describe('When it happened.'),
  severity: z.enum(['info', 'warn', 'error']).describe('How much it matters.'),
  reason: z.string().max(64).describe('A constant that programs may compare.'),
  message: z.string().max(512).describe('A sentence for people.'),
});
export type Transition = z.infer<typeof transitionSchema>;

const rolloutSchema = z.object({
  revision: hash().describe('Hash of the revision.'),
  outcome: z.enum(['Succeeded', 'Failed', 'Superseded']).describe('How the rollout ended.'),
  reason: z.string().max(64).describe('Why it ended so.'),
  message: z.string().max(256).optional().describe('The same in a sentence.'),
  by: z.string().max(100).optional().describe('Who commanded it, when somebody did.'),
  startedAt: time().describe('When it started.'),
  endedAt: time().describe('When it ended.'),
});
export type PastRollout = z.infer<typeof rolloutSchema>;

const takenFieldSchema = z.object({
  field: z.string().max(64).describe('The field, e.g. Service spec.selector.'),
  at: time().describe('When it was found changed.'),
});

const rateSchema = (whose: string) =>
  z
    .object({
      total: z.number().describe('Requests since judging began.'),
      failures: z.number().describe('Those of them that failed, or that were slower than the bound.'),
      low: z
        .number()
        .describe('Lower end of the confidence sequence of the share, 95 % at all times at once.'),
      high: z.number().describe('Its upper end.'),
    })
    .describe(`What ${whose} answered.`);

const comparisonSchema = z.object({
  metric: z.string().max(64).describe('Name of the metric: request-success-rate or request-duration.'),
  upperMs: z
    .number()
    .optional()
    .describe('Bound of the latency in milliseconds; absent: failures are counted.'),
  bound: z
    .number()
    .optional()
    .describe('Share of requests that may be beyond; absent: the primary is compared with.'),
  logEvidence: z.number().describe('Natural logarithm of the evidence against the canary.'),
  logShown: z.number().optional().describe('The same for the opposite: it is within the margin of the step.'),
  canary: rateSchema('the canary'),
  primary: rateSchema('the primary'),
});

const judgeStatusSchema = z.object({
  run: z.string().max(160).describe('The run that was judged.'),
  mode: z.enum(['threshold', 'compare', 'slo']).describe('How it is judged; threshold: this is the guard.'),
  at: time().describe('When it was last judged, in the time of the metrics.'),
  verdict: z.string().max(64).describe('A constant that programs may compare.'),
  sentence: z.string().max(1024).describe('What was compared, how strong it is, and what would change it.'),
  logEvidence: z.number().describe('Natural logarithm of the merged evidence against the canary.'),
  logNeeded: z.number().describe('What rolls back.'),
  comparisons: z.array(comparisonSchema).max(COMPARISONS_MAX).describe('The evidence of each metric.'),
  timeline: z
    .array(z.array(z.number()).max(8))
    .max(TIMELINE_MAX)
    .describe(
      'Seconds since judging began, weight in percent, requests and failures of the canary, requests and failures of the primary, logarithm of the evidence against the canary, and of the least that was shown for it. Thinned out when it is full.',
    ),
  checkpoint: z
    .string()
    .max(CHECKPOINT_CHARACTERS_MAX)
    .optional()
    .describe('All that is needed to go on judging after a restart.'),
});
export type JudgeStatus = z.infer<typeof judgeStatusSchema>;

export const canaryStatusSchema = z.object({
  phase: z.enum(PHASES).optional().describe('Where the canary stands.'),
  observedGeneration: z
    .int()
    .optional()
    .describe('Generation of the Canary that this status was decided on.'),
  canaryWeight: z.int().optional().describe('Percent of the traffic that the canary was last given.'),
  failedChecks: z.int().optional().describe('Failed checks of this run.'),
  iterations: z.int().optional().describe('Passed checks of a blue/green run.'),
  lastAppliedSpec: z.string().max(64).optional().describe('Hash of the revision that was last started.'),
  lastPromotedSpec: z.string().max(64).optional().describe('Hash of the revision that was last promoted.'),
  lastTransitionTime: time().optional().describe('When the phase last changed.'),
  conditions: z.array(conditionSchema).max(16).optional().describe('Conditions, one for each type.'),
  trackedConfigs: z.record(z.string(), z.string()).optional().describe('Written by Flagger; kept as it is.'),
  epoch: z
    .int()
    .optional()
    .describe('Rises with every decision that is written; a route write with an older epoch never lands.'),
  routeEpoch: z.int().optional().describe('Epoch of the route that this status was decided on.'),
  stage: z.enum(STAGES).optional().describe('Where a promotion stands.'),
  stageSince: time().optional().describe('When that stage began.'),
  zeroSince: time().optional().describe('Since when the route sends nothing to the canary.'),
  run: runSchema.optional().describe('The rollout that is running, or the last one.'),
  promoted: revisionSchema.optional().describe('The revision that was last promoted.'),
  lastGood: revisionSchema.optional().describe('The revision that a way back returns to.'),
  target: revisionSchema.optional().describe('The template of the target as last seen.'),
  paused: z
    .object({
      revision: hash().describe('Hash of the paused revision.'),
      by: z.string().max(253).describe('Who paused it.'),
      at: time().optional().describe('When it was paused: deadlines stand still from then on.'),
    })
    .optional()
    .describe('Set while a person has paused the run.'),
  handledCommand: z
    .string()
    .max(128)
    .optional()
    .describe('Id of the last command that was carried out or refused.'),
  checks: z.array(checkSchema).max(CHECKS_MAX).optional().describe('The last result of each metric.'),
  judge: judgeStatusSchema.optional().describe('What the judge or the guard knows of the run.'),
  takenBack: z
    .array(takenFieldSchema)
    .max(TAKEN_BACK_MAX)
    .optional()
    .describe('Fields that another manager took back lately, oldest first.'),
  adoptionFailedSince: time().optional().describe('Since when adoption cannot go on.'),
  goOn: z.boolean().optional().describe('Deletion: the target may be scaled and un-paused now.'),
  transitions: z
    .array(transitionSchema)
    .max(TRANSITIONS_MAX)
    .optional()
    .describe('The last transitions, oldest first.'),
  notified: z
    .int()
    .optional()
    .describe('Number of the last transition of which no message is on its way any more.'),
  history: z.array(rolloutSchema).max(HISTORY_MAX).optional().describe('Past rollouts, newest first.'),
});

export type CanaryStatus = z.infer<typeof canaryStatusSchema>;
