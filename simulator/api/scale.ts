/** The scale subresource of Deployments: a view of `spec.replicas` that can be read, replaced and patched. */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { copy } from './json.ts';
import type { Json } from './json.ts';
import type { Kind } from './kinds.ts';
import { badRequest, invalid } from './status.ts';

const byText = (left: string, right: string) => (left < right ? -1 : 1);

const scaleKind = { group: 'autoscaling', plural: 'scales', kind: 'Scale' };

function selectorText(selector: Json): string {
  const labels = Object.entries(selector?.matchLabels ?? {})
    .map(([key, value]) => `${key}=${String(value)}`)
    .sort();
  const operators: Record<string, (key: string, values: string) => string> = {
    In: (key, values) => `${key} in (${values})`,
    NotIn: (key, values) => `${key} notin (${values})`,
    Exists: key => key,
    DoesNotExist: key => `!${key}`,
  };
  const expressions = (selector?.matchExpressions ?? []).map((expression: Json) =>
    operators[expression.operator]?.(expression.key, (expression.values ?? []).toSorted(byText).join(',')),
  );
  return [...labels, ...expressions].join(',');
}

export function scaleOf(object: KubernetesObject): Json {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    // A count of 0 is left out, as the real server does.
    spec: object.spec.replicas ? { replicas: object.spec.replicas } : {},
    status: { replicas: object.status?.replicas ?? 0, selector: selectorText(object.spec.selector) },
  };
}

/** The Deployment that a written Scale asks for; the Scale's resourceVersion goes along as the precondition. */
export function withScale(kind: Kind, live: KubernetesObject, scale: Json): KubernetesObject {
  if (scale?.kind !== undefined && scale.kind !== 'Scale')
    throw badRequest(`expected a Scale, got ${scale.kind}`);
  const replicas = scale?.spec?.replicas ?? 0;
  if (!Number.isInteger(replicas)) throw badRequest(`Scale in version "v1" cannot be handled as a Scale`);
  const { name } = live.metadata;
  if (replicas < 0)
    throw invalid(scaleKind, name, [
      {
        type: 'Invalid value',
        field: 'spec.replicas',
        value: replicas,
        detail: 'must be greater than or equal to 0',
      },
    ]);
  const next = copy(live);
  next.spec.replicas = replicas;
  next.apiVersion = `${kind.group}/${kind.version}`;
  const sent = scale?.metadata?.resourceVersion;
  if (sent) next.metadata.resourceVersion = sent;
  else delete next.metadata.resourceVersion;
  return next;
}
