/**
 * What moves traffic. A stepper is a pure pair: `desired` says what the route objects must be for a split, `observed`
 * reads the split back. It does no I/O: the controller fetches, applies and watches. For every stepper,
 * `observed(desired(split))` equals `split`.
 */
import type { KubernetesObject, ResourceType } from '../engine/kubernetes/types.ts';

/** Whole percents of traffic. They sum to 100 and at least one is above 0. */
export interface Split {
  primaryWeight: number;
  canaryWeight: number;
}

/** What a route write is stamped with: `<epoch>/<run>/<end>` in the annotation `serin.dev/stamp` of the route object. */
export interface Stamp {
  /** Rises with every route write. */
  epoch: number;
  /** Revision, with the id of the command that restarted it; never contains `/`. Empty before the first run. */
  run: string;
  /** Empty on a raise or a partial lowering. */
  end: '' | 'failed' | 'aborted' | 'unready' | 'superseded' | 'promoted';
}

export interface RouteNames {
  namespace: string;
  /** Name of the apex Service, which clients call; also the route object's name. */
  apex: string;
  primary: string;
  canary: string;
}

/** What `desired` is given besides the split: identity and ownership of the objects that it writes. */
export interface RouteContext extends RouteNames {
  /** Labels and owner reference that every object created by the engine carries. */
  labels: Record<string, string>;
  ownerReference: { apiVersion: string; kind: string; name: string; uid: string };
}

export interface ObservedRoute extends Split {
  stamp: Stamp;
  /**
   * When the engine's last write of it landed, by the API server's clock, in whole seconds; milliseconds since the epoch.
   * A write may land long after it was decided on.
   */
  writtenAt?: number;
  /** resourceVersion of the object that carries the stamp: the precondition of the next write. */
  resourceVersion: string;
  /** False when backends or root are not what the engine wrote (edited by somebody else). */
  isIntact: boolean;
}

export interface Stepper {
  /** The provider's name as users type it, e.g. `smi:v1alpha2`. */
  readonly provider: string;
  /** The resource of the object that carries weights and stamp, in the version that is written. */
  readonly routeType: ResourceType;
  /** What to apply (server-side) for this split and stamp. The first object carries the stamp. */
  desired(context: RouteContext, split: Split, stamp: Stamp): KubernetesObject[];
  /** The split as the route objects say, or undefined when there is none yet, or when it cannot be read as a split. */
  observed(names: RouteNames, object: KubernetesObject | undefined): ObservedRoute | undefined;
}

/** Written on a TrafficSplit as on every other route object. */
export const STAMP_ANNOTATION = 'serin.dev/stamp';

export function formatStamp(stamp: Stamp): string {
  return `${stamp.epoch}/${stamp.run}/${stamp.end}`;
}

const ENDS = ['', 'failed', 'aborted', 'unready', 'superseded', 'promoted'] as const;

/** The stamp, or undefined when the text is not one. */
export function parseStamp(text: string | undefined): Stamp | undefined {
  const match = /^(\d{1,15})\/([^/]*)\/([a-z]*)$/.exec(text ?? '');
  if (!match) return undefined;
  const end = ENDS.find(known => known === match[3]);
  if (end === undefined) return undefined;
  return { epoch: Number(match[1]), run: match[2] ?? '', end };
}
