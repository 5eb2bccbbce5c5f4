/**
 * The connections to Redis of the BullMQ scheduler, and whether Redis answers. It keeps errors from ending the process,
 * and logs them by their message alone: an error object of the client may carry the password as an argument.
 */
import { Redis } from 'ioredis';
import type { Clock, Timer } from '../clock.ts';
import type { SchedulerLog } from './schedulerTick.ts';

/** A producer fails fast instead of queueing: what it could not say is remembered by key and said again. */
const COMMAND_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** Reconnects soon after a restart of Redis, without hammering it. */
const LONGEST_RECONNECT_DELAY_MS = 2_000;
/** A connection that a network device forgot is found before a stalled job would be. */
const KEEP_ALIVE_MS = 5_000;
const HEARTBEAT_MS = 1_000;
/** Longer than a failover's reconnect or a slow command; shorter than a person's patience with a stuck rollout. */
const SILENT_MS = 5_000;
/** An outage repeats its message with each attempt to reconnect; one line in this time is enough. */
const REPEAT_LOG_MS = 30_000;
/** Messages are few and constant but for addresses; the bound only keeps a flood of odd ones from growing the memory. */
const MOST_LOGGED_MESSAGES = 100;

export interface RedisLink {
  /** For commands that fail fast: adding, waking, reading. */
  producer: Redis;
  /** For a BullMQ worker, which duplicates it for blocking reads: commands wait until Redis is back. */
  consumer: Redis;
  /** Attach to everything that emits `error`. Never throws, never logs a secret. */
  readonly onError: (error: unknown) => void;
  /** True when a producer's command may be tried now. */
  isReady(): boolean;
  /** False when Redis has not answered for 5 s. */
  isAlive(): boolean;
  /** Ends both connections at once. */
  disconnect(): void;
}

export interface RedisLinkOptions {
  redisUrl: string;
  /** PEM certificates that a Redis over TLS is trusted by, instead of the well-known. */
  redisCa?: string | undefined;
  clock: Clock;
  log: SchedulerLog;
  /** Called when Redis answers a heartbeat. */
  onHeartbeat: () => void;
}

/** Passwords of the URL, as written and decoded. */
function secretsOf(redisUrl: string): string[] {
  const { password } = new URL(redisUrl);
  return password === '' ? [] : [...new Set([password, decodeURIComponent(password), redisUrl])];
}

function errorLogger(options: RedisLinkOptions): (error: unknown) => void {
  const { clock, log } = options;
  const secrets = secretsOf(options.redisUrl);
  const loggedAtMs = new Map<string, number>();
  return error => {
    let message = error instanceof Error ? error.message || error.name : String(error);
    for (const secret of secrets) message = message.replaceAll(secret, '***');
    const nowMs = clock.now();
    if (nowMs - (loggedAtMs.get(message) ?? -Infinity) < REPEAT_LOG_MS) return;
    if (loggedAtMs.size >= MOST_LOGGED_MESSAGES) loggedAtMs.clear();
    loggedAtMs.set(message, nowMs);
    log.warn({ error: message }, 'redis error');
  };
}

/** Connects in the background, for as long as it takes. */
export function openRedisLink(options: RedisLinkOptions): RedisLink {
  const { redisUrl, redisCa, clock, onHeartbeat } = options;
  const onError = errorLogger(options);
  const common = {
    connectTimeout: CONNECT_TIMEOUT_MS,
    keepAlive: KEEP_ALIVE_MS,
    retryStrategy: (attempt: number) => Math.min(attempt * 100, LONGEST_RECONNECT_DELAY_MS),
    ...(redisCa === undefined ? {} : { tls: { ca: redisCa } }),
  };
  const producer = new Redis(redisUrl, {
    ...common,
    connectionName: 'serin-producer',
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: COMMAND_TIMEOUT_MS,
  });
  const consumer = new Redis(redisUrl, {
    ...common,
    connectionName: 'serin-worker',
    maxRetriesPerRequest: null,
  });
  producer.on('error', onError);
  consumer.on('error', onError);

  let heardMs = -Infinity;
  let isEnded = false;
  let timer: Timer | undefined;
  const isReady = () => producer.status === 'ready';
  async function beat(): Promise<void> {
    try {
      if (isReady()) {
        await producer.ping();
        heardMs = clock.now();
        onHeartbeat();
      }
    } catch (error) {
      onError(error);
    }
    if (!isEnded) timer = clock.setTimer(() => void beat(), HEARTBEAT_MS);
  }
  producer.on('ready', () => {
    heardMs = clock.now();
    onHeartbeat();
  });
  void beat();

  return {
    producer,
    consumer,
    onError,
    isReady,
    isAlive: () => !isEnded && clock.now() - heardMs <= SILENT_MS,
    disconnect() {
      isEnded = true;
      timer?.cancel();
      producer.disconnect();
      consumer.disconnect();
    },
  };
}
