/** A Canary that is deleted gives everything back, whatever it was doing, and never hangs. */
import { expect, test } from 'vitest';
import { waitFor } from '../harness/programs.ts';
import { adoptedShop, type Shop, type Stage } from './stage.ts';

const CANARIES = '/apis/serin.dev/v1beta1/namespaces';

async function deleteCanary({ rig }: Stage, { namespace }: Shop): Promise<void> {
  await rig.api.request('DELETE', `${CANARIES}/${namespace}/canaries/web`);
  await rig.until('the Canary is gone', async () => (await rig.canary(namespace)).code === 404);
}

/** All that the engine made is gone, the target runs by itself, and users still get their answers. */
async function expectGivenBack(stage: Stage, shop: Shop, version: string): Promise<void> {
  const { rig, recorder } = stage;
  const { namespace, traffic } = shop;
  const exists = async (path: string) => (await rig.api.request('GET', path)).status !== 404;
  await waitFor('what the engine made is gone', async () => {
    const split = `/apis/split.smi-spec.io/v1alpha2/namespaces/${namespace}/trafficsplits/web`;
    const services = ['web-primary', 'web-canary'].map(
      name => `/api/v1/namespaces/${namespace}/services/${name}`,
    );
    const left = await Promise.all([split, ...services].map(exists));
    return !left.includes(true) && recorder.deployment(namespace, 'web-primary') === undefined;
  });
  // A split that outlives the Services that it names sends users nowhere.
  const deleted = await waitFor('their deletions are seen', () => {
    const seen = recorder.deletions(namespace);
    return Object.keys(seen).length === 3 ? seen : undefined;
  });
  expect(deleted['trafficsplit/web']).toBeLessThan(deleted['service/web-canary'] ?? 0);
  expect(deleted['trafficsplit/web']).toBeLessThan(deleted['service/web-primary'] ?? 0);
  const { body } = await rig.api.request('GET', `/api/v1/namespaces/${namespace}/services/web`);
  expect(body.spec.selector).toEqual({ app: 'web' });
  expect(Object.keys(body.metadata.annotations ?? {})).toEqual([]);
  const target = recorder.deployment(namespace, 'web');
  expect(target.spec).toMatchObject({ replicas: 2 });
  expect(target.spec.paused ?? false).toBe(false);
  const before = traffic.counts().byVersion[version]?.total ?? 0;
  await waitFor(
    'the target answers users',
    () => (traffic.counts().byVersion[version]?.total ?? 0) >= before + 20,
  );
}

export function deletions(stage: () => Stage): void {
  test.concurrent('deleted between rollouts: the workload is given back', async () => {
    const shop = await adoptedShop(stage(), 'deletedidle');
    await deleteCanary(stage(), shop);
    await expectGivenBack(stage(), shop, 'v1');
    await shop.close();
  });

  test.concurrent('deleted mid-run: the workload is given back', async () => {
    const shop = await adoptedShop(stage(), 'deletedrun');
    await shop.release('v2');
    await shop.atWeight(20);
    await deleteCanary(stage(), shop);
    // The target's template is the user's word: nobody is there any more to judge it.
    await expectGivenBack(stage(), shop, 'v2');
    await shop.close();
  });

  test.concurrent('deleted with its namespace mid-run: nothing holds the namespace', async () => {
    const shop = await adoptedShop(stage(), 'deletedspace');
    await shop.release('v2');
    await shop.atWeight(20);
    // From here on failing is what the user asked for.
    await shop.close();
    await stage().rig.api.request('DELETE', '/api/v1/namespaces/deletedspace');
    await waitFor(
      'the namespace is gone',
      async () => {
        const { status } = await stage().rig.api.request('GET', '/api/v1/namespaces/deletedspace');
        return status === 404;
      },
      60_000,
    );
  });

  test.concurrent('whose target is gone: the primary serves on, and deletion gives the Service back', async () => {
    const shop = await adoptedShop(stage(), 'deletedtarget');
    const { rig } = stage();
    const deployments = '/apis/apps/v1/namespaces/deletedtarget/deployments';
    await rig.api.request('DELETE', `${deployments}/web`);
    await waitFor(
      'the target is gone',
      () => stage().recorder.deployment('deletedtarget', 'web') === undefined,
    );
    const before = shop.traffic.counts().total;
    await waitFor('users are served on', () => shop.traffic.counts().total >= before + 20);
    // With the Canary goes the primary: the last pods of this application.
    await shop.close();
    await deleteCanary(stage(), shop);
    const { body } = await rig.api.request('GET', '/api/v1/namespaces/deletedtarget/services/web');
    expect(body.spec.selector).toEqual({ app: 'web' });
  });
}
