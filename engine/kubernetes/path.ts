/** Knows how the API server's paths and query strings are built. No I/O; never lets a name reach outside its path segment. */
import assert from 'node:assert/strict';
import { ApiError, type ResourceType } from './types.ts';

export type Query = Record<string, string | number | boolean | undefined>;

/**
 * `/api/v1/...` for the core group, `/apis/<group>/<version>/...` otherwise. For namespaced types an undefined
 * namespace means all namespaces and is allowed only without a name.
 */
export function resourcePath(
  type: ResourceType,
  namespace: string | undefined,
  name?: string,
  subresource?: string,
): string {
  const root = type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
  let path = root;
  if (type.namespaced && namespace !== undefined) path += `/namespaces/${segment('namespace', namespace)}`;
  path += `/${type.plural}`;
  if (name !== undefined) {
    assert(!type.namespaced || namespace !== undefined, `${type.plural}: a name needs a namespace`);
    path += `/${segment('name', name)}`;
  }
  return subresource ? `${path}/${subresource}` : path;
}

/** Names come from users' manifests: one that the API server could never hold is answered as the server would, not sent. */
function segment(what: string, value: string): string {
  if (value === '' || value === '.' || value === '..' || /[/%]/.test(value)) {
    throw new ApiError('badRequest', `${JSON.stringify(value)} is not a valid ${what}`, {
      code: 400,
      reason: 'BadRequest',
    });
  }
  return encodeURIComponent(value);
}

export function queryString(query: Query): string {
  const parts: string[] = [];
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== '' && value !== false) {
      parts.push(`${key}=${encodeURIComponent(String(value))}`);
    }
  }
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

/** The resource that a free path speaks of, without names, so that it can label a metric: `pods/eviction`, `tokenreviews`, `version`. */
export function resourceOfPath(path: string): string {
  const segments = (path.split('?', 1)[0] ?? '').split('/').filter(part => part !== '');
  const root = segments[0];
  if (root !== 'api' && root !== 'apis') return root ?? 'root';
  let rest = segments.slice(root === 'api' ? 2 : 3);
  if (rest.length === 0) return 'discovery';
  if (rest[0] === 'namespaces' && rest.length > 2) rest = rest.slice(2);
  return rest.length > 2 ? `${rest[0]}/${rest[2]}` : rest[0]!;
}
