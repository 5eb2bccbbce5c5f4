/** What docker-compose.yml gives to its programs, given to the real ones: Prometheus's configuration, Redis's flags. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { programPath } from './harness/environment.ts';
import { endProgram, freePorts, type Program, ready, startProgram, waitFor } from './harness/programs.ts';

const compose = parse(readFileSync(join(import.meta.dirname, '../docker-compose.yml'), 'utf8')) as any;
const folder = mkdtempSync(join(tmpdir(), 'serin-compose-'));
const programs: Program[] = [];
let ports: number[];

beforeAll(async () => {
  ports = await freePorts(2);
});
afterAll(async () => {
  for (const program of programs) await endProgram(program, 'SIGKILL');
  rmSync(folder, { recursive: true });
});

function start(name: 'prometheus' | 'redis-server', args: string[]): Program {
  const program = startProgram(name, programPath(name), args, join(folder, `${name}.log`));
  programs.push(program);
  return program;
}

test('Prometheus takes the configuration and looks for the engine where compose has it', async () => {
  const { target, source } = compose.services.prometheus.configs[0];
  expect(target).toBe('/etc/prometheus/prometheus.yml');
  const file = join(folder, 'prometheus.yml');
  writeFileSync(file, compose.configs[source].content);
  const url = `http://127.0.0.1:${ports[0]}`;
  const flags = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${folder}/data`,
    `--web.listen-address=127.0.0.1:${ports[0]}`,
  ];
  await ready(start('prometheus', flags), async () => (await fetch(`${url}/-/ready`)).status === 200);
  const targets = await waitFor('it has targets', async () => {
    const { data } = (await (await fetch(`${url}/api/v1/targets`)).json()) as any;
    return data.activeTargets.length > 0 && data.activeTargets;
  });
  const args: string[] = compose.services.engine.command;
  expect(args.some(argument => argument.startsWith('--port'))).toBe(false);
  expect(targets.map((one: any) => [one.labels.job, one.scrapeUrl])).toEqual([
    ['serin', 'http://engine:8080/metrics'],
  ]);
});

test('Redis takes its flags: it keeps what it is told and drops nothing for want of memory', async () => {
  const [command, ...flags] = compose.services.redis.command;
  expect(command).toBe('redis-server');
  const own = ['--port', String(ports[1]), '--bind', '127.0.0.1', '--dir', folder];
  const program = start('redis-server', [...flags, ...own]);
  const redis = new Redis(ports[1]!, '127.0.0.1', { maxRetriesPerRequest: null });
  redis.on('error', () => {});
  await ready(program, async () => (await redis.ping()) === 'PONG');
  const settings = await Promise.all(
    ['appendonly', 'maxmemory-policy', 'maxmemory'].map(name => redis.config('GET', name)),
  );
  expect(settings).toEqual([
    ['appendonly', 'yes'],
    ['maxmemory-policy', 'noeviction'],
    ['maxmemory', String(256 * 1024 * 1024)],
  ]);
  redis.disconnect();
});
