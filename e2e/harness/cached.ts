/**
 * Makes a folder of the cache once: filled under another name and renamed when it is complete, so that a build that was
 * cut off is never mistaken for a whole one, and two that run at once do not disturb each other.
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from './environment.ts';

/** The folder's path. `fill` writes into a draft on the same file system; it is not called when the folder is there. */
export function cached(name: string, fill: (draft: string) => void): string {
  const folder = join(cacheDirectory(), name);
  if (existsSync(folder)) return folder;
  mkdirSync(cacheDirectory(), { recursive: true });
  const draft = mkdtempSync(join(cacheDirectory(), `draft-${name}-`));
  try {
    fill(draft);
    try {
      renameSync(draft, folder);
    } catch (error) {
      // Another process was faster; its folder is as good, because the name says what is in it.
      if (!existsSync(folder)) throw error;
    }
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return folder;
}
