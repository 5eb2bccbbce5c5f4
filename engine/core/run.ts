/**
 * The identity of a run: the revision, the target's generation at which it was seen, and the id of the command that
 * restarted it. It is written into the stamp of every route write, so that a late write of an earlier run of the same
 * revision can be told from this one's.
 */

export interface RunIdentity {
  revision: string;
  generation: number;
  commandId: string;
}

export function formatRunId(run: RunIdentity): string {
  return `${run.revision}.${run.generation}${run.commandId ? `.${run.commandId}` : ''}`;
}

/** Undefined for the empty run of a route that was just created, and for text that is no run. */
export function parseRunId(text: string): RunIdentity | undefined {
  const match = /^([a-z0-9-]+)\.(\d+)(?:\.(.+))?$/.exec(text);
  if (!match) return undefined;
  return { revision: match[1] ?? '', generation: Number(match[2]), commandId: match[3] ?? '' };
}
