/** A real Redis on a free loopback port, in a temporary directory of its own; it can be killed, frozen and started again. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { programPath } from './environment.ts';
import { endProgram, freePorts, type Program, ready, startProgram } from './programs.ts';

export interface RealRedis {
  url: string;
  /** Undefined when it could not be started. */
  pid(): number | undefined;
  flush(): Promise<void>;
  /** Commands that Redis has run for all clients since it started. */
  commands(): Promise<number>;
  /** Ends it without warning; `start` brings it back on the same port, with its data only when it is append-only. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Ends it gracefully and starts it again. */
  restart(): Promise<void>;
  /** Stops it from answering without closing a connection, until `thaw`. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

export async function startRedis(
  options: { appendOnly?: boolean; password?: string } = {},
): Promise<RealRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'serin-redis-'));
  const [port = 0] = await freePorts(1);
  const url = `redis://${options.password ? `:${options.password}@` : ''}127.0.0.1:${port}`;
  const persistence = options.appendOnly
    ? ['--appendonly', 'yes', '--appendfsync', 'everysec']
    : ['--appendonly', 'no', '--save', ''];
  const password = options.password ? ['--requirepass', options.password] : [];
  let child: Program | undefined;

  async function ask<T>(question: (client: Redis) => Promise<T>): Promise<T> {
    const client = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: () => null });
    client.on('error', () => {});
    try {
      await client.connect();
      return await question(client);
    } finally {
      client.disconnect();
    }
  }

  async function start(): Promise<void> {
    const flags = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      folder,
      '--maxmemory-policy',
      'noeviction',
    ];
    child = startProgram(
      'redis-server',
      programPath('redis-server'),
      [...flags, ...persistence, ...password],
      join(folder, 'redis.log'),
    );
    await ready(child, async () => (await ask(client => client.ping())) === 'PONG');
  }

  async function stop(): Promise<void> {
    if (child) await endProgram(child, 'SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }

  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url,
    pid: () => child?.pid,
    start,
    async restart() {
      if (child) await endProgram(child);
      await start();
    },
    async flush() {
      await ask(client => client.flushall());
    },
    async commands() {
      const stats = await ask(client => client.info('stats'));
      return Number(/total_commands_processed:(\d+)/.exec(stats)?.[1]);
    },
    async kill() {
      if (child) await endProgram(child, 'SIGKILL');
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    stop,
  };
}
