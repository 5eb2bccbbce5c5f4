/**
 * `spec.analysis.judge`: how a canary is judged beyond fixed thresholds, and what may be lost to chance. Bounds and
 * words only; what an absent field stands for is said in its description and filled in by `core/settings.ts`.
 */
import { z } from 'zod';
import { duration, whole } from './fields.ts';

export const JUDGE_MODES = ['threshold', 'compare', 'slo'] as const;
export const DEADLINE_ACTIONS = ['hold', 'rollback', 'promote'] as const;

/** A number within inclusive bounds. */
function bounded(min: number, max: number) {
  return z.number().min(min).max(max);
}

const guardSchema = z.object({
  enabled: z
    .boolean()
    .optional()
    .describe('Whether thresholds are guarded between the checks. Absent: true.'),
  alpha: bounded(1e-9, 0.1)
    .optional()
    .describe(
      'Highest probability that a canary which is within the thresholds at every time is ever rolled back by the guard: 0.000000001 to 0.1. Absent: 0.001.',
    ),
  requests: whole(1, 1_000_000)
    .optional()
    .describe(
      'Requests that the canary has to have answered since it was first seen beyond a threshold: 1 to 1000000. Absent: 10.',
    ),
  evaluations: whole(1, 100)
    .optional()
    .describe(
      'Fresh evaluations in which the canary has to have been beyond a threshold: 1 to 100. Absent: 2.',
    ),
});

export const judgeSchema = z
  .object({
    mode: z
      .enum(JUDGE_MODES)
      .optional()
      .describe(
        "One of three. threshold: every metric is compared with its bound at each check. compare: the canary's requests are compared with the primary's. slo: the canary's requests are compared with the bounds of the built-in metrics. Absent: threshold when threshold, metrics or iterations is given, compare otherwise.",
      ),
    alpha: bounded(1e-9, 0.5)
      .optional()
      .describe(
        'With compare and slo, the highest probability that a canary within the tolerated regression is rolled back, for each rollout: 0.000000001 to 0.5. Absent: 0.01; 0.05 decides about a quarter faster, 0.001 about a third slower.',
      ),
    beta: bounded(1e-9, 0.5)
      .optional()
      .describe(
        'With compare and slo, the highest probability that a canary at or beyond the margin gets more traffic: 0.000000001 to 0.5. Absent: 0.05.',
      ),
    regression: bounded(0, 50)
      .optional()
      .describe(
        'With compare, percent points that the canary may fail more often than the primary: 0 to 50. 0 is strict. Absent: 0.1.',
      ),
    promotionMargin: bounded(0.01, 50)
      .optional()
      .describe(
        'With compare and slo, percent points of additional failures that have to be excluded before the promotion: 0.01 to 50. Absent: 0.5, and 1 below 20 requests a second.',
      ),
    budget: bounded(0.01, 100)
      .optional()
      .describe(
        'With compare and slo, percent of all requests that a step may cost; the margin of a step is this divided by the share that the canary gets next. 0.01 to 100. Absent: 1.',
      ),
    minDwell: duration('1s', '24h')
      .optional()
      .describe(
        'With compare and slo, the least duration of a step, as a Go duration from 1s to 24h. Absent: 60s.',
      ),
    deadline: duration('10s', '168h')
      .optional()
      .describe(
        'With compare and slo, after this time without enough evidence onDeadline is done; a pause does not count. A Go duration from 10s to 168h. Absent: 1h.',
      ),
    onDeadline: z
      .enum(DEADLINE_ACTIONS)
      .optional()
      .describe(
        'With compare and slo, what follows at the deadline: hold (traffic stays, the run is Stalled until somebody acts or enough is shown), rollback or promote. Outside of alpha and beta. Absent: hold.',
      ),
    warmUp: duration('1ms', '1h')
      .optional()
      .describe(
        "With compare and slo, for so long after the pods became ready the canary's latency is not judged, because caches are cold. A Go duration to 1h. Absent: 30s.",
      ),
    noTrafficTimeout: duration('10s', '24h')
      .optional()
      .describe(
        'With compare and slo, after so long without a request to the canary the run is Stalled. A Go duration from 10s to 24h. Absent: 5m.',
      ),
    latencyTolerance: bounded(1, 10)
      .optional()
      .describe(
        'With compare, how many times as slow as the primary the canary may be: 1 to 10. Absent: 1.1, which is 10 % slower.',
      ),
    latencyPromotionTolerance: bounded(1, 10)
      .optional()
      .describe(
        'With compare, how many times as slow has to be excluded before the promotion: 1 to 10. Absent: 1.25.',
      ),
    guard: guardSchema
      .optional()
      .describe(
        'With threshold, takes the traffic away as soon as it is beyond doubt that the canary is beyond a threshold of a built-in metric, without waiting for the next checks. It never promotes. Absent: enabled.',
      ),
  })
  .describe(
    'How the canary is judged: by thresholds (as in Flagger), against the primary, or against its own bounds with a stated error.',
  );
