/**
 * What users may write but the engine does not do yet, or no longer will: one table. A field that stands here is
 * refused by its name, never ignored in silence. Implementing one means deleting its line.
 */
import type { Reason } from './reasons.ts';

export interface Unsupported {
  /** Path of the field in the object, dotted. */
  path: string;
  reason: Extract<Reason, 'NotSupportedYet' | 'Retired'>;
  /** What to do instead, or why; a sentence without the field's name. */
  sentence: string;
  /** Which values are refused. */
  refuses: (value: unknown) => boolean;
}

/** False, zero and everything empty ask for nothing, and are therefore no reason to refuse an object. */
function asksForSomething(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === '') return false;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}

function field(path: string, sentence: string): Unsupported {
  return { path, reason: 'NotSupportedYet', sentence, refuses: asksForSomething };
}

function value(path: string, refused: readonly string[], sentence: string): Unsupported {
  return {
    path,
    reason: 'NotSupportedYet',
    sentence,
    refuses: given => typeof given === 'string' && refused.includes(given),
  };
}

function retired(entry: Unsupported): Unsupported {
  return { ...entry, reason: 'Retired' };
}

const NEEDS_OTHER_MESH = 'is not supported yet: the route is an SMI TrafficSplit, which cannot express it';
const NEEDS_HOOKS =
  'is not supported yet: hooks and gates are not called; remove it, or gate with the pause command';

export const unsupportedInCanary: readonly Unsupported[] = [
  value(
    'spec.provider',
    [
      'apisix',
      'contour',
      'gatewayapi:v1',
      'gatewayapi:v1beta1',
      'gloo',
      'istio',
      'knative',
      'kubernetes',
      'kuma',
      'nginx',
      'skipper',
      'traefik',
    ],
    'is not supported yet; use linkerd or smi:v1alpha1 to smi:v1alpha4',
  ),
  retired(
    value(
      'spec.provider',
      ['appmesh', 'appmesh:v1beta2', 'osm'],
      'is a mesh that has been retired; use linkerd or smi:v1alpha1 to smi:v1alpha4',
    ),
  ),
  value('spec.targetRef.kind', ['DaemonSet', 'Service'], 'is not supported yet; use a Deployment'),
  field(
    'spec.autoscalerRef',
    'is not supported yet: remove the autoscaler and set replicas on the Deployment',
  ),
  field('spec.ingressRef', NEEDS_OTHER_MESH),
  field('spec.routeRef', NEEDS_OTHER_MESH),
  field('spec.upstreamRef', NEEDS_OTHER_MESH),
  field(
    'spec.service.headless',
    'is not supported yet: a TrafficSplit needs Services that have a cluster address',
  ),
  field('spec.service.hosts', NEEDS_OTHER_MESH),
  field('spec.service.gateways', NEEDS_OTHER_MESH),
  field('spec.service.gatewayRefs', NEEDS_OTHER_MESH),
  field('spec.service.delegation', NEEDS_OTHER_MESH),
  field('spec.service.match', NEEDS_OTHER_MESH),
  field('spec.service.timeout', NEEDS_OTHER_MESH),
  field('spec.service.backendTimeout', NEEDS_OTHER_MESH),
  field('spec.service.retries', NEEDS_OTHER_MESH),
  field('spec.service.rewrite', NEEDS_OTHER_MESH),
  field('spec.service.headers', NEEDS_OTHER_MESH),
  field('spec.service.mirror', NEEDS_OTHER_MESH),
  field('spec.service.corsPolicy', NEEDS_OTHER_MESH),
  field('spec.service.trafficPolicy', NEEDS_OTHER_MESH),
  retired(field('spec.service.meshName', 'belongs to App Mesh, which has been retired')),
  retired(field('spec.service.backends', 'belongs to App Mesh, which has been retired')),
  field('spec.analysis.match', NEEDS_OTHER_MESH),
  field('spec.analysis.mirror', NEEDS_OTHER_MESH),
  field('spec.analysis.mirrorWeight', NEEDS_OTHER_MESH),
  field('spec.analysis.sessionAffinity', NEEDS_OTHER_MESH),
  field('spec.analysis.webhooks', NEEDS_HOOKS),
];

export const unsupportedInMetricTemplate: readonly Unsupported[] = [
  value(
    'spec.provider.type',
    [
      'influxdb',
      'datadog',
      'stackdriver',
      'cloudwatch',
      'newrelic',
      'graphite',
      'dynatrace',
      'keptn',
      'splunk',
      'externalmetrics',
    ],
    'is not supported yet; use prometheus',
  ),
  field('spec.provider.region', 'is not supported yet: it belongs to cloudwatch; remove it'),
];

export const unsupportedInAlertProvider: readonly Unsupported[] = [
  value('spec.type', ['msteams', 'discord', 'rocket', 'gchat'], 'is not supported yet; use slack or webhook'),
];
