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
import { canaryStatusSchema, COMPARISONS_MAX, PHASES } from '../api/status.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';

const { checks, transitions, history, judge: judgeStatus } = canaryStatusSchema.shape;
const { mode, verdict, sentence, logEvidence, logNeeded, comparisons } = judgeStatus.unwrap().shape;
const comparisonSchema = comparisons.element;
const rateSchema = comparisonSchema.shape.canary;

const pointSchema = z.object({
  seconds: z.number().describe('Since judging began.'),
  weightPercent: z.number().describe('Percent of the traffic that the canary had.'),
  canary: rateSchema,
  primary: rateSchema,
  logEvidence: z.number().describe('Of all comparisons together.'),
  logShown: z.number().describe('The least of those that have to be shown.'),
});

const judgeSchema = z.object({
  mode: mode.optional(),
  verdict: verdict.optional(),
  sentence: sentence.optional(),
  logEvidence: logEvidence.optional(),
  logNeeded: logNeeded.optional(),
  odds: z.string().optional().describe('The evidence against the canary as odds.'),
  oddsNeeded: z.string().optional().describe('What it has to reach, as odds.'),
  logShownNeeded: z
    .number()
    .optional()
    .describe('What `logShown` has to reach before traffic rises; absent in threshold mode.'),
  comparisons,
  timeline: z.array(pointSchema).describe('Oldest first; counts are sums since the beginning.'),
});

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
/** No rollout lasts for years, none counts more requests, and no evidence is stronger. */
const SECONDS_MAX = 1e8;
const COUNT_MAX = 1e15;
const LOG_MAX = 1e6;

export function reportOf(object: KubernetesObject): Report {
  const status = record(object.status);
  const target = record(record(object.spec)['targetRef']);
  const past = listOf(status['history'], history.unwrap().element);
  return {
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name,
    target: { kind: text(target['kind']) ?? '', name: text(target['name']) ?? '' },
    ...present({
      phase: PHASES.find(known => known === status['phase']),
      weightPercent: finite(status['canaryWeight']),
      rollout: rolloutOf(record(status['run']), past),
      judge: judgeOf(record(status['judge']), record(status['run']), betaOf(object)),
    }),
    isPaused: typeof status['paused'] === 'object' && status['paused'] !== null,
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

function fitting<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> | undefined {
  return schema.safeParse(value).data;
}

/** Without what is not there: an absent field and one that is undefined are different things in an answer. */
function present<Fields extends object>(
  fields: Fields,
): { [Key in keyof Fields]?: NonNullable<Fields[Key]> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [Key in keyof Fields]?: NonNullable<Fields[Key]> };
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

function judgeOf(judge: Fields, run: Fields, beta: number): ReportJudge | undefined {
  // What was judged of another run says nothing about this one.
  const judged = text(judge['run']);
  if (judged === undefined || (text(run['id']) ?? judged) !== judged) return undefined;
  const told = present({
    mode: fitting(mode, judge['mode']),
    verdict: fitting(verdict, judge['verdict']),
    sentence: fitting(sentence, judge['sentence']),
    logEvidence: fitting(logEvidence, judge['logEvidence']),
    logNeeded: fitting(logNeeded, judge['logNeeded']),
  });
  const asksForShown = told.mode === 'compare' || told.mode === 'slo';
  const compared = listOf(judge['comparisons'], comparisonSchema).slice(0, COMPARISONS_MAX);
  return {
    ...told,
    ...(told.logEvidence === undefined ? {} : { odds: oddsOf(told.logEvidence) }),
    ...(told.logNeeded === undefined ? {} : { oddsNeeded: oddsOf(told.logNeeded) }),
    ...(asksForShown ? { logShownNeeded: Math.log(1 / beta) } : {}),
    comparisons: compared,
    timeline: timelineOf(judge['timeline'], dispersionsOf(compared)),
  };
}

interface Dispersions {
  canary: number;
  primary: number;
}

/** Failures first; where only latency is looked at, that is what the timeline counts. */
function dispersionsOf(compared: ReportJudge['comparisons']): Dispersions {
  const counted = compared.find(one => one.upperMs === undefined) ?? compared[0];
  return { canary: dispersionBehind(counted?.canary), primary: dispersionBehind(counted?.primary) };
}

/** As far as history says, failures clump less than that. */
const DISPERSION_MAX = 1e4;
const HALVINGS = 40;

/** By what counts were divided to give an interval as wide as this: the one that widens with it. */
export function dispersionBehind(rate: ReportRate | undefined): number {
  if (!rate || !(rate.total > 0)) return 1;
  const width = rate.high - rate.low;
  const widthAt = (dispersion: number) => {
    const { low, high } = rateOf(rate.total, rate.failures, dispersion);
    return high - low;
  };
  let [least, most] = [1, DISPERSION_MAX];
  if (!(width > widthAt(least)) || width >= widthAt(most)) return 1;
  for (let halving = 0; halving < HALVINGS; halving += 1) {
    const middle = Math.sqrt(least * most);
    if (widthAt(middle) < width) least = middle;
    else most = middle;
  }
  return least;
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
