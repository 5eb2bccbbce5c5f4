/** Reads an HTTP request's method and path as the API server does: which verb on which resource. Pure. */

/** `verb` is that of RBAC; paths outside the resource API have only `verb` and `path`. */
export interface RequestInfo {
  user: string;
  verb: string;
  /** The path without its query. */
  path: string;
  isResource: boolean;
  group: string;
  version: string;
  resource: string;
  subresource: string;
  namespace: string;
  name: string;
}

const verbsOfMethods: Record<string, string> = {
  GET: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

export function isWatch(query: URLSearchParams): boolean {
  const value = query.get('watch');
  return value === '1' || value === 'true' || value === '';
}

export function parseRequest(
  user: string,
  method: string,
  path: string,
  query: URLSearchParams,
): RequestInfo {
  const info: RequestInfo = {
    user,
    verb: verbsOfMethods[method] ?? method.toLowerCase(),
    path,
    isResource: false,
    group: '',
    version: '',
    resource: '',
    subresource: '',
    namespace: '',
    name: '',
  };
  const parts = path
    .split('/')
    .filter(part => part !== '')
    .map(decodeURIComponent);
  const prefix = parts.shift();
  if (prefix === 'apis') info.group = parts.shift() ?? '';
  else if (prefix !== 'api') return info;
  info.version = parts.shift() ?? '';
  if (parts.length === 0) return info;
  // `/namespaces/shop` is the Namespace itself, `/namespaces/shop/pods` is something in it.
  if (parts[0] === 'namespaces' && parts.length > 2 && !['status', 'finalize'].includes(parts[2] ?? '')) {
    info.namespace = parts[1] ?? '';
    parts.splice(0, 2);
  }
  const [resource = '', name = '', subresource = ''] = parts;
  Object.assign(info, { isResource: true, resource, name, subresource });
  if (resource === 'namespaces') info.namespace = name;
  if (method === 'GET' && name === '') info.verb = isWatch(query) ? 'watch' : 'list';
  if (method === 'DELETE' && name === '') info.verb = 'deletecollection';
  return info;
}
