/**
 * What the metric provider said of each canary, judged by the specs as they read: an own judge, which shares no code
 * with the engine's. A batch is all metrics of one check; it passes, fails or leaves the question open.
 */
import type { Json } from '../api/json.ts';
import { checkedMetricsOf } from './checkers/reading.ts';
import type { Answer } from './metricsSource.ts';
import type { CanaryView } from './witness.ts';

export type Verdict = 'pass' | 'fail' | 'open';

export interface Batch {
  engine: number;
  askedAtMs: number;
  answers: Map<string, Answer>;
  /** What the check says by the spec; by each, when it was edited lately and an engine may go by either. */
  verdicts: Set<Verdict>;
}

export interface Verdicts {
  hear(answer: Answer, view: CanaryView): void;
  /** Checks of the canary that were asked at or after this moment, oldest first. */
  batchesSince(view: CanaryView, fromMs: number): Batch[];
}

const BATCHES_MAX = 400;
/** Edits that a cache may be behind by. */
const SPECS_MAX = 3;

/** Bounds of a metric as its description in the CRD says. */
function isWithin(metric: Json, value: number): boolean {
  const range = metric.thresholdRange;
  const threshold = metric.threshold ?? 0;
  const { min, max } =
    range ?? (metric.name === 'request-success-rate' ? { min: threshold } : { max: threshold });
  return (min === undefined || value >= min) && (max === undefined || value <= max);
}

export function verdictOn(metric: Json, analysis: Json, answer: Answer): Verdict {
  const { measurement } = answer;
  const policy = (name: string): Verdict => {
    const said = analysis[name] ?? 'hold';
    return said === 'hold' ? 'open' : said;
  };
  if (measurement.kind === 'providerError') return policy('onError');
  if (measurement.kind === 'noData' || !Number.isFinite(measurement.value)) return policy('onNoData');
  return isWithin(metric, measurement.value) ? 'pass' : 'fail';
}

/** Undefined while answers are missing. */
function verdictOf(spec: Json, answers: ReadonlyMap<string, Answer>): Verdict | undefined {
  const metrics = checkedMetricsOf(spec);
  if (metrics.some(metric => !answers.has(metric.name))) return undefined;
  const verdicts = metrics.map(metric => verdictOn(metric, spec.analysis, answers.get(metric.name)!));
  if (verdicts.includes('fail')) return 'fail';
  return verdicts.includes('open') ? 'open' : 'pass';
}

export function createVerdicts(): Verdicts {
  const batches = new Map<CanaryView, Batch[]>();

  function batchOf(answer: Answer, view: CanaryView): Batch {
    const known = batches.get(view) ?? [];
    const { engine, askedAtMs } = answer;
    const open = known.findLast(batch => batch.engine === engine && batch.askedAtMs === askedAtMs);
    if (open) return open;
    const batch: Batch = { engine, askedAtMs, answers: new Map(), verdicts: new Set() };
    batches.set(view, [...known.slice(-BATCHES_MAX), batch]);
    return batch;
  }

  return {
    hear(answer, view) {
      if (answer.arm !== 'canary') return;
      const batch = batchOf(answer, view);
      batch.answers.set(answer.metric, answer);
      const verdicts = view.specs.slice(-SPECS_MAX).map(one => verdictOf(one.spec, batch.answers));
      batch.verdicts = new Set(verdicts.filter(verdict => verdict !== undefined));
    },
    batchesSince: (view, fromMs) => (batches.get(view) ?? []).filter(batch => batch.askedAtMs >= fromMs),
  };
}
