/** Breaks one source text in the way that a mutation says. Pure; an edit that does not fit any more is an error. */
import type { Mutation } from './mutation.ts';

/** @param path of the file, from the root of the repository */
export function mutated(mutation: Mutation, path: string, source: string): string {
  let text = source;
  for (const { file, find, replace } of mutation.edits) {
    if (file !== path) continue;
    const times = text.split(find).length - 1;
    if (times !== 1)
      throw new Error(
        `mutation ${mutation.name}: ${file} has ${times} times ${JSON.stringify(find.slice(0, 80))}`,
      );
    text = text.replace(find, () => replace);
  }
  return text;
}
