/** For tests: the app on a scripted API server that knows two tokens, a table of permissions and one canary. */
import type { HttpBindings } from '@hono/node-server';
import { type Clock, systemClock } from '../clock.ts';
import type { Log } from '../engine.ts';
import { createApiClient } from '../kubernetes/client.ts';
import { canaryTypes } from '../kubernetes/resources.ts';
import {
  createScriptedTransport,
  failure,
  json,
  type ScriptedAnswer,
} from '../kubernetes/scriptedTransport.ts';
import { type HttpRequest, type KubernetesObject, objectKey, type Store } from '../kubernetes/types.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import type { AppOptions } from './app.ts';

export const canaryType = canaryTypes('serin.dev').canaries;

export function canary(
  status: object,
  extra: { namespace?: string; annotations?: Record<string, string> } = {},
) {
  const { namespace = 'shop', annotations } = extra;
  const object: KubernetesObject = {
    apiVersion: 'serin.dev/v1beta1',
    kind: 'Canary',
    metadata: {
      name: 'checkout',
      namespace,
      uid: `uid-${namespace}`,
      resourceVersion: '7',
      ...(annotations ? { annotations } : {}),
    },
    spec: { targetRef: { kind: 'Deployment', name: 'checkout' } },
    status,
  };
  return object;
}

export const progressing = {
  phase: 'Progressing',
  canaryWeight: 20,
  run: { id: 'v1-b/2', revision: 'v1-b', generation: 2, startedAt: '2026-01-01T00:00:00Z' },
};

export interface Permission {
  user: string;
  verb: string;
  namespace?: string;
  resource?: string;
  subresource?: string;
}

export interface ScriptedServer {
  options: AppOptions;
  requests: HttpRequest[];
  logged: string[];
  advance(ms: number): void;
}

export function scriptServer(
  settings: {
    objects?: KubernetesObject[];
    isSynced?: boolean;
    may?: (permission: Permission) => boolean;
    patch?: (request: HttpRequest, patchNumber: number) => ScriptedAnswer;
    get?: () => ScriptedAnswer;
    options?: Partial<AppOptions>;
  } = {},
): ScriptedServer {
  const { objects = [canary(progressing)], may = ({ user }: Permission) => user === 'alice' } = settings;
  let patches = 0;
  const script = createScriptedTransport(request => {
    const body = request.body === undefined ? {} : JSON.parse(request.body);
    if (request.path.endsWith('/tokenreviews')) {
      const username = { 'alice-token': 'alice', 'bob-token': 'bob' }[body.spec.token as string];
      const user = username ? { username, groups: ['people'] } : {};
      return json(201, { status: { authenticated: username !== undefined, user } });
    }
    if (request.path.endsWith('/subjectaccessreviews')) {
      const allowed = may({ user: body.spec.user, ...body.spec.resourceAttributes });
      return json(201, { status: { allowed } });
    }
    if (request.method === 'PATCH')
      return (
        settings.patch?.(request, ++patches) ??
        json(200, { ...objects[0], metadata: { ...objects[0]?.metadata, ...body.metadata } })
      );
    return settings.get?.() ?? failure(404, 'NotFound');
  });
  let now = Date.parse('2026-01-01T00:00:00Z');
  const clock: Clock = { ...systemClock, now: () => now };
  const logged: string[] = [];
  const write = (fields: object, message: string) => void logged.push(JSON.stringify({ ...fields, message }));
  const log: Log = { info: write, warn: write, error: write };
  return {
    requests: script.requests,
    logged,
    advance: ms => {
      now += ms;
    },
    options: {
      clock,
      stores: { canaries: storeOf(objects, settings.isSynced ?? true) },
      client: createApiClient(script.transport, { clock }),
      canaryType,
      metrics: createMetrics({ clock, version: '0', meshProvider: 'linkerd' }),
      isReady: () => ({ ok: true, reasons: [] }),
      insecureHttp: false,
      log,
      ...settings.options,
    },
  };
}

function storeOf(objects: KubernetesObject[], isSynced: boolean): Store {
  const held = new Map(objects.map(one => [objectKey(one.metadata.namespace, one.metadata.name), one]));
  return {
    type: canaryType,
    get: (namespace, name) => held.get(objectKey(namespace, name)),
    all: namespace =>
      [...held.values()].filter(one => namespace === undefined || one.metadata.namespace === namespace),
    find: () => [],
    absorb: one => void held.set(objectKey(one.metadata.namespace, one.metadata.name), one),
    forget: (namespace, name) => void held.delete(objectKey(namespace, name)),
    synced: () => isSynced,
    liveAt: () => 0,
    onChange: () => {},
  };
}

/** What the HTTP server knows of a connection. */
export function connection(remoteAddress: string, encrypted = false): HttpBindings {
  return { incoming: { socket: { remoteAddress, encrypted } } } as unknown as HttpBindings;
}
