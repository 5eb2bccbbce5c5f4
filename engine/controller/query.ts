/**
 * The text of a metric's query for one arm of a canary, as its provider is asked: built-in, inline, or from a
 * MetricTemplate with its variables filled in. It reads the caches and asks nobody.
 */
import { decodeMetricTemplate, type MetricTemplate } from '../api/decode.ts';
import type { MetricSetting } from '../core/settings.ts';
import type { Arm } from '../../analyzers/analyzer.ts';
import { duration, successRate } from '../../analyzers/queries/linkerd.ts';
import { prometheusDuration, type Rendered, renderQuery } from '../../analyzers/template.ts';
import type { Sighting } from './observe.ts';
import type { World } from './world.ts';

type Asked = Pick<Sighting, 'names' | 'canary'>;

export function queryOf(world: World, { names, canary }: Asked, metric: MetricSetting, arm: Arm): Rendered {
  const window = prometheusDuration(metric.windowMs);
  if (metric.kind !== 'custom') {
    const deployment = arm === 'canary' ? names.target : names.primaryWorkload;
    const scope = { namespace: names.namespace, deployment, window };
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
  const found = templateOf(world, metric);
  return found.ok ? renderQuery(found.template.spec.query, variables) : found;
}

export function templateOf(
  world: World,
  { template: reference }: MetricSetting,
): { ok: true; template: MetricTemplate } | { ok: false; message: string } {
  if (!reference) return { ok: false, message: 'the metric has neither a query nor a template' };
  const object = world.stores.metricTemplates.get(reference.namespace, reference.name);
  if (!object)
    return { ok: false, message: `MetricTemplate ${reference.namespace}/${reference.name} does not exist` };
  const decoded = decodeMetricTemplate(object);
  if (decoded.ok) return { ok: true, template: decoded.metricTemplate };
  const [problem] = decoded.problems;
  return { ok: false, message: `MetricTemplate ${reference.name}: ${problem?.field} ${problem?.expected}` };
}
