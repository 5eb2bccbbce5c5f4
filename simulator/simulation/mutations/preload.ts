/** Loaded before a worker's own code: whatever it imports of the engine comes broken as MUTATION says. */
import { registerHooks } from 'node:module';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mutated } from './edit.ts';
import { mutationOf } from './list.ts';

const root = join(import.meta.dirname, '../../..');
const mutation = mutationOf(process.env['MUTATION'] ?? '');
const files = new Set(mutation.edits.map(edit => edit.file));

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (!url.startsWith('file:')) return loaded;
    const path = relative(root, fileURLToPath(url));
    if (!files.has(path)) return loaded;
    const { source } = loaded;
    const text = typeof source === 'string' ? source : Buffer.from(source as Uint8Array).toString('utf8');
    return { ...loaded, source: mutated(mutation, path, text) };
  },
});
