/** Other tools that write what the engine writes: a GitOps loop that reverts it each second, and a real helm upgrade. */
import { expect, test } from 'vitest';
import { deployment, service } from '../../simulator/world/manifests.ts';
import { createHelm } from '../harness/helm.ts';
import { waitFor } from '../harness/programs.ts';
import { adoptedShop, analysis, openShop, ownWindows, type Shop, type Stage } from './stage.ts';

const LOOP_MS = 1_000;
const imageOf = (version: string) => `example.com/web:${version}`;

interface GitOps {
  /**
   * What Git says now; the loop applies it, and an object that is absent is left alone. `ignoresOwned`: as Argo CD with
   * RespectIgnoreDifferences it applies the live value of what the engine writes, and so stays an owner of it.
   */
  git: { deployment?: any; service?: any; ignoresOwned?: boolean };
  stop(): Promise<void>;
}

/** Server-side apply, forced, of all that Git says, each second: Argo CD with self-heal. */
function startGitOps({ rig }: Stage, namespace: string, git: GitOps['git']): GitOps {
  let isStopped = false;
  /** Under the version that was read: what has moved since is applied the next time. */
  const withLive = async (path: string, body: any, field: string): Promise<object> => {
    const { body: live } = await rig.api.request('GET', path);
    const { resourceVersion } = live.metadata;
    const spec = { ...body.spec, [field]: live.spec[field] };
    return { ...body, metadata: { ...body.metadata, resourceVersion }, spec };
  };
  const apply = async (path: string, body: object, field: string): Promise<void> => {
    const query = 'fieldManager=argocd-controller&force=true';
    const applied = git.ignoresOwned ? await withLive(path, body, field) : body;
    const answer = await rig.api.request(
      'PATCH',
      `${path}?${query}`,
      applied,
      'application/apply-patch+yaml',
    );
    if (git.ignoresOwned && answer.status === 409) return;
    if (answer.status >= 300) throw new Error(`GitOps: ${answer.status} ${JSON.stringify(answer.body)}`);
  };
  const loop = (async () => {
    while (!isStopped) {
      const base = `namespaces/${namespace}`;
      if (git.deployment) await apply(`/apis/apps/v1/${base}/deployments/web`, git.deployment, 'replicas');
      if (git.service) await apply(`/api/v1/${base}/services/web`, git.service, 'selector');
      await new Promise(resolve => setTimeout(resolve, LOOP_MS));
    }
  })();
  return {
    git,
    async stop() {
      isStopped = true;
      await loop;
    },
  };
}

const userService = (namespace: string): object => service({ namespace, name: 'web' });

/** With `replicas` as people write them, or without. */
function userDeployment(namespace: string, version: string, replicas?: number): any {
  const body = deployment({ namespace, name: 'web', version, ...(replicas ? { replicas } : {}) });
  if (!replicas) delete body.spec.replicas;
  return body;
}

const conditionOf = (status: any, type: string): any =>
  status.conditions?.find((condition: any) => condition.type === type);

/** The target serves as if there were no Canary: nothing was scaled, made or pointed elsewhere. */
async function expectUntouched({ rig, recorder }: Stage, { namespace }: Shop): Promise<void> {
  expect(recorder.deployment(namespace, 'web').spec.replicas).toBe(2);
  expect(recorder.deployment(namespace, 'web-primary')).toBeUndefined();
  const { body } = await rig.api.request('GET', `/api/v1/namespaces/${namespace}/services/web`);
  expect(body.spec.selector).toEqual({ app: 'web' });
}

async function refusedOwner(shop: Shop): Promise<string> {
  const waiting = await shop.until(
    'names the owner',
    status => conditionOf(status, 'Progressing')?.reason === 'FieldOwnedByOther',
  );
  return conditionOf(waiting.status, 'Progressing').message;
}

function gitOps(stage: () => Stage): void {
  test.concurrent('GitOps that sets replicas and selector: adoption waits, names the fix, and goes on with exactly that', async () => {
    const namespace = 'gitowns';
    const shop = await openShop(stage(), namespace);
    const loop = startGitOps(stage(), namespace, {
      deployment: userDeployment(namespace, 'v1', 2),
      service: userService(namespace),
    });
    await waitFor('Git owns the replicas', () =>
      stage()
        .recorder.deployment(namespace, 'web')
        .metadata.managedFields.some((entry: any) => entry.manager === 'argocd-controller'),
    );
    await stage().rig.declare(namespace, { analysis });
    const message = await refusedOwner(shop);
    expect(message).toMatch(/argocd-controller.*ignoreDifferences.*\/spec\/replicas/);
    await expectUntouched(stage(), shop);
    // What the message asks for. The loop goes on, and its name stays on both fields.
    loop.git.ignoresOwned = true;
    const [, key = '', value = ''] = /the annotation (\S+): (\S+) to the Canary/.exec(message) ?? [];
    const canary = `/apis/serin.dev/v1beta1/namespaces/${namespace}/canaries/web`;
    await stage().rig.api.request('PATCH', canary, { metadata: { annotations: { [key]: value } } });
    await shop.phase('Initialized');
    await shop.targetAt(0);
    await waitFor('Git owns the replicas that the engine wrote', () => {
      const { spec, metadata } = stage().recorder.deployment(namespace, 'web');
      const owner = metadata.managedFields.find((entry: any) => entry.manager === 'argocd-controller');
      return spec.replicas === 0 && owner?.fieldsV1['f:spec']['f:replicas'] !== undefined;
    });
    loop.git.deployment = userDeployment(namespace, 'v2', 2);
    const done = await shop.phase('Succeeded');
    expect(stage().recorder.primaryImages(namespace)).toEqual(['v1', 'v2'].map(imageOf));
    expect(conditionOf(done.status, 'Contested').status).toBe('False');
    expect(stage().recorder.deployment(namespace, 'web-primary').spec.replicas).toBe(2);
    await loop.stop();
    await shop.close();
  });

  test.concurrent('GitOps that begins mid-run to take the Service back: given up, contested, and nobody is harmed', async () => {
    const namespace = 'gitservice';
    const shop = await adoptedShop(stage(), namespace, { analysis: { ...analysis, interval: '10s' } });
    await shop.release('v2');
    await shop.atWeight(20);
    const loop = startGitOps(stage(), namespace, {
      deployment: userDeployment(namespace, 'v2', 2),
      service: userService(namespace),
    });
    const failed = await shop.until(
      'is contested',
      status => status.phase === 'Failed' && conditionOf(status, 'Contested')?.status === 'True',
    );
    expect(conditionOf(failed.status, 'Contested').message).toContain('Service spec.selector');
    // It stays so for as long as the loop goes on: what was not judged does not serve, and what serves is not touched.
    const before = shop.traffic.counts();
    await waitFor('users are served on', () => shop.traffic.counts().total >= before.total + 100);
    expect(shop.traffic.counts().byVersion['v2']?.total ?? 0).toBeLessThanOrEqual(
      (before.byVersion['v2']?.total ?? 0) + before.inFlight,
    );
    expect(stage().recorder.canary(namespace).status.phase).toBe('Failed');
    expect(stage().recorder.primaryImages(namespace)).toEqual([imageOf('v1')]);
    await loop.stop();
    await shop.close();
  });

  test.concurrent('GitOps that begins mid-run to set replicas: promoted, then contested, with the target left running', async () => {
    const namespace = 'gitreplicas';
    const shop = await adoptedShop(stage(), namespace);
    await shop.release('v2');
    await shop.atWeight(20);
    const loop = startGitOps(stage(), namespace, { deployment: userDeployment(namespace, 'v2', 2) });
    const done = await shop.until(
      'is contested',
      status => conditionOf(status, 'Contested')?.status === 'True',
    );
    expect(done.status.phase).toBe('Succeeded');
    expect(conditionOf(done.status, 'Contested').message).toContain('Deployment spec.replicas');
    expect(stage().recorder.primaryImages(namespace)).toEqual(['v1', 'v2'].map(imageOf));
    await shop.targetAt(2);
    await loop.stop();
    await shop.close();
  });
}

function helm(stage: () => Stage): void {
  const createFor = (namespace: string, withService = false) =>
    createHelm({ kubeconfig: stage().adminKubeconfig, namespace, withService });

  test.concurrent('a chart that sets replicas: adoption waits, names helm, and goes on without them, as large as before', async () => {
    const namespace = 'helmowns';
    const chart = createFor(namespace);
    const shop = await openShop(stage(), namespace, () => chart.upgrade({ version: 'v1', replicas: 2 }));
    await stage().rig.declare(namespace, { analysis });
    const message = await refusedOwner(shop);
    expect(message).toMatch(/^Manager helm .*omit replicas of Deployment web from the chart/);
    await expectUntouched(stage(), shop);
    // The hand-over of docs/gitops.md: without it the field would have no owner, and fall to 1.
    const handedOver = await stage().rig.api.request(
      'PATCH',
      `/apis/apps/v1/namespaces/${namespace}/deployments/web?fieldManager=serin`,
      { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' }, spec: { replicas: 2 } },
      'application/apply-patch+yaml',
    );
    expect(handedOver.status).toBe(200);
    await chart.upgrade({ version: 'v1' });
    await shop.phase('Initialized');
    await shop.targetAt(0);
    expect(stage().recorder.deployment(namespace, 'web-primary').spec.replicas).toBe(2);
    await chart.upgrade({ version: 'v2' });
    await shop.phase('Succeeded');
    expect(stage().recorder.primaryImages(namespace)).toEqual(['v1', 'v2'].map(imageOf));
    chart.close();
    await shop.close();
  });

  test.concurrent('helm upgrade to another image mid-run: it is judged from the start', async () => {
    const namespace = 'helmimage';
    const { shop, chart } = await installed(stage(), createFor(namespace), namespace);
    await chart.upgrade({ version: 'v2' });
    await shop.atWeight(50);
    await chart.upgrade({ version: 'v3', errorPercent: 100 });
    const failed = await shop.phase('Failed');
    expect(failed.status.history.map((past: any) => past.outcome)).toEqual(['Failed', 'Superseded']);
    const own = stage().recorder.splits(namespace);
    const weights = own.filter(split => split.run === failed.status.run.id).map(split => split.canaryWeight);
    expect(weights).toEqual([20, 0]);
    expect(stage().recorder.primaryImages(namespace)).toEqual([imageOf('v1')]);
    chart.close();
    await shop.close('v3');
  });

  test.concurrent('helm upgrade of labels alone mid-run: the run goes on; of replicas: helm is told who owns them', async () => {
    const namespace = 'helmlabels';
    const { shop, chart } = await installed(stage(), createFor(namespace), namespace);
    await chart.upgrade({ version: 'v2' });
    await shop.atWeight(20);
    const { run } = stage().recorder.canary(namespace).status;
    await chart.upgrade({ version: 'v2', team: 'blue' });
    expect(stage().recorder.deployment(namespace, 'web').metadata.labels.team).toBe('blue');
    await expect(chart.upgrade({ version: 'v2', team: 'blue', replicas: 3 })).rejects.toThrow(
      /conflict.*serin.*replicas/s,
    );
    const done = await shop.phase('Succeeded');
    expect(done.status.run.id).toBe(run.id);
    chart.close();
    await shop.close();
  });

  test.concurrent('helm upgrade that forces replicas mid-run: the primary gets them, and the run goes on', async () => {
    const namespace = 'helmforced';
    const { shop, chart } = await installed(stage(), createFor(namespace), namespace);
    await chart.upgrade({ version: 'v2' });
    await shop.atWeight(20);
    await chart.upgrade({ version: 'v2', replicas: 3 }, ['--force-conflicts']);
    await shop.phase('Succeeded');
    expect(stage().recorder.deployment(namespace, 'web-primary').spec).toMatchObject({ replicas: 3 });
    chart.close();
    await shop.close();
  });

  test.concurrent('helm without server-side apply, whose chart has replicas and the Service: every release is judged', async () => {
    const namespace = 'helmclient';
    const chart = createFor(namespace, true);
    const flags = ['--server-side=false'];
    const shop = await openShop(stage(), namespace, () =>
      chart.upgrade({ version: 'v1', replicas: 2 }, flags),
    );
    await stage().rig.declare(namespace, { analysis });
    await shop.phase('Initialized');
    await shop.targetAt(0);
    // It brings its replicas and its selector along, as it does every time.
    await chart.upgrade({ version: 'v2', replicas: 2 }, flags);
    await shop.phase('Succeeded');
    await chart.upgrade({ version: 'v3', replicas: 2, errorPercent: 100 }, flags);
    await shop.phase('Failed');
    expect(stage().recorder.primaryImages(namespace)).toEqual(['v1', 'v2'].map(imageOf));
    chart.close();
    await shop.close('v3');
  });
}

/** A shop whose Deployment helm has installed, without replicas, and that is adopted. */
async function installed(
  stage: Stage,
  chart: ReturnType<typeof createHelm>,
  namespace: string,
): Promise<{ shop: Shop; chart: ReturnType<typeof createHelm> }> {
  const shop = await openShop(stage, namespace, () => chart.upgrade({ version: 'v1' }));
  await stage.rig.declare(namespace, { analysis: ownWindows });
  await shop.phase('Initialized');
  await shop.targetAt(0);
  return { shop, chart };
}

export function otherWriters(stage: () => Stage): void {
  gitOps(stage);
  helm(stage);
}
