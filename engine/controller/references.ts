/**
 * Whether the objects that a Canary refers to are there and usable, read from the watch caches. It is asked at every
 * observation, not only once: what a Canary refers to may come, go and change at any time.
 */
import { type Canary, decodeAlertProvider, decodeMetricTemplate, formatProblem } from '../api/decode.ts';
import type { Problem } from '../core/observation.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';
import type { World } from './world.ts';

/** Whether this Canary, as the API server sent it, names this MetricTemplate. */
export function refersTo(canary: KubernetesObject, template: KubernetesObject): boolean {
  const metrics: unknown = canary.spec?.analysis?.metrics;
  return Array.isArray(metrics) && metrics.some(metric => isNamed(canary, metric?.templateRef, template));
}

/** Whether this Canary, as the API server sent it, alerts this AlertProvider. */
export function alertsTo(canary: KubernetesObject, provider: KubernetesObject): boolean {
  const alerts: unknown = canary.spec?.analysis?.alerts;
  return Array.isArray(alerts) && alerts.some(alert => isNamed(canary, alert?.providerRef, provider));
}

function isNamed(
  canary: KubernetesObject,
  reference: { name?: string; namespace?: string } | undefined,
  object: KubernetesObject,
): boolean {
  const { name, namespace = canary.metadata.namespace } = reference ?? {};
  return name === object.metadata.name && namespace === object.metadata.namespace;
}

export function referenceProblems(world: World, canary: Canary): Problem[] {
  // What is in another namespace is not looked up where it may not be referred to.
  const forbidden = crossNamespaceProblems(world, canary);
  return forbidden.length > 0
    ? forbidden
    : [...metricProblems(world, canary), ...alertProblems(world, canary)];
}

function metricProblems(world: World, canary: Canary): Problem[] {
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
  const store = world.stores.metricTemplates;
  // As for alerts: nothing is known before the first list, and a run under way is better judged by its other metrics.
  if (!store.synced()) return [];
  const object = store.get(namespace, reference.name);
  if (!object)
    return [
      { reason: 'MetricTemplateNotFound', field, message: `${called} does not exist`, sparesRun: true },
    ];
  const decoded = decodeMetricTemplate(object);
  if (decoded.ok) return [];
  const [problem] = decoded.problems;
  const what = problem ? formatProblem(problem) : 'it is not valid';
  return [{ reason: 'MetricTemplateRefused', field, message: `${called}: ${what}`, sparesRun: true }];
}

type Alert = NonNullable<NonNullable<Canary['spec']['analysis']>['alerts']>[number];

/** Namespace and name of an alert's provider; absent namespaces mean the Canary's. */
export function providerOf(namespace: string, { providerRef }: Alert): { namespace: string; name: string } {
  return { namespace: providerRef.namespace ?? namespace, name: providerRef.name };
}

/** Whether a reference from `from` to an object in `to` may be followed. */
export function mayRefer(world: World, from: string, to: string): boolean {
  return world.allowsCrossNamespaceRefs || from === to;
}

/**
 * Alerts whose AlertProvider does not exist or is not valid. A run that is under way goes on: nobody is helped by a canary
 * that is no longer judged because a receiver is gone.
 */
function alertProblems(world: World, canary: Canary): Problem[] {
  const store = world.stores.alertProviders;
  // A cache that has not been filled yet knows of no provider at all.
  if (!store.synced()) return [];
  return (canary.spec.analysis?.alerts ?? []).flatMap((alert, index): Problem[] => {
    const field = `spec.analysis.alerts[${index}].providerRef`;
    const { namespace, name } = providerOf(canary.namespace, alert);
    const object = store.get(namespace, name);
    const what = `AlertProvider ${namespace}/${name}`;
    if (!object)
      return [{ reason: 'AlertProviderNotFound', field, message: `${what} does not exist`, sparesRun: true }];
    const decoded = decodeAlertProvider(object);
    const [problem] = decoded.ok ? [] : decoded.problems;
    if (!problem) return [];
    const message = `${what} is refused: ${formatProblem(problem)}`;
    return [{ reason: 'AlertProviderRefused', field, message, sparesRun: true }];
  });
}

/** References into other namespaces under `--no-cross-namespace-refs`: MetricTemplates and AlertProviders. */
function crossNamespaceProblems(world: World, canary: Canary): Problem[] {
  const { metrics = [], alerts = [] } = canary.spec.analysis ?? {};
  const references = [
    ...metrics.map((metric, index) => ({
      field: `spec.analysis.metrics[${index}].templateRef.namespace`,
      namespace: metric.templateRef?.namespace,
    })),
    ...alerts.map((alert, index) => ({
      field: `spec.analysis.alerts[${index}].providerRef.namespace`,
      namespace: alert.providerRef.namespace,
    })),
  ];
  return references
    .filter(({ namespace }) => namespace !== undefined && !mayRefer(world, canary.namespace, namespace))
    .map(({ field }) => ({
      reason: 'CrossNamespaceRef',
      field,
      message: `must be ${canary.namespace} or absent: this engine follows no reference into another namespace`,
    }));
}
