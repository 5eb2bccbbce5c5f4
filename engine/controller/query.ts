/**
 * The text of a metric's query for one arm of a canary, as its provider is asked: built-in, inline, or from a
 * MetricTemplate with its variables filled in. It reads the caches and asks nobody.
 */
import { decodeMetricTemplate, type MetricTemplate } from '../api/decode.ts';
import { parseTime } from '../core/facts.ts';
import { parseRunId } from '../core/run.ts';
import type { Run } from '../api/status.ts';
import { revisionOf } from '../workloads/revisions.ts';
import type { MetricSetting } from '../core/settings.ts';
import type { Arm } from '../../analyzers/analyzer.ts';
import { duration, successRate } from '../../analyzers/queries/linkerd.ts';
import { prometheusDuration, type Rendered, renderQuery } from '../../analyzers/template.ts';
import type { Sighting } from './observe.ts';
import { mayRefer } from './references.ts';
import type { World } from './world.ts';

/** What a query is made for. */
export interface Asked extends Pick<Sighting, 'names' | 'canary'> {
  run: Run | undefined;
  /** Milliseconds since the epoch. */
  now: number;
}

export function queryOf(world: World, asked: Asked, metric: MetricSetting, arm: Arm): Rendered {
  const { names, canary } = asked;
  const window = prometheusDuration(windowOf(asked, metric.windowMs));
  if (metric.kind !== 'custom') {
    const deployment = arm === 'canary' ? names.target : names.primaryWorkload;
    const replicaSets = replicaSetsOf(world, names.namespace, deployment, asked.run?.revision);
    const scope = { namespace: names.namespace, deployment, replicaSets, window };
    return { ok: true, query: metric.kind === 'request-success-rate' ? successRate(scope) : duration(scope) };
  }
  const variables = {
    name: canary.name,
    namespace: names.namespace,
    target: names.target,
    service: names.apex,
    ingress: '',
    route: '',
    interval: window,
    variables: { ...metric.variables },
  };
  if (metric.query !== undefined) return renderQuery(metric.query, variables);
  const found = templateOf(world, canary.namespace, metric);
  return found.ok ? renderQuery(found.template.spec.query, variables) : found;
}

/** A retry is of the same revision: what its pods answered before it began is another run's. */
function windowOf({ run, now }: Asked, windowMs: number): number {
  const isRetry = run !== undefined && (parseRunId(run.id)?.commandId ?? '') !== '';
  return isRetry ? Math.max(1_000, Math.min(windowMs, now - parseTime(run.startedAt))) : windowMs;
}

/** Names of a Deployment's ReplicaSets that are of this revision. */
export function replicaSetsOf(
  world: World,
  namespace: string,
  deployment: string,
  revision: string | undefined,
): string[] {
  const { uid = '' } = world.stores.deployments.get(namespace, deployment)?.metadata ?? {};
  return world.stores.replicaSets
    .find(namespace, uid)
    .filter(one => revisionOf(one) === revision)
    .map(one => one.metadata.name);
}

export function templateOf(
  world: World,
  /** Of the Canary. */
  from: string,
  { template: reference }: MetricSetting,
): { ok: true; template: MetricTemplate } | { ok: false; message: string } {
  if (!reference) return { ok: false, message: 'the metric has neither a query nor a template' };
  // Asked at every use: what was accepted once may refer elsewhere now.
  if (!mayRefer(world, from, reference.namespace))
    return {
      ok: false,
      message: `MetricTemplate ${reference.name} is in another namespace, which this engine does not look into`,
    };
  const object = world.stores.metricTemplates.get(reference.namespace, reference.name);
  if (!object)
    return { ok: false, message: `MetricTemplate ${reference.namespace}/${reference.name} does not exist` };
  const decoded = decodeMetricTemplate(object);
  if (decoded.ok) return { ok: true, template: decoded.metricTemplate };
  const [problem] = decoded.problems;
  return { ok: false, message: `MetricTemplate ${reference.name}: ${problem?.field} ${problem?.expected}` };
}
