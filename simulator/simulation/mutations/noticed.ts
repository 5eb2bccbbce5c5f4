/**
 * At which seed each broken engine was noticed last, as `npm run simulate -- --mutations` has found it. It only says
 * where to look first, so that the whole table costs one seed for each: what is not noticed there is looked for anew.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const file = join(import.meta.dirname, 'noticed.json');

export function seedsThatNoticed(): ReadonlyMap<string, number> {
  return new Map(Object.entries(JSON.parse(readFileSync(file, 'utf8')) as Record<string, number>));
}

export function keepNoticed(seeds: ReadonlyMap<string, number>): void {
  const sorted = [...seeds].sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(file, `${JSON.stringify(Object.fromEntries(sorted), undefined, 2)}\n`);
}
