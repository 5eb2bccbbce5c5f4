/**
 * Deployments as the core sees them, and the objects and patches that the engine writes for them. Pods are counted by
 * their ReplicaSets, never by what the template says now. Pure: no I/O.
 */
import type { KubernetesObject, OwnerReference } from '../kubernetes/types.ts';
import type { RevisionPods, Workload } from '../core/observation.ts';
import { REVISION_ANNOTATION, revisionOf } from './revisions.ts';

/** Written in the same patch as `spec.paused`, so that the engine's pause can be told from a user's. */
export const PAUSED_ANNOTATION = 'serin.dev/paused';
/** What the engine last wrote to the target's `spec.replicas`: any other number was written by somebody else. */
export const REPLICAS_ANNOTATION = 'serin.dev/replicas';
export const SURGING_ANNOTATION = 'serin.dev/surging';
export const WRITE_STAMP_ANNOTATION = 'serin.dev/stamp';

export function workloadOf(deployment: KubernetesObject, replicaSets: readonly KubernetesObject[]): Workload {
  const { metadata, spec, status } = deployment;
  const annotations = metadata.annotations ?? {};
  const pods = new Map<string, RevisionPods>();
  for (const replicaSet of replicaSets) {
    if (!replicaSet.metadata.ownerReferences?.some(owner => owner.uid === metadata.uid && owner.controller))
      continue;
    const total = replicaSet.status?.replicas ?? 0;
    if (total === 0) continue;
    const revision = revisionOf(replicaSet);
    const sum = pods.get(revision) ?? { revision, total: 0, available: 0 };
    pods.set(revision, {
      revision,
      total: sum.total + total,
      available: sum.available + (replicaSet.status?.availableReplicas ?? 0),
    });
  }
  return {
    uid: metadata.uid ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
    generation: metadata.generation ?? 0,
    observedGeneration: status?.observedGeneration ?? 0,
    reportedAvailable: status?.availableReplicas ?? 0,
    replicas: spec?.replicas ?? 1,
    pausedBy:
      spec?.paused !== true ? 'nobody' : annotations[PAUSED_ANNOTATION] === 'true' ? 'engine' : 'user',
    revision: revisionOf(deployment),
    pods: [...pods.values()],
    isScaledByOthers:
      annotations[REPLICAS_ANNOTATION] !== undefined &&
      annotations[REPLICAS_ANNOTATION] !== String(spec?.replicas ?? 1),
    isSurging: annotations[SURGING_ANNOTATION] === 'true',
  };
}

export interface SelectorLabel {
  key: string;
  value: string;
}

/** The first of the configured labels that the target selects its pods by; undefined when it has none of them. */
export function selectorLabelOf(
  target: KubernetesObject,
  selectorLabels: readonly string[],
): SelectorLabel | undefined {
  const matchLabels: Record<string, string> = target.spec?.selector?.matchLabels ?? {};
  for (const key of selectorLabels) {
    const value = matchLabels[key];
    if (value !== undefined) return { key, value };
  }
  return undefined;
}

export function primaryName(targetName: string): string {
  return `${targetName}-primary`;
}

/**
 * The primary as the engine applies it: the stored template under the primary's own label, with the selectors of
 * affinity and topology following, and the revision that it was copied from on its pods.
 */
export function primaryOf(input: {
  namespace: string;
  targetName: string;
  target: KubernetesObject | undefined;
  stored: KubernetesObject;
  revision: string;
  label: SelectorLabel;
  labels: Record<string, string>;
  owner: OwnerReference;
  replicas: number;
  surge: boolean;
  stamp: string;
  /** Of the primary that is there: preconditions, so that one that is gone is not made anew from the middle of a rollout. */
  present?: { resourceVersion: string; uid: string };
}): KubernetesObject {
  const { namespace, targetName, target, stored, label } = input;
  const template = structuredClone(stored.data.template);
  const value = `${label.value}-primary`;
  const metadata = { ...template.metadata };
  delete metadata.creationTimestamp;
  metadata.labels = { ...metadata.labels, [label.key]: value };
  metadata.annotations = {
    ...withoutGitOps(metadata.annotations ?? {}),
    [REVISION_ANNOTATION]: input.revision,
  };
  const podSpec = followSelectors(template.spec, label, value);
  const strategy = structuredClone(stored.data.strategy ?? { type: 'RollingUpdate' });
  if (input.surge && strategy.type !== 'Recreate') {
    const maxSurge = strategy.rollingUpdate?.maxSurge;
    strategy.rollingUpdate = {
      maxUnavailable: 0,
      maxSurge: maxSurge === 0 || maxSurge === '0%' || maxSurge === undefined ? 1 : maxSurge,
    };
  }
  const copied: Record<string, unknown> = {};
  for (const field of ['minReadySeconds', 'progressDeadlineSeconds', 'revisionHistoryLimit']) {
    const current = target?.spec?.[field];
    if (current !== undefined) copied[field] = current;
  }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name: primaryName(targetName),
      namespace,
      labels: { ...input.labels, [label.key]: value },
      annotations: { [WRITE_STAMP_ANNOTATION]: input.stamp, [SURGING_ANNOTATION]: String(input.surge) },
      ownerReferences: [input.owner],
      ...input.present,
    },
    spec: {
      ...copied,
      replicas: input.replicas,
      selector: { matchLabels: { [label.key]: value } },
      strategy,
      template: { ...template, metadata, spec: podSpec },
    },
  };
}

function withoutGitOps(annotations: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(annotations).filter(([key]) => !key.includes('toolkit.fluxcd.io')),
  );
}

/** Selectors of the pod spec that mean "pods like me" follow the primary's label. */
function followSelectors(spec: any, label: SelectorLabel, value: string): any {
  const rewrite = (selector: any): any => {
    if (!selector) return selector;
    const next = { ...selector };
    if (next.matchLabels?.[label.key] === label.value)
      next.matchLabels = { ...next.matchLabels, [label.key]: value };
    if (next.matchExpressions) {
      next.matchExpressions = next.matchExpressions.map((expression: any) =>
        expression.key === label.key && expression.values?.includes(label.value)
          ? {
              ...expression,
              values: expression.values.map((one: string) => (one === label.value ? value : one)),
            }
          : expression,
      );
    }
    return next;
  };
  const next = { ...spec };
  if (next.topologySpreadConstraints) {
    next.topologySpreadConstraints = next.topologySpreadConstraints.map((one: any) => ({
      ...one,
      labelSelector: rewrite(one.labelSelector),
    }));
  }
  if (next.affinity) {
    next.affinity = { ...next.affinity };
    for (const kind of ['podAffinity', 'podAntiAffinity']) {
      const terms = next.affinity[kind];
      if (!terms) continue;
      const term = (one: any) => ({ ...one, labelSelector: rewrite(one.labelSelector) });
      next.affinity[kind] = {
        ...terms,
        ...(terms.requiredDuringSchedulingIgnoredDuringExecution
          ? {
              requiredDuringSchedulingIgnoredDuringExecution:
                terms.requiredDuringSchedulingIgnoredDuringExecution.map(term),
            }
          : {}),
        ...(terms.preferredDuringSchedulingIgnoredDuringExecution
          ? {
              preferredDuringSchedulingIgnoredDuringExecution:
                terms.preferredDuringSchedulingIgnoredDuringExecution.map((one: any) => ({
                  ...one,
                  podAffinityTerm: term(one.podAffinityTerm),
                })),
            }
          : {}),
      };
    }
  }
  return next;
}

/** The patch of the target: replicas and pause, with the stamp and the version that was observed. */
export function targetPatch(input: {
  resourceVersion: string;
  stamp: string;
  replicas?: number;
  paused?: boolean;
}): object {
  return {
    metadata: {
      resourceVersion: input.resourceVersion,
      annotations: {
        [WRITE_STAMP_ANNOTATION]: input.stamp,
        ...(input.replicas === undefined ? {} : { [REPLICAS_ANNOTATION]: String(input.replicas) }),
        ...(input.paused === undefined ? {} : { [PAUSED_ANNOTATION]: input.paused ? 'true' : null }),
      },
    },
    spec: {
      ...(input.replicas === undefined ? {} : { replicas: input.replicas }),
      ...(input.paused === undefined ? {} : { paused: input.paused ? true : null }),
    },
  };
}

/** Takes everything off the target that the engine has annotated it with, when it is given back. */
export function unmarkPatch(resourceVersion: string): object {
  const annotations = {
    [WRITE_STAMP_ANNOTATION]: null,
    [REPLICAS_ANNOTATION]: null,
    [PAUSED_ANNOTATION]: null,
  };
  return { metadata: { resourceVersion, annotations } };
}
