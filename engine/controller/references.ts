/**
 * Whether the objects that a Canary refers to are there and usable, read from the watch caches. It is asked at every
 * observation, not only once: what a Canary refers to may come, go and change at any time.
 */
import { type Canary, decodeMetricTemplate, formatProblem } from '../api/decode.ts';
import type { Problem } from '../core/observation.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';
import type { World } from './world.ts';

/** Whether this Canary, as the API server sent it, names this MetricTemplate. */
export function refersTo(canary: KubernetesObject, template: KubernetesObject): boolean {
  const metrics: unknown = canary.spec?.analysis?.metrics;
  if (!Array.isArray(metrics)) return false;
  return metrics.some(metric => {
    const { name, namespace = canary.metadata.namespace } = metric?.templateRef ?? {};
    return name === template.metadata.name && namespace === template.metadata.namespace;
  });
}

export function referenceProblems(world: World, canary: Canary): Problem[] {
  return (canary.spec.analysis?.metrics ?? []).flatMap(({ templateRef }, index) =>
    templateRef
      ? templateProblems(world, canary, templateRef, `spec.analysis.metrics[${index}].templateRef`)
      : [],
  );
}

function templateProblems(
  world: World,
  canary: Canary,
  reference: { name: string; namespace?: string | undefined },
  field: string,
): Problem[] {
  const namespace = reference.namespace ?? canary.namespace;
  const called = `MetricTemplate ${namespace}/${reference.name}`;
  const object = world.stores.metricTemplates.get(namespace, reference.name);
  if (!object) return [{ reason: 'MetricTemplateNotFound', field, message: `${called} does not exist` }];
  const decoded = decodeMetricTemplate(object);
  if (decoded.ok) return [];
  const [problem] = decoded.problems;
  const what = problem ? formatProblem(problem) : 'it is not valid';
  return [{ reason: 'MetricTemplateRefused', field, message: `${called}: ${what}` }];
}
