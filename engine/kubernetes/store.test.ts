import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createVirtualClock } from '../../simulator/clock.ts';
import { createApiClient } from './client.ts';
import { deployments, namespaces } from './resources.ts';
import { createScriptedTransport, createStream, deployment, listOf } from './scriptedTransport.ts';
import { createStore, type StoreOptions } from './store.ts';
import { createStoreSet } from './storeSet.ts';
import type { KubernetesObject } from './types.ts';
import { compareVersions } from './versions.ts';

async function setUp(initial: KubernetesObject[], options: Partial<StoreOptions> = {}, listVersion = 100) {
  const clock = createVirtualClock(1_000);
  let stream = createStream();
  let nextList = listOf(listVersion, initial);
  const { transport, requests } = createScriptedTransport(request => {
    if (!request.stream) return nextList;
    stream = createStream();
    return stream.response;
  });
  const store = createStore(createApiClient(transport, { clock }), deployments, {
    clock,
    random: () => 0,
    ...options,
  });
  const changes: string[] = [];
  store.onChange((object, deleted) =>
    changes.push(`${deleted ? '-' : '+'}${object.metadata.uid}@${object.metadata.resourceVersion}`),
  );
  store.start();
  await clock.advance(0);
  changes.length = 0;
  return {
    clock,
    store,
    changes,
    requests,
    send: async (type: string, object: KubernetesObject) => {
      stream.send(type, object);
      await clock.advance(0);
    },
    relist: async (version: number, items: KubernetesObject[]) => {
      nextList = listOf(version, items);
      stream.send('ERROR', { kind: 'Status', code: 410 });
      await clock.advance(0);
    },
  };
}

const replicas = (object: KubernetesObject | undefined) => object?.spec?.replicas;
const web = (version: number, extra = {}) =>
  deployment('web', version, { spec: { replicas: version }, ...extra });

test('reads: by name, all, by namespace; synced and live after the list', async () => {
  const { clock, store } = await setUp([web(5), deployment('web', 6, { namespace: 'other', uid: 'o' })]);
  expect(store.synced()).toBe(true);
  expect(store.liveAt()).toBe(clock.now());
  expect(replicas(store.get('shop', 'web'))).toBe(5);
  expect(store.all()).toHaveLength(2);
  expect(store.all('other').map(object => object.metadata.uid)).toEqual(['o']);
  expect(store.all('nowhere')).toEqual([]);
  await store.stop();
});

test('find: by the index within a namespace, following what events, answers and lists change', async () => {
  const labelled = (name: string, version: number, app: string, namespace = 'shop') =>
    deployment(name, version, { uid: `${namespace}-${name}`, namespace, spec: { app } });
  const { store, send, relist } = await setUp(
    [labelled('one', 5, 'cart'), labelled('two', 6, 'cart'), labelled('one', 7, 'cart', 'other')],
    { indexBy: object => object.spec?.app },
  );
  const found = (app: string) => store.find('shop', app).map(object => object.metadata.name);
  expect(found('cart')).toEqual(['one', 'two']);
  expect(store.find('other', 'cart')).toHaveLength(1);
  expect(found('nothing')).toEqual([]);
  await send('MODIFIED', labelled('one', 110, 'till'));
  expect([found('cart'), found('till')]).toEqual([['two'], ['one']]);
  store.absorb(labelled('two', 120, 'till'));
  expect([found('cart'), found('till')]).toEqual([[], ['one', 'two']]);
  await send('DELETED', labelled('one', 130, 'till'));
  expect(found('till')).toEqual(['two']);
  await relist(200, [labelled('three', 190, 'till')]);
  expect(found('till')).toEqual(['three']);
  store.forget('shop', 'three');
  expect(found('till')).toEqual([]);
  await store.stop();
});

test('an absorbed answer counts at once, calls no handler, and an older event never overwrites it', async () => {
  const { store, changes, send } = await setUp([web(5)]);
  store.absorb(web(120));
  expect(replicas(store.get('shop', 'web'))).toBe(120);
  expect(changes).toEqual([]);
  await send('MODIFIED', web(110));
  expect(replicas(store.get('shop', 'web'))).toBe(120);
  // The change of another that lies before our write still wakes, with the newest object.
  expect(changes).toEqual(['+uid-web@120']);
  store.absorb(web(90));
  expect(replicas(store.get('shop', 'web'))).toBe(120);
  await store.stop();
});

test('versions are compared as integers: 1000 is newer than 999', async () => {
  const { store } = await setUp([web(999)], {}, 999);
  store.absorb(web(1_000));
  expect(replicas(store.get('shop', 'web'))).toBe(1_000);
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 1n << 70n }), fc.bigInt({ min: 0n, max: 1n << 70n }), (a, b) => {
      expect(Math.sign(compareVersions(String(a), String(b)))).toBe(a < b ? -1 : a > b ? 1 : 0);
    }),
  );
  await store.stop();
});

test('an own status write wakes nobody when its event comes; the status write of another does', async () => {
  const { store, changes, send } = await setUp([web(5)], { statusIsOurs: true });
  store.absorb(web(110, { status: { phase: 'a' } }));
  store.absorb(web(111, { status: { phase: 'b' } }));
  await send('MODIFIED', web(110, { status: { phase: 'a' } }));
  await send('MODIFIED', web(111, { status: { phase: 'b' } }));
  expect(changes).toEqual([]);
  expect(store.get('shop', 'web')!.status.phase).toBe('b');
  await send('MODIFIED', web(112, { status: { phase: 'c' } }));
  expect(changes).toEqual(['+uid-web@112']);
  await store.stop();
});

test('an absorbed version that holds a change of another still wakes', async () => {
  const { store, changes, send } = await setUp([web(5)], { statusIsOurs: true });
  // An apply that changed nothing answers with the version that a user's edit made.
  store.absorb(web(110, { generation: 2 }));
  await send('MODIFIED', web(110, { generation: 2 }));
  expect(changes).toEqual(['+uid-web@110']);
  const plain = await setUp([web(5)]);
  plain.store.absorb(web(110, { status: { readyReplicas: 0 } }));
  await plain.send('MODIFIED', web(110, { status: { readyReplicas: 0 } }));
  expect(plain.changes).toEqual(['+uid-web@110']);
  await store.stop();
  await plain.store.stop();
});

test('an object that was deleted and made again is another object', async () => {
  const { store, changes, send } = await setUp([web(5)]);
  await send('DELETED', web(110));
  expect(store.get('shop', 'web')).toBeUndefined();
  // The late answer of a write to the old object.
  store.absorb(web(109));
  store.absorb(web(111));
  expect(store.get('shop', 'web')).toBeUndefined();
  await send('ADDED', web(120, { uid: 'second' }));
  store.absorb(web(115));
  expect(store.get('shop', 'web')!.metadata.uid).toBe('second');
  expect(changes).toEqual(['-uid-web@110', '+second@120']);
  await store.stop();
});

test('what an own write made anew is not removed by the late event of its predecessor', async () => {
  const { store, changes, send } = await setUp([web(5)]);
  store.absorb(web(120, { uid: 'second' }));
  await send('DELETED', web(110));
  expect(store.get('shop', 'web')!.metadata.uid).toBe('second');
  await send('ADDED', web(120, { uid: 'second' }));
  expect(changes).toEqual(['+second@120', '+second@120']);
  await store.stop();
});

test('a forgotten object does not come back by an old event; one that lives on does by a new one', async () => {
  const { store, changes, send } = await setUp([web(105)]);
  store.forget('shop', 'web');
  await send('MODIFIED', web(104));
  expect(store.get('shop', 'web')).toBeUndefined();
  await send('DELETED', web(110));
  expect(changes).toEqual([]);
  const held = await setUp([web(105)]);
  held.store.forget('shop', 'web');
  await held.send('MODIFIED', web(111));
  held.store.absorb(web(112));
  expect(replicas(held.store.get('shop', 'web'))).toBe(112);
  await store.stop();
  await held.store.stop();
});

test('a relist keeps what an own write created after its snapshot, and drops what is gone', async () => {
  const { store, changes, relist } = await setUp([web(5), deployment('old', 6)]);
  store.absorb(deployment('made', 210));
  store.absorb(web(190));
  await relist(200, [web(180)]);
  expect(store.all().map(object => `${object.metadata.name}@${object.metadata.resourceVersion}`)).toEqual([
    'web@190',
    'made@210',
  ]);
  expect(changes).toEqual(['+uid-web@190', '-uid-old@6']);
  await store.stop();
});

test('an own version in a relist still wakes: it may hide a change of another before it', async () => {
  const { store, changes, relist } = await setUp([web(5)], { statusIsOurs: true });
  store.absorb(web(110, { status: { phase: 'a' } }));
  await relist(200, [web(110, { status: { phase: 'a' } })]);
  expect(changes).toEqual(['+uid-web@110']);
  await store.stop();
});

test('a late event of the predecessor does not replace what an own write made anew', async () => {
  const { store, changes, send } = await setUp([web(5)]);
  store.absorb(web(120, { uid: 'second' }));
  await send('MODIFIED', web(110));
  expect(store.get('shop', 'web')!.metadata.uid).toBe('second');
  expect(changes).toEqual([]);
  await store.stop();
});

test('a relist that shows another object under the same name delivers both changes', async () => {
  const { store, changes, relist } = await setUp([web(5)]);
  await relist(200, [web(150, { uid: 'second' })]);
  expect(changes).toEqual(['-uid-web@5', '+second@150']);
  await store.stop();
});

test('transform decides what is kept, for lists, events and answers; one that throws is reported', async () => {
  const errors: unknown[] = [];
  const { store, send } = await setUp([{ ...web(5), data: 'dropped' }], {
    onError: error => errors.push(error),
    transform({ data: _data, ...rest }) {
      if (rest.metadata.name === 'odd') throw new Error('odd');
      return rest as KubernetesObject;
    },
  });
  expect(store.get('shop', 'web')!.data).toBeUndefined();
  await send('MODIFIED', { ...web(110), data: 'dropped' });
  expect(store.get('shop', 'web')!.data).toBeUndefined();
  store.absorb({ ...web(111), data: 'dropped' });
  expect(store.get('shop', 'web')!.data).toBeUndefined();
  await send('ADDED', { ...deployment('odd', 112), data: 'kept' });
  expect(store.get('shop', 'odd')!.data).toBe('kept');
  expect(errors).toHaveLength(1);
  await store.stop();
});

test('the answer of a subresource of another kind cannot be absorbed', async () => {
  const { store } = await setUp([web(5)]);
  expect(() => store.absorb({ ...web(110), kind: 'Scale' })).toThrow(/cannot absorb a Scale/);
  await store.stop();
});

test('a store of one namespace asks for that namespace, with its selector, and takes no other', async () => {
  const { store, requests } = await setUp([web(5)], { namespace: 'shop', labelSelector: 'app=web' });
  store.absorb(deployment('web', 150, { namespace: 'other', uid: 'o' }));
  expect(store.all()).toHaveLength(1);
  expect(requests.map(request => request.path.split('?')[0])).toEqual([
    '/apis/apps/v1/namespaces/shop/deployments',
    '/apis/apps/v1/namespaces/shop/deployments',
  ]);
  expect(requests.every(request => request.path.includes('labelSelector=app%3Dweb'))).toBe(true);
  await store.stop();
});

test('cluster-scoped objects are found whatever namespace is given', async () => {
  const clock = createVirtualClock(0);
  const item = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'shop', uid: 'n', resourceVersion: '1' },
  };
  const { transport } = createScriptedTransport(request =>
    request.stream ? createStream().response : listOf(2, [item]),
  );
  const store = createStore(createApiClient(transport, { clock }), namespaces, { clock, random: () => 0 });
  store.start();
  await clock.advance(0);
  expect(store.get(undefined, 'shop')).toEqual(item);
  expect(store.get('shop', 'shop')).toEqual(item);
  await store.stop();
});

/**
 * Whatever order answers of own writes and events come in, the store never goes back to an older version, and when all
 * events have come it holds the last version.
 */
test('property: absorbed answers and events in any interleaving end at the newest version', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }),
      fc.infiniteStream(fc.boolean()),
      async (own, coin) => {
        const { store, send } = await setUp([web(5)], { statusIsOurs: true });
        const versions = own.map((isOwn, index) => ({ isOwn, version: 101 + index }));
        const answers = versions.filter(({ isOwn }) => isOwn).map(({ version }) => version);
        const events = versions.map(({ version }) => version);
        let highest = 5;
        while (answers.length + events.length > 0) {
          const takeAnswer = events.length === 0 || (answers.length > 0 && coin.next().value);
          if (takeAnswer) store.absorb(web(answers.shift()!));
          else await send('MODIFIED', web(events.shift()!));
          const now = replicas(store.get('shop', 'web'));
          expect(now).toBeGreaterThanOrEqual(highest);
          highest = now;
        }
        expect(highest).toBe(100 + own.length);
        await store.stop();
      },
    ),
    { numRuns: 50 },
  );
});

test('a set follows and unfollows namespaces, and is synced and live per namespace', async () => {
  const clock = createVirtualClock(1_000);
  let isBlocked = false;
  const { transport, openStreams } = createScriptedTransport(request => {
    const namespace = /namespaces\/([^/]+)/.exec(request.path)![1]!;
    if (request.stream) return createStream().response;
    if (isBlocked) return 'hang';
    return listOf(100, [deployment('web', 5, { namespace, uid: namespace })]);
  });
  const changes: string[] = [];
  const set = createStoreSet(createApiClient(transport, { clock }), deployments, { clock, random: () => 0 });
  set.onChange((object, deleted) => changes.push(`${deleted ? '-' : '+'}${object.metadata.uid}`));
  expect([set.synced(), set.liveAt()]).toEqual([true, 1_000]);
  set.follow('a');
  set.follow('a');
  set.follow('b');
  expect(set.synced()).toBe(false);
  await clock.advance(10);
  expect(set.synced()).toBe(true);
  expect(set.all().map(object => object.metadata.uid)).toEqual(['a', 'b']);
  expect(set.all('b')).toHaveLength(1);
  expect(changes).toEqual(['+a', '+b']);
  isBlocked = true;
  set.follow('c');
  await clock.advance(10);
  expect([set.synced(), set.synced('a'), set.synced('c')]).toEqual([false, true, false]);
  expect([set.liveAt('a'), set.liveAt('c'), set.liveAt()]).toEqual([1_000, 0, 0]);
  set.absorb(deployment('web', 150, { namespace: 'a', uid: 'a' }));
  set.absorb(deployment('web', 150, { namespace: 'z', uid: 'z' }));
  expect(set.get('a', 'web')!.metadata.resourceVersion).toBe('150');
  expect(set.get('z', 'web')).toBeUndefined();
  await set.unfollow('c');
  await set.unfollow('a');
  expect(set.namespaces()).toEqual(['b']);
  expect(set.get('a', 'web')).toBeUndefined();
  expect(set.state('b')).toEqual({ phase: 'watching' });
  expect(openStreams()).toBe(1);
  await set.stop();
  expect(openStreams()).toBe(0);
  expect(clock.pending()).toBe(0);
});
