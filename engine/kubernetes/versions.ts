/**
 * Order among resource versions, and the memory of what was deleted. Versions are decimal integers that grow (declared
 * comparable within one resource type since Kubernetes 1.35, true of etcd always). Pure but for its own bounded memory.
 */

interface Versioned {
  metadata: { uid?: string; resourceVersion?: string };
}

/** Compares decimal integers of any length without parsing them. Negative when `a` is lower. */
export function compareVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a === b ? 0 : a < b ? -1 : 1;
}

/** True when `a` is of a higher version than `b`, and when either has none that can be compared (the later arrival counts). */
export function isNewer(a: Versioned, b: Versioned): boolean {
  const versionA = a.metadata.resourceVersion ?? '';
  const versionB = b.metadata.resourceVersion ?? '';
  if (!/^\d+$/.test(versionA) || !/^\d+$/.test(versionB)) return true;
  return compareVersions(versionA, versionB) > 0;
}

export interface Tombstones {
  add(object: Versioned): void;
  /** The object turned out to live (a finalizer held it). */
  remove(uid: string | undefined): void;
  has(uid: string | undefined): boolean;
  /** True when the object of this uid was removed at this version or a higher one: what shows it is old news. */
  covers(uid: string | undefined, version: string): boolean;
}

/** Old news is seconds old; the bound only keeps mass deletions from growing the memory (about 100 bytes each). */
const MOST_TOMBSTONES = 4_096;

export function createTombstones(): Tombstones {
  const versionByUid = new Map<string, string>();
  return {
    add(object) {
      const { uid, resourceVersion = '' } = object.metadata;
      if (!uid) return;
      versionByUid.delete(uid);
      versionByUid.set(uid, resourceVersion);
      if (versionByUid.size > MOST_TOMBSTONES) versionByUid.delete(versionByUid.keys().next().value!);
    },
    remove(uid) {
      if (uid !== undefined) versionByUid.delete(uid);
    },
    has: uid => uid !== undefined && versionByUid.has(uid),
    covers(uid, version) {
      const removedAt = uid === undefined ? undefined : versionByUid.get(uid);
      return removedAt !== undefined && compareVersions(version, removedAt) <= 0;
    },
  };
}
