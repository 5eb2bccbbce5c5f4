/** The objects that the contract suite works with: two small custom kinds of its own, and plain built-in manifests. */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';

const GROUP = 'contract.serin.dev';

function named(plural: string, kind: string) {
  return { plural, kind, singular: kind.toLowerCase(), listKind: `${kind}List` };
}

const widgetSpec = {
  type: 'object',
  required: ['service'],
  'x-kubernetes-validations': [
    { rule: "!has(self.mode) || self.mode != 'linear' || has(self.step)", message: 'linear needs step' },
  ],
  properties: {
    service: { type: 'string', minLength: 1, pattern: '^[a-z]+$' },
    weight: { type: 'integer', minimum: 0, maximum: 100, default: 10 },
    step: { type: 'integer' },
    ratio: { type: 'number' },
    mode: { type: 'string', enum: ['linear', 'jump'] },
    port: { 'x-kubernetes-int-or-string': true },
    free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
    nothing: { type: 'string', nullable: true },
    nested: {
      type: 'object',
      default: {},
      properties: { interval: { type: 'string', default: '1m' }, extra: { type: 'string' } },
    },
    backends: {
      type: 'array',
      maxItems: 3,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: {
        type: 'object',
        required: ['name'],
        properties: { name: { type: 'string' }, weight: { type: 'integer' } },
      },
    },
    tags: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } },
    rules: {
      type: 'array',
      items: { type: 'object', properties: { path: { type: 'string' } } },
    },
  },
};

const { 'x-kubernetes-validations': _rules, ...gadgetSpec } = widgetSpec;

const schemaOf = (spec: object) => ({
  openAPIV3Schema: {
    type: 'object',
    properties: {
      spec,
      status: {
        type: 'object',
        properties: {
          phase: { type: 'string' },
          weight: { type: 'integer' },
          conditions: {
            type: 'array',
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': ['type'],
            items: {
              type: 'object',
              required: ['type'],
              properties: { type: { type: 'string' }, status: { type: 'string' } },
            },
          },
        },
      },
    },
  },
});

/** Has a status subresource, and an older version with the same schema. */
export const widgetCrd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `widgets.${GROUP}` },
  spec: {
    group: GROUP,
    scope: 'Namespaced',
    names: named('widgets', 'Widget'),
    versions: [
      { name: 'v1', served: true, storage: true, schema: schemaOf(widgetSpec), subresources: { status: {} } },
      {
        name: 'v1alpha1',
        served: true,
        storage: false,
        schema: schemaOf(widgetSpec),
        subresources: { status: {} },
      },
    ],
  },
};

/** Without a status subresource, as the TrafficSplit is, and without CEL, which would add sentences of its own. */
export const gadgetCrd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `gadgets.${GROUP}` },
  spec: {
    group: GROUP,
    scope: 'Namespaced',
    names: named('gadgets', 'Gadget'),
    versions: [{ name: 'v1', served: true, storage: true, schema: schemaOf(gadgetSpec) }],
  },
};

export function widget(name: string, spec: object = {}, metadata: object = {}): KubernetesObject {
  return {
    apiVersion: `${GROUP}/v1`,
    kind: 'Widget',
    metadata: { name, ...metadata },
    spec: { service: 'web', ...spec },
  };
}

export function gadget(name: string, spec: object = {}, more: object = {}): KubernetesObject {
  return { ...widget(name, spec), kind: 'Gadget', ...more };
}

export function configMap(
  name: string,
  data: Record<string, string> = { a: '1' },
  metadata: object = {},
): KubernetesObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, data };
}

export function deployment(name: string, spec: object = {}, metadata: object = {}): KubernetesObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, ...metadata },
    spec: {
      replicas: 0,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'app', image: 'example.com/app:1' }] },
      },
      ...spec,
    },
  };
}

export function service(name: string, spec: object = {}, metadata: object = {}): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, ...metadata },
    spec: { selector: { app: name }, ports: [{ name: 'http', port: 80 }], ...spec },
  };
}
