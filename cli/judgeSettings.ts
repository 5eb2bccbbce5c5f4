/**
 * `spec.analysis.judge` of a manifest as settings of the judge and the guard, in shares and milliseconds. The defaults
 * are those of the judge; which mode an absent one means is decided here.
 */
import { z } from 'zod';
import { GUARD_DEFAULTS, type GuardSettings } from '../analyzers/judge/guard.ts';
import { JUDGE_DEFAULTS, type JudgeSettings } from '../analyzers/judge/settings.ts';
import type { CanaryAnalysis } from '../engine/api/canary.ts';
import { durationMs } from '../engine/api/duration.ts';
import { duration, whole } from '../engine/api/fields.ts';

export const JUDGE_MODES = ['threshold', 'compare', 'slo'] as const;
export type JudgeMode = (typeof JUDGE_MODES)[number];

const probability = () => z.number().min(1e-9).max(0.5);
const points = (least: number) => z.number().min(least).max(100);

const judgeSchema = z.object({
  mode: z.enum(JUDGE_MODES).optional(),
  alpha: probability().optional(),
  beta: probability().optional(),
  regression: points(0).optional(),
  promotionMargin: points(0.001).optional(),
  budget: points(0.001).optional(),
  minDwell: duration('1s', '24h').optional(),
  deadline: duration('1s', '168h').optional(),
  onDeadline: z.enum(['hold', 'rollback', 'promote']).optional(),
  warmUp: duration('0s', '24h').optional(),
  noTrafficTimeout: duration('1s', '24h').optional(),
  latencyTolerance: z.number().min(1).max(100).optional(),
  latencyPromotionTolerance: z.number().min(1).max(100).optional(),
  guard: z
    .object({
      mode: z.enum(['on', 'off']).optional(),
      alpha: probability().optional(),
      requests: whole(1, 1_000_000).optional(),
      evaluations: whole(1, 1_000).optional(),
    })
    .optional(),
});
export type JudgeField = z.output<typeof judgeSchema>;

/** As a user writes them, e.g. `guard.alpha`. */
export const JUDGE_FIELDS: readonly string[] = Object.keys(judgeSchema.shape).flatMap(field =>
  field === 'guard'
    ? Object.keys(judgeSchema.shape.guard.unwrap().shape).map(inner => `guard.${inner}`)
    : [field],
);

export interface JudgeChoice {
  mode: JudgeMode;
  /** Why this mode, as the end of a sentence. */
  because: string;
  /** What `compare` and `slo` judge by. */
  judge: JudgeSettings;
  /** Of `threshold`; undefined: it is off. */
  guard: GuardSettings | undefined;
}

/** @returns each problem with its field, as `decodeCanary` says them */
export function decodeJudge(
  given: unknown,
): { ok: true; judge: JudgeField } | { ok: false; problems: string[] } {
  const parsed = judgeSchema.safeParse(given ?? {});
  if (parsed.success) return { ok: true, judge: parsed.data };
  const problems = parsed.error.issues.map(
    issue => `${['spec.analysis.judge', ...issue.path.map(String)].join('.')}: ${issue.message}`,
  );
  return { ok: false, problems };
}

export function judgeSettingsOf(
  analysis: Pick<CanaryAnalysis, 'threshold' | 'metrics' | 'iterations'>,
  judge: JudgeField,
): JudgeChoice {
  const { mode, because } = modeOf(analysis, judge);
  const d = JUDGE_DEFAULTS;
  return {
    mode,
    because,
    judge: {
      mode: mode === 'slo' ? 'slo' : 'compare',
      alpha: judge.alpha ?? d.alpha,
      beta: judge.beta ?? d.beta,
      regression: { ratio: d.regression.ratio, offset: share(judge.regression) ?? d.regression.offset },
      promotionMargin: share(judge.promotionMargin) ?? d.promotionMargin,
      budget: share(judge.budget) ?? d.budget,
      minDwellMs: ms(judge.minDwell) ?? d.minDwellMs,
      deadlineMs: ms(judge.deadline) ?? d.deadlineMs,
      onDeadline: judge.onDeadline ?? d.onDeadline,
      warmUpMs: ms(judge.warmUp) ?? d.warmUpMs,
      noTrafficTimeoutMs: ms(judge.noTrafficTimeout) ?? d.noTrafficTimeoutMs,
      latency: {
        tolerance: judge.latencyTolerance ?? d.latency.tolerance,
        promotionTolerance: judge.latencyPromotionTolerance ?? d.latency.promotionTolerance,
      },
    },
    guard: guardOf(judge.guard),
  };
}

function modeOf(
  { threshold, metrics, iterations }: Pick<CanaryAnalysis, 'threshold' | 'metrics' | 'iterations'>,
  { mode }: JudgeField,
): Pick<JudgeChoice, 'mode' | 'because'> {
  if (mode) return { mode, because: 'judge.mode says so' };
  const given = [
    ...(threshold === undefined ? [] : ['threshold']),
    ...(metrics?.length ? ['metrics'] : []),
    ...(iterations === undefined ? [] : ['iterations']),
  ];
  if (given.length === 0)
    return { mode: 'compare', because: 'neither threshold nor metrics nor iterations are given' };
  return {
    mode: 'threshold',
    because: `${given.join(' and ')} ${given.length > 1 || given[0] !== 'threshold' ? 'are' : 'is'} given`,
  };
}

function guardOf(guard: JudgeField['guard']): GuardSettings | undefined {
  if (guard?.mode === 'off') return undefined;
  const { alpha, after } = GUARD_DEFAULTS;
  return {
    alpha: guard?.alpha ?? alpha,
    after: {
      requests: guard?.requests ?? after.requests,
      evaluations: guard?.evaluations ?? after.evaluations,
    },
  };
}

/** Percent points as a share of requests. */
function share(percentPoints: number | undefined): number | undefined {
  return percentPoints === undefined ? undefined : percentPoints / 100;
}

function ms(text: string | undefined): number | undefined {
  return text === undefined ? undefined : durationMs(text);
}
