/**
 * The table of what the in-memory API serves: kind by kind, its verbs, its subresources and the quirks of its
 * registry strategy in the real server. Custom kinds are made from CustomResourceDefinitions.
 */
import type { KubernetesObject, ResourceType } from '../../engine/kubernetes/types.ts';
import { setOf } from './fieldset.ts';
import type { FieldSet } from './fieldset.ts';
import type { Json } from './json.ts';
import { builtinShapes, plainShape, shapeOfSchema } from './shape.ts';
import type { Shape } from './shape.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';
export type Subresource = 'status' | 'scale' | 'binding' | 'finalize';

/**
 * What raises `metadata.generation`: nothing, the spec, spec or annotations (Deployments do that), or anything but
 * metadata and status (custom resources).
 */
export type GenerationRule = 'never' | 'spec' | 'specOrAnnotations' | 'content';

export interface Kind extends ResourceType {
  singular: string;
  listKind: string;
  shortNames: string[];
  categories: string[];
  isBuiltin: boolean;
  /** `plural.group`: the key of its table in the storage, shared by all versions. */
  table: string;
  verbs: readonly Verb[];
  subresources: readonly Subresource[];
  generation: GenerationRule;
  /** PUT without a resourceVersion is refused. */
  needsVersion: boolean;
  /** DELETE answers the object instead of a Status. */
  deleteAnswersObject: boolean;
  shape: Shape;
  /** Fields that the main endpoint and the status endpoint do not write. */
  ignored: { main: FieldSet; status: FieldSet };
  /** What an empty object of the kind holds already in the server's types: nobody is the owner of these parts. */
  skeleton: Json;
  /** Structural schema of a custom kind. */
  schema?: Json;
  /** The version under which objects are stored. */
  storageVersion: string;
}

export const allVerbs: readonly Verb[] = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'];
const readAndCreate: readonly Verb[] = ['get', 'list', 'watch', 'create', 'delete'];

const podTemplate = { metadata: {}, spec: { containers: null } };
/** The parts of the server's types that are structs without a pointer: they exist in every object. */
const skeletons: Record<string, Json> = {
  Deployment: { spec: { strategy: {}, template: podTemplate }, status: {} },
  ReplicaSet: { spec: { template: podTemplate }, status: {} },
  Pod: { spec: { containers: null }, status: {} },
  Service: { spec: {}, status: { loadBalancer: {} } },
  Namespace: { spec: {}, status: {} },
  Node: { spec: {}, status: { daemonEndpoints: {}, nodeInfo: {} } },
  Lease: { spec: {} },
  HorizontalPodAutoscaler: { spec: { scaleTargetRef: {} }, status: {} },
  NetworkPolicy: { spec: { podSelector: {} } },
  PodDisruptionBudget: { spec: {}, status: {} },
  CustomResourceDefinition: { spec: { names: {} }, status: { acceptedNames: {} } },
  Event: { involvedObject: {}, source: {} },
};

interface Traits {
  shortNames?: string[];
  namespaced?: boolean;
  verbs?: readonly Verb[];
  subresources?: readonly Subresource[];
  generation?: GenerationRule;
  needsVersion?: boolean;
  deleteAnswersObject?: boolean;
  statusIgnores?: string[];
}

function builtin(group: string, version: string, plural: string, kind: string, traits: Traits = {}): Kind {
  const subresources = traits.subresources ?? [];
  return {
    group,
    version,
    plural,
    kind,
    namespaced: traits.namespaced ?? true,
    singular: kind.toLowerCase(),
    listKind: `${kind}List`,
    shortNames: traits.shortNames ?? [],
    categories: [],
    isBuiltin: true,
    table: group ? `${plural}.${group}` : plural,
    verbs: traits.verbs ?? allVerbs,
    subresources,
    generation: traits.generation ?? 'never',
    needsVersion: traits.needsVersion ?? false,
    deleteAnswersObject: traits.deleteAnswersObject ?? false,
    shape: builtinShapes[kind] ?? plainShape,
    ignored: {
      main: subresources.includes('status') ? setOf('status') : setOf(),
      status: setOf('spec', ...(traits.statusIgnores ?? [])),
    },
    skeleton: { metadata: {}, ...skeletons[kind] },
    storageVersion: version,
  };
}

export const builtinKinds: readonly Kind[] = [
  builtin('', 'v1', 'namespaces', 'Namespace', {
    namespaced: false,
    shortNames: ['ns'],
    subresources: ['status', 'finalize'],
    deleteAnswersObject: true,
  }),
  builtin('', 'v1', 'nodes', 'Node', {
    namespaced: false,
    shortNames: ['no'],
    verbs: readAndCreate,
    subresources: ['status'],
  }),
  builtin('', 'v1', 'pods', 'Pod', {
    shortNames: ['po'],
    subresources: ['status', 'binding'],
    generation: 'spec',
    deleteAnswersObject: true,
    statusIgnores: ['metadata.deletionTimestamp', 'metadata.ownerReferences'],
  }),
  builtin('', 'v1', 'services', 'Service', {
    shortNames: ['svc'],
    subresources: ['status'],
    deleteAnswersObject: true,
  }),
  builtin('', 'v1', 'secrets', 'Secret'),
  builtin('', 'v1', 'configmaps', 'ConfigMap', { shortNames: ['cm'] }),
  builtin('', 'v1', 'events', 'Event', {
    shortNames: ['ev'],
    verbs: ['get', 'list', 'watch', 'create', 'patch', 'delete'],
  }),
  builtin('apps', 'v1', 'deployments', 'Deployment', {
    shortNames: ['deploy'],
    subresources: ['status', 'scale'],
    generation: 'specOrAnnotations',
    statusIgnores: ['metadata.labels'],
  }),
  builtin('apps', 'v1', 'replicasets', 'ReplicaSet', {
    shortNames: ['rs'],
    subresources: ['status'],
    generation: 'spec',
  }),
  builtin('apps', 'v1', 'controllerrevisions', 'ControllerRevision'),
  builtin('discovery.k8s.io', 'v1', 'endpointslices', 'EndpointSlice', { generation: 'content' }),
  builtin('coordination.k8s.io', 'v1', 'leases', 'Lease', { needsVersion: true }),
  builtin('autoscaling', 'v2', 'horizontalpodautoscalers', 'HorizontalPodAutoscaler', {
    shortNames: ['hpa'],
    subresources: ['status'],
  }),
  builtin('networking.k8s.io', 'v1', 'networkpolicies', 'NetworkPolicy', {
    shortNames: ['netpol'],
    verbs: readAndCreate,
    generation: 'spec',
  }),
  builtin('policy', 'v1', 'poddisruptionbudgets', 'PodDisruptionBudget', {
    shortNames: ['pdb'],
    verbs: readAndCreate,
    subresources: ['status'],
    generation: 'spec',
    needsVersion: true,
  }),
  builtin('apiextensions.k8s.io', 'v1', 'customresourcedefinitions', 'CustomResourceDefinition', {
    namespaced: false,
    shortNames: ['crd', 'crds'],
    subresources: ['status'],
    generation: 'spec',
    needsVersion: true,
  }),
];

/** Groups that a real server serves by itself: an unknown resource there is not implemented, elsewhere it is not found. */
export const builtinGroups = new Set([
  ...builtinKinds.map(kind => kind.group),
  'authentication.k8s.io',
  'authorization.k8s.io',
  'batch',
  'rbac.authorization.k8s.io',
  'storage.k8s.io',
  'admissionregistration.k8s.io',
  'events.k8s.io',
  'scheduling.k8s.io',
  'certificates.k8s.io',
]);

/** The kinds, one a served version, that a CustomResourceDefinition declares. */
export function kindsOfCrd(crd: KubernetesObject): Kind[] {
  const { group, names, scope, versions } = crd.spec;
  const storageVersion: string =
    versions.find((version: Json) => version.storage)?.name ?? versions[0]?.name ?? '';
  return (versions as Json[])
    .filter(version => version.served)
    .map(version => {
      const schema = version.schema?.openAPIV3Schema ?? {};
      const hasStatus = version.subresources?.status !== undefined;
      return {
        group,
        version: version.name,
        plural: names.plural,
        kind: names.kind,
        namespaced: scope === 'Namespaced',
        singular: names.singular ?? names.kind.toLowerCase(),
        listKind: names.listKind ?? `${names.kind}List`,
        shortNames: names.shortNames ?? [],
        categories: names.categories ?? [],
        isBuiltin: false,
        table: `${names.plural}.${group}`,
        verbs: allVerbs,
        subresources: hasStatus ? (['status'] as const) : [],
        generation: 'content' as const,
        needsVersion: true,
        deleteAnswersObject: false,
        shape: shapeOfSchema(schema),
        ignored: {
          main: hasStatus ? setOf('status') : setOf(),
          status: setOf('spec', 'metadata'),
        },
        skeleton: { metadata: {} },
        schema,
        storageVersion,
      };
    });
}

export function apiVersionOf(type: { group: string; version: string }): string {
  return type.group ? `${type.group}/${type.version}` : type.version;
}
