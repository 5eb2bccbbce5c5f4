/**
 * Moves traffic by an SMI TrafficSplit (split.smi-spec.io), which Linkerd's SMI adaptor and other meshes obey. The
 * TrafficSplit is named as the apex Service and its root is the apex; it always lists canary and primary, in this order,
 * with whole weights that sum to 100. Pure: it never does I/O, and never writes 0/0.
 * Field meanings by version: smi-spec, apis/traffic-split.
 */
import type { KubernetesObject } from '../engine/kubernetes/types.ts';
import { assertSplit, assertStamp, nearestSplit, readStamp, writtenAtOf } from './split.ts';
import {
  formatStamp,
  type ObservedRoute,
  type RouteNames,
  STAMP_ANNOTATION,
  type Stepper,
} from './stepper.ts';

/** Best first for a mesh that serves several: v1alpha2 has whole weights, and no `matches` that an adaptor would drop. */
export const SMI_VERSIONS = ['v1alpha2', 'v1alpha1', 'v1alpha4', 'v1alpha3'] as const;

export type SmiVersion = (typeof SMI_VERSIONS)[number];

export const SMI_GROUP = 'split.smi-spec.io';

/** Flux takes back what it does not find in Git, and its Helm controller what it does not find in the chart, unless told not to. */
const LEAVE_ALONE = {
  'kustomize.toolkit.fluxcd.io/reconcile': 'disabled',
  'helm.toolkit.fluxcd.io/driftDetection': 'disabled',
};

const SUFFIXES: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
};

/** A weight as served: a number (v1alpha2 and later) or a Kubernetes quantity (v1alpha1). Undefined when it is neither, or negative. */
function readWeight(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? value : undefined;
  if (typeof value !== 'string') return undefined;
  const match = /^\+?(\d{1,15}(?:\.\d{0,9})?|\.\d{1,9})(?:[eE](\+?\d))?(n|u|m|k|M|G|Ki|Mi|Gi)?$/.exec(value);
  if (!match || (match[2] !== undefined && match[3] !== undefined)) return undefined;
  const factor = match[2] === undefined ? SUFFIXES[match[3] ?? ''] : 10 ** Number(match[2]);
  return factor === undefined ? undefined : Number(match[1]) * factor;
}

interface Shares {
  primary: number;
  canary: number;
  /** True when both are there once, with readable weights, and nothing else is. */
  isComplete: boolean;
}

function readShares(names: RouteNames, backends: readonly unknown[]): Shares {
  const shares: Shares = { primary: 0, canary: 0, isComplete: backends.length === 2 };
  const seen = new Set<unknown>();
  for (const backend of backends as readonly { service?: unknown; weight?: unknown }[]) {
    const weight = readWeight(backend?.weight);
    if (weight === undefined || seen.has(backend?.service)) shares.isComplete = false;
    seen.add(backend?.service);
    if (backend?.service === names.canary) shares.canary += weight ?? 0;
    else if (backend?.service === names.primary) shares.primary += weight ?? 0;
    else shares.isComplete = false;
  }
  return shares;
}

function observe(names: RouteNames, object: KubernetesObject | undefined): ObservedRoute | undefined {
  const spec = object?.spec;
  if (!object || !Array.isArray(spec?.backends)) return undefined;
  const { primary, canary, isComplete } = readShares(names, spec.backends);
  const { stamp, isReadable } = readStamp(object);
  const split = nearestSplit(primary, canary);
  const isExact = split.primaryWeight === primary && split.canaryWeight === canary;
  // Requests that `matches` does not select bypass the split: such an object is not what the engine wrote.
  const isWhole = !Array.isArray(spec.matches) || spec.matches.length === 0;
  const writtenAt = writtenAtOf(object);
  return {
    ...split,
    stamp,
    ...(writtenAt === undefined ? {} : { writtenAt }),
    resourceVersion: object.metadata.resourceVersion ?? '',
    isIntact: spec.service === names.apex && isComplete && isExact && isReadable && isWhole,
  };
}

/**
 * @param version the version that is written and watched
 * @param provider the name that the user chose; `smi:<version>` unless the mesh has a name of its own
 */
export function createSmiStepper(version: SmiVersion, provider = `smi:${version}`): Stepper {
  return {
    provider,
    routeType: { group: SMI_GROUP, version, plural: 'trafficsplits', kind: 'TrafficSplit', namespaced: true },
    desired(context, split, stamp) {
      assertSplit(split);
      assertStamp(stamp);
      const route: KubernetesObject = {
        apiVersion: `${SMI_GROUP}/${version}`,
        kind: 'TrafficSplit',
        metadata: {
          namespace: context.namespace,
          name: context.apex,
          labels: { ...context.labels },
          annotations: { ...LEAVE_ALONE, [STAMP_ANNOTATION]: formatStamp(stamp) },
          ownerReferences: [{ ...context.ownerReference, controller: true }],
        },
        spec: {
          service: context.apex,
          backends: [
            { service: context.canary, weight: split.canaryWeight },
            { service: context.primary, weight: split.primaryWeight },
          ],
        },
      };
      return [route];
    },
    observed: observe,
  };
}
