/**
 * The words in which the engine speaks to a Kubernetes API server: raw JSON objects (never the generated models of
 * a client library, which drop fields that they do not know), resource types, and typed errors. No I/O here.
 */

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface ManagedFieldsEntry {
  manager?: string;
  operation?: 'Apply' | 'Update';
  subresource?: string;
  apiVersion?: string;
  time?: string;
  fieldsType?: string;
  fieldsV1?: Record<string, unknown>;
}

export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  managedFields?: ManagedFieldsEntry[];
}

/** Any object as the API server sends it. Spec and status stay untyped: whoever reads a field narrows it. */
export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec?: any;
  status?: any;
  data?: any;
  [field: string]: any;
}

/** A served resource. `group` is empty for the core group. */
export interface ResourceType {
  group: string;
  version: string;
  plural: string;
  kind: string;
  namespaced: boolean;
}

export interface ObjectList {
  resourceVersion: string;
  items: KubernetesObject[];
}

export interface ListOptions {
  labelSelector?: string;
  fieldSelector?: string;
}

/** One line of a watch stream. A bookmark carries only a resourceVersion. */
export type WatchEvent =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: KubernetesObject }
  | { type: 'BOOKMARK'; resourceVersion: string };

/**
 * How the API server answered, or did not.
 * - `conflict`: the precondition (resourceVersion, JSON-patch `test`) failed; observe again.
 * - `timeout`, `network`: it is unknown whether a write happened.
 */
export type ApiErrorKind =
  | 'badRequest'
  | 'unauthorized'
  | 'forbidden'
  | 'notFound'
  | 'alreadyExists'
  | 'conflict'
  | 'gone'
  | 'invalid'
  | 'tooManyRequests'
  | 'server'
  | 'timeout'
  | 'network'
  | 'aborted';

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly kind: ApiErrorKind;
  /** HTTP status; 0 when there was no answer. */
  readonly code: number;
  /** `reason` of the Status object, e.g. `AlreadyExists`; empty when there was none. */
  readonly reason: string;
  /** What the server asked to wait before another try, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  constructor(
    kind: ApiErrorKind,
    message: string,
    details: { code?: number; reason?: string; retryAfterMs?: number } = {},
  ) {
    super(message);
    this.kind = kind;
    this.code = details.code ?? 0;
    this.reason = details.reason ?? '';
    this.retryAfterMs = details.retryAfterMs;
  }
}

export interface HttpRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path with the query string, e.g. `/api/v1/namespaces/shop/services?limit=500`. */
  path: string;
  headers: Record<string, string>;
  body?: string;
  signal?: AbortSignal;
  /** True for a watch: the answer's `body` is then a stream of chunks that may last for minutes. */
  stream?: boolean;
  /** True for a request that must not queue behind others (taking traffic away): it gets connections of its own. */
  urgent?: boolean;
}

export interface HttpResponse {
  status: number;
  /** Lower-case names. */
  headers: Record<string, string>;
  /** The whole body, for requests without `stream` and for answers that are errors. */
  text: string;
  /** The body's chunks, when `stream` was asked for and the status is 200. */
  chunks?: AsyncIterable<string>;
}

/**
 * Carries one HTTP request to the API server. Two implementations: undici over TLS (`transport.ts`), and a direct
 * call into the in-memory API of the simulator. It adds authentication and nothing else. It throws `ApiError` of kind
 * `network`, `timeout` or `aborted` when there is no answer.
 */
export type Transport = (request: HttpRequest) => Promise<HttpResponse>;

export interface WriteOptions {
  /** Asks the server to validate and answer, and to store nothing. */
  dryRun?: boolean;
  signal?: AbortSignal;
}

export interface PatchOptions extends WriteOptions {
  subresource?: 'status' | 'scale';
}

/** Whose name stands in the managed fields of what the engine writes. */
export const FIELD_MANAGER = 'serin';

/**
 * An apply under it makes an object that is not there, and meets a conflict where there is one: no object has it. Somebody
 * may have made it since it was looked for.
 */
export const ABSENT_VERSION = '1';

/**
 * What the engine asks of an API server. Every call has a deadline (10 s unless the implementation was told otherwise)
 * and throws `ApiError`. Objects come and go as raw JSON. `namespace` is ignored for cluster-scoped resources.
 */
export interface ApiClient {
  /** The object, or undefined when it does not exist. */
  get(
    type: ResourceType,
    namespace: string,
    name: string,
    options?: { signal?: AbortSignal },
  ): Promise<KubernetesObject | undefined>;
  /** All objects, paged inside (500 a page). `namespace` undefined lists the whole cluster. */
  list(
    type: ResourceType,
    namespace: string | undefined,
    options?: ListOptions & { signal?: AbortSignal },
  ): Promise<ObjectList>;
  create(type: ResourceType, object: KubernetesObject, options?: WriteOptions): Promise<KubernetesObject>;
  /** Server-side apply under the engine's one field manager, `force` as given. A `metadata.resourceVersion` in the object is a precondition. */
  apply(
    type: ResourceType,
    object: KubernetesObject,
    options?: PatchOptions & { force?: boolean },
  ): Promise<KubernetesObject>;
  /** JSON merge patch (RFC 7386). A `metadata.resourceVersion` in the patch is a precondition. */
  mergePatch(
    type: ResourceType,
    namespace: string,
    name: string,
    patch: object,
    options?: PatchOptions,
  ): Promise<KubernetesObject>;
  /** JSON patch (RFC 6902). A failed `test` is an ApiError of kind `conflict`. */
  jsonPatch(
    type: ResourceType,
    namespace: string,
    name: string,
    operations: object[],
    options?: PatchOptions,
  ): Promise<KubernetesObject>;
  /** PUT of the status subresource; the object's resourceVersion is the precondition. */
  replaceStatus(type: ResourceType, object: KubernetesObject): Promise<KubernetesObject>;
  /** True when something was deleted, false when it was not there. `uid`/`resourceVersion` are preconditions. */
  delete(
    type: ResourceType,
    namespace: string,
    name: string,
    options?: {
      uid?: string;
      resourceVersion?: string;
      propagation?: 'Background' | 'Foreground' | 'Orphan';
    },
  ): Promise<boolean>;
  /**
   * One watch request from `resourceVersion` on; ends when the server closes it, which it is asked to do after
   * `timeoutSeconds`. Throws ApiError kind `gone` on 410, also in the stream.
   */
  watch(
    type: ResourceType,
    namespace: string | undefined,
    resourceVersion: string,
    options: ListOptions & { signal: AbortSignal; timeoutSeconds?: number },
  ): AsyncIterable<WatchEvent>;
  /** Any other call (reviews, discovery, eviction): JSON in, JSON out. */
  request(method: HttpRequest['method'], path: string, body?: unknown): Promise<any>;
}

/** `namespace/name`, or `name` for a cluster-scoped object: the key of an object in a store. */
export type ObjectKey = string;

export function objectKey(namespace: string | undefined, name: string): ObjectKey {
  return namespace ? `${namespace}/${name}` : name;
}

/**
 * A watched set of objects of one type. Reads are synchronous and local. It is read-your-writes: `absorb` takes the
 * answer of a write and keeps it if it is newer than what is cached.
 */
export interface Store {
  readonly type: ResourceType;
  get(namespace: string | undefined, name: string): KubernetesObject | undefined;
  /** All objects, or those of one namespace. */
  all(namespace?: string): KubernetesObject[];
  /** Those of a namespace that the store's index has under this name; only for stores that were made with an index. */
  find(namespace: string, name: string): KubernetesObject[];
  /** Takes the answer of a write. Does not call the change handlers. */
  absorb(object: KubernetesObject): void;
  /** Forgets an object that a delete call removed. Does not call the change handlers. */
  forget(namespace: string | undefined, name: string): void;
  /** True after the first complete list. `namespace` narrows the question where a store is made of several watches. */
  synced(namespace?: string): boolean;
  /** When the last event or bookmark arrived, milliseconds since the epoch; 0 before the first list. */
  liveAt(namespace?: string): number;
  /** Called after each change that came by watch or list (never for `absorb`). `object` is the last known state when deleted. */
  onChange(handler: (object: KubernetesObject, deleted: boolean) => void): void;
}
