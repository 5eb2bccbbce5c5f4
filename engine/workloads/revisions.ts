/**
 * Which revision a pod template is, and where its template is kept. A revision is a hash over canonical JSON of the
 * template as the API server returns it; the template itself is stored once in an immutable ControllerRevision, and
 * everything that copies it back reads it from there, never from the target as it is at that moment.
 */
import { createHash } from 'node:crypto';
import type { KubernetesObject, OwnerReference } from '../kubernetes/types.ts';

/** First part of every hash: a new algorithm gets another, so that old hashes are never compared with new ones. */
const ALGORITHM = 'a1';
const HASH_DIGITS = 12;

/** JSON with sorted keys, and without the fields that mean nothing: null, and empty maps and lists. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(canonical(value) ?? null);
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value))
    return value.length === 0 ? undefined : value.map(item => canonical(item) ?? null);
  if (value === null || typeof value !== 'object') return value ?? undefined;
  const entries = Object.entries(value)
    .map(([key, inner]) => [key, canonical(inner)] as const)
    .filter(([, inner]) => inner !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** The labels and annotations that controllers add to a template, and `kubectl rollout restart` does not. */
const CONTROLLER_LABEL = 'pod-template-hash';
/** On the primary's pods: the revision whose template they were copied from. */
export const REVISION_ANNOTATION = 'serin.dev/revision';

/** Versions of objects come much more often than templates, and the canonical form costs ten times its size in objects. */
const KNOWN_TEMPLATES_MAX = 8_192;
/** From the hash of a template's JSON as it was received to its revision, the latest last. */
const knownTemplates = new Map<string, string>();

export function hashTemplate(template: any): string {
  const received = createHash('sha1')
    .update(JSON.stringify(template ?? null))
    .digest('base64');
  const known = knownTemplates.get(received);
  if (known) return known;
  const revision = hashCanonical(template);
  knownTemplates.set(received, revision);
  const [oldest] = knownTemplates.keys();
  if (knownTemplates.size > KNOWN_TEMPLATES_MAX && oldest !== undefined) knownTemplates.delete(oldest);
  return revision;
}

function hashCanonical(template: any): string {
  const { [CONTROLLER_LABEL]: _hash, ...labels } = template?.metadata?.labels ?? {};
  const { creationTimestamp: _created, ...metadata } = template?.metadata ?? {};
  const text = canonicalJson({ ...template, metadata: { ...metadata, labels } });
  return `${ALGORITHM}-${createHash('sha256').update(text).digest('hex').slice(0, HASH_DIGITS)}`;
}

const hashes = new WeakMap<object, string>();

/** The revision of an object's `spec.template`: that it was copied from, or that it is. Computed once for each object. */
export function revisionOf(object: KubernetesObject): string {
  const known = hashes.get(object);
  if (known) return known;
  const template = object.spec?.template;
  const revision = template?.metadata?.annotations?.[REVISION_ANNOTATION] ?? hashTemplate(template);
  hashes.set(object, revision);
  return revision;
}

/** Gives an object the revision of another, for a copy that has no template any more. */
export function takeRevision(copy: KubernetesObject, original: KubernetesObject): void {
  hashes.set(copy, revisionOf(original));
}

export function revisionName(canaryName: string, revision: string): string {
  // 253 characters are allowed; the hash must survive.
  return `${canaryName.slice(0, 200)}-${revision}`;
}

/** `replicas`: of the workload that serves now, so that a primary that is lost comes back as large as it was. */
export function storedRevision(
  canary: { namespace: string; name: string },
  labels: Record<string, string>,
  owner: OwnerReference,
  revision: string,
  target: KubernetesObject,
  replicas: number,
): KubernetesObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: {
      name: revisionName(canary.name, revision),
      namespace: canary.namespace,
      labels: { ...labels, 'serin.dev/revision': revision },
      ownerReferences: [owner],
    },
    revision: target.metadata.generation ?? 0,
    data: { template: target.spec.template, strategy: target.spec.strategy, replicas },
  };
}
