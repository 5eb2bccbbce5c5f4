/**
 * What every stepper checks and reads in the same way: whether a split may be written at all, and the stamp of a route
 * object. It knows no mesh.
 */
import type { KubernetesObject } from '../engine/kubernetes/types.ts';
import { parseStamp, type Split, STAMP_ANNOTATION, type Stamp } from './stepper.ts';

/** The field manager of every write of the engine. */
const FIELD_MANAGER = 'serin';

/** What stands for a stamp that is missing: below every epoch that the engine writes. */
const NO_STAMP: Stamp = { epoch: 0, run: '', end: '' };

/**
 * Throws on a split that must never reach a mesh (a programmer error): weights that are not whole percents, or that do
 * not sum to 100. All weights 0 panic one proxy and send everything to the apex Service in another.
 */
export function assertSplit(split: Split): void {
  const { primaryWeight, canaryWeight } = split;
  const isPercent = (weight: number) => Number.isInteger(weight) && weight >= 0 && weight <= 100;
  if (!isPercent(primaryWeight) || !isPercent(canaryWeight) || primaryWeight + canaryWeight !== 100) {
    throw new Error(`not a split: ${primaryWeight} % primary, ${canaryWeight} % canary`);
  }
}

/** Throws on a stamp that could not be read back (a programmer error). */
export function assertStamp(stamp: Stamp): void {
  if (!Number.isInteger(stamp.epoch) || stamp.epoch < 0 || stamp.run.includes('/')) {
    throw new Error(`not a stamp: epoch ${stamp.epoch}, run ${stamp.run}`);
  }
}

/** The stamp that the object carries. `isReadable` is false where there is none or where somebody else wrote it. */
export function readStamp(object: KubernetesObject): { stamp: Stamp; isReadable: boolean } {
  const stamp = parseStamp(object.metadata.annotations?.[STAMP_ANNOTATION]);
  return stamp ? { stamp, isReadable: true } : { stamp: NO_STAMP, isReadable: false };
}

/**
 * The closest split in whole percents to two shares that somebody else wrote. A share above 0 never reads as 0, so that
 * traffic on the canary is never overlooked. Two shares of 0 read as the primary alone, which is what the apex Service
 * selects. Sums to 100.
 */
export function nearestSplit(primaryShare: number, canaryShare: number): Split {
  const total = primaryShare + canaryShare;
  if (!(total > 0) || !Number.isFinite(total)) return { primaryWeight: 100, canaryWeight: 0 };
  const lowest = canaryShare > 0 ? 1 : 0;
  const highest = primaryShare > 0 ? 99 : 100;
  const canaryWeight = Math.min(highest, Math.max(lowest, Math.round((100 * canaryShare) / total)));
  return { primaryWeight: 100 - canaryWeight, canaryWeight };
}

/** When the engine's own last write of this object landed, as the API server noted it; undefined when it did not. */
export function writtenAtOf(object: KubernetesObject): number | undefined {
  const times = (object.metadata.managedFields ?? [])
    .filter(entry => entry.manager === FIELD_MANAGER)
    .map(entry => Date.parse(entry.time ?? ''))
    .filter(Number.isFinite);
  return times.length === 0 ? undefined : Math.max(...times);
}
