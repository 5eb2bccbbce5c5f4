/**
 * The CustomResourceDefinitions, generated from the zod schemas: in Serin's own group, or in Flagger's, whose objects
 * stay valid under them. Pure: who wants files runs `generate.ts`.
 */
import { type JsonSchema, type Kind, KINDS, schemaOf } from './schemaOf.ts';

export const GROUP = 'serin.dev';
export const FLAGGER_GROUP = 'flagger.app';
export const VERSION = 'v1beta1';

interface PrinterColumn {
  name: string;
  type: 'string' | 'integer' | 'boolean' | 'date';
  jsonPath: string;
  description: string;
  /** 1 shows the column in wide output only. */
  priority?: 1;
}

export interface CustomResourceDefinition {
  apiVersion: 'apiextensions.k8s.io/v1';
  kind: 'CustomResourceDefinition';
  metadata: { name: string; annotations: Record<string, string> };
  spec: {
    group: string;
    names: { kind: Kind; listKind: string; plural: string; singular: string; categories: string[] };
    scope: 'Namespaced';
    versions: {
      name: string;
      served: true;
      storage: true;
      schema: { openAPIV3Schema: JsonSchema };
      subresources: { status: Record<string, never> };
      additionalPrinterColumns: PrinterColumn[];
    }[];
  };
}

function column(
  name: string,
  type: PrinterColumn['type'],
  jsonPath: string,
  description: string,
): PrinterColumn {
  return { name, type, jsonPath, description };
}

function wide(
  name: string,
  type: PrinterColumn['type'],
  jsonPath: string,
  description: string,
): PrinterColumn {
  return { ...column(name, type, jsonPath, description), priority: 1 };
}

const acceptanceColumns = [
  wide(
    'Accepted',
    'string',
    '.status.conditions[?(@.type=="Accepted")].status',
    'Whether the object can be used.',
  ),
];

const columns: Record<Kind, PrinterColumn[]> = {
  Canary: [
    column('Status', 'string', '.status.phase', 'Where the rollout stands.'),
    column('Weight', 'integer', '.status.canaryWeight', 'Percent of the traffic on the canary.'),
    wide('Suspended', 'boolean', '.spec.suspend', 'Whether checks and steps are suspended.'),
    wide('FailedChecks', 'integer', '.status.failedChecks', 'Failed checks of this run.'),
    wide('Interval', 'string', '.spec.analysis.interval', 'Time between two checks.'),
    wide('Mirror', 'boolean', '.spec.analysis.mirror', 'Whether requests are mirrored first.'),
    wide('StepWeight', 'integer', '.spec.analysis.stepWeight', 'Percent added in each step.'),
    wide('StepWeights', 'string', '.spec.analysis.stepWeights', 'Percent in each step.'),
    wide('MaxWeight', 'integer', '.spec.analysis.maxWeight', 'Highest percent before the promotion.'),
    column('LastTransitionTime', 'string', '.status.lastTransitionTime', 'When the phase last changed.'),
    column(
      'Message',
      'string',
      '.status.conditions[?(@.type=="Promoted")].message',
      'What is going on, in a sentence.',
    ),
  ],
  MetricTemplate: [
    column('Provider', 'string', '.spec.provider.type', 'What answers the query.'),
    ...acceptanceColumns,
  ],
  AlertProvider: [column('Type', 'string', '.spec.type', 'Kind of the receiver.'), ...acceptanceColumns],
};

function definitionOf(kind: Kind, group: string): CustomResourceDefinition {
  const singular = kind.toLowerCase();
  const plural = kind === 'Canary' ? 'canaries' : `${singular}s`;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${plural}.${group}`,
      // Deleting the CRDs with the chart would delete every Canary, and with them every route.
      annotations: { 'helm.sh/resource-policy': 'keep' },
    },
    spec: {
      group,
      names: { kind, listKind: `${kind}List`, plural, singular, categories: ['all'] },
      scope: 'Namespaced',
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: schemaOf(kind) },
          subresources: { status: {} },
          additionalPrinterColumns: columns[kind],
        },
      ],
    },
  };
}

/** One definition for each kind, in the order Canary, MetricTemplate, AlertProvider. */
export function generateCrds({ group }: { group: string }): CustomResourceDefinition[] {
  return KINDS.map(kind => definitionOf(kind, group));
}
