/**
 * An in-memory Kubernetes API server: what the engine calls of the real one, with the real one's answers, on a given
 * clock and seed. Its entry; the parts are beside it. It never looks at the real time and never draws real randomness.
 * Declared differences: no CEL, no admission webhooks, unknown fields of built-in kinds are kept, no strategic merge.
 */
import type { Clock } from '../../engine/clock.ts';
import { ApiError } from '../../engine/kubernetes/types.ts';
import type {
  HttpRequest,
  HttpResponse,
  KubernetesObject,
  Transport,
} from '../../engine/kubernetes/types.ts';
import type { Access } from './access.ts';
import { dispatch } from './dispatch.ts';
import { serveHttp } from './http.ts';
import { createProcessStore } from './inprocess.ts';
import type { ProcessStore } from './inprocess.ts';
import { createRandom } from './random.ts';
import { createRegistry } from './registry.ts';
import { parseRequest } from './routes.ts';
import type { RequestInfo } from './routes.ts';
import type { Knobs, Server } from './server.ts';
import { createStorage } from './storage.ts';
import { createWatchHub } from './watch.ts';

export interface AuditEntry {
  user: string;
  verb: string;
  resource: string;
  subresource: string;
  namespace: string;
  name: string;
  code: number;
}

/**
 * Stands around a request: it may answer by itself, wait, change the answer, or call `proceed` and throw after the
 * write happened. It must call `proceed` at most once.
 */
export type BeforeRequest = (
  request: HttpRequest,
  info: RequestInfo,
  proceed: () => Promise<HttpResponse>,
) => Promise<HttpResponse>;

export interface MemoryApi {
  /** A direct call, no socket. `user` is whom the request counts as (default `admin`). */
  transport(user?: string): Transport;
  /** The same over HTTP. With `tokens` (bearer token to user) any other request is 401; without, all are `admin`. */
  serve(options?: {
    port?: number;
    tokens?: Record<string, string>;
  }): Promise<{ url: string; close(): Promise<void> }>;
  /** Synchronous access for controllers in the same process. */
  store: ProcessStore;
  access: Access;
  /** The last requests, oldest first; at most `AUDIT_LIMIT`. Emptied by setting its length to 0. */
  audit: AuditEntry[];
  isAuditing: boolean;
  beforeRequest: BeforeRequest | undefined;
  knobs: Knobs;
  /** Forgets the history of changes: older watches and pages get 410. */
  compact(): void;
  /** Ends every open watch (of one resource, e.g. `deployments.apps`), as a restarting server does. */
  closeWatches(table?: string): void;
  sendBookmarks(): void;
  /** Open watch streams. */
  watchCount(): number;
  /** The last resourceVersion that was given out. */
  revision(): number;
}

/** A long simulated rollout makes some thousand requests; older entries are of no use to an assertion. */
export const AUDIT_LIMIT = 100_000;
/** Changes kept for each resource: enough for any watch that reconnects within minutes. */
const HISTORY_LIMIT = 10_000;

export function createMemoryApi(options: {
  clock: Clock;
  seed?: number;
  crds?: KubernetesObject[];
  historyLimit?: number;
  /** Lets EndpointSlices name 127.0.0.0/8, which the real server refuses: for pods that are servers on this machine. */
  allowsLoopbackEndpoints?: boolean;
  /** Managers in this process whose ownership of fields is not kept: nobody asks for it, and it costs time. */
  unrecordedManagers?: readonly string[];
}): MemoryApi {
  const server = createServer(
    options.clock,
    options.seed ?? 1,
    options.historyLimit ?? HISTORY_LIMIT,
    options.allowsLoopbackEndpoints ?? false,
  );
  const store = createProcessStore(server, new Set(options.unrecordedManagers));
  for (const name of ['default', 'kube-system'])
    store.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, 'kube-apiserver');
  for (const crd of options.crds ?? []) store.create(crd, 'kube-apiserver');

  async function handle(user: string, request: HttpRequest): Promise<HttpResponse> {
    const url = new URL(request.path, 'http://memory');
    const info = parseRequest(user, request.method, url.pathname, url.searchParams);
    const proceed = async () => dispatch(server, request, info, url.searchParams);
    const response = await (api.beforeRequest ? api.beforeRequest(request, info, proceed) : proceed());
    if (api.isAuditing) record(api.audit, info, response.status);
    return response;
  }

  const api: MemoryApi = {
    transport:
      (user = 'admin') =>
      async request => {
        if (request.signal?.aborted) throw new ApiError('aborted', 'the request was aborted');
        const response = await handle(user, request);
        if (request.signal?.aborted) throw new ApiError('aborted', 'the request was aborted');
        return response;
      },
    serve: (serveOptions = {}) =>
      serveHttp(handle, { ...serveOptions, defaultUser: 'admin' }).then(running => ({
        url: running.url,
        close: async () => {
          server.watches.closeAll();
          await running.close();
        },
      })),
    store,
    access: server.access,
    audit: [],
    isAuditing: true,
    beforeRequest: undefined,
    knobs: server.knobs,
    compact: () => {
      server.storage.compact();
      server.pages.clear();
    },
    closeWatches: table => server.watches.closeAll(table),
    sendBookmarks: () => server.watches.sendBookmarks(),
    watchCount: () => server.watches.count(),
    revision: () => server.storage.revision(),
  };
  return api;
}

function createServer(
  clock: Clock,
  seed: number,
  historyLimit: number,
  allowsLoopbackEndpoints: boolean,
): Server {
  const storage = createStorage(historyLimit);
  const knobs: Knobs = { bookmarkIntervalMs: 60_000, watchTimeoutMs: 45 * 60_000 };
  return {
    clock,
    storage,
    knobs,
    random: createRandom(seed),
    addresses: { next: 0 },
    allowsLoopbackEndpoints,
    registry: createRegistry(storage),
    access: { tokens: new Map(), rules: new Map() },
    watches: createWatchHub(clock, storage, () => knobs.bookmarkIntervalMs),
    pages: new Map(),
  };
}

function record(audit: AuditEntry[], info: RequestInfo, code: number): void {
  // Trimmed in blocks: dropping one at a time would move the whole array at every request.
  if (audit.length >= AUDIT_LIMIT) audit.splice(0, AUDIT_LIMIT / 10);
  const { user, verb, resource, subresource, namespace, name } = info;
  audit.push({ user, verb, resource: resource || info.path, subresource, namespace, name, code });
}
