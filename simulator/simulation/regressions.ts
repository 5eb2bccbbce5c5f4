/** Histories that once broke a rule, shrunk and kept as data, so that a change of the generator does not lose them. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plan } from './plan.ts';

const folder = join(import.meta.dirname, 'regressions');

export function keepRegression(name: string, plan: Plan): void {
  if (!/^[a-z0-9-]+$/.test(name)) throw new Error('a name of letters, digits and hyphens');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(plan, undefined, 1)}\n`);
}

export function regressions(): { name: string; plan: Plan }[] {
  return readdirSync(folder)
    .filter(file => file.endsWith('.json'))
    .sort()
    .map(file => ({
      name: file.replace(/\.json$/, ''),
      plan: JSON.parse(readFileSync(join(folder, file), 'utf8')) as Plan,
    }));
}
