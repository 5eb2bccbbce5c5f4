/** What a request of an engine is about: which kind of effect, on which object. Pure. */
import type { HttpRequest } from '../../engine/kubernetes/types.ts';
import type { Effect } from './plan.ts';

export type CallKind =
  | 'route'
  | 'status'
  | 'target'
  | 'primary'
  | 'service'
  | 'revision'
  | 'canary'
  | 'event'
  | 'other'
  | 'get'
  | 'list'
  | 'watch';

export interface Call {
  kind: CallKind;
  isWrite: boolean;
  /** Plural, e.g. `trafficsplits`. */
  resource: string;
  namespace: string;
  name: string;
}

const KINDS: Record<string, CallKind> = {
  trafficsplits: 'route',
  services: 'service',
  controllerrevisions: 'revision',
  events: 'event',
};

/** Every path begins with `/api/<version>` or `/apis/<group>/<version>`. */
export function callOf(request: HttpRequest): Call {
  const path = request.path.split('?', 1)[0] ?? '';
  const parts = path.split('/').slice(1);
  const rest = parts.slice(parts[0] === 'api' ? 2 : 3);
  const isNamespaced = rest[0] === 'namespaces' && rest.length > 2;
  const namespace = isNamespaced ? (rest[1] ?? '') : '';
  const [resource = '', name = '', subresource = ''] = isNamespaced ? rest.slice(2) : rest;
  const about = { resource, namespace, name };
  if (request.method === 'GET') {
    const kind = request.stream ? 'watch' : name === '' ? 'list' : 'get';
    return { ...about, kind, isWrite: false };
  }
  return { ...about, kind: writeKind(resource, name, subresource), isWrite: true };
}

function writeKind(resource: string, name: string, subresource: string): CallKind {
  if (resource === 'canaries') return subresource === 'status' ? 'status' : 'canary';
  if (resource === 'deployments') return name.endsWith('-primary') ? 'primary' : 'target';
  return KINDS[resource] ?? 'other';
}

/** Whether a fault that waits for this effect strikes this call. Events are nobody's concern. */
export function isStruck(effect: Effect, call: Call): boolean {
  switch (effect) {
    case 'any':
      return call.kind !== 'event' && call.kind !== 'watch';
    case 'write':
      return call.isWrite && call.kind !== 'event';
    case 'route':
    case 'status':
    case 'target':
    case 'primary':
      return call.kind === effect;
  }
}
