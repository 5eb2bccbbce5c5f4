/**
 * The one path of every write: decoding with defaults, preconditions, strategy of the endpoint, generation, owners,
 * validation, no-op detection, finalizers, storing. Synchronous: the API's callers and the played controllers share it.
 */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { allocate, initialise } from './allocation.ts';
import { timestamp } from './context.ts';
import type { WriteContext } from './context.ts';
import { builtinDefaults } from './defaults.ts';
import { copy, equal } from './json.ts';
import type { Json } from './json.ts';
import { apiVersionOf } from './kinds.ts';
import type { Kind } from './kinds.ts';
import { ownersAfterUpdate, sameOwners } from './ownership.ts';
import { contentErrors, metadataChangeErrors, metadataErrors } from './rules.ts';
import { applyDefaults, prune } from './schema.ts';
import {
  alreadyExists,
  badRequest,
  conflict,
  forbidden,
  invalid,
  MODIFIED,
  notFound,
  StatusError,
} from './status.ts';

export interface WriteOptions {
  manager: string;
  /** Owners that a server-side apply computed; an update computes its own. */
  managedFields?: Json[];
  subresource?: 'status' | 'scale' | 'finalize';
  dryRun?: boolean;
  /** PUT: a kind that needs a resourceVersion must send one. */
  isReplace?: boolean;
  /** Receives the paths of unknown fields that were dropped. */
  warnings?: string[];
}

/** A mutable, defaulted object from a request's body, of the kind's API version. */
export function decode(kind: Kind, body: Json, warnings?: string[]): KubernetesObject {
  const expected = apiVersionOf(kind);
  if (body?.kind !== undefined && body.kind !== kind.kind)
    throw badRequest(
      `${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: the kind in the data (${body.kind}) does not match`,
    );
  if (body?.apiVersion !== undefined && body.apiVersion !== expected)
    throw badRequest(
      `the API version in the data (${body.apiVersion}) does not match the expected API version (${expected})`,
    );
  const object = copy(body) as KubernetesObject;
  object.apiVersion = expected;
  object.kind = kind.kind;
  object.metadata ??= { name: '' };
  for (const field of ['labels', 'annotations', 'finalizers', 'ownerReferences'] as const)
    if (isNothing(object.metadata[field])) delete object.metadata[field];
  if (kind.schema) {
    warnings?.push(...prune(object, kind.schema));
    if (!warnings) prune(object, kind.schema);
    applyDefaults(object, kind.schema);
  }
  if (kind.isBuiltin) builtinDefaults[kind.kind]?.(object);
  return object;
}

/** The server's types leave out empty maps and lists of metadata. */
function isNothing(value: Json): boolean {
  return value === null || (typeof value === 'object' && Object.keys(value).length === 0);
}

function checkNamespace(context: WriteContext, kind: Kind, object: KubernetesObject): void {
  if (!kind.namespaced) return;
  const name = object.metadata.namespace ?? '';
  const namespace = context.storage.get('namespaces', undefined, name);
  if (!namespace) throw notFound({ group: '', plural: 'namespaces', kind: 'Namespace' }, name);
  if (namespace.metadata.deletionTimestamp !== undefined)
    throw forbidden(
      kind,
      object.metadata.name,
      `unable to create new content in namespace ${name} because it is being terminated`,
      [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${name} is being terminated`,
          field: 'metadata.namespace',
        },
      ],
    );
}

function placeIn(kind: Kind, object: KubernetesObject, namespace: string | undefined): void {
  if (!kind.namespaced) {
    delete object.metadata.namespace;
    return;
  }
  if (object.metadata.namespace !== undefined && object.metadata.namespace !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  object.metadata.namespace = namespace ?? '';
}

/** Stores a new object and answers it. */
export function createObject(
  context: WriteContext,
  kind: Kind,
  namespace: string | undefined,
  body: Json,
  options: WriteOptions,
): KubernetesObject {
  const object = decode(kind, body, options.warnings);
  placeIn(kind, object, namespace);
  const metadata = object.metadata;
  if (!metadata.name && metadata['generateName' as 'name'])
    metadata.name = `${metadata['generateName' as 'name']}${context.random.suffix(5)}`;
  if (!metadata.name)
    throw invalid(kind, '', [
      { type: 'Required value', field: 'metadata.name', detail: 'name or generateName is required' },
    ]);
  checkNamespace(context, kind, object);
  if (metadata.resourceVersion)
    throw new StatusError(500, '', 'resourceVersion should not be set on objects to be created');
  for (const field of ['deletionTimestamp', 'resourceVersion', 'generation', 'uid'] as const)
    delete metadata[field];
  if (kind.subresources.includes('status')) delete object.status;
  metadata.uid = context.random.uid();
  metadata.creationTimestamp = timestamp(context.clock);
  if (kind.generation !== 'never') metadata.generation = 1;
  const managedFields =
    options.managedFields ??
    ownersAfterUpdate(
      kind.skeleton,
      object,
      { manager: options.manager, operation: 'Update', apiVersion: apiVersionOf(kind) },
      kind.shape,
      timestamp(context.clock),
    );
  metadata.managedFields = managedFields;
  initialise(context, kind, object);
  const errors = [...metadataErrors(kind, metadata), ...contentErrors(kind, object, undefined, context)];
  if (errors.length > 0) throw invalid(kind, metadata.name, errors);
  if (context.storage.get(kind.table, metadata.namespace, metadata.name))
    throw alreadyExists(kind, metadata.name);
  return options.dryRun ? object : context.storage.put(kind.table, toStorage(kind, object));
}

function toStorage(kind: Kind, object: KubernetesObject): KubernetesObject {
  if (kind.version === kind.storageVersion) return object;
  return { ...object, apiVersion: apiVersionOf({ group: kind.group, version: kind.storageVersion }) };
}

function checkVersion(
  kind: Kind,
  live: KubernetesObject,
  next: KubernetesObject,
  options: WriteOptions,
): void {
  const sent = next.metadata.resourceVersion;
  const { name } = live.metadata;
  if (sent && sent !== live.metadata.resourceVersion) throw conflict(kind, name, MODIFIED);
  if (!sent && options.isReplace && kind.needsVersion)
    throw invalid({ ...kind, kind: kind.plural }, name, [
      {
        type: 'Invalid value',
        field: 'metadata.resourceVersion',
        value: 0,
        detail: 'must be specified for an update',
      },
    ]);
  // A patch cannot name another object: there a different uid is an edit of an immutable field.
  if (options.isReplace && next.metadata.uid && next.metadata.uid !== live.metadata.uid)
    throw conflict(
      kind,
      name,
      `Precondition failed: UID in precondition: ${next.metadata.uid}, UID in object meta: ${live.metadata.uid}`,
    );
}

/** Keeps of `next` only what the endpoint may write; the rest is the stored state. */
function atEndpoint(
  kind: Kind,
  live: KubernetesObject,
  next: KubernetesObject,
  options: WriteOptions,
): KubernetesObject {
  if (options.subresource === 'status') {
    const status = next.status === undefined ? {} : { status: next.status };
    const { status: _, ...rest } = live;
    if (!kind.isBuiltin) return { ...rest, metadata: { ...live.metadata }, ...status } as KubernetesObject;
    const metadata = { ...next.metadata };
    const restored = kind.kind === 'Deployment' ? (['labels'] as const) : (['ownerReferences'] as const);
    if (kind.kind === 'Deployment' || kind.kind === 'Pod')
      for (const field of restored) {
        if (live.metadata[field] === undefined) delete metadata[field];
        else Object.assign(metadata, { [field]: live.metadata[field] });
      }
    return { ...rest, metadata, ...status } as KubernetesObject;
  }
  if (!kind.subresources.includes('status')) return next;
  const { status: _, ...rest } = next;
  return (live.status === undefined ? rest : { ...rest, status: live.status }) as KubernetesObject;
}

function contentOf(object: KubernetesObject): Json {
  const { metadata: _metadata, status: _status, apiVersion: _version, kind: _kind, ...content } = object;
  return content;
}

function risesGeneration(kind: Kind, live: KubernetesObject, next: KubernetesObject): boolean {
  if (kind.generation === 'never') return false;
  if (kind.generation === 'content') {
    const hasStatus = kind.subresources.includes('status');
    return !equal(contentOf(live), contentOf(next)) || (!hasStatus && !equal(live.status, next.status));
  }
  if (!equal(live.spec, next.spec)) return true;
  return (
    kind.generation === 'specOrAnnotations' &&
    !equal(live.metadata.annotations ?? {}, next.metadata.annotations ?? {})
  );
}

function fillMetadata(live: KubernetesObject, next: KubernetesObject): void {
  const [from, to] = [live.metadata, next.metadata] as [Json, Json];
  to.name ||= from.name;
  if (from.namespace !== undefined) to.namespace ??= from.namespace;
  if (from.uid !== undefined) to.uid ||= from.uid;
  if (from.generateName !== undefined) to.generateName ??= from.generateName;
  if (from.deletionTimestamp !== undefined) to.deletionTimestamp ??= from.deletionTimestamp;
  for (const field of ['creationTimestamp', 'deletionGracePeriodSeconds']) {
    if (from[field] === undefined) delete to[field];
    else to[field] = from[field];
  }
  if (from.generation === undefined) delete to.generation;
  else to.generation = from.generation;
  delete to.selfLink;
}

/** Puts `body` in the place of `live` and answers what is stored afterwards: `live` itself when nothing changed. */
export function replaceObject(
  context: WriteContext,
  kind: Kind,
  live: KubernetesObject,
  body: Json,
  options: WriteOptions,
): KubernetesObject {
  const decoded = decode(kind, body, options.warnings);
  checkVersion(kind, live, decoded, options);
  const sentOwners = decoded.metadata.managedFields;
  fillMetadata(live, decoded);
  if (decoded.metadata.namespace !== live.metadata.namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  allocate(context, kind, live, decoded);
  const next = atEndpoint(kind, live, decoded, options);
  if (options.subresource !== 'status' && risesGeneration(kind, live, next))
    next.metadata.generation = (live.metadata.generation ?? 0) + 1;
  next.metadata.managedFields =
    options.managedFields ?? updatedOwners(context, kind, live, next, sentOwners, options);
  next.apiVersion = live.apiVersion;
  if (live.metadata.resourceVersion) next.metadata.resourceVersion = live.metadata.resourceVersion;
  const isFinished = live.metadata.deletionTimestamp !== undefined && !isHeld(next);
  const errors = [
    ...metadataErrors(kind, next.metadata),
    ...metadataChangeErrors(live.metadata, next.metadata),
    ...contentErrors(kind, next, live, context),
  ];
  if (errors.length > 0) throw invalid(kind, live.metadata.name, errors);
  if (options.dryRun) return next;
  if (isFinished) return context.storage.remove(kind.table, next);
  if (isSame(live, next)) return live;
  return context.storage.put(kind.table, next);
}

function updatedOwners(
  context: WriteContext,
  kind: Kind,
  live: KubernetesObject,
  next: KubernetesObject,
  sent: Json,
  options: WriteOptions,
): Json[] {
  const writer = {
    manager: options.manager,
    operation: 'Update' as const,
    apiVersion: apiVersionOf(kind),
    ...(options.subresource ? { subresource: options.subresource } : {}),
  };
  const withSent = { ...next, metadata: { ...next.metadata, managedFields: sent } };
  // The real server writes no time into the entries of the scale subresource.
  const time = options.subresource === 'scale' ? '' : timestamp(context.clock);
  return ownersAfterUpdate(live, withSent, writer, kind.shape, time);
}

function isSame(live: KubernetesObject, next: KubernetesObject): boolean {
  const { managedFields: before, ...liveMetadata } = live.metadata;
  const { managedFields: after, ...nextMetadata } = next.metadata;
  if (!equal(liveMetadata, nextMetadata) || !sameOwners(before, after)) return false;
  return equal({ ...live, metadata: undefined }, { ...next, metadata: undefined });
}

/** True while finalizers or a grace period keep a deleted object alive. */
function isHeld(object: KubernetesObject): boolean {
  const graceSeconds = (object.metadata as Json).deletionGracePeriodSeconds ?? 0;
  const isNamespaceBusy = object.kind === 'Namespace' && (object.spec?.finalizers ?? []).length > 0;
  return (object.metadata.finalizers ?? []).length > 0 || graceSeconds > 0 || isNamespaceBusy;
}

export interface DeleteOptions {
  uid?: string;
  resourceVersion?: string;
  gracePeriodSeconds?: number;
  propagation?: 'Background' | 'Foreground' | 'Orphan';
  dryRun?: boolean;
}

function checkPreconditions(kind: Kind, live: KubernetesObject, options: DeleteOptions): void {
  const { name, uid, resourceVersion } = live.metadata;
  if (options.uid !== undefined && options.uid !== uid)
    throw conflict(
      kind,
      name,
      `the UID in the precondition (${options.uid}) does not match the UID in record (${uid}). The object might have been deleted and then recreated`,
    );
  if (options.resourceVersion !== undefined && options.resourceVersion !== resourceVersion)
    throw conflict(
      kind,
      name,
      `the ResourceVersion in the precondition (${options.resourceVersion}) does not match the ResourceVersion in record (${resourceVersion}). The object might have been modified`,
    );
}

/** A pod that runs on a node is given time; one that does not goes at once. */
function graceSecondsOf(live: KubernetesObject, options: DeleteOptions): number {
  if (live.kind !== 'Pod') return 0;
  if (!live.spec.nodeName || ['Succeeded', 'Failed'].includes(live.status?.phase)) return 0;
  return options.gracePeriodSeconds ?? live.spec.terminationGracePeriodSeconds ?? 30;
}

/** Deletes, or marks as being deleted while something holds the object. `isGone` says which. */
export function deleteObject(
  context: WriteContext,
  kind: Kind,
  live: KubernetesObject,
  options: DeleteOptions,
): { object: KubernetesObject; isGone: boolean } {
  checkPreconditions(kind, live, options);
  const graceSeconds = graceSecondsOf(live, options);
  const finalizers = new Set(live.metadata.finalizers ?? []);
  if (options.propagation === 'Foreground') finalizers.add('foregroundDeletion');
  if (options.propagation === 'Orphan') finalizers.add('orphan');
  const next = copy(live) as KubernetesObject;
  const metadata = next.metadata as Json;
  if (finalizers.size > 0) metadata.finalizers = [...finalizers];
  const wasDeleting = live.metadata.deletionTimestamp !== undefined;
  metadata.deletionGracePeriodSeconds = wasDeleting
    ? Math.min(metadata.deletionGracePeriodSeconds ?? 0, graceSeconds)
    : graceSeconds;
  if (!wasDeleting) {
    metadata.deletionTimestamp = timestamp(context.clock, graceSeconds * 1000);
    if (metadata.generation !== undefined) metadata.generation += 1;
  }
  if (kind.kind === 'Namespace') next.status = { ...next.status, phase: 'Terminating' };
  if (!isHeld(next)) {
    // What watchers see last is the object as it was, without a mark of deletion that nobody waited for.
    const last = wasDeleting ? next : live;
    return { object: options.dryRun ? live : context.storage.remove(kind.table, last), isGone: true };
  }
  if (options.dryRun || isSame(live, next)) return { object: next, isGone: false };
  return { object: context.storage.put(kind.table, next), isGone: false };
}
