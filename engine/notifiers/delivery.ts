/**
 * Carries notifications to their receivers: one bounded queue for each receiver, in order, with bounded retries. It is
 * never waited for by whoever tells it, so a slow or dead receiver delays neither a tick nor another receiver. It logs
 * neither addresses nor answers, because both may hold secrets.
 */
import assert from 'node:assert/strict';
import type { Clock } from '../clock.ts';
import type { Log } from '../engine.ts';
import type { Notification, Receiver, Severity } from './notifier.ts';
import { ADDRESS_REFUSED } from '../egress.ts';
import type { Post } from './post.ts';
import { notifierOf, wants } from './registry.ts';

/** One who is to be told. */
export interface Addressee {
  /** Names the queue, and stands in logs: `flag/slack-url`, `AlertProvider shop/on-call`. Never an address. */
  key: string;
  /** Least severity that it wants; absent: all. */
  severity?: Severity;
  /** Where to send, asked for each try anew, so that a Secret that changes is honoured. A rejection is retried. */
  receiver(): Receiver | Promise<Receiver>;
}

/** How the way of one notification to one receiver ended. */
export const DELIVERY_OUTCOMES = ['delivered', 'refused', 'givenUp', 'dropped'] as const;
export type DeliveryOutcome = (typeof DELIVERY_OUTCOMES)[number];

export interface DeliveryOptions {
  clock: Clock;
  post: Post;
  /** Uniform in [0, 1). */
  random: () => number;
  log: Log;
  onOutcome?: (outcome: DeliveryOutcome, key: string) => void;
  /** A notification that was taken here is on its way to nobody any more. */
  onOver?: (id: string) => void;
}

export interface Delivery {
  /** Takes a notification for those who want its severity, and returns at once. One that was taken before is ignored. */
  told(notification: Notification, addressees: readonly Addressee[]): void;
  /**
   * Whether this notification was taken here and is on its way to nobody any more: delivered, refused, given up or
   * dropped. False for one that was never taken, because whoever did take it may still be at it.
   */
  isOver(id: string): boolean;
  /** Resolves when nothing is on its way, or after `deadlineMs`. */
  flush(deadlineMs: number): Promise<void>;
  /** Stops at once. What was on its way stays undelivered, and `isOver` says so. */
  close(): Promise<void>;
}

/** An hour of notifications of 200 canaries on a bad day; older news are of no use to anybody. */
const QUEUED_MAX = 1_000;
/** AlertProviders are one a team: beyond this somebody makes them in a loop. */
const QUEUES_MAX = 1_000;
/** Canaries whose numbers are remembered; the status remembers the others. */
const CANARIES_MAX = 10_000;
/** Numbers that are remembered of each; a status keeps the last 12 transitions, and nobody asks for older ones. */
const NUMBERS_MAX = 64;
/** Over about a minute and a quarter: a receiver that restarts is back by then. */
const TRIES_MAX = 5;
const BACKOFF_MS = 5_000;
const BACKOFF_MS_MAX = 60_000;
const TIMEOUT_MS = 10_000;

interface Item {
  notification: Notification;
  addressee: Addressee;
}

type Attempt = { verdict: 'delivered' | 'retry' | 'refused'; why: string; retryAfterMs?: number };

export function createDelivery(options: DeliveryOptions): Delivery {
  const { clock, random, log, onOutcome } = options;
  const queues = new Map<string, Item[]>();
  const running = new Set<Promise<void>>();
  const ledger = createLedger();
  const stopping = new AbortController();

  function end(item: Item, outcome: DeliveryOutcome, details: { tries?: number; why?: string } = {}): void {
    const { notification, addressee } = item;
    ledger.close(notification.id);
    if (ledger.isOver(notification.id)) options.onOver?.(notification.id);
    onOutcome?.(outcome, addressee.key);
    if (outcome === 'delivered') return;
    const fields = { receiver: addressee.key, notification: notification.id, outcome, ...details };
    log.warn(fields, 'a notification was not delivered');
  }

  function enqueue(item: Item): void {
    const { key } = item.addressee;
    const queue = queues.get(key);
    if (queue) {
      queue.push(item);
      if (queue.length > QUEUED_MAX) end(dropOne(queue), 'dropped', { why: 'the queue is full' });
      return;
    }
    if (queues.size >= QUEUES_MAX) return end(item, 'dropped', { why: 'there are too many receivers' });
    const started: Item[] = [item];
    queues.set(key, started);
    const work = drain(key, started).finally(() => running.delete(work));
    running.add(work);
  }

  async function drain(key: string, queue: Item[]): Promise<void> {
    for (let item = queue.shift(); item; item = queue.shift()) {
      const ended = await deliver(item);
      if (ended === 'stopped') return;
      end(item, ended.outcome, { tries: ended.tries, why: ended.why });
    }
    queues.delete(key);
  }

  async function deliver(
    item: Item,
  ): Promise<'stopped' | { outcome: DeliveryOutcome; tries: number; why: string }> {
    for (let tries = 1; ; tries++) {
      const { verdict, why, retryAfterMs = 0 } = await attempt(options, item, stopping.signal);
      if (verdict === 'delivered' || verdict === 'refused') return { outcome: verdict, tries, why };
      if (stopping.signal.aborted) return 'stopped';
      if (tries >= TRIES_MAX) return { outcome: 'givenUp', tries, why };
      // Full jitter: many engines that lost one receiver do not come back together.
      const jitterMs = random() * Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** (tries - 1));
      await clock.sleep(Math.max(jitterMs, Math.min(retryAfterMs, BACKOFF_MS_MAX)), stopping.signal);
      if (stopping.signal.aborted) return 'stopped';
    }
  }

  return {
    told(notification, addressees) {
      if (stopping.signal.aborted) return;
      const wanting = addressees.filter(one => wants(one.severity, notification.severity));
      if (!ledger.open(notification.id, wanting.length)) return;
      for (const addressee of wanting) enqueue({ notification, addressee });
    },
    isOver: ledger.isOver,
    async flush(deadlineMs) {
      const emptied = new AbortController();
      // A queue that is emptied may have been filled again meanwhile.
      const emptying = async () => {
        while (running.size > 0) await Promise.all(running);
        emptied.abort();
      };
      void emptying();
      await clock.sleep(deadlineMs, emptied.signal);
    },
    async close() {
      stopping.abort();
      await Promise.all(running);
    },
  };
}

/** The oldest of the least severe. */
function dropOne(queue: Item[]): Item {
  for (const severity of ['info', 'warn', 'error'] as const) {
    const index = queue.findIndex(item => item.notification.severity === severity);
    if (index >= 0) return queue.splice(index, 1)[0]!;
  }
  throw new Error('a queue that is full holds something');
}

/** One try, with its deadline: also finding out the address may hang. */
async function attempt(options: DeliveryOptions, item: Item, stopping: AbortSignal): Promise<Attempt> {
  const { clock, post } = options;
  const controller = new AbortController();
  const onStop = () => controller.abort();
  const timer = clock.setTimer(() => controller.abort(), TIMEOUT_MS);
  stopping.addEventListener('abort', onStop);
  if (stopping.aborted) controller.abort();
  try {
    const cut = new Promise<Attempt>(resolve => {
      const onCut = () => resolve({ verdict: 'retry', why: `no answer within ${TIMEOUT_MS} ms` });
      if (controller.signal.aborted) onCut();
      else controller.signal.addEventListener('abort', onCut);
    });
    return await Promise.race([send(post, item, controller.signal), cut]);
  } finally {
    timer.cancel();
    stopping.removeEventListener('abort', onStop);
  }
}

async function send(post: Post, item: Item, signal: AbortSignal): Promise<Attempt> {
  try {
    const receiver = await item.addressee.receiver();
    const notifier = notifierOf(receiver.type);
    if (!notifier) return { verdict: 'refused', why: `there is no notifier of type ${receiver.type}` };
    if (signal.aborted) return { verdict: 'retry', why: 'cut off' };
    const request = notifier.request(item.notification, receiver);
    const answer = await post({ ...request, signal, ...(receiver.proxy ? { proxy: receiver.proxy } : {}) });
    const verdict = notifier.accepted(answer.status, answer.body);
    const { retryAfterMs } = answer;
    return { verdict, why: `status ${answer.status}`, ...(retryAfterMs ? { retryAfterMs } : {}) };
  } catch (error) {
    const why = codeOf(error);
    return { verdict: why === ADDRESS_REFUSED ? 'refused' : 'retry', why };
  }
}

/** Messages of network errors name hosts and addresses; their codes do not. */
function codeOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? code : 'unreachable';
}

/** How many receivers each notification still waits for, by canary and number. */
function createLedger() {
  const canaries = new Map<string, Map<number, number>>();

  return {
    /** False when the number was told before. */
    open(id: string, receivers: number): boolean {
      const { uid, number } = partsOf(id);
      const waiting = canaries.get(uid) ?? new Map<number, number>();
      if (waiting.has(number)) return false;
      waiting.set(number, receivers);
      forgetOldest(waiting);
      // Whoever was told of last stands last; the first is the one to forget.
      canaries.delete(uid);
      canaries.set(uid, waiting);
      if (canaries.size > CANARIES_MAX) canaries.delete(canaries.keys().next().value!);
      return true;
    },
    close(id: string): void {
      const { uid, number } = partsOf(id);
      const waiting = canaries.get(uid);
      const left = waiting?.get(number);
      if (left !== undefined && left > 0) waiting?.set(number, left - 1);
    },
    isOver(id: string): boolean {
      const { uid, number } = partsOf(id);
      return canaries.get(uid)?.get(number) === 0;
    },
  };
}

/** Only of those that are over: the bound of the queues bounds the others. */
function forgetOldest(waiting: Map<number, number>): void {
  if (waiting.size <= NUMBERS_MAX) return;
  for (const [number, left] of waiting) {
    if (left > 0) continue;
    waiting.delete(number);
    return;
  }
}

function partsOf(id: string): { uid: string; number: number } {
  const cut = id.lastIndexOf('/');
  const number = Number(id.slice(cut + 1));
  assert(cut > 0 && Number.isSafeInteger(number) && number > 0, 'a notification has the id <uid>/<number>');
  return { uid: id.slice(0, cut), number };
}
