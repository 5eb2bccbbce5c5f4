/**
 * REST for canaries: list, get, history, report, commands. Every handler first asks whether the user may, then looks; so that
 * nobody learns from an answer whether something exists that they may not see.
 */
import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Log } from '../engine.ts';
import { type ApiClient, type KubernetesObject, objectKey, type Store } from '../kubernetes/types.ts';
import { sentence } from './answer.ts';
import type { App, Env } from './app.ts';
import { writeCommand } from './command.ts';
import { reportOf, reportSchema } from './report.ts';
import { REPORT_POLICY, reportPage } from './reportPage.ts';
import type { Attempt, Reviewer, User } from './review.ts';
import * as view from './view.ts';

export interface CanaryRoutes {
  stores: { canaries: Store };
  client: ApiClient;
  reviewer: Reviewer;
  log: Log;
}

/** Each one costs a review when the user may not list the whole cluster. */
const NAMESPACES_MAX = 200;
const REVIEWS_AT_ONCE = 8;

const json = (schema: typeof view.errorSchema | typeof view.canaryView, description: string) => ({
  content: { 'application/json': { schema } },
  description,
});
const problems = {
  400: json(view.errorSchema, 'The request is not valid.'),
  401: json(view.errorSchema, 'There is no token, or the API server does not accept it.'),
  403: json(view.errorSchema, 'The user may not do this, or the connection is not safe.'),
  503: json(view.errorSchema, 'The engine is not ready, or has too much to do.'),
};
const missing = { 404: json(view.errorSchema, 'There is no such canary.') };
const one = '/api/v1/namespaces/{namespace}/canaries/{name}';

const listRoute = createRoute({
  method: 'get',
  path: '/api/v1/canaries',
  summary: 'All canaries that the user may list.',
  request: { query: view.listQuery },
  responses: {
    200: { content: { 'application/json': { schema: view.listView } }, description: 'The canaries.' },
    ...problems,
  },
});
const getRoute = createRoute({
  method: 'get',
  path: one,
  summary: 'One canary.',
  request: { params: view.canaryParams },
  responses: { 200: json(view.canaryView, 'The canary.'), ...problems, ...missing },
});
const historyRoute = createRoute({
  method: 'get',
  path: `${one}/history`,
  summary: 'Past rollouts and the last transitions.',
  request: { params: view.canaryParams },
  responses: {
    200: { content: { 'application/json': { schema: view.historyView } }, description: 'The history.' },
    ...problems,
    ...missing,
  },
});
const reportRoute = createRoute({
  method: 'get',
  path: `${one}/report`,
  summary:
    'The rollout that runs or ran last, as a report: what was judged, how strong the evidence is, and when.',
  request: { params: view.canaryParams },
  responses: {
    200: { content: { 'application/json': { schema: reportSchema } }, description: 'The report.' },
    ...problems,
    ...missing,
  },
});
const reportPageRoute = createRoute({
  method: 'get',
  path: `${one}/report.html`,
  summary: 'The same report as one page with charts, which loads nothing and runs nothing.',
  request: { params: view.canaryParams },
  responses: {
    200: { content: { 'text/html': { schema: z.string() } }, description: 'The page.' },
    ...problems,
    ...missing,
  },
});
const commandRoute = createRoute({
  method: 'post',
  path: `${one}/{verb}`,
  summary: 'Commands the engine. Needs update on the subresource of canaries that is named as the verb.',
  request: {
    params: view.commandParams,
    body: { content: { 'application/json': { schema: view.commandBody } }, required: false },
  },
  responses: {
    202: {
      content: { 'application/json': { schema: view.acceptedSchema } },
      description: 'The command is written; the engine carries it out or refuses it.',
    },
    ...problems,
    ...missing,
    409: json(view.errorSchema, 'The command does not apply now.'),
    413: json(view.errorSchema, 'The body is too large.'),
    415: json(view.errorSchema, 'The body is not JSON.'),
  },
});

/** Whatever a status holds, the page can do nothing with it. */
const PAGE_HEADERS = {
  'content-security-policy': `${REPORT_POLICY}; frame-ancestors 'none'; sandbox`,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

export function addCanaryRoutes(app: App, routes: CanaryRoutes): void {
  const { reviewer, client, log } = routes;
  const { canaries } = routes.stores;

  /** A sentence when the user may not or the store cannot tell yet; undefined when the handler may look. */
  async function refuse(
    c: Context<Env>,
    attempt: Attempt & { namespace: string },
  ): Promise<Response | undefined> {
    const user = c.get('user');
    if (!(await reviewer.isAllowed(user, attempt))) return forbidden(c, user, attempt);
    // A namespace that is not served is never read; when all others are, what is asked for does not exist.
    if (!canaries.synced(attempt.namespace) && !canaries.synced()) return notSynced(c);
    return undefined;
  }

  app.openapi(listRoute, async (c): Promise<any> => {
    const user = c.get('user');
    const { namespace } = c.req.valid('query');
    if (namespace !== undefined) {
      const refused = await refuse(c, { verb: 'list', namespace });
      return refused ?? c.json({ items: canaries.all(namespace).map(view.viewOf) }, 200);
    }
    if (!canaries.synced()) return notSynced(c);
    const visible = await listable(reviewer, user, canaries.all());
    if (visible === 'tooMany')
      return sentence(c, 400, `There are more than ${NAMESPACES_MAX} namespaces; name one: ?namespace=.`);
    return c.json({ items: visible.map(view.viewOf) }, 200);
  });

  /** One canary that the user may get, as the handler shows it. */
  async function shown(
    c: Context<Env>,
    { namespace, name }: { namespace: string; name: string },
    show: (object: KubernetesObject) => Response,
  ): Promise<Response> {
    const refused = await refuse(c, { verb: 'get', namespace, name });
    if (refused) return refused;
    const object = canaries.get(namespace, name);
    return object ? show(object) : notFound(c, namespace, name);
  }

  app.openapi(
    getRoute,
    async (c): Promise<any> => shown(c, c.req.valid('param'), object => c.json(view.viewOf(object), 200)),
  );

  app.openapi(
    historyRoute,
    async (c): Promise<any> =>
      shown(c, c.req.valid('param'), object => {
        const { history = [], transitions = [] } = object.status ?? {};
        return c.json({ rollouts: history, transitions }, 200);
      }),
  );

  app.openapi(
    reportRoute,
    async (c): Promise<any> => shown(c, c.req.valid('param'), object => c.json(reportOf(object), 200)),
  );

  app.openapi(
    reportPageRoute,
    async (c): Promise<any> =>
      shown(c, c.req.valid('param'), object => c.html(reportPage(reportOf(object)), 200, PAGE_HEADERS)),
  );

  app.openapi(commandRoute, async (c): Promise<any> => {
    const { namespace, name, verb } = c.req.valid('param');
    const refused = await refuse(c, { verb: 'update', namespace, name, subresource: verb });
    if (refused) return refused;
    const { revision, reason = '' } = c.req.valid('json') ?? {};
    const by = c.get('user').username;
    const outcome = await writeCommand(client, canaries, { namespace, name, verb, revision, reason, by });
    switch (outcome.kind) {
      case 'notFound':
        return notFound(c, namespace, name);
      case 'refused':
        return sentence(c, 409, outcome.message);
      case 'accepted':
        log.info({ canary: objectKey(namespace, name), verb, by, id: outcome.id }, 'a command was written');
        return c.json({ id: outcome.id }, 202);
      default:
        return outcome satisfies never;
    }
  });
}

/** What the user may list: everything after one review, or namespace by namespace. */
async function listable(
  reviewer: Reviewer,
  user: User,
  objects: KubernetesObject[],
): Promise<KubernetesObject[] | 'tooMany'> {
  if (await reviewer.isAllowed(user, { verb: 'list' })) return objects;
  const namespaces = [...new Set(objects.map(object => object.metadata.namespace ?? ''))];
  if (namespaces.length > NAMESPACES_MAX) return 'tooMany';
  const allowed = new Set<string>();
  for (let from = 0; from < namespaces.length; from += REVIEWS_AT_ONCE) {
    const batch = namespaces.slice(from, from + REVIEWS_AT_ONCE);
    await Promise.all(
      batch.map(async namespace => {
        if (await reviewer.isAllowed(user, { verb: 'list', namespace })) allowed.add(namespace);
      }),
    );
  }
  return objects.filter(object => allowed.has(object.metadata.namespace ?? ''));
}

function forbidden(c: Context, user: User, attempt: Attempt): Response {
  const what = attempt.subresource ? `canaries/${attempt.subresource}` : 'canaries';
  return sentence(
    c,
    403,
    `${user.username} may not ${attempt.verb} ${what} in namespace ${attempt.namespace ?? '(all)'}.`,
  );
}

function notFound(c: Context, namespace: string, name: string): Response {
  return sentence(c, 404, `There is no canary ${name} in namespace ${namespace}.`);
}

function notSynced(c: Context): Response {
  return sentence(c, 503, 'The engine has not read the canaries yet; try again in a moment.');
}
