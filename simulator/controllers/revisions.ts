/** Which ReplicaSet has a Deployment's template, and what its metadata says: hash, revision, sizes. Pure. */
import { createHash } from 'node:crypto';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { draft } from '../api/inprocess.ts';
import { canonical, copy, equal } from '../api/json.ts';
import type { Json } from '../api/json.ts';
import { SAFE_ALPHABET } from '../api/random.ts';
import { controllerReference } from './objects.ts';
import { boundsOf, DESIRED_ANNOTATION, MAX_ANNOTATION, newSetReplicas } from './rollingUpdate.ts';

export const REVISION_ANNOTATION = 'deployment.kubernetes.io/revision';
const HISTORY_ANNOTATION = 'deployment.kubernetes.io/revision-history';
const HASH_LABEL = 'pod-template-hash';

/** Annotations of a Deployment that are not copied to its ReplicaSets. */
const ownAnnotations = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  'deprecated.deployment.rollback.to',
  REVISION_ANNOTATION,
  HISTORY_ANNOTATION,
  DESIRED_ANNOTATION,
  MAX_ANNOTATION,
]);

export function revisionOf(set: KubernetesObject): number {
  return Number(set.metadata.annotations?.[REVISION_ANNOTATION]) || 0;
}

function withoutHash(template: Json): Json {
  const labels = { ...template.metadata?.labels };
  delete labels[HASH_LABEL];
  return { ...template, metadata: { ...template.metadata, labels } };
}

/** The oldest set with the Deployment's template, its hash label aside. `sets` are in order of age. */
export function findNewSet(
  deployment: KubernetesObject,
  sets: KubernetesObject[],
): KubernetesObject | undefined {
  const wanted = withoutHash(deployment.spec.template);
  return sets.find(set => equal(withoutHash(set.spec.template), wanted));
}

/** A short name for a template. The real controller hashes Go structs: only the alphabet and length are alike. */
function templateHash(template: Json, collisions: number): string {
  const digest = createHash('sha256')
    .update(`${canonical(template)}#${collisions}`)
    .digest();
  return [...digest.subarray(0, 9)].map(byte => SAFE_ALPHABET.charAt(byte % SAFE_ALPHABET.length)).join('');
}

function copiedAnnotations(deployment: KubernetesObject): Record<string, string> {
  const all = Object.entries(deployment.metadata.annotations ?? {});
  return Object.fromEntries(all.filter(([key]) => !ownAnnotations.has(key)));
}

function sizeAnnotations(deployment: KubernetesObject): Record<string, string> {
  const { replicas } = deployment.spec;
  return {
    [DESIRED_ANNOTATION]: String(replicas),
    [MAX_ANNOTATION]: String(replicas + boundsOf(deployment).maxSurge),
  };
}

/** The set that is created for a template that has none. */
export function newReplicaSet(deployment: KubernetesObject, sets: KubernetesObject[]): KubernetesObject {
  const { template, selector, minReadySeconds } = copy(deployment.spec);
  const hash = templateHash(template, deployment.status?.collisionCount ?? 0);
  template.metadata = { ...template.metadata, labels: { ...template.metadata?.labels, [HASH_LABEL]: hash } };
  selector.matchLabels = { ...selector.matchLabels, [HASH_LABEL]: hash };
  const revision = Math.max(0, ...sets.map(revisionOf)) + 1;
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `${deployment.metadata.name}-${hash}`,
      namespace: deployment.metadata.namespace ?? '',
      labels: { ...template.metadata.labels },
      annotations: {
        ...copiedAnnotations(deployment),
        ...sizeAnnotations(deployment),
        [REVISION_ANNOTATION]: String(revision),
      },
      ownerReferences: [controllerReference(deployment)],
    },
    spec: {
      replicas: newSetReplicas(deployment, sets, 0),
      ...(minReadySeconds ? { minReadySeconds } : {}),
      selector,
      template,
    },
  };
}

/** The set that has the template, as the newest revision and with the Deployment's annotations. */
export function adoptRevision(
  deployment: KubernetesObject,
  set: KubernetesObject,
  sets: KubernetesObject[],
): KubernetesObject {
  const next = draft(set);
  const others = sets.filter(other => other.metadata.uid !== set.metadata.uid);
  const revision = Math.max(0, ...others.map(revisionOf)) + 1;
  const annotations = { ...next.metadata.annotations, ...copiedAnnotations(deployment) };
  if (revisionOf(set) < revision) {
    const past = [annotations[HISTORY_ANNOTATION], annotations[REVISION_ANNOTATION]].filter(Boolean);
    if (past.length > 0) annotations[HISTORY_ANNOTATION] = past.join(',');
    annotations[REVISION_ANNOTATION] = String(revision);
  }
  next.metadata.annotations = annotations;
  const { minReadySeconds } = deployment.spec;
  if (minReadySeconds) next.spec.minReadySeconds = minReadySeconds;
  else delete next.spec.minReadySeconds;
  return next;
}

export function resized(
  deployment: KubernetesObject,
  set: KubernetesObject,
  replicas: number,
): KubernetesObject {
  const next = draft(set);
  next.spec.replicas = replicas;
  next.metadata.annotations = { ...next.metadata.annotations, ...sizeAnnotations(deployment) };
  return next;
}
