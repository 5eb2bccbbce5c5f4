/**
 * The Dockerfile and the compose file, as far as they can be judged without a container engine: everything that the
 * engine imports is copied, everything that it imports from packages is a dependency, and the flags are the engine's.
 */
import { spawn } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { builtinModules } from 'node:module';
import type { AddressInfo } from 'node:net';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseConfig } from './config.ts';
import { NODE_FLAGS } from './launch.ts';

const root = join(import.meta.dirname, '..');
const read = (name: string) => readFileSync(join(root, name), 'utf8');

interface Instruction {
  name: string;
  words: string[];
}

function instructions(dockerfile: string): Instruction[] {
  const lines = dockerfile.replaceAll('\\\n', ' ').split('\n');
  return lines
    .filter(line => line.trim() !== '' && !line.startsWith('#'))
    .map(line => {
      const [name = '', ...words] = line.trim().split(/\s+/);
      return { name, words };
    });
}

const dockerfile = instructions(read('Dockerfile'));
const copies = dockerfile.filter(one => one.name === 'COPY').map(one => one.words);
const fromContext = copies
  .filter(words => !words[0]?.startsWith('--from'))
  .flatMap(words => words.slice(0, -1));

/** Every file that is loaded when this one is, and every package. */
function importsOf(entry: string) {
  const files = new Set<string>();
  const packages = new Set<string>();
  const waiting = [entry];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    const text = readFileSync(file, 'utf8');
    const early = text.matchAll(/^(?:import|export)\s+(type\s)?[^'";]*?from\s+'([^']+)'/gm);
    const late = text.matchAll(/await (import)\('([^']+)'\)/g);
    for (const [, kind, name = ''] of [...early, ...late]) {
      const isType = kind?.startsWith('type');
      if (name.startsWith('.')) waiting.push(resolve(dirname(file), name));
      else if (!isType)
        packages.add(name.startsWith('@') ? name.split('/').slice(0, 2).join('/') : name.split('/')[0]!);
    }
  }
  return { files: [...files].map(file => relative(root, file)), packages: [...packages] };
}

const loaded = importsOf(join(root, 'engine/main.ts'));

test('every source of a COPY is there, and not kept out of the context', () => {
  expect(fromContext.length).toBeGreaterThan(3);
  const ignored = read('.dockerignore').split('\n').filter(Boolean);
  for (const source of fromContext) {
    expect(existsSync(join(root, source)), source).toBe(true);
    expect(ignored, source).not.toContain(source);
  }
});

test('whatever the engine loads is copied', () => {
  expect(loaded.files).toContain('steppers/smi.ts');
  const isCopied = (file: string) =>
    fromContext.some(source => file === source || file.startsWith(`${source}/`));
  expect(loaded.files.filter(file => !isCopied(file))).toEqual([]);
});

test('every package that it loads is a dependency, and no development one', () => {
  const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
  const names = loaded.packages.filter(name => !name.startsWith('node:') && !builtinModules.includes(name));
  expect(names).toEqual(expect.arrayContaining(['undici', 'bullmq', 'hono']));
  expect(names.filter(name => !(name in dependencies))).toEqual([]);
});

test('the image runs the engine as a user without rights, who can write nothing in it', () => {
  const words = (name: string) => dockerfile.findLast(one => one.name === name)?.words.join(' ');
  expect(words('USER')).toBe('1000:1000');
  expect(JSON.parse(words('ENTRYPOINT') ?? '')).toEqual(['node', ...NODE_FLAGS, 'engine/main.ts']);
  expect(
    copies.filter(copy => copy.some(word => word.startsWith('--chown') || word.startsWith('--chmod'))),
  ).toEqual([]);
  expect(words('EXPOSE')).toBe('8080');
});

test('the container of the chart runs the same command', () => {
  const template = read('charts/serin/templates/deployment.yaml');
  expect(template).toContain(`command: [${['node', ...NODE_FLAGS, 'engine/main.ts'].join(', ')}]`);
  expect(template).toContain('runAsUser: 1000');
});

const compose = parse(read('docker-compose.yml')) as any;

/** `${NAME:-default}` as compose reads it. */
function substituted(text: string, environment: Record<string, string>): string {
  return text.replaceAll(
    /\$\{(\w+):-((?:\$\{\w+\}|[^}])*)\}/g,
    (_whole, name: string, fallback: string) => environment[name] || fallback,
  );
}

test.each([
  [
    {},
    {
      meshProvider: 'linkerd',
      metricsServer: 'http://prometheus:9090',
      namespace: [],
      logLevel: 'info',
      leaderElectionNamespace: 'default',
    },
  ],
  [
    { NAMESPACE: 'shop,web', LOG_LEVEL: 'debug' },
    { namespace: ['shop', 'web'], logLevel: 'debug' },
  ],
])('the command line of compose with %j is one that the engine takes', (environment, expected) => {
  const { command, environment: own } = compose.services.engine;
  const args = command.map((argument: string) => substituted(argument, environment));
  const parsed = parseConfig(args, own);
  expect(parsed).toMatchObject({ kind: 'config', config: { ...expected, redisUrl: 'redis://redis:6379' } });
});

test.each([
  [200, 0],
  [503, 1],
  [undefined, 1],
])('the health check of compose: an answer of %s on /healthz ends with %i', async (status, code) => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(status ?? 200).end();
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  if (status === undefined) await new Promise(resolve => server.close(resolve));
  const [how, program, flag, script] = compose.services.engine.healthcheck.test as string[];
  expect([how, program, flag]).toEqual(['CMD', 'node', '-e']);
  expect(script).toContain('http://127.0.0.1:8080/');
  const child = spawn(process.execPath, ['-e', script!.replace(':8080/', `:${port}/`)], { stdio: 'ignore' });
  const ended = await new Promise(resolve => child.once('exit', resolve));
  server.close();
  expect([ended, asked]).toEqual([code, status === undefined ? [] : ['/healthz']]);
});

test('compose builds this Dockerfile, names services, volumes and configurations that are there, and keeps Redis safe', () => {
  const { services, volumes, configs } = compose;
  expect(services.engine.build).toBe('.');
  for (const name of Object.keys(services.engine.depends_on)) expect(Object.keys(services)).toContain(name);
  for (const service of Object.values<any>(services)) {
    for (const { source } of service.configs ?? []) expect(Object.keys(configs)).toContain(source);
    for (const volume of service.volumes ?? [])
      if (typeof volume === 'string') expect(Object.keys(volumes)).toContain(volume.split(':')[0]);
  }
  const redis = services.redis.command.join(' ');
  expect(redis).toContain('--appendonly yes');
  expect(redis).toContain('--maxmemory-policy noeviction');
  // Only this machine reaches what has no authentication.
  const ports = Object.values<any>(services).flatMap(service => service.ports ?? []);
  expect(ports.filter((port: string) => !port.startsWith('127.0.0.1:'))).toEqual([]);
  // What the proxies of this machine's shell say must not leak into the check above.
  expect(globSync('docker-compose*.y*ml', { cwd: root })).toEqual(['docker-compose.yml']);
});
