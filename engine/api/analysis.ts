/**
 * `spec.analysis` of a Canary: how traffic moves and what is judged on the way. Names and meanings are Flagger's,
 * except for what is done without data, on errors and while stalled, which Flagger does not know.
 */
import { z } from 'zod';
import { duration, objectName, opaque, text, textMap, whole, withRules } from './fields.ts';
import { judgeSchema } from './judge.ts';
import { CHECKS_MAX } from './status.ts';

/** Metrics that need no query: the analyzer knows how to ask for them on each mesh. */
export const BUILT_IN_METRICS = ['request-success-rate', 'request-duration'] as const;

function isBuiltIn(name: string): boolean {
  return (BUILT_IN_METRICS as readonly string[]).includes(name);
}

const thresholdRangeSchema = withRules(
  z.object({
    min: z.number().optional().describe('Lowest value that passes. Absent: no lower bound. Example: 99.'),
    max: z.number().optional().describe('Highest value that passes. Absent: no upper bound. Example: 500.'),
  }),
  [
    {
      cel: '!has(self.min) || !has(self.max) || self.min <= self.max',
      message: 'must have a min that is not above max',
      holds: range => range.min === undefined || range.max === undefined || range.min <= range.max,
    },
  ],
);

const metricSchema = withRules(
  z.object({
    name: objectName().describe(
      'Name of the check. request-success-rate (percent of requests without a 5xx answer) and request-duration (99th percentile in milliseconds) are built in; any other name needs query or templateRef.',
    ),
    interval: duration('1s', '24h')
      .optional()
      .describe(
        'Length of the window that is measured, as a Go duration from 1s to 24h. Absent: analysis.interval. Example: 1m.',
      ),
    threshold: z
      .number()
      .optional()
      .describe(
        'Bound of the value: the lowest success rate in percent for request-success-rate, the highest value for everything else. Ignored when thresholdRange is set. Absent: 0. Example: 99.',
      ),
    thresholdRange: thresholdRangeSchema
      .optional()
      .describe('Values that pass, bounds included; replaces threshold. Example: {min: 99}.'),
    query: text(16_384, 1)
      .optional()
      .describe(
        'PromQL query that answers one number, sent to spec.metricsServer. Exclusive with templateRef and with the built-in names.',
      ),
    templateRef: z
      .object({
        name: objectName().describe('Name of the MetricTemplate.'),
        namespace: text(63, 1).optional().describe("Namespace of the MetricTemplate. Absent: the Canary's."),
      })
      .optional()
      .describe(
        'MetricTemplate that holds provider and query. Exclusive with query and with the built-in names.',
      ),
    templateVariables: textMap()
      .optional()
      .describe('Values that the template reads as {{ variables.<key> }}. Example: {status: "5.."}.'),
  }),
  [
    {
      cel: "(self.name in ['request-success-rate', 'request-duration'] ? 1 : 0) + (has(self.query) ? 1 : 0) + (has(self.templateRef) ? 1 : 0) == 1",
      message:
        'must be exactly one of: a built-in name (request-success-rate, request-duration), query, templateRef',
      holds: metric =>
        Number(isBuiltIn(metric.name)) +
          Number(metric.query !== undefined) +
          Number(metric.templateRef !== undefined) ===
        1,
    },
  ],
);

const alertSchema = z.object({
  name: objectName().describe('Name of the alert.'),
  severity: z
    .enum(['', 'info', 'warn', 'error'])
    .optional()
    .describe(
      'Least severity that is sent: info (everything), warn (warnings and errors) or error. Absent or empty: info.',
    ),
  providerRef: z
    .object({
      name: objectName().describe('Name of the AlertProvider.'),
      namespace: text(63, 1).optional().describe("Namespace of the AlertProvider. Absent: the Canary's."),
    })
    .describe('AlertProvider that the alert is sent to.'),
});

const webhookSchema = z.object({
  name: objectName().describe('Name of the hook.'),
  type: z
    .enum([
      '',
      'confirm-rollout',
      'pre-rollout',
      'rollout',
      'confirm-traffic-increase',
      'confirm-promotion',
      'post-rollout',
      'rollback',
      'event',
    ])
    .optional()
    .describe(
      'When the hook is called: confirm-rollout (gate before anything starts), pre-rollout (once before the first traffic), rollout (with every check), confirm-traffic-increase (gate before every step), confirm-promotion (gate before the promotion), post-rollout (after the end), rollback (asks whether to roll back) or event (is told of events). Absent or empty: rollout.',
    ),
  url: text(2048, 1).describe('Address that the hook is posted to. Example: http://tester.test/gate/check.'),
  timeout: duration('1ms', '1h').optional().describe('Time allowed for each call. Absent: 10s. Example: 5s.'),
  retries: whole(0, 100).optional().describe('How often a failed call is repeated: 0 to 100. Absent: 0.'),
  disableTLS: z
    .boolean()
    .optional()
    .describe("Accepts any certificate of the hook's server; insecure. Absent: false."),
  muteAlert: z.boolean().optional().describe('Sends no alert about this hook. Absent: false.'),
  metadata: textMap().optional().describe('Values passed to the hook as they are. Example: {type: bash}.'),
});

const sessionAffinitySchema = z.object({
  cookieName: text(256, 1).describe(
    'Name of the cookie that keeps a client on the canary. Example: canary-session.',
  ),
  primaryCookieName: text(256, 1)
    .optional()
    .describe(
      'Name of the cookie that keeps a client on the primary. Absent: such clients may move to the canary.',
    ),
  maxAge: whole(1, 31_536_000)
    .default(86_400)
    .describe('Life of the cookie in seconds: 1 to 31536000 (a year). Default 86400 (a day).'),
  domain: text(253).optional().describe('Domain attribute of the cookie. Absent: none.'),
  httpOnly: z.boolean().optional().describe('HttpOnly attribute of the cookie. Absent: false.'),
  partitioned: z.boolean().optional().describe('Partitioned attribute of the cookie. Absent: false.'),
  path: text(1024).optional().describe('Path attribute of the cookie. Absent: none.'),
  sameSite: text(16)
    .optional()
    .describe('SameSite attribute of the cookie: Strict, Lax or None. Absent: none.'),
  secure: z.boolean().optional().describe('Secure attribute of the cookie. Absent: false.'),
});

/** How metrics without data, or without an answer, are taken. */
export const POLICIES = ['hold', 'pass', 'fail'] as const;

const failing = {
  onNoData: z
    .enum(POLICIES)
    .default('hold')
    .describe(
      'What a check without data means: hold (nothing moves, noDataBudget counts), pass or fail (counts towards threshold). Zero successful requests among some are 0 %, not missing data. Default hold.',
    ),
  noDataBudget: whole(1, 10_000)
    .default(10)
    .describe(
      'How many checks in a row may be without data before the run is Stalled, when onNoData is hold: 1 to 10000. Default 10.',
    ),
  onError: z
    .enum(POLICIES)
    .default('hold')
    .describe(
      'What a check means whose metric provider did not answer: hold (nothing moves, errorBudget counts), pass or fail (counts towards threshold). Default hold.',
    ),
  errorBudget: whole(1, 10_000)
    .default(10)
    .describe(
      'How many checks in a row may end in an error of the provider before the run is Stalled, when onError is hold: 1 to 10000. Default 10.',
    ),
  onStalled: z
    .enum(['hold', 'rollback'])
    .default('hold')
    .describe(
      'What is done with a Stalled run: hold (traffic stays where it is until somebody acts or data returns) or rollback. Default hold.',
    ),
};

const progress = {
  interval: duration('1s', '24h')
    .optional()
    .describe(
      'Time between two checks, and therefore between two steps: a Go duration from 1s to 24h. Absent: 60s. Example: 30s.',
    ),
  threshold: whole(0, 10_000)
    .optional()
    .describe(
      'How many failed checks of one run roll it back; they need not be in a row. 0 to 10000; absent, 0 and 1 all mean the first. Example: 5.',
    ),
  stepWeight: whole(1, 100)
    .optional()
    .describe(
      'Percent of the traffic added to the canary in each step, until maxWeight: 1 to 100. Exclusive with stepWeights and iterations. Example: 10.',
    ),
  stepWeights: withRules(z.array(whole(1, 100)).min(1).max(100), [
    {
      cel: 'self.isSorted() && self.all(w, self.exists_one(v, v == w))',
      message: 'must rise strictly, such as [1, 10, 50]',
      holds: weights => weights.every((weight, index) => index === 0 || weight > (weights[index - 1] ?? 0)),
    },
  ])
    .optional()
    .describe(
      'Percent of the traffic that the canary gets in each step, strictly rising, each from 1 to 100. Exclusive with stepWeight and iterations. Example: [1, 10, 50].',
    ),
  maxWeight: whole(0, 100)
    .optional()
    .describe(
      'Highest percent of the traffic that the canary gets before it is promoted: 0 to 100; steps above it are cut to it. Absent or 0: 100 with stepWeight, the last of stepWeights otherwise. With iterations only 0 and 100, because all of the traffic is switched at once. Example: 50.',
    ),
  stepWeightPromotion: whole(0, 100)
    .optional()
    .describe(
      'Percent of the traffic that returns to the promoted primary in each step: 0 to 100. Absent or 0: all at once. Example: 25.',
    ),
  iterations: whole(1, 10_000)
    .optional()
    .describe(
      'Blue/green (or A/B with match): how many checks have to pass before all traffic is switched: 1 to 10000. Exclusive with stepWeight and stepWeights. Example: 10.',
    ),
  match: z
    .array(opaque())
    .max(64)
    .optional()
    .describe(
      'A/B: which requests go to the canary, by headers, queryParams or sourceLabels, each with exact, prefix, suffix or regex. Used with iterations.',
    ),
  mirror: z
    .boolean()
    .optional()
    .describe('Sends the canary a copy of each request before it gets any real traffic. Absent: false.'),
  mirrorWeight: whole(0, 100)
    .optional()
    .describe('Percent of the requests that are copied while mirroring: 0 to 100. Absent: 100.'),
  bake: duration('1s', '168h')
    .optional()
    .describe(
      'How long the promoted primary is watched, with the old revision kept to go back to: a Go duration from 1s to 168h. At its end the built-in metrics of the primary have to pass; a check without a value follows onNoData and onError, and the command promote ends the watch. Absent: one interval. Example: 10m.',
    ),
  primaryReadyThreshold: whole(0, 100)
    .optional()
    .describe(
      'Percent of the primary pods that have to be available, rounded up, at least one pod: 0 to 100. Absent: 100.',
    ),
  canaryReadyThreshold: whole(0, 100)
    .optional()
    .describe(
      'Percent of the canary pods that have to be available, rounded up, at least one pod: 0 to 100. Absent: 100.',
    ),
};

export const analysisSchema = withRules(
  z.object({
    ...progress,
    ...failing,
    metrics: z
      .array(metricSchema)
      .max(CHECKS_MAX)
      .optional()
      .describe(
        `Metrics that have to be within bounds at every check. At most ${CHECKS_MAX}. Absent: readiness only.`,
      ),
    judge: judgeSchema.optional(),
    alerts: z
      .array(alertSchema)
      .max(16)
      .optional()
      .describe(
        'Who is told of the rollout, instead of the Slack that the flags of the engine name. At most 16.',
      ),
    webhooks: z
      .array(webhookSchema)
      .max(32)
      .optional()
      .describe('Hooks and gates of the rollout. At most 32.'),
    sessionAffinity: sessionAffinitySchema
      .optional()
      .describe('Keeps each client on the side that first answered it. Depends on the provider.'),
  }),
  [
    {
      cel: '(has(self.iterations) ? 1 : 0) + (has(self.stepWeight) ? 1 : 0) + (has(self.stepWeights) ? 1 : 0) == 1',
      message: 'must have exactly one of iterations, stepWeight and stepWeights',
      holds: analysis =>
        [analysis.iterations, analysis.stepWeight, analysis.stepWeights].filter(way => way !== undefined)
          .length === 1,
    },
    {
      cel: '!has(self.iterations) || !has(self.maxWeight) || self.maxWeight in [0, 100]',
      at: 'maxWeight',
      message:
        'must be absent, 0 or 100 beside iterations, which switch all of the traffic at once; use stepWeight or stepWeights to stop short of that',
      holds: ({ iterations, maxWeight = 0 }) =>
        iterations === undefined || maxWeight === 0 || maxWeight === 100,
    },
    {
      cel: "!has(self.iterations) || !has(self.judge) || !has(self.judge.mode) || self.judge.mode == 'threshold'",
      at: 'judge',
      message:
        'must have mode threshold beside iterations: while they count the canary has no requests to judge; use stepWeight or stepWeights',
      holds: ({ iterations, judge }) =>
        iterations === undefined || judge?.mode === undefined || judge.mode === 'threshold',
    },
    {
      cel: "!has(self.judge) || !has(self.judge.mode) || self.judge.mode != 'slo' || (has(self.metrics) && self.metrics.exists(m, m.name in ['request-success-rate', 'request-duration'] && (has(m.thresholdRange) || (has(m.threshold) && m.threshold > 0.0))))",
      at: 'metrics',
      message:
        'must have a built-in metric (request-success-rate or request-duration) with a bound when judge.mode is slo',
      holds: ({ judge, metrics }) =>
        judge?.mode !== 'slo' ||
        (metrics ?? []).some(
          metric =>
            isBuiltIn(metric.name) && (metric.thresholdRange !== undefined || (metric.threshold ?? 0) > 0),
        ),
    },
    {
      cel: "!has(self.judge) || !has(self.judge.mode) || self.judge.mode != 'compare' || !has(self.stepWeights) || self.stepWeights[0] < 100",
      at: 'stepWeights',
      message:
        'must have a step below 100 when judge.mode is compare: at 100 no primary is left to compare with',
      holds: ({ judge, stepWeights }) => judge?.mode !== 'compare' || (stepWeights?.[0] ?? 0) < 100,
    },
  ],
).describe(
  'How traffic moves to the canary and what is judged on the way. Exactly one of stepWeight, stepWeights (canary) and iterations (blue/green) is set.',
);
