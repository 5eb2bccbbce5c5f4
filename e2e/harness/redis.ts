/** A real Redis on a free loopback port, in a temporary directory of its own; it can be killed, frozen and started again. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { endProgram, startProgram, waitFor } from './controlplane.ts';

export interface RealRedis {
  url: string;
  flush(): Promise<void>;
  /** Commands that Redis has run for all clients since it started. */
  commands(): Promise<number>;
  /** Ends it without warning; `start` brings it back on the same port, with its data only when it is append-only. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Stops it from answering without closing a connection, until `thaw`. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  return await new Promise(resolve => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

export async function startRedis(
  options: { appendOnly?: boolean; password?: string } = {},
): Promise<RealRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'serin-redis-'));
  const port = await freePort();
  const url = `redis://${options.password ? `:${options.password}@` : ''}127.0.0.1:${port}`;
  const persistence = options.appendOnly
    ? ['--appendonly', 'yes', '--appendfsync', 'everysec']
    : ['--appendonly', 'no', '--save', ''];
  const password = options.password ? ['--requirepass', options.password] : [];
  let child: ReturnType<typeof startProgram> | undefined;

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
    const started = startProgram(
      'redis-server',
      'redis-server',
      [...flags, ...persistence, ...password],
      join(folder, 'redis.log'),
    );
    child = started;
    await waitFor('Redis answers', async () => {
      if (started.exitCode !== null) throw new Error(started.tail());
      return (await ask(client => client.ping()).catch(() => '')) === 'PONG';
    });
  }

  await start();
  return {
    url,
    start,
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
    async stop() {
      if (child) await endProgram(child, 'SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
