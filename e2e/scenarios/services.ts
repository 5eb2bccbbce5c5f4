/** Services that follow: edits of `spec.service` and of the apex in the middle of a rollout, on the real API server, under users. */
import { request as httpRequest } from 'undici';
import { expect, test } from 'vitest';
import { createHelm } from '../harness/helm.ts';
import { waitFor } from '../harness/programs.ts';
import { adoptedShop, analysis, openShop, type Shop, type Stage } from './stage.ts';

/** Long enough that each edit is followed within the run, short enough for the run to end. */
const steady = { ...analysis, interval: '3s' };
const serviceWrites = (stage: Stage, namespace: string, name: string, since: number) =>
  stage.rig.plane
    .audit()
    .slice(since)
    .filter(one => one.resource === 'services' && one.namespace === namespace && one.name === name)
    .filter(one => !['get', 'list', 'watch'].includes(one.verb) && one.user === 'engine');

async function live({ rig }: Stage, namespace: string, name: string): Promise<any> {
  return (await rig.api.request('GET', `/api/v1/namespaces/${namespace}/services/${name}`)).body;
}

/** As `kubectl patch canary`. */
async function editSpec({ rig }: Stage, namespace: string, service: object): Promise<void> {
  const path = `/apis/serin.dev/v1beta1/namespaces/${namespace}/canaries/web`;
  const answer = await rig.api.request('PATCH', path, { spec: { service } });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
}

async function followed(stage: Stage, namespace: string, name: string, isThere: (one: any) => unknown) {
  return await waitFor(`${namespace}: ${name} follows`, async () => {
    const service = await live(stage, namespace, name);
    return isThere(service) ? service : undefined;
  });
}

/** The Service that answers on this port of the apex. */
async function backendOf({ rig }: Stage, namespace: string, port: number): Promise<string> {
  const { host, port: own } = rig.splitter;
  const headers = { host: `web.${namespace}:${port}` };
  const answer = await httpRequest(`http://${host}:${own}/`, { headers });
  await answer.body.dump();
  expect(answer.statusCode).toBe(200);
  return String(answer.headers['x-split-backend']);
}

/** Adopted without an apex: the engine makes it, and users come when there is something to call. */
async function shopWithoutApex(stage: Stage, namespace: string): Promise<Pick<Shop, 'traffic'>> {
  await stage.rig.shop(namespace);
  await stage.rig.declare(namespace, { analysis: steady });
  await stage.rig.phase(namespace, 'Initialized');
  await stage.rig.until('the apex serves', async () => {
    const url = `http://${stage.rig.splitter.host}:${stage.rig.splitter.port}/`;
    const answer = await httpRequest(url, { headers: { host: `web.${namespace}` } });
    await answer.body.dump();
    return answer.statusCode === 200;
  });
  return { traffic: stage.rig.traffic(namespace, 20) };
}

export function services(stage: () => Stage): void {
  test.concurrent('spec.service is edited mid-run: the apex and its arms follow, one write each, and no request fails', async () => {
    const namespace = 'servicespec';
    const { traffic } = await shopWithoutApex(stage(), namespace);
    await stage().rig.release(namespace, 'v2');
    await waitFor('the canary has traffic', () =>
      stage()
        .recorder.splits(namespace)
        .some(split => split.canaryWeight === 20),
    );
    const since = stage().rig.plane.audit().length;
    await editSpec(stage(), namespace, {
      portName: 'web',
      targetPort: 'http',
      primary: { labels: { team: 'blue' } },
    });
    const names = ['web-primary', 'web-canary', 'web'];
    for (const name of names) {
      const { spec } = await followed(stage(), namespace, name, one => one.spec.ports[0].name === 'web');
      expect(spec.ports).toMatchObject([{ port: 80, targetPort: 'http' }]);
    }
    expect((await live(stage(), namespace, 'web-primary')).metadata.labels).toMatchObject({ team: 'blue' });
    await waitFor(
      'the run ends',
      () => stage().recorder.canary(namespace).status.phase === 'Succeeded',
      60_000,
    );
    // What was written is found to be as asked, on the real server's defaults too.
    for (const name of names) expect(serviceWrites(stage(), namespace, name, since)).toHaveLength(1);
    const counts = await traffic.stop();
    expect({ failed: counts.failed, first: traffic.failures.slice(0, 3) }).toEqual({ failed: 0, first: [] });
    expect(counts.byVersion['v2']?.total).toBeGreaterThan(0);
  });

  test.concurrent('a chart adds a port to the apex mid-run: both arms get it, and its requests are split', async () => {
    const namespace = 'serviceport';
    const chart = createHelm({ kubeconfig: stage().adminKubeconfig, namespace, withService: true });
    // As charts do that were there before: their Service keeps the selector that the engine wrote.
    const flags = ['--server-side=false'];
    const shop = await openShop(stage(), namespace, () => chart.upgrade({ version: 'v1' }, flags));
    await stage().rig.declare(namespace, { analysis: steady });
    await shop.phase('Initialized');
    await shop.targetAt(0);
    const since = stage().rig.plane.audit().length;
    await shop.release('v2');
    await shop.atWeight(20);
    await chart.upgrade({ version: 'v2', extraPort: 81 }, flags);
    for (const name of ['web-primary', 'web-canary']) {
      const { spec } = await followed(stage(), namespace, name, one => one.spec.ports.length === 2);
      expect(spec.ports).toMatchObject([{ port: 80 }, { name: 'extra', port: 81, targetPort: 'http' }]);
    }
    await waitFor('the new port is split', async () => (await backendOf(stage(), namespace, 81)) !== 'web');
    await shop.phase('Succeeded');
    for (const name of ['web-primary', 'web-canary'])
      expect(serviceWrites(stage(), namespace, name, since)).toHaveLength(1);
    await chart.upgrade({ version: 'v2' }, flags);
    for (const name of ['web-primary', 'web-canary'])
      await followed(stage(), namespace, name, one => one.spec.ports.length === 1);
    chart.close();
    await shop.close();
  });

  test.concurrent('a Service that the API server refuses: said in its words, and a bad revision is rolled back all the same', async () => {
    const namespace = 'servicerefused';
    const shop = await adoptedShop(stage(), namespace, { analysis });
    await shop.release('v2', { errorPercent: 100 });
    await shop.atWeight(20);
    await editSpec(stage(), namespace, { primary: { labels: { team: 'not a label!' } } });
    const failed = await shop.phase('Failed');
    expect(failed.status.canaryWeight).toBe(0);
    const refused = await shop.until(
      'says why',
      status => status.conditions.find((one: any) => one.type === 'Accepted')?.status === 'False',
    );
    const accepted = refused.status.conditions.find((one: any) => one.type === 'Accepted');
    expect(accepted.reason).toBe('ServiceRefused');
    expect(accepted.message).toMatch(/Service "web-primary" is invalid: metadata\.labels: Invalid value/);
    await editSpec(stage(), namespace, { primary: { labels: { team: 'blue' } } });
    await followed(stage(), namespace, 'web-primary', one => one.metadata.labels.team === 'blue');
    await shop.until(
      'is accepted again',
      status => status.conditions.find((one: any) => one.type === 'Accepted')?.status === 'True',
    );
    await shop.close('v2');
  });
}
