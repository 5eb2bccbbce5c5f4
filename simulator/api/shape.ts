/**
 * How an object's lists and maps merge: which lists are keyed, which are sets, what is atomic. Server-side apply and
 * field ownership follow a shape, not the full schema; what a shape does not name is a plain field with atomic lists.
 * The keys are those of the Kubernetes OpenAPI (`x-kubernetes-list-map-keys`).
 */
import { isObject } from './json.ts';
import type { Json } from './json.ts';

export type Shape =
  /** Deduced from the value: maps granular, lists atomic. `declared`: its fields count as fields of a struct. */
  | { type: 'any'; declared: boolean }
  | { type: 'atomic' }
  /** `isStruct`: fields outside `fields` still count as declared (built-in kinds are not listed field by field). */
  | { type: 'map'; fields: Record<string, Shape>; rest: Shape; isStruct: boolean }
  | { type: 'keyed'; keys: string[]; defaults: Record<string, Json>; item: Shape }
  | { type: 'set' };

export const anyDeclared: Shape = { type: 'any', declared: true };
export const anyDeduced: Shape = { type: 'any', declared: false };
export const atomic: Shape = { type: 'atomic' };
export const stringSet: Shape = { type: 'set' };

function struct(fields: Record<string, Shape>): Shape {
  return { type: 'map', fields, rest: anyDeclared, isStruct: true };
}

function keyed(keys: string[], item: Shape = anyDeclared, defaults: Record<string, Json> = {}): Shape {
  return { type: 'keyed', keys, defaults, item };
}

export const objectMeta: Shape = struct({
  finalizers: stringSet,
  ownerReferences: keyed(['uid'], atomic),
  managedFields: atomic,
});

const container = struct({
  ports: keyed(['containerPort', 'protocol'], anyDeclared, { protocol: 'TCP' }),
  env: keyed(
    ['name'],
    struct({
      valueFrom: struct({
        configMapKeyRef: atomic,
        secretKeyRef: atomic,
        fieldRef: atomic,
        resourceFieldRef: atomic,
      }),
    }),
  ),
  volumeMounts: keyed(['mountPath']),
  volumeDevices: keyed(['devicePath']),
  resources: struct({ claims: keyed(['name']) }),
});

const podSpec = struct({
  containers: keyed(['name'], container),
  initContainers: keyed(['name'], container),
  ephemeralContainers: keyed(['name'], container),
  volumes: keyed(['name']),
  imagePullSecrets: keyed(['name'], atomic),
  hostAliases: keyed(['ip']),
  topologySpreadConstraints: keyed(['topologyKey', 'whenUnsatisfiable'], struct({ labelSelector: atomic })),
  schedulingGates: keyed(['name']),
  resourceClaims: keyed(['name']),
});

const podTemplate = struct({ metadata: objectMeta, spec: podSpec });
const conditions = keyed(['type']);

function object(fields: Record<string, Shape>): Shape {
  return struct({ metadata: objectMeta, ...fields });
}

const workload = object({
  spec: struct({ selector: atomic, template: podTemplate }),
  status: struct({ conditions }),
});

/** Shapes of the built-in kinds, by kind; a kind that is missing here has no keyed list below `metadata`. */
export const builtinShapes: Record<string, Shape> = {
  Deployment: workload,
  ReplicaSet: workload,
  Pod: object({
    spec: podSpec,
    status: struct({ conditions, podIPs: keyed(['ip']) }),
  }),
  Service: object({
    spec: struct({
      selector: atomic,
      ports: keyed(['port', 'protocol'], anyDeclared, { protocol: 'TCP' }),
    }),
    status: struct({ conditions }),
  }),
  HorizontalPodAutoscaler: object({
    spec: struct({ scaleTargetRef: atomic }),
    status: struct({ conditions }),
  }),
  NetworkPolicy: object({ spec: struct({ podSelector: atomic }) }),
  PodDisruptionBudget: object({ spec: struct({ selector: atomic }), status: struct({ conditions }) }),
  Namespace: object({ status: struct({ conditions }) }),
  CustomResourceDefinition: object({ status: struct({ conditions }) }),
  Event: object({ involvedObject: atomic, related: atomic }),
  ControllerRevision: object({ data: atomic }),
};

export const plainShape: Shape = object({});

/** The shape of a custom resource, from its structural schema. */
export function shapeOfSchema(schema: Json, isRoot = true): Shape {
  if (!isObject(schema)) return anyDeduced;
  if (schema.type === 'array') {
    if (schema['x-kubernetes-list-type'] === 'set') return stringSet;
    if (schema['x-kubernetes-list-type'] === 'map') {
      const defaults: Record<string, Json> = {};
      const keys: string[] = schema['x-kubernetes-list-map-keys'] ?? [];
      for (const key of keys) {
        const value = schema.items?.properties?.[key]?.default;
        if (value !== undefined) defaults[key] = value;
      }
      return { type: 'keyed', keys, defaults, item: shapeOfSchema(schema.items, false) };
    }
    return atomic;
  }
  if (schema['x-kubernetes-int-or-string']) return atomic;
  if (schema.type !== undefined && schema.type !== 'object') return atomic;
  if (schema['x-kubernetes-map-type'] === 'atomic') return atomic;
  if (isObject(schema.additionalProperties))
    return {
      type: 'map',
      fields: {},
      rest: shapeOfSchema(schema.additionalProperties, false),
      isStruct: false,
    };
  const fields: Record<string, Shape> = {};
  for (const [name, child] of Object.entries(schema.properties ?? {}))
    fields[name] = shapeOfSchema(child, false);
  if (isRoot || schema['x-kubernetes-embedded-resource']) {
    Object.assign(fields, { metadata: objectMeta, apiVersion: atomic, kind: atomic });
  }
  if (Object.keys(fields).length === 0) return anyDeduced;
  return { type: 'map', fields, rest: anyDeduced, isStruct: false };
}
