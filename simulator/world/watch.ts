/**
 * Keeps a set of objects equal to what the API server holds: list, then watch from there, resume when a stream ends,
 * list again when the version is too old. It reports every change once, in order, and never gives up before it is closed.
 */
import { objectKey } from '../../engine/kubernetes/types.ts';
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import type { WorldApi } from './api.ts';

const PAGE_SIZE = 500;
/** Asked of the server, as real clients do; the stream is then opened anew from the last version. */
const WATCH_SECONDS = 240;
/** A server that forgets to end the stream is left after this much more. */
const WATCH_GRACE_MS = 30_000;
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 2_000;
/** How often an absent resource (a CRD that is not installed yet) is asked for. */
const ABSENT_RETRY_MS = 250;
/** etcd refuses objects above 1.5 MiB; a longer line is not a watch event. */
const LINE_CHARS_MAX = 8 * 1024 * 1024;

export interface ObjectWatchOptions {
  api: WorldApi;
  /** The collection's path, e.g. `/api/v1/pods`; asked again after each failure. Undefined: not served (yet). */
  path: () => Promise<string | undefined>;
  /** Called for each change. `object` is the last known state when deleted. Must not throw. */
  onChange: (object: KubernetesObject, deleted: boolean) => void;
}

export interface ObjectWatch {
  readonly objects: ReadonlyMap<string, KubernetesObject>;
  /** Resolves after the first complete list, or when the resource turned out to be absent. */
  readonly synced: Promise<void>;
  close(): Promise<void>;
}

export function watchObjects(options: ObjectWatchOptions): ObjectWatch {
  const closing = new AbortController();
  const objects = new Map<string, KubernetesObject>();
  let resolveSynced: () => void = () => {};
  const synced = new Promise<void>(resolve => {
    resolveSynced = resolve;
  });
  const finished = follow({ ...options, objects, signal: closing.signal, onSynced: () => resolveSynced() });
  return {
    objects,
    synced,
    async close() {
      closing.abort();
      resolveSynced();
      await finished;
    },
  };
}

interface Follow extends ObjectWatchOptions {
  objects: Map<string, KubernetesObject>;
  signal: AbortSignal;
  onSynced: () => void;
}

async function follow(watch: Follow): Promise<void> {
  let version = '';
  let retryMs = RETRY_FIRST_MS;
  while (!watch.signal.aborted) {
    const outcome = await round(watch, version).catch(() => ({ kind: 'failed' as const, version: '' }));
    if (watch.signal.aborted) return;
    version = outcome.version;
    if (outcome.kind === 'ended') {
      retryMs = RETRY_FIRST_MS;
    } else if (outcome.kind === 'absent') {
      for (const object of watch.objects.values()) remove(watch, object);
      watch.onSynced();
      await pause(ABSENT_RETRY_MS, watch.signal);
    } else {
      await pause(retryMs, watch.signal);
      retryMs = Math.min(retryMs * 2, RETRY_MAX_MS);
    }
  }
}

type Outcome = { kind: 'ended' | 'absent' | 'failed'; version: string };

/** One list where needed, and one stream. An empty version in the outcome asks for a new list. */
async function round(watch: Follow, fromVersion: string): Promise<Outcome> {
  const path = await watch.path();
  if (path === undefined) return { kind: 'absent', version: '' };
  let version = fromVersion;
  if (version === '') {
    const listed = await list(watch, path);
    if (listed === undefined) return { kind: 'absent', version: '' };
    version = listed;
    watch.onSynced();
  }
  const query = `watch=1&allowWatchBookmarks=true&timeoutSeconds=${WATCH_SECONDS}&resourceVersion=${encodeURIComponent(version)}`;
  const limit = AbortSignal.timeout(WATCH_SECONDS * 1000 + WATCH_GRACE_MS);
  const answer = await watch.api.stream(`${path}?${query}`, AbortSignal.any([watch.signal, limit]));
  if (answer.chunks === undefined) return { kind: 'failed', version: '' };
  try {
    for await (const line of lines(answer.chunks)) {
      const event = JSON.parse(line) as { type: string; object: KubernetesObject };
      // 410 Gone in the stream, or any other error: only a new list helps.
      if (event.type === 'ERROR') return { kind: 'failed', version: '' };
      version = event.object.metadata.resourceVersion ?? version;
      if (event.type === 'DELETED') remove(watch, event.object);
      else if (event.type !== 'BOOKMARK') store(watch, event.object);
    }
    return { kind: 'ended', version };
  } catch {
    // A broken connection loses nothing: the next stream resumes from the last version that was seen.
    return { kind: 'failed', version };
  }
}

/** The list's version, or undefined when the resource is not served. */
async function list(watch: Follow, path: string): Promise<string | undefined> {
  const seen = new Set<string>();
  let next = '';
  let version = '';
  do {
    const page = await watch.api.request(
      'GET',
      `${path}?limit=${PAGE_SIZE}${next === '' ? '' : `&continue=${encodeURIComponent(next)}`}`,
    );
    if (page.status === 404) return undefined;
    if (page.status !== 200) throw new Error(`list of ${path} answered ${page.status}`);
    for (const object of page.body.items as KubernetesObject[]) {
      const key = objectKey(object.metadata.namespace, object.metadata.name);
      seen.add(key);
      if (watch.objects.get(key)?.metadata.resourceVersion !== object.metadata.resourceVersion)
        store(watch, object);
    }
    next = page.body.metadata?.continue ?? '';
    version = page.body.metadata?.resourceVersion ?? '';
  } while (next !== '' && !watch.signal.aborted);
  for (const [key, object] of watch.objects) if (!seen.has(key)) remove(watch, object);
  return version;
}

function store(watch: Follow, object: KubernetesObject): void {
  const key = objectKey(object.metadata.namespace, object.metadata.name);
  const known = watch.objects.get(key);
  // A deletion and a creation under the same name may have happened between two lists.
  if (known !== undefined && known.metadata.uid !== object.metadata.uid) watch.onChange(known, true);
  watch.objects.set(key, object);
  watch.onChange(object, false);
}

function remove(watch: Follow, object: KubernetesObject): void {
  watch.objects.delete(objectKey(object.metadata.namespace, object.metadata.name));
  watch.onChange(object, true);
}

async function* lines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    let start = 0;
    for (let end = rest.indexOf('\n', start); end >= 0; end = rest.indexOf('\n', start)) {
      if (end > start) yield rest.slice(start, end);
      start = end + 1;
    }
    rest = rest.slice(start);
    if (rest.length > LINE_CHARS_MAX) throw new Error('a watch event is too long');
  }
}

function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    timer.unref();
    signal.addEventListener('abort', done);
  });
}
