/** For each metric of an analysis: what the judge or the guard can do with it, and why not more. Words for people. */
import type { MetricSetting } from '../engine/core/settings.ts';
import { LATENCY_BOUNDS_MAX } from '../analyzers/judge/comparisons.ts';
import type { Subject } from './subject.ts';

export interface MetricNote {
  metric: string;
  /** Its raw counts are evidence: for the guard in `threshold`, for the judge otherwise. */
  isCounted: boolean;
  /** A sentence without the name of the metric. */
  says: string;
}

export function metricNotes({ mode, settings: { metrics }, isGuardOff }: Subject): MetricNote[] {
  let latencyBounds = 0;
  const notes = metrics.map((metric): MetricNote => {
    if (metric.kind === 'custom') return custom(metric, mode, isGuardOff);
    if (mode === 'compare')
      return note(
        metric,
        true,
        "is compared with the primary's; its own bound is a veto: it has to pass at every check",
      );
    if (mode === 'threshold' && isGuardOff)
      return note(metric, false, 'counts at its checks only: the guard is off');
    const who = mode === 'slo' ? 'judged' : 'guarded';
    if (metric.kind === 'request-success-rate') {
      if (metric.min === undefined || metric.min <= 0)
        return note(metric, false, `has no lower bound, so that nothing can be ${who}`);
      const share = `${Number((100 - metric.min).toPrecision(6))} %`;
      return note(metric, true, `is ${who}: at most ${share} of requests may fail`);
    }
    if (metric.max === undefined)
      return note(metric, false, `has no upper bound, so that nothing can be ${who}`);
    latencyBounds += 1;
    if (latencyBounds > LATENCY_BOUNDS_MAX)
      return note(metric, false, `is not ${who}: ${LATENCY_BOUNDS_MAX} latency bounds are counted at most`);
    const bound = `${metric.max} ms, rounded up to the next bucket of the histogram`;
    return note(metric, true, `is ${who}: at most 1 % of requests may take longer than ${bound}`);
  });
  return mode === 'compare' ? [...builtIn(metrics), ...notes] : notes;
}

/** `compare` looks at both built-in metrics, whether they are listed or not. */
function builtIn(metrics: readonly MetricSetting[]): MetricNote[] {
  const missing = (kind: MetricSetting['kind']) => !metrics.some(metric => metric.kind === kind);
  return [
    ...(missing('request-success-rate')
      ? [{ metric: 'request-success-rate', isCounted: true, says: "is compared with the primary's" }]
      : []),
    ...(missing('request-duration')
      ? [
          {
            metric: 'request-duration',
            isCounted: true,
            says: `is compared with the primary's at up to ${LATENCY_BOUNDS_MAX} bounds, where there is a histogram`,
          },
        ]
      : []),
  ];
}

function custom(metric: MetricSetting, mode: Subject['mode'], isGuardOff: boolean): MetricNote {
  const why = 'its query answers one number, and not how many requests there were';
  if (mode !== 'threshold')
    return note(metric, false, `is no evidence: ${why}. It is a veto: it has to pass at every check`);
  if (isGuardOff) return note(metric, false, 'counts at its checks only: the guard is off');
  return note(metric, false, `has no guard: ${why}; it counts at its checks`);
}

function note({ name }: MetricSetting, isCounted: boolean, says: string): MetricNote {
  return { metric: name, isCounted, says };
}
