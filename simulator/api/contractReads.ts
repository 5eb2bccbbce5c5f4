/** Contract: lists with selectors and pages, what items look like, namespaces and cluster scope. */
import { describe, expect, test } from 'vitest';
import type { Used } from './contract.ts';
import { freshName, ok, refused } from './contractCalls.ts';
import { configMap, widget } from './contractWidgets.ts';

interface Item {
  apiVersion?: string;
  kind?: string;
  metadata: { name: string; namespace: string };
}

const namesOf = (body: { items: Item[] }) => body.items.map(item => item.metadata.name);

export function describeReads(use: () => Used): void {
  describe('list', () => {
    selectorTests(use);
    pageTests(use);
  });
}

function selectorTests(use: () => Used): void {
  test('by label and by name, in the order of names', async () => {
    const { calls } = use();
    const group = freshName('group');
    const path = calls.path('v1', 'configmaps');
    for (const [name, tier] of [
      ['b', 'web'],
      ['a', 'db'],
      ['c', 'web'],
    ] as const)
      ok(await calls.post(path, configMap(`${group}-${name}`, {}, { labels: { group, tier } })), 201);
    const list = async (selector: string) =>
      namesOf(ok(await calls.get(`${path}?labelSelector=${encodeURIComponent(selector)}`)) as never);
    expect(await list(`group=${group}`)).toEqual([`${group}-a`, `${group}-b`, `${group}-c`]);
    expect(await list(`group=${group},tier!=web`)).toEqual([`${group}-a`]);
    expect(await list(`group=${group},tier in (web, cache)`)).toEqual([`${group}-b`, `${group}-c`]);
    expect(await list(`group=${group},tier notin (web)`)).toEqual([`${group}-a`]);
    expect(await list(`group=${group},!absent,tier`)).toHaveLength(3);
    const byName = await calls.get(`${path}?fieldSelector=metadata.name%3D${group}-b`);
    expect(namesOf(byName.body)).toEqual([`${group}-b`]);
    refused(await calls.get(`${path}?fieldSelector=data.a%3D1`), 400, 'BadRequest');
    refused(await calls.get(`${path}?labelSelector=a%20b`), 400, 'BadRequest');
  });

  test('items of built-in kinds carry no kind, custom ones do', async () => {
    const { calls } = use();
    const name = freshName('shape');
    ok(await calls.post(calls.path('v1', 'configmaps'), configMap(name)), 201);
    ok(await calls.post(calls.path('contract.serin.dev/v1', 'widgets'), widget(name)), 201);
    const maps = await calls.get(calls.path('v1', 'configmaps'));
    expect(maps.body).toMatchObject({ kind: 'ConfigMapList', apiVersion: 'v1' });
    expect(maps.body.items[0].kind).toBeUndefined();
    expect(maps.body.items[0].apiVersion).toBeUndefined();
    const widgets = await calls.get(calls.path('contract.serin.dev/v1', 'widgets'));
    expect(widgets.body).toMatchObject({ kind: 'WidgetList', apiVersion: 'contract.serin.dev/v1' });
    expect(widgets.body.items[0].kind).toBe('Widget');
    const empty = await calls.get(`${calls.path('contract.serin.dev/v1', 'widgets')}?labelSelector=no%3Done`);
    expect(empty.body.items).toEqual([]);
    expect(Number(empty.body.metadata.resourceVersion)).toBeGreaterThan(0);
    const everywhere = await calls.get('/apis/contract.serin.dev/v1/widgets');
    expect(namesOf(everywhere.body)).toContain(name);
    const nowhere = await calls.get('/apis/contract.serin.dev/v1/namespaces/nowhere/widgets');
    expect(nowhere.body.items).toEqual([]);
  });
}

function pageTests(use: () => Used): void {
  test('pages fit together although objects change between them', async () => {
    const { calls } = use();
    const group = freshName('page');
    const path = calls.path('v1', 'configmaps');
    for (let index = 0; index < 5; index += 1)
      ok(await calls.post(path, configMap(`${group}-${index}`, {}, { labels: { group } })), 201);
    const query = `labelSelector=group%3D${group}&limit=2`;
    const first = await calls.get(`${path}?${query}`);
    expect(namesOf(first.body)).toEqual([`${group}-0`, `${group}-1`]);
    ok(await calls.delete(`${path}/${group}-2`));
    ok(await calls.post(path, configMap(`${group}-9`, {}, { labels: { group } })), 201);
    const names = namesOf(first.body);
    let token: string = first.body.metadata.continue;
    let pages = 1;
    while (token) {
      const page = await calls.get(`${path}?${query}&continue=${encodeURIComponent(token)}`);
      expect(page.status).toBe(200);
      expect(page.body.metadata.resourceVersion).toBe(first.body.metadata.resourceVersion);
      names.push(...namesOf(page.body));
      token = page.body.metadata.continue ?? '';
      pages += 1;
    }
    expect(pages).toBe(3);
    expect(names).toEqual([0, 1, 2, 3, 4].map(index => `${group}-${index}`));
  });

  test('an unusable continue token is 400; a resourceVersion of the future is not answered', async () => {
    const { calls } = use();
    const path = calls.path('v1', 'configmaps');
    refused(await calls.get(`${path}?limit=2&continue=bm90aGluZw`), 400, 'BadRequest');
    const future = await calls.get(`${path}?resourceVersion=999999999`);
    expect(future.status).toBe(504);
    expect(future.body.message).toContain('Too large resource version');
  });
}
