/** The edits still fit the engine as it is; whether each broken engine is noticed takes minutes: `--mutations`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { mutated } from './edit.ts';
import { MUTATIONS } from './list.ts';

const root = join(import.meta.dirname, '../../..');

test.each(MUTATIONS.map(mutation => [mutation.name, mutation] as const))('%s fits', (_name, mutation) => {
  for (const file of new Set(mutation.edits.map(edit => edit.file))) {
    const source = readFileSync(join(root, file), 'utf8');
    expect(mutated(mutation, file, source)).not.toBe(source);
  }
});

test('at least 25, each with a name of its own', () => {
  expect(MUTATIONS.length).toBeGreaterThanOrEqual(25);
  expect(new Set(MUTATIONS.map(mutation => mutation.name)).size).toBe(MUTATIONS.length);
});
