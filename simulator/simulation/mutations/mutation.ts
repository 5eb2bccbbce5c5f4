/**
 * Deliberately broken engines: each is a small edit of the engine's own source, made when it is loaded, so that nothing
 * is copied and nothing in the engine knows of it. Each must be noticed by a checker; one that is not is a hole.
 */
export interface Edit {
  /** Path from the root of the repository. */
  file: string;
  /** Stands there exactly once. */
  find: string;
  replace: string;
}

export interface Mutation {
  name: string;
  /** What the broken engine does wrong. */
  says: string;
  edits: readonly Edit[];
}

export const core = (file: string, find: string, replace: string): Edit => ({
  file: `engine/core/${file}`,
  find,
  replace,
});
export const shell = (file: string, find: string, replace: string): Edit => ({
  file: `engine/${file}`,
  find,
  replace,
});
