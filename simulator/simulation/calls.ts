/** What a request of an engine is about: which kind of effect, on which object. Pure. */
import type { HttpRequest } from '../../engine/kubernetes/types.ts';
import type { CanaryPlan, OnCall } from './plan.ts';

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
  | 'watch'
  | 'query';

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

/** Whether the call names an object of this canary. What is made anew has no name in its path. */
export function isAbout({ namespace, name }: Call, canary: CanaryPlan): boolean {
  const { target, apex } = canary;
  const names = [canary.name, target, `${target}-primary`, apex, `${apex}-primary`, `${apex}-canary`];
  return namespace === canary.namespace && names.includes(name);
}

function writeKind(resource: string, name: string, subresource: string): CallKind {
  if (resource === 'canaries') return subresource === 'status' ? 'status' : 'canary';
  if (resource === 'deployments') return name.endsWith('-primary') ? 'primary' : 'target';
  return KINDS[resource] ?? 'other';
}

/**
 * Whether what waits for this call is struck by it. Events are nobody's concern.
 * @param after what the request before it in its chain was
 */
export function isStruck(on: OnCall, call: Call, after: CallKind | undefined, canary?: CanaryPlan): boolean {
  if (on.canary !== undefined && (!canary || !isAbout(call, canary))) return false;
  switch (on.effect) {
    case 'between':
      return call.isWrite && call.kind !== 'event' && (after === 'route' || after === 'status');
    case 'any':
      return call.kind !== 'event' && call.kind !== 'watch';
    case 'write':
      return call.isWrite && call.kind !== 'event';
    case 'route':
    case 'status':
    case 'target':
    case 'primary':
    case 'query':
      return call.kind === on.effect;
  }
}
