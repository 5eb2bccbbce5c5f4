/**
 * Whether the Secrets that a canary's MetricTemplates name are there. Secrets are not watched, so this is asked while a
 * canary is adopted; later a missing one is an error of its provider, which holds. It reads names and keys, never values.
 */
import type { Sighting } from '../controller/observe.ts';
import type { Problem } from '../core/observation.ts';
import * as resources from '../kubernetes/resources.ts';
import { type ApiClient, ApiError } from '../kubernetes/types.ts';

/** One problem for each metric whose Secret is missing. Throws ApiError when a read fails otherwise. */
export async function secretProblems(client: ApiClient, sighting: Sighting): Promise<Problem[]> {
  const { metrics = [] } = sighting.canary.spec.analysis ?? {};
  // What may not be referred to is not read either: whether it exists is nobody's business in this namespace.
  if (sighting.observation.problems.some(problem => problem.reason === 'CrossNamespaceRef')) return [];
  const found = await Promise.all(
    metrics.map(async ({ templateRef }, index) => {
      if (!templateRef) return undefined;
      const namespace = templateRef.namespace ?? sighting.names.namespace;
      const name = await secretOf(client, sighting, namespace, templateRef.name);
      if (name === undefined || (await exists(client, namespace, name))) return undefined;
      const message = `MetricTemplate ${templateRef.name} needs Secret ${namespace}/${name}, which does not exist`;
      return {
        reason: 'SecretNotFound',
        field: `spec.analysis.metrics[${index}].templateRef`,
        message,
      };
    }),
  );
  return found.filter(one => one !== undefined);
}

async function secretOf(
  client: ApiClient,
  sighting: Sighting,
  namespace: string,
  name: string,
): Promise<string | undefined> {
  const [group = ''] = (sighting.object.apiVersion ?? '').split('/');
  const type = resources.canaryTypes(group).metricTemplates;
  // A template that is missing, or in a namespace that is not served, is another problem, and known from the cache.
  const template = await visible(client.get(type, namespace, name));
  return template === FORBIDDEN ? undefined : template?.spec?.provider?.secretRef?.name;
}

async function exists(client: ApiClient, namespace: string, name: string): Promise<boolean> {
  // Without the right nobody can tell; the query will say it when it needs the Secret.
  return (await visible(client.get(resources.secrets, namespace, name))) !== undefined;
}

const FORBIDDEN = 'forbidden';

async function visible<T>(read: Promise<T>): Promise<T | typeof FORBIDDEN> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof ApiError && error.kind === 'forbidden') return FORBIDDEN;
    throw error;
  }
}
