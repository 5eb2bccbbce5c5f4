/**
 * The routes of REST, without a socket: who may come in, how large and how many requests may be, and
 * which sentence a refusal gets. It asks `review` for every permission and never reads an object before it was granted.
 */
import type { HttpBindings } from '@hono/node-server';
import { OpenAPIHono } from '@hono/zod-openapi';
import { bodyLimit } from 'hono/body-limit';
import type { Clock } from '../clock.ts';
import type { Log } from '../engine.ts';
import type { ApiClient, ResourceType, Store } from '../kubernetes/types.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { answerError, sentence } from './answer.ts';
import { addCanaryRoutes } from './canaries.ts';
import { createReviewer, type User } from './review.ts';

export interface AppOptions {
  clock: Clock;
  stores: { canaries: Store };
  client: ApiClient;
  canaryType: ResourceType;
  metrics: Metrics;
  isReady(): { ok: boolean; reasons: string[] };
  /** Accept tokens over plain HTTP from other machines. */
  insecureHttp: boolean;
  log: Log;
}

export type Env = { Bindings: HttpBindings; Variables: { user: User } };
export type App = OpenAPIHono<Env>;

const BODY_BYTES_MAX = 16 * 1024;
/** Each asks the API server up to twice, which must not starve the engine's own requests. */
const REQUESTS_AT_ONCE_MAX = 64;
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

export function createApp(options: AppOptions): App {
  const { metrics, stores, log } = options;
  const app: App = new OpenAPIHono<Env>({
    defaultHook(result, c) {
      if (result.success) return undefined;
      const [issue] = result.error.issues;
      const where = issue?.path.length ? `${issue.path.join('.')}: ` : '';
      return sentence(c, 400, `${where}${issue?.message ?? 'The request is not valid.'}`);
    },
  });
  app.use(async (c, next) => {
    await next();
    metrics.served(METHODS.includes(c.req.method) ? c.req.method : 'other', c.res.status);
  });
  const reviewer = createReviewer(options);
  guard(app, options.insecureHttp, reviewer.authenticate);
  addCanaryRoutes(app, { stores, client: options.client, reviewer, log });
  app.doc31('/api/v1/openapi.json', {
    openapi: '3.1.0',
    info: {
      title: 'Serin',
      version: 'v1',
      description: 'Canaries: their state, their history, and commands to them.',
    },
    security: [{ bearer: [] }],
  });
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' });
  app.notFound(c => sentence(c, 404, 'There is nothing at this path.'));
  app.onError((error, c) => answerError(error, c, log));
  return app;
}

/** Everything under /api: few at once, small, over a safe connection, and from somebody whom the API server knows. */
function guard(
  app: App,
  insecureHttp: boolean,
  authenticate: (token: string) => Promise<User | undefined>,
): void {
  let running = 0;
  app.use('/api/*', async (c, next) => {
    if (running >= REQUESTS_AT_ONCE_MAX)
      return sentence(c, 503, 'Too many requests are being answered; try again in a moment.');
    running++;
    try {
      await next();
    } finally {
      running--;
    }
    c.header('cache-control', 'no-store');
  });
  app.use('/api/*', async (c, next) => {
    if (!insecureHttp && !isSafeConnection(c.env)) {
      return sentence(
        c,
        403,
        'A token is accepted over TLS only: use https, or start the engine with --insecure-http.',
      );
    }
    const token = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(c.req.header('authorization') ?? '')?.[1];
    const user = token === undefined ? undefined : await authenticate(token);
    if (!user) {
      c.header('www-authenticate', 'Bearer');
      return sentence(
        c,
        401,
        token === undefined
          ? 'A bearer token is needed: Authorization: Bearer <token>.'
          : 'The API server does not accept this token.',
      );
    }
    c.set('user', user);
    return await next();
  });
  app.use(
    '/api/*',
    bodyLimit({
      maxSize: BODY_BYTES_MAX,
      onError: c => sentence(c, 413, `A body may have ${BODY_BYTES_MAX} bytes at most.`),
    }),
  );
  app.use('/api/*', async (c, next) => {
    const type = c.req.header('content-type');
    const hasBody = type !== undefined || Number(c.req.header('content-length') ?? 0) > 0;
    if (hasBody && !/^application\/json\s*(;|$)/i.test(type ?? ''))
      return sentence(c, 415, 'A body must be application/json.');
    return await next();
  });
}

/** TLS, or a peer on this machine. A connection of which nothing is known is neither. */
function isSafeConnection(bindings: Partial<HttpBindings> | undefined): boolean {
  const socket = bindings?.incoming?.socket;
  if (!socket) return false;
  if ('encrypted' in socket && socket.encrypted === true) return true;
  return /^(::1|(::ffff:)?127(\.\d{1,3}){3})$/.test(socket.remoteAddress ?? '');
}
