/** Which caches count as stale, where each namespace has a watch of its own. */
import { expect, test } from 'vitest';
import { createVirtualClock } from '../../simulator/clock.ts';
import { createApiClient } from '../kubernetes/client.ts';
import * as resources from '../kubernetes/resources.ts';
import { createScriptedTransport, failure, json } from '../kubernetes/scriptedTransport.ts';
import { createStoreSet } from '../kubernetes/storeSet.ts';
import { staleCaches } from './observe.ts';

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
