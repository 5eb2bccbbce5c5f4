/** Whoever starts the engine starts Node in the same way, and what is compiled ahead is all that the engine may load. */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { expect, test } from 'vitest';
import {
  COMPILE_CACHE,
  engineArguments,
  engineEnvironment,
  MALLOC_ENVIRONMENT,
  NODE_FLAGS,
} from './launch.ts';

const root = join(import.meta.dirname, '..');
const read = (name: string) => readFileSync(join(root, name), 'utf8');
const settings = Object.entries(MALLOC_ENVIRONMENT).map(([name, value]) => `${name}=${value}`);

test('npm start sets the environment and the flags of the list, for the compiler and for the engine', () => {
  const { start } = (JSON.parse(read('package.json')) as { scripts: Record<string, string> }).scripts;
  expect(start).toBe(
    `export ${settings.join(' ')} NODE_COMPILE_CACHE=${COMPILE_CACHE}; node='node ${NODE_FLAGS.join(' ')}'; ` +
      '$node engine/compile.ts >/dev/null && exec $node engine/main.ts',
  );
});

test('the image has the environment, and its cache is filled under the flags that it starts with', () => {
  const dockerfile = read('Dockerfile').replaceAll(/\\\n\s*/g, '');
  const environment = /^ENV (NODE_ENV=.*)$/m.exec(dockerfile)?.[1]?.split(/\s+/) ?? [];
  expect(environment).toEqual([
    'NODE_ENV=production',
    `NODE_COMPILE_CACHE=/app/${COMPILE_CACHE}`,
    ...settings,
  ]);
  expect(dockerfile).toContain(`su node -c "node ${NODE_FLAGS.join(' ')} engine/compile.ts > /dev/null"`);
  expect(dockerfile.indexOf('engine/compile.ts')).toBeLessThan(dockerfile.indexOf('USER 1000'));
});

test('tests and benchmarks start it so, too', () => {
  expect(engineArguments(['--port', '0'])).toEqual([
    ...NODE_FLAGS,
    join(root, 'engine/main.ts'),
    '--port',
    '0',
  ]);
  expect(engineEnvironment({ POD_NAME: 'one' })).toMatchObject({ ...MALLOC_ENVIRONMENT, POD_NAME: 'one' });
  const spawning = globSync('{e2e,bench}/**/*.ts', { cwd: root }).filter(name =>
    /engine\/main\.ts'\)/.test(read(name)),
  );
  // The one that looks for the engine among the processes.
  expect(spawning).toEqual(['bench/processes.ts']);
});

/** What a file loads by `await import`: packages by their names, files from the root of the repository. */
function loadedLateBy(file: string): string[] {
  const modules = Array.from(read(file).matchAll(/await import\('([^']+)'\)/g), ([, module = '']) => module);
  return modules.map(module => (module.startsWith('.') ? posix.join(dirname(file), module) : module));
}

test('whatever the engine loads late is compiled ahead', () => {
  const late = globSync('{engine,analyzers,steppers}/**/*.ts', { cwd: root })
    .filter(file => !file.endsWith('.test.ts') && file !== 'engine/compile.ts')
    .flatMap(loadedLateBy);
  expect(late).toContain('engine/controller/schedulerBullmq.ts');
  // Plugins of a kubeconfig: they load every generated model (80 MB), and in a cluster there is no such file.
  const wanted = late.filter(module => !module.startsWith('@kubernetes/client-node/'));
  expect(loadedLateBy('engine/compile.ts')).toEqual(expect.arrayContaining(wanted));
});
