/**
 * What there is to tell about a Canary's rollout, from its status alone: how it stands or ended, what was judged and how
 * strong that is, and what happened when. Everything in a status is optional, and one that another version wrote may hold
 * what this one does not expect: such a part is left out, never guessed and never an error. Pure.
 */
import { z } from '@hono/zod-openapi';
import { rateInterval } from '../../analyzers/judge/confidence.ts';
import { INTERVAL_ALPHA } from '../../analyzers/judge/record.ts';
import { oddsOf } from '../../analyzers/judge/sentence.ts';
import { JUDGE_DEFAULTS } from '../../analyzers/judge/settings.ts';
import { canaryStatusSchema, PHASES } from '../api/status.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';

const rateSchema = z.object({
  total: z.number().describe('Requests since judging began.'),
  failures: z.number().describe('Those of them that failed, or took longer than the bound.'),
  low: z.number().describe('Lower end of the confidence sequence, as a share of requests.'),
  high: z
    .number()
    .describe('Upper end: the true share is outside at any time ever in 5 % of rollouts at most.'),
});

const comparisonSchema = z.object({
  metric: z.string().describe('What was looked at.'),
  upperMs: z.number().optional().describe('Latency bound in milliseconds; absent: failures.'),
  bound: z
    .number()
    .optional()
    .describe("The user's bound as a share of requests; absent: the primary was compared with."),
  logEvidence: z.number().describe('Natural logarithm of the evidence that the canary is beyond.'),
  logShown: z.number().optional().describe('The same for the opposite, in this step.'),
  canary: rateSchema,
  primary: rateSchema,
});

const pointSchema = z.object({
  seconds: z.number().describe('Since judging began.'),
  weightPercent: z.number().describe('Percent of the traffic that the canary had.'),
  canary: rateSchema,
  primary: rateSchema,
  logEvidence: z.number().describe('Of all comparisons together.'),
  logShown: z.number().describe('The least of those that have to be shown.'),
});

const judgeSchema = z.object({
  mode: z.enum(['threshold', 'compare', 'slo']).optional().describe('How it was judged.'),
  verdict: z.string().optional().describe('The last verdict.'),
  sentence: z.string().optional().describe('The same for people, with the numbers.'),
  logEvidence: z.number().optional().describe('Natural logarithm of the evidence for a rollback.'),
  logNeeded: z.number().optional().describe('What it has to reach.'),
  odds: z.string().optional().describe('The evidence as odds.'),
  oddsNeeded: z.string().optional().describe('What it has to reach, as odds.'),
  logShownNeeded: z
    .number()
    .optional()
    .describe('What `logShown` has to reach before traffic rises; absent in threshold mode.'),
  comparisons: z.array(comparisonSchema),
  timeline: z.array(pointSchema).describe('Oldest first; counts are sums since the beginning.'),
});

const { checks, transitions, history } = canaryStatusSchema.shape;

export const reportSchema = z.object({
  namespace: z.string(),
  name: z.string(),
  target: z.object({ kind: z.string(), name: z.string() }).describe('The workload that is released.'),
  phase: z.enum(PHASES).optional().describe('Where the canary stands.'),
  weightPercent: z.number().optional().describe('Percent of the traffic that the canary was last given.'),
  isPaused: z.boolean().describe('A person has paused the run.'),
  rollout: z
    .object({
      revision: z.string().describe('Hash of the revision.'),
      startedAt: z.string().optional().describe('When it started.'),
      endedAt: z.string().optional().describe('When it ended; absent while it runs.'),
      outcome: history
        .unwrap()
        .element.shape.outcome.optional()
        .describe('How it ended; absent while it runs.'),
      reason: z.string().optional().describe('Why it ended so, as a constant.'),
      message: z.string().optional().describe('Why it ended so, in a sentence.'),
      by: z.string().optional().describe('Who commanded it, when somebody did.'),
    })
    .optional()
    .describe('The one that is running, or the last one.'),
  judge: judgeSchema.optional().describe('What was judged in that rollout; absent where nothing was.'),
  checks: checks.unwrap().describe('The last result of each metric.'),
  transitions: transitions.unwrap().describe('The last transitions, oldest first.'),
  history: history.unwrap().describe('Past rollouts, newest first.'),
});

export type Report = z.infer<typeof reportSchema>;
export type ReportJudge = z.infer<typeof judgeSchema>;
export type ReportPoint = z.infer<typeof pointSchema>;
export type ReportRate = z.infer<typeof rateSchema>;

/** A status has 60; more than this would be no status of ours. */
const POINTS_MAX = 240;
const COMPARISONS_MAX = 16;
/** No rollout lasts for years, none counts more requests, and no evidence is stronger. */
const SECONDS_MAX = 1e8;
const COUNT_MAX = 1e15;
const LOG_MAX = 1e6;

export function reportOf(object: KubernetesObject): Report {
  const status = record(object.status);
  const target = record(record(object.spec)['targetRef']);
  const phase = PHASES.find(known => known === status['phase']);
  const weightPercent = finite(status['canaryWeight']);
  const past = listOf(status['history'], history.unwrap().element);
  const rollout = rolloutOf(record(status['run']), past);
  const judge = judgeOf(record(status['judge']), record(status['run']), betaOf(object));
  return {
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name,
    target: { kind: text(target['kind']) ?? '', name: text(target['name']) ?? '' },
    ...(phase === undefined ? {} : { phase }),
    ...(weightPercent === undefined ? {} : { weightPercent }),
    isPaused: typeof status['paused'] === 'object' && status['paused'] !== null,
    ...(rollout ? { rollout } : {}),
    ...(judge ? { judge } : {}),
    checks: listOf(status['checks'], checks.unwrap().element),
    transitions: listOf(status['transitions'], transitions.unwrap().element),
    history: past,
  };
}

type Fields = Readonly<Record<string, unknown>>;

function record(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function finite(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** What is missing is nothing. */
function within(value: number | undefined, least: number, most: number): number {
  return Math.min(most, Math.max(least, value ?? 0));
}

function listOf<Schema extends z.ZodType>(value: unknown, schema: Schema): z.output<Schema>[] {
  const list = Array.isArray(value) ? value : [];
  return list.flatMap(entry => {
    const { data, success } = schema.safeParse(entry);
    return success ? [data] : [];
  });
}

/** A run that ended stands in the history too, with what became of it. */
function rolloutOf(run: Fields, past: Report['history']): Report['rollout'] {
  const revision = text(run['revision']);
  if (revision === undefined) return undefined;
  const startedAt = text(run['startedAt']);
  const ended = past.find(one => one.revision === revision && one.startedAt === startedAt);
  return { ...ended, revision, ...(startedAt === undefined ? {} : { startedAt }) };
}

/** `spec.analysis.judge.beta` as the user wrote it, or the default. */
function betaOf(object: KubernetesObject): number {
  const beta = finite(record(record(record(object.spec)['analysis'])['judge'])['beta']);
  return beta !== undefined && beta > 0 && beta < 1 ? beta : JUDGE_DEFAULTS.beta;
}

const MODES = judgeSchema.shape.mode.unwrap().options;

function judgeOf(judge: Fields, run: Fields, beta: number): ReportJudge | undefined {
  // What was judged of another run says nothing about this one.
  const judged = text(judge['run']);
  const ids = [text(run['id']), text(run['revision'])].filter(id => id !== undefined);
  if (judged === undefined || (ids.length > 0 && !ids.includes(judged))) return undefined;
  const mode = MODES.find(known => known === judge['mode']);
  const logEvidence = finite(judge['logEvidence']);
  const logNeeded = finite(judge['logNeeded']);
  const verdict = text(judge['verdict']);
  const sentence = text(judge['sentence']);
  const list = Array.isArray(judge['comparisons']) ? judge['comparisons'].slice(0, COMPARISONS_MAX) : [];
  return {
    ...(mode ? { mode } : {}),
    ...(verdict === undefined ? {} : { verdict }),
    ...(sentence === undefined ? {} : { sentence }),
    ...(logEvidence === undefined ? {} : { logEvidence, odds: oddsOf(logEvidence) }),
    ...(logNeeded === undefined ? {} : { logNeeded, oddsNeeded: oddsOf(logNeeded) }),
    ...(mode === 'compare' || mode === 'slo' ? { logShownNeeded: Math.log(1 / beta) } : {}),
    comparisons: listOf(list, comparisonSchema),
    timeline: timelineOf(judge['timeline'], dispersionsOf(list)),
  };
}

interface Dispersions {
  canary: number;
  primary: number;
}

/** By which the counts of failures were divided, where the status says so. */
function dispersionsOf(comparisons: readonly unknown[]): Dispersions {
  const failures = comparisons.map(record).find(one => one['upperMs'] === undefined);
  const given = record(failures?.['dispersion']);
  const of = (arm: string) => Math.max(1, finite(given[arm]) ?? 1);
  return { canary: of('canary'), primary: of('primary') };
}

/** Rows of [seconds, weight, canary total and failures, primary total and failures, logEvidence, logShown]. */
function timelineOf(value: unknown, dispersions: Dispersions): ReportPoint[] {
  const rows = Array.isArray(value) ? value.slice(-POINTS_MAX) : [];
  return rows
    .flatMap((row): ReportPoint[] => {
      if (!Array.isArray(row)) return [];
      const [seconds, weight, canary, canaryFailed, primary, primaryFailed, logEvidence, logShown] =
        row.map(finite);
      if (seconds === undefined || !(seconds >= 0 && seconds <= SECONDS_MAX)) return [];
      return [
        {
          seconds,
          weightPercent: within(weight, 0, 100),
          canary: rateOf(canary ?? 0, canaryFailed ?? 0, dispersions.canary),
          primary: rateOf(primary ?? 0, primaryFailed ?? 0, dispersions.primary),
          logEvidence: within(logEvidence, -LOG_MAX, LOG_MAX),
          logShown: within(logShown, -LOG_MAX, LOG_MAX),
        },
      ];
    })
    .sort((a, b) => a.seconds - b.seconds);
}

export function rateOf(total: number, failed: number, dispersion: number): ReportRate {
  const all = within(total, 0, COUNT_MAX);
  const failures = within(failed, 0, all);
  const counts = { total: all / dispersion, failures: failures / dispersion };
  return { total: all, failures, ...rateInterval(counts, INTERVAL_ALPHA) };
}
