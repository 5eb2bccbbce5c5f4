/**
 * The rules under which one Canary is rehearsed: its own, and a fixed threshold beside it. What only a real cluster has
 * (a mesh, a metrics server, receivers) is taken out of the spec; nothing else is.
 */
import type { Canary } from '../../engine/api/decode.ts';
import { isGuarded, type Settings, settingsOf } from '../../engine/core/settings.ts';
import type { Json } from '../api/json.ts';

export interface Rule {
  name: 'own' | 'fixed';
  spec: Json;
  settings: Settings;
  /** The bounds are not the manifest's. */
  isAssumed: boolean;
  /** See `Scenario`. */
  endsAfterMs: number;
}

/** As the engine's own flag has it. */
export const DRAIN_MS = 10_000;

/** What Flagger's documentation begins with. */
const USUAL_METRICS = [
  { name: 'request-success-rate', interval: '1m', thresholdRange: { min: 99 } },
  { name: 'request-duration', interval: '1m', thresholdRange: { max: 500 } },
];
const USUAL_THRESHOLD = 5;

const FIXED: Canary['spec']['analysis']['judge'] = { mode: 'threshold', guard: { enabled: false } };

/** One rule where the Canary's own is nothing but a fixed threshold. */
export function rulesOf(canary: Pick<Canary, 'namespace' | 'spec'>): Rule[] {
  const spec = playable(canary.spec);
  const own = ruleOf('own', canary, spec, false);
  const hasBounds = own.settings.metrics.some(isGuarded);
  const isFixed = hasBounds && !own.settings.judge && !own.settings.guard;
  if (isFixed) return [own];
  const { judge: _judge, ...analysis } = spec.analysis;
  const fixed = { ...analysis, judge: FIXED };
  if (hasBounds) return [own, ruleOf('fixed', canary, { ...spec, analysis: fixed }, false)];
  const names = USUAL_METRICS.map(({ name }) => name);
  const others = (analysis.metrics ?? []).filter(({ name }: { name: string }) => !names.includes(name));
  const usual = {
    ...fixed,
    threshold: analysis.threshold ?? USUAL_THRESHOLD,
    metrics: [...USUAL_METRICS, ...others],
  };
  return [own, ruleOf('fixed', canary, { ...spec, analysis: usual }, true)];
}

/** Through JSON, as a manifest is sent. */
function playable(spec: Canary['spec']): Json {
  const { provider: _provider, metricsServer: _metricsServer, ...rest } = spec;
  const { alerts: _alerts, ...analysis } = rest.analysis;
  return JSON.parse(JSON.stringify({ ...rest, analysis }));
}

function ruleOf(
  name: Rule['name'],
  { namespace }: Pick<Canary, 'namespace'>,
  spec: Json,
  isAssumed: boolean,
): Rule {
  const settings = settingsOf({ namespace, spec }, { drainMs: DRAIN_MS });
  return { name, spec, settings, isAssumed, endsAfterMs: endOf(settings) };
}

/** Starting pods, draining, a primary that rolls: beside what is waited for by settings. */
const MOVING_MS = 120_000;
/** A check that finds nothing waits for the next one; nobody watches for longer than that. */
const CHECKS_MS_MIN = 3_600_000;
const END_MS_MAX = 86_400_000;

/** By then a run has ended, or it will not end by itself. */
function endOf({ judge, intervalMs, iterations, steps, threshold, bakeMs, ...settings }: Settings): number {
  const { stepWeightPromotion } = settings;
  const returning = stepWeightPromotion > 0 ? Math.ceil(100 / stepWeightPromotion) : 0;
  const promotionMs = bakeMs + returning * intervalMs + MOVING_MS;
  const checks = iterations + steps.length + threshold;
  const judgingMs = judge ? judge.deadlineMs : Math.max(CHECKS_MS_MIN, 2 * checks * intervalMs);
  return Math.min(END_MS_MAX, judgingMs + promotionMs);
}
