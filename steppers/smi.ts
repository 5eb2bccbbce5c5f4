/**
 * SMI TrafficSplit: one object named as the apex, with whole-number weights for canary and primary. The meshes that
 * read it take ratios; 0 removes a backend, and both are never 0. It knows nothing of `matches`: meshes that serve
 * v1alpha1 and v1alpha2 drop them.
 */
import type { KubernetesObject, ResourceType } from '../engine/kubernetes/types.ts';
import {
  formatStamp,
  type ObservedRoute,
  parseStamp,
  type RouteContext,
  type RouteNames,
  type Split,
  STAMP_ANNOTATION,
  type Stamp,
  type Stepper,
} from './stepper.ts';

export const SMI_VERSIONS = ['v1alpha1', 'v1alpha2', 'v1alpha3', 'v1alpha4'] as const;
export type SmiVersion = (typeof SMI_VERSIONS)[number];

/** Keeps Flux from reverting the weights of an object that it might have in its inventory. */
const LEAVE_ALONE = {
  'kustomize.toolkit.fluxcd.io/reconcile': 'disabled',
  'helm.toolkit.fluxcd.io/driftDetection': 'disabled',
};

export function trafficSplitType(version: SmiVersion): ResourceType {
  return {
    group: 'split.smi-spec.io',
    version,
    plural: 'trafficsplits',
    kind: 'TrafficSplit',
    namespaced: true,
  };
}

export function createSmiStepper(version: SmiVersion): Stepper {
  const routeType = trafficSplitType(version);
  return {
    provider: `smi:${version}`,
    routeType,
    desired(context: RouteContext, split: Split, stamp: Stamp): KubernetesObject[] {
      if (split.canaryWeight + split.primaryWeight !== 100) throw new Error('weights sum to 100');
      return [
        {
          apiVersion: `split.smi-spec.io/${version}`,
          kind: 'TrafficSplit',
          metadata: {
            name: context.apex,
            namespace: context.namespace,
            labels: context.labels,
            annotations: { ...LEAVE_ALONE, [STAMP_ANNOTATION]: formatStamp(stamp) },
            ownerReferences: [{ ...context.ownerReference, controller: true, blockOwnerDeletion: true }],
          },
          spec: {
            service: context.apex,
            backends: [
              { service: context.canary, weight: split.canaryWeight },
              { service: context.primary, weight: split.primaryWeight },
            ],
          },
        },
      ];
    },
    observed(names: RouteNames, object: KubernetesObject | undefined): ObservedRoute | undefined {
      if (!object) return undefined;
      const backends: { service?: string; weight?: unknown }[] = object.spec?.backends ?? [];
      const weightOf = (service: string) =>
        wholeNumber(backends.find(backend => backend.service === service)?.weight);
      const canary = weightOf(names.canary);
      const primary = weightOf(names.primary);
      const stamp = parseStamp(object.metadata.annotations?.[STAMP_ANNOTATION]);
      const total = (canary ?? 0) + (primary ?? 0);
      const isKnown = backends.every(
        backend => backend.service === names.canary || backend.service === names.primary,
      );
      const isIntact =
        isKnown &&
        backends.length === 2 &&
        object.spec?.service === names.apex &&
        total === 100 &&
        stamp !== undefined;
      // Ratios count: a split that somebody wrote as 1 to 1 is 50 % of the traffic.
      const canaryWeight = total === 0 ? 0 : Math.round(((canary ?? 0) * 100) / total);
      return {
        canaryWeight,
        primaryWeight: 100 - canaryWeight,
        stamp: stamp ?? { epoch: 0, run: '', end: '' },
        resourceVersion: object.metadata.resourceVersion ?? '',
        isIntact,
      };
    },
  };
}

/** v1alpha1 serves Quantities: `50`, `"50"` and `"500m"` are all read; undefined when it is none of them. */
function wholeNumber(weight: unknown): number | undefined {
  if (typeof weight === 'number') return weight;
  const match = typeof weight === 'string' ? /^(\d+)(m?)$/.exec(weight) : null;
  if (!match) return undefined;
  return match[2] ? Number(match[1]) / 1000 : Number(match[1]);
}
