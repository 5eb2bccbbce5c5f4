/**
 * Knows what an API server serves: groups, versions, kinds, its own version, and whether a served CRD has all the fields
 * that the engine writes. Answers are cached until somebody asks anew; errors never are.
 */
import { type ApiClient, ApiError, type ResourceType } from './types.ts';

export interface Discovery {
  /** Versions in the server's order of preference; empty when the group is not served. */
  servedVersions(group: string): Promise<string[]>;
  /** Whether this version of this group serves this plural. */
  isServed(type: ResourceType): Promise<boolean>;
  /** E.g. `v1.36.3`. */
  serverVersion(): Promise<string>;
  /** Forgets every answer. */
  refresh(): void;
}

/** The part of an OpenAPI v3 schema that decides which fields survive. */
export interface StructuralSchema {
  type?: string;
  properties?: Record<string, StructuralSchema>;
  items?: StructuralSchema;
  additionalProperties?: StructuralSchema | boolean;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  [keyword: string]: unknown;
}

export function createDiscovery(client: ApiClient): Discovery {
  const answers = new Map<string, Promise<any>>();

  /** The parsed answer, or undefined when the path is not served. */
  function ask(path: string): Promise<any> {
    const known = answers.get(path);
    if (known) return known;
    const answer = client.request('GET', path).catch((error: unknown) => {
      if (error instanceof ApiError && error.kind === 'notFound') return undefined;
      if (answers.get(path) === answer) answers.delete(path);
      throw error;
    });
    answers.set(path, answer);
    return answer;
  }

  return {
    async servedVersions(group) {
      if (group === '') return (await ask('/api'))?.versions ?? [];
      const answer = await ask(`/apis/${group}`);
      return (answer?.versions ?? []).map((entry: { version: string }) => entry.version);
    },
    async isServed(type) {
      const path = type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
      const answer = await ask(path);
      return (answer?.resources ?? []).some(
        (resource: { name: string; kind: string }) =>
          resource.name === type.plural && resource.kind === type.kind,
      );
    },
    async serverVersion() {
      return (await ask('/version'))?.gitVersion ?? 'unknown';
    },
    refresh: () => answers.clear(),
  };
}

/** The versions of a group in the server's order of preference, asked afresh; empty when it is not served. */
export function servedVersions(client: ApiClient, group: string): Promise<string[]> {
  return createDiscovery(client).servedVersions(group);
}

/**
 * The schema that the server prunes objects of this type with, as it publishes it: whoever may speak to the server may
 * read that, while reading a CRD needs a right in the whole cluster. Undefined when there is no such type, and for a
 * moment after its CRD was created.
 */
export async function servedSchema(
  client: ApiClient,
  type: ResourceType,
): Promise<StructuralSchema | undefined> {
  const path = `/openapi/v3/apis/${type.group}/${type.version}`;
  const document = await client.request('GET', path).catch((error: unknown) => {
    if (error instanceof ApiError && error.kind === 'notFound') return undefined;
    throw error;
  });
  const published: PublishedSchema[] = Object.values(document?.components?.schemas ?? {});
  return published.find(schema => schema[OF_KIND]?.some(kind => isKindOf(kind, type)));
}

const OF_KIND = 'x-kubernetes-group-version-kind';

interface GroupVersionKind {
  group: string;
  version: string;
  kind: string;
}

type PublishedSchema = StructuralSchema & { [OF_KIND]?: GroupVersionKind[] };

function isKindOf({ group, version, kind }: GroupVersionKind, type: ResourceType): boolean {
  return group === type.group && version === type.version && kind === type.kind;
}

/**
 * Paths of `own` that the served schema would prune, topmost only: `status.epoch`, `spec.metrics[].query`, `spec.labels.*`.
 * A structural schema drops unknown fields without a word, unless it says `x-kubernetes-preserve-unknown-fields`.
 */
export function missingSchemaFields(served: StructuralSchema, own: StructuralSchema): string[] {
  const missing: string[] = [];
  collectMissing(served, own, '', missing);
  return missing;
}

function collectMissing(
  served: StructuralSchema,
  own: StructuralSchema,
  path: string,
  missing: string[],
): void {
  const keepsAll =
    served['x-kubernetes-preserve-unknown-fields'] === true || served.additionalProperties === true;
  for (const [name, ownField] of Object.entries(own.properties ?? {})) {
    const fieldPath = path === '' ? name : `${path}.${name}`;
    const servedField = served.properties?.[name] ?? mapValues(served);
    if (servedField) collectMissing(servedField, ownField, fieldPath, missing);
    else if (!keepsAll && !isServerOwned(fieldPath)) missing.push(fieldPath);
  }
  if (own.items) {
    if (served.items) collectMissing(served.items, own.items, `${path}[]`, missing);
    else if (!keepsAll) missing.push(`${path}[]`);
  }
  const ownValues = mapValues(own);
  if (ownValues) {
    const servedValues = mapValues(served);
    if (servedValues) collectMissing(servedValues, ownValues, `${path}.*`, missing);
    else if (!keepsAll) missing.push(`${path}.*`);
  } else if (isOpen(own) && !keepsAll && !mapValues(served)) {
    // We keep whatever is there; the server would keep only what it knows.
    missing.push(`${path}.*`);
  }
}

function isOpen(schema: StructuralSchema): boolean {
  return schema['x-kubernetes-preserve-unknown-fields'] === true || schema.additionalProperties === true;
}

function mapValues(schema: StructuralSchema): StructuralSchema | undefined {
  return typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}

/** The API server adds these to every CRD's schema by itself. */
function isServerOwned(path: string): boolean {
  return path === 'apiVersion' || path === 'kind' || path === 'metadata';
}
