/**
 * Writes Kubernetes Events, behind the engine's back: whoever records never waits and never fails. What cannot be sent is
 * counted and dropped. It decides nothing about what is worth telling.
 */
import type { Clock } from '../clock.ts';
import { createLimiter } from './limiter.ts';
import { events as eventType } from './resources.ts';
import { type ApiClient, ApiError, type KubernetesObject } from './types.ts';

export interface EventInput {
  /** The object that the event is about; only its identity is read. */
  object: Pick<KubernetesObject, 'apiVersion' | 'kind' | 'metadata'>;
  type: 'Normal' | 'Warning';
  /** A constant in UpperCamelCase. */
  reason: string;
  message: string;
  /** What makes two events the same, beside object and reason; the message when left out. */
  key?: string;
}

export interface EventRecorder {
  record(event: EventInput): void;
  /** Resolves when nothing is left to send, or after `deadlineMs`. */
  flush(deadlineMs?: number): Promise<void>;
  /** Events that wait, the one being sent included. */
  depth(): number;
  /** Since the start. `dropped`: the queue was full. `failed`: the API server did not take it. */
  counts(): { sent: number; dropped: number; failed: number };
}

export interface EventRecorderOptions {
  clock: Clock;
  /** E.g. `serin`. */
  reportingComponent: string;
  /** E.g. the pod's name. */
  reportingInstance?: string;
  maxQueue?: number;
}

const DEFAULT_QUEUE = 1_000;
/** Nobody reads faster, and what moves traffic must not wait behind what tells of it. */
const PER_SECOND = 50;
const BURST = 100;
/** The API's own limit on a note. */
const LONGEST_MESSAGE = 1_024;
/** The API's own limit on a reason. */
const LONGEST_REASON = 128;
/** The same event within this time renews its series. */
const SERIES_MS = 5 * 60_000;
/** Series that are remembered, about 300 bytes each. */
const MOST_SERIES = 4_096;
const MOST_TRIES = 3;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;
const DEFAULT_FLUSH_MS = 5_000;
/** Object names have up to 253 characters and so has the event's, which adds a suffix. */
const LONGEST_NAME_PART = 220;

interface Pending {
  input: EventInput;
  seriesKey: string;
  /** Occurrences that this entry stands for. */
  count: number;
  firstAtMs: number;
  lastAtMs: number;
}

interface Series {
  namespace: string;
  name: string;
  count: number;
  lastAtMs: number;
}

export function createEventRecorder(client: ApiClient, options: EventRecorderOptions): EventRecorder {
  const { clock, reportingComponent, reportingInstance = '', maxQueue = DEFAULT_QUEUE } = options;
  /** By series, in the order in which they came. */
  const queue = new Map<string, Pending>();
  const series = new Map<string, Series>();
  const waiters = new Set<() => void>();
  const counts = { sent: 0, dropped: 0, failed: 0 };
  let sending: Pending | undefined;
  const pace = createLimiter({ clock, perSecond: PER_SECOND, burst: BURST });
  let isPumping = false;
  /** Set while somebody waits for the queue to be empty: then it goes as fast as it can. */
  let hurry = new AbortController();
  let sequence = 0;

  const depth = () => queue.size + (sending ? 1 : 0);

  function makeRoom(type: EventInput['type']): boolean {
    if (queue.size < maxQueue) return true;
    counts.dropped++;
    let oldest: string | undefined;
    for (const [key, { input }] of queue) {
      if (input.type !== 'Normal') continue;
      oldest = key;
      break;
    }
    if (oldest === undefined && type === 'Normal') return false;
    const [first] = queue.keys();
    queue.delete(oldest ?? first ?? '');
    return true;
  }

  async function pump(): Promise<void> {
    if (isPumping) return;
    isPumping = true;
    for (let [next] = queue.values(); next; [next] = queue.values()) {
      queue.delete(next.seriesKey);
      sending = next;
      await send(next);
      sending = undefined;
      if (!hurry.signal.aborted) await pace.acquire(false, hurry.signal).catch(() => undefined);
    }
    isPumping = false;
    for (const waiter of waiters) waiter();
  }

  async function send(pending: Pending): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await write(pending);
        counts.sent++;
        return;
      } catch (error) {
        const retryMs = retryDelayMs(error, attempt);
        if (attempt >= MOST_TRIES || retryMs === undefined) {
          counts.failed++;
          return;
        }
        await clock.sleep(retryMs);
      }
    }
  }

  async function write(pending: Pending): Promise<void> {
    const known = series.get(pending.seriesKey);
    if (known && pending.firstAtMs - known.lastAtMs <= SERIES_MS && (await extend(known, pending))) {
      remember(pending.seriesKey, known);
      return;
    }
    const event = toEvent(pending);
    await client.create(eventType, event);
    remember(pending.seriesKey, {
      namespace: event.metadata.namespace!,
      name: event.metadata.name,
      count: pending.count,
      lastAtMs: pending.lastAtMs,
    });
  }

  /** False when the event is gone (the server keeps events for an hour, or somebody deleted it). */
  async function extend(known: Series, pending: Pending): Promise<boolean> {
    const count = known.count + pending.count;
    const patch = { count, lastTimestamp: timestamp(pending.lastAtMs), message: cut(pending.input.message) };
    try {
      await client.mergePatch(eventType, known.namespace, known.name, patch);
    } catch (error) {
      if (error instanceof ApiError && error.kind === 'notFound') return false;
      throw error;
    }
    known.count = count;
    known.lastAtMs = pending.lastAtMs;
    return true;
  }

  function remember(key: string, entry: Series): void {
    series.delete(key);
    series.set(key, entry);
    if (series.size > MOST_SERIES) series.delete(series.keys().next().value!);
  }

  function toEvent({ input, count, firstAtMs, lastAtMs }: Pending): KubernetesObject {
    const { apiVersion, kind, metadata } = input.object;
    // Events about cluster-scoped objects live in `default`.
    const namespace = metadata.namespace || 'default';
    const suffix = `${clock.now().toString(16)}${(sequence++ & 0xffff).toString(16).padStart(4, '0')}`;
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${metadata.name.slice(0, LONGEST_NAME_PART)}.${suffix}`, namespace },
      involvedObject: {
        apiVersion,
        kind,
        name: metadata.name,
        ...(metadata.namespace ? { namespace: metadata.namespace } : {}),
        ...(metadata.uid ? { uid: metadata.uid } : {}),
        ...(metadata.resourceVersion ? { resourceVersion: metadata.resourceVersion } : {}),
      },
      type: input.type,
      reason: input.reason.slice(0, LONGEST_REASON),
      message: cut(input.message),
      count,
      firstTimestamp: timestamp(firstAtMs),
      lastTimestamp: timestamp(lastAtMs),
      source: { component: reportingComponent, ...(reportingInstance ? { host: reportingInstance } : {}) },
      reportingComponent,
      reportingInstance,
    };
  }

  return {
    record(input) {
      const nowMs = clock.now();
      const { kind, metadata } = input.object;
      const identity = metadata.uid ?? `${metadata.namespace ?? ''}/${metadata.name}`;
      const seriesKey = [kind, identity, input.type, input.reason, input.key ?? input.message].join('\n');
      const waiting = queue.get(seriesKey);
      if (waiting) {
        waiting.input = input;
        waiting.count++;
        waiting.lastAtMs = nowMs;
        return;
      }
      if (!makeRoom(input.type)) return;
      queue.set(seriesKey, { input, seriesKey, count: 1, firstAtMs: nowMs, lastAtMs: nowMs });
      void pump();
    },
    async flush(deadlineMs = DEFAULT_FLUSH_MS) {
      if (depth() === 0) return;
      hurry.abort();
      const emptied = new AbortController();
      const waiter = () => emptied.abort();
      waiters.add(waiter);
      await clock.sleep(deadlineMs, emptied.signal);
      waiters.delete(waiter);
      hurry = new AbortController();
    },
    depth,
    counts: () => ({ ...counts }),
  };
}

/** Undefined for what another try cannot mend: refused, or its namespace is going away. */
function retryDelayMs(error: unknown, attempt: number): number | undefined {
  if (!(error instanceof ApiError)) return undefined;
  const backoffMs = Math.min(
    LONGEST_RETRY_MS,
    Math.max(error.retryAfterMs ?? 0, FIRST_RETRY_MS * 2 ** (attempt - 1)),
  );
  switch (error.kind) {
    // The name was taken by another process in the same millisecond: the next try has another name.
    case 'alreadyExists':
      return 0;
    case 'conflict':
    case 'tooManyRequests':
    case 'server':
    case 'timeout':
    case 'network':
    case 'unauthorized':
      return backoffMs;
    case 'badRequest':
    case 'forbidden':
    case 'notFound':
    case 'gone':
    case 'invalid':
    case 'aborted':
      return undefined;
  }
}

/** At most 1,024 UTF-16 units, never half a character. */
function cut(message: string): string {
  if (message.length <= LONGEST_MESSAGE) return message;
  const kept = message.slice(0, LONGEST_MESSAGE - 1);
  return `${/[\uD800-\uDBFF]$/.test(kept) ? kept.slice(0, -1) : kept}…`;
}

/** `meta/v1 Time`: RFC 3339 to the second. */
function timestamp(epochMs: number): string {
  return new Date(epochMs).toISOString().replace(/\.\d{3}Z$/, 'Z');
}
