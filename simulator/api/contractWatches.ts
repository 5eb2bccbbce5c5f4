/** Contract: watches: order, selectors, bookmarks, timeouts, the 410 of a forgotten revision. */
import { describe, expect, test } from 'vitest';
import type { Used } from './contract.ts';
import { freshName, ok, version } from './contractCalls.ts';
import type { WatchReader } from './contractCalls.ts';
import { configMap, gadget, widget } from './contractWidgets.ts';

export function describeWatches(use: () => Used): void {
  describe('watch', () => {
    eventTests(use);
    endTests(use);
  });
}

async function named(reader: WatchReader): Promise<string> {
  const event = await reader.next();
  return event ? `${event.type} ${event.object.metadata.name}` : 'end';
}

function eventTests(use: () => Used): void {
  test('sends every change after a resourceVersion, in order, with whole objects', async () => {
    const { calls } = use();
    const path = calls.path('contract.serin.dev/v1', 'widgets');
    const list = await calls.get(path);
    const reader = await calls.watch(
      `${path}?watch=true&resourceVersion=${list.body.metadata.resourceVersion}`,
    );
    const name = freshName('watch');
    const created = ok(await calls.post(path, widget(name)), 201);
    const changed = ok(await calls.merge(`${path}/${name}`, { spec: { weight: 11 } }));
    ok(await calls.merge(`${path}/${name}`, { spec: { weight: 11 } }));
    ok(await calls.delete(`${path}/${name}`));
    const added = await reader.next();
    expect(added).toEqual({ type: 'ADDED', object: created });
    expect(await reader.next()).toEqual({ type: 'MODIFIED', object: changed });
    const deleted = await reader.next();
    expect(deleted?.type).toBe('DELETED');
    expect(deleted?.object.metadata.uid).toBe(created.metadata.uid);
    expect(version(deleted?.object ?? created)).toBeGreaterThan(version(changed));
    reader.close();
  });

  test('repeats the past, then goes on; without a resourceVersion it starts with what exists', async () => {
    const { calls } = use();
    const group = freshName('past');
    const path = calls.path('v1', 'configmaps');
    const body = (name: string) => configMap(name, {}, { labels: { group } });
    const first = ok(await calls.post(path, body(`${group}-a`)), 201);
    ok(await calls.post(path, body(`${group}-b`)), 201);
    const selector = `labelSelector=group%3D${group}`;
    const since = await calls.watch(
      `${path}?watch=1&${selector}&resourceVersion=${first.metadata.resourceVersion}`,
    );
    expect(await named(since)).toBe(`ADDED ${group}-b`);
    const all = await calls.watch(`${path}?watch=1&${selector}`);
    expect([await named(all), await named(all)].sort((a, b) => (a < b ? -1 : 1))).toEqual([
      `ADDED ${group}-a`,
      `ADDED ${group}-b`,
    ]);
    ok(await calls.post(path, body(`${group}-c`)), 201);
    expect(await named(since)).toBe(`ADDED ${group}-c`);
    const live = await all.next();
    expect(live?.object).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' });
    since.close();
    all.close();
  });

  test('objects that enter or leave the selection are added and deleted', async () => {
    const { calls } = use();
    const name = freshName('enter');
    const path = calls.path('v1', 'configmaps');
    const created = ok(await calls.post(path, configMap(name)), 201);
    const selector = `labelSelector=in%3D${name}&resourceVersion=${created.metadata.resourceVersion}`;
    const reader = await calls.watch(`${path}?watch=1&${selector}`);
    ok(await calls.merge(`${path}/${name}`, { metadata: { labels: { in: name } } }));
    ok(await calls.merge(`${path}/${name}`, { data: { a: '2' } }));
    const left = ok(await calls.merge(`${path}/${name}`, { metadata: { labels: { in: 'no' } } }));
    expect(await named(reader)).toBe(`ADDED ${name}`);
    expect(await named(reader)).toBe(`MODIFIED ${name}`);
    const last = await reader.next();
    expect(last?.type).toBe('DELETED');
    expect(last?.object.metadata.labels).toEqual({ in: name });
    expect(last?.object.metadata.resourceVersion).toBe(left.metadata.resourceVersion);
    reader.close();
  });

  test('by name, and in one namespace or all', async () => {
    const { calls } = use();
    const name = freshName('only');
    const path = calls.path('v1', 'configmaps');
    const list = await calls.get(path);
    const from = `watch=1&resourceVersion=${list.body.metadata.resourceVersion}`;
    const one = await calls.watch(`${path}?${from}&fieldSelector=metadata.name%3D${name}`);
    const elsewhere = await calls.watch(
      `/api/v1/namespaces/default/configmaps?${from}&fieldSelector=metadata.name%3D${name}`,
    );
    const everywhere = await calls.watch(`/api/v1/configmaps?${from}&fieldSelector=metadata.name%3D${name}`);
    ok(await calls.post(path, configMap(`${name}-other`)), 201);
    ok(await calls.post(path, configMap(name)), 201);
    expect(await named(one)).toBe(`ADDED ${name}`);
    expect(await named(everywhere)).toBe(`ADDED ${name}`);
    ok(await calls.post('/api/v1/namespaces/default/configmaps', configMap(name)), 201);
    expect((await elsewhere.next())?.object.metadata.namespace).toBe('default');
    ok(await calls.delete(`/api/v1/namespaces/default/configmaps/${name}`));
    for (const reader of [one, elsewhere, everywhere]) reader.close();
  });
}

function endTests(use: () => Used): void {
  test('ends after timeoutSeconds, after a bookmark for those who asked', async () => {
    const { calls, capabilities } = use();
    const path = calls.path('v1', 'configmaps');
    const list = await calls.get(path);
    const from = `watch=1&resourceVersion=${list.body.metadata.resourceVersion}`;
    const seconds = capabilities.bookmarkedWatchSeconds;
    const plain = await calls.watch(`${path}?${from}&timeoutSeconds=1`);
    const marked = await calls.watch(`${path}?${from}&timeoutSeconds=${seconds}&allowWatchBookmarks=true`);
    const created = ok(await calls.post(path, configMap(freshName('bookmark'))), 201);
    const types: string[] = [];
    let bookmarked = 0;
    for (let event = await marked.next(); event; event = await marked.next()) {
      types.push(event.type);
      if (event.type !== 'BOOKMARK') continue;
      expect(event.object).toMatchObject({ kind: 'ConfigMap', apiVersion: 'v1' });
      bookmarked = version(event.object);
    }
    expect(new Set(types)).toEqual(new Set(['ADDED', 'BOOKMARK']));
    expect(bookmarked).toBeGreaterThanOrEqual(version(created));
    expect(await named(plain)).toBe(`ADDED ${created.metadata.name}`);
    expect(await plain.next()).toBeUndefined();
  });

  test('a forgotten resourceVersion is an ERROR event with 410 Expired, then the end', async () => {
    const { calls, capabilities } = use();
    const path = calls.path('contract.serin.dev/v1', 'gadgets');
    ok(await calls.post(path, gadget(freshName('forget'))), 201);
    capabilities.forgetHistory?.();
    const reader = await calls.watch(`${path}?watch=1&resourceVersion=1`);
    const event = await reader.next();
    expect(event).toMatchObject({
      type: 'ERROR',
      object: { kind: 'Status', status: 'Failure', reason: 'Expired', code: 410 },
    });
    expect(event?.object.message).toContain('too old resource version');
    expect(await reader.next()).toBeUndefined();
  });
}
