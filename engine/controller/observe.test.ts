/** Which caches count as stale, where each namespace has a watch of its own; which command waits for an answer. */
import { expect, test } from 'vitest';
import { createVirtualClock } from '../../simulator/clock.ts';
import { createApiClient } from '../kubernetes/client.ts';
import * as resources from '../kubernetes/resources.ts';
import { createScriptedTransport, failure, json } from '../kubernetes/scriptedTransport.ts';
import { createStoreSet } from '../kubernetes/storeSet.ts';
import { commandOf, staleCaches } from './observe.ts';

test('a namespace that may no longer be watched does not hold the canaries of another', async () => {
  const clock = createVirtualClock(1_000_000);
  const { transport } = createScriptedTransport(request => {
    if (request.path.includes('/namespaces/gone/')) return failure(403, 'Forbidden');
    return request.path.includes('watch=1')
      ? 'hang'
      : json(200, { metadata: { resourceVersion: '1' }, items: [] });
  });
  const client = createApiClient(transport, { clock });
  const set = createStoreSet(client, resources.deployments, { clock, random: () => 0.5 });
  for (const namespace of ['shop', 'gone']) set.follow(namespace);
  await clock.advance(1_000);
  const stores = { canaries: set, deployments: set, replicaSets: set, endpointSlices: set, routes: set };
  const world = { clock, stores: stores as any };
  expect(staleCaches(world, 'shop')).toEqual([]);
  expect(staleCaches(world, 'gone')).toContain('deployments');
  await set.stop();
});

test('a command annotation is answered once, also one that cannot be read', () => {
  const annotations = (text: string) => ({ 'serin.dev/command': text });
  expect(commandOf({}, {})).toEqual({ command: undefined });
  const good = annotations('pause r2 c1 wait for me');
  expect(commandOf(good, {}).command).toMatchObject({ verb: 'pause', id: 'c1' });
  expect(commandOf(good, { handledCommand: 'c1' }).command).toBeUndefined();
  const unread = commandOf(annotations('abrt x y'), {}).unreadCommand;
  expect(unread?.message).toContain('"abrt" is not one of promote');
  expect(commandOf(annotations('abrt x y'), { handledCommand: unread!.id }).unreadCommand).toBeUndefined();
  expect(commandOf(annotations('abrt x z'), { handledCommand: unread!.id }).unreadCommand).toBeDefined();
});
