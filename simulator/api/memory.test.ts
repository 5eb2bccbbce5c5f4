/** What the contract cannot test because a real server has no such knobs: faults, audit, access, history, sameness of runs. */
import { describe, expect, test } from 'vitest';
import { ApiError } from '../../engine/kubernetes/types.ts';
import { createVirtualClock } from '../clock.ts';
import { createCalls, ok, refused } from './contractCalls.ts';
import { configMap, deployment, gadgetCrd, widget, widgetCrd } from './contractWidgets.ts';
import { createMemoryApi } from './memory.ts';
import type { MemoryApi } from './memory.ts';

const START_MS = Date.parse('2026-01-01T00:00:00Z');

function start(options: { seed?: number; historyLimit?: number } = {}) {
  const clock = createVirtualClock(START_MS);
  const api = createMemoryApi({ clock, crds: [widgetCrd, gadgetCrd], ...options });
  return { clock, api, calls: createCalls(api.transport('engine'), 'default') };
}

describe('the fault hook', () => {
  test('answers instead, and nothing is written', async () => {
    const { api, calls } = start();
    api.beforeRequest = async () => ({ status: 503, headers: {}, text: '' });
    const path = calls.path('v1', 'configmaps');
    expect((await calls.post(path, configMap('a'))).status).toBe(503);
    api.beforeRequest = undefined;
    refused(await calls.get(`${path}/a`), 404, 'NotFound');
  });

  test('loses the reply after the write happened', async () => {
    const { api, calls } = start();
    api.beforeRequest = async (_request, info, proceed) => {
      const response = await proceed();
      if (info.verb === 'create') throw new ApiError('timeout', 'the reply was lost');
      return response;
    };
    const path = calls.path('v1', 'configmaps');
    await expect(calls.post(path, configMap('a'))).rejects.toThrow('the reply was lost');
    expect(ok(await calls.get(`${path}/a`)).data).toEqual({ a: '1' });
  });

  test('delays on the clock, and sees who asks for what', async () => {
    const { api, calls, clock } = start();
    const seen: string[] = [];
    api.beforeRequest = async (_request, info, proceed) => {
      seen.push(
        `${info.user} ${info.verb} ${info.group}/${info.resource}/${info.subresource} ${info.namespace}/${info.name}`,
      );
      await clock.sleep(500);
      return proceed();
    };
    const answer = calls.merge(calls.path('contract.serin.dev/v1', 'widgets', 'a', 'status'), {});
    await clock.advance(499);
    expect(api.audit).toEqual([]);
    await clock.advance(1);
    refused(await answer, 404, 'NotFound');
    expect(seen).toEqual(['engine patch contract.serin.dev/widgets/status default/a']);
  });
});

describe('the audit', () => {
  test('counts requests with their codes, and can be switched off', async () => {
    const { api, calls } = start();
    const path = calls.path('v1', 'configmaps');
    await calls.post(path, configMap('a'));
    await calls.get(`${path}/b`);
    expect(api.audit.map(entry => `${entry.verb} ${entry.resource} ${entry.name} ${entry.code}`)).toEqual([
      'create configmaps  201',
      'get configmaps b 404',
    ]);
    api.audit.length = 0;
    api.isAuditing = false;
    await calls.get(path);
    expect(api.audit).toEqual([]);
  });
});

describe('what is not planned', () => {
  test('is 501 by name', async () => {
    const { calls } = start();
    const jobs = await calls.get(calls.path('batch/v1', 'jobs'));
    refused(jobs, 501, 'NotImplemented', 'the in-memory API does not implement list of jobs');
    const eviction = await calls.post(calls.path('v1', 'pods', 'a', 'eviction'), {});
    refused(eviction, 501, 'NotImplemented');
    const policy = calls.path('networking.k8s.io/v1', 'networkpolicies', 'a');
    refused(await calls.merge(policy, {}), 501, 'NotImplemented');
  });
});

describe('access', () => {
  test('a user with rules may do what they say and nothing else', async () => {
    const { api, calls } = start();
    api.access.rules.set('engine', [
      { verbs: ['get', 'create'], groups: [''], resources: ['configmaps'], namespaces: ['default'] },
      { verbs: ['*'], groups: ['contract.serin.dev'], resources: ['widgets/status'] },
    ]);
    const maps = calls.path('v1', 'configmaps');
    ok(await calls.post(maps, configMap('a')), 201);
    refused(
      await calls.delete(`${maps}/a`),
      403,
      'Forbidden',
      'configmaps "a" is forbidden: User "engine" cannot delete resource "configmaps" in API group "" in the namespace "default"',
    );
    refused(await calls.get('/api/v1/configmaps'), 403, 'Forbidden');
    const widgets = calls.path('contract.serin.dev/v1', 'widgets');
    refused(await calls.post(widgets, widget('a')), 403, 'Forbidden');
    refused(await calls.merge(`${widgets}/a/status`, {}), 404, 'NotFound');
  });

  test('over HTTP a bearer token says who asks; without one it is 401', async () => {
    const { api } = start();
    const server = await api.serve({ tokens: { secret: 'bob' } });
    try {
      const url = `${server.url}/api/v1/namespaces/default/configmaps`;
      const anonymous = await fetch(url);
      expect(anonymous.status).toBe(401);
      expect(await anonymous.json()).toMatchObject({ kind: 'Status', reason: 'Unauthorized', code: 401 });
      const bob = await fetch(url, { headers: { authorization: 'Bearer secret' } });
      expect(bob.status).toBe(200);
      expect(api.audit.at(-1)).toMatchObject({ user: 'bob', verb: 'list' });
    } finally {
      await server.close();
    }
  });
});

describe('history', () => {
  test('is bounded: a watch from before it gets 410', async () => {
    const { calls, api } = start({ historyLimit: 10 });
    const path = calls.path('v1', 'configmaps');
    const first = ok(await calls.post(path, configMap('a')), 201);
    for (let index = 0; index < 30; index += 1) await calls.merge(`${path}/a`, { data: { a: `${index}` } });
    const old = await calls.watch(`${path}?watch=1&resourceVersion=${first.metadata.resourceVersion}`);
    expect((await old.next())?.object).toMatchObject({ code: 410 });
    const recent = await calls.watch(`${path}?watch=1&resourceVersion=${api.revision() - 5}`);
    for (let index = 25; index < 30; index += 1)
      expect((await recent.next())?.object.data).toEqual({ a: `${index}` });
    recent.close();
  });

  test('a page whose list was compacted away is 410', async () => {
    const { calls, api } = start();
    const path = calls.path('v1', 'configmaps');
    for (const name of ['a', 'b', 'c']) await calls.post(path, configMap(name));
    const page = await calls.get(`${path}?limit=2`);
    api.compact();
    refused(await calls.get(`${path}?limit=2&continue=${page.body.metadata.continue}`), 410, 'Expired');
  });
});

describe('watches on the clock', () => {
  test('bookmarks come at their interval, an aborted watch leaves nothing behind', async () => {
    const { api, calls, clock } = start();
    const path = calls.path('v1', 'configmaps');
    const reader = await calls.watch(
      `${path}?watch=1&resourceVersion=${api.revision()}&allowWatchBookmarks=true`,
    );
    const first = reader.next();
    await clock.advance(60_000);
    expect((await first)?.type).toBe('BOOKMARK');
    const second = reader.next();
    api.sendBookmarks();
    expect((await second)?.object.metadata.resourceVersion).toBe(String(api.revision()));
    expect(api.watchCount()).toBe(1);
    const last = reader.next();
    reader.close();
    await expect(last).rejects.toThrow('aborted');
    expect(api.watchCount()).toBe(0);
    expect(clock.pending()).toBe(0);
  });

  test('a server that restarts ends its watches', async () => {
    const { api, calls } = start();
    const path = calls.path('v1', 'configmaps');
    const reader = await calls.watch(`${path}?watch=1&resourceVersion=${api.revision()}`);
    await calls.post(path, configMap('a'));
    api.closeWatches('configmaps');
    expect((await reader.next())?.type).toBe('ADDED');
    expect(await reader.next()).toBeUndefined();
  });
});

describe('sameness', () => {
  async function run(api: MemoryApi): Promise<string> {
    const calls = createCalls(api.transport(), 'default');
    ok(await calls.post(calls.path('apps/v1', 'deployments'), deployment('web')), 201);
    ok(
      await calls.post(calls.path('v1', 'configmaps'), {
        ...configMap(''),
        metadata: { generateName: 'x-' },
      }),
      201,
    );
    ok(await calls.apply(calls.path('contract.serin.dev/v1', 'widgets', 'w'), widget('w'), 'serin'), 201);
    const kinds = api.store.kinds().flatMap(kind => api.store.list(kind));
    return JSON.stringify(kinds);
  }

  test('equal seeds give equal objects, another seed other uids', async () => {
    const first = await run(start({ seed: 3 }).api);
    expect(await run(start({ seed: 3 }).api)).toBe(first);
    expect(await run(start({ seed: 4 }).api)).not.toBe(first);
  });

  test('an answer is a copy, what the store holds is frozen', async () => {
    const { api, calls } = start();
    const answer = ok(await calls.post(calls.path('v1', 'configmaps'), configMap('a')), 201);
    answer.data.a = 'changed';
    const held = api.store.get({ apiVersion: 'v1', kind: 'ConfigMap' }, 'default', 'a');
    expect(held?.data).toEqual({ a: '1' });
    expect(Object.isFrozen(held?.data)).toBe(true);
  });
});
