/** What users ship, and what must come of it: good, bad, slow, reverted, replaced, a primary that fails, a promotion by hand. */
import { expect, test } from 'vitest';
import { adoptedShop, analysis, duration, lastSaid, ownWindows, type Stage, successRate } from './stage.ts';

/** Weights that a run had, each once. */
function weightsOf(stage: Stage, namespace: string, revision: string): number[] {
  const splits = stage.recorder.splits(namespace).filter(split => split.run.startsWith(`${revision}.`));
  return [...new Set(splits.map(split => split.canaryWeight))].sort((a, b) => a - b);
}

const imageOf = (version: string) => `example.com/web:${version}`;

export function releases(stage: () => Stage): void {
  test.concurrent('good: promoted', async () => {
    const shop = await adoptedShop(stage(), 'good', {
      analysis: { ...analysis, metrics: [successRate, duration] },
    });
    await shop.release('v2');
    const { status } = await shop.phase('Succeeded');
    expect(status.lastPromotedSpec).toBe(status.lastAppliedSpec);
    expect(status.checks.map((check: any) => check.outcome)).toEqual(['pass', 'pass']);
    expect(stage().recorder.primaryImages('good')).toEqual(['v1', 'v2'].map(imageOf));
    expect(weightsOf(stage(), 'good', status.run.revision)).toEqual([0, 20, 50]);
    await shop.targetAt(0);
    const counts = await shop.close();
    expect(counts.byVersion['v2']?.total).toBeGreaterThan(0);
  });

  test.concurrent('bad: rolled back on its success rate, and the primary never changes', async () => {
    const shop = await adoptedShop(stage(), 'bad');
    await shop.release('v2', { errorPercent: 100 });
    const failed = await shop.phase('Failed');
    expect(lastSaid(failed)).toMatchObject({ reason: 'RolledBack' });
    expect(lastSaid(failed).message).toContain('request-success-rate');
    expect(failed.status.checks).toMatchObject([{ metric: 'request-success-rate', outcome: 'fail' }]);
    expect(stage().recorder.primaryImages('bad')).toEqual([imageOf('v1')]);
    await shop.targetAt(0);
    await shop.close('v2');
    expect(weightsOf(stage(), 'bad', failed.status.run.revision)).toEqual([0, 20]);
  });

  test.concurrent('bad, a minute before the next check: the guard does not wait for it', async () => {
    const minutes = { interval: '60s', threshold: 5, stepWeights: [20, 50], metrics: [successRate] };
    const shop = await adoptedShop(stage(), 'guarded', { analysis: minutes });
    // Pods take a while to start: by then their Prometheus knows them, and the guard has begun.
    await shop.release('v2', { errorPercent: 100, readyAfterMs: 4_000 });
    const failed = await shop.phase('Failed', 50_000);
    expect(failed.status).toMatchObject({
      failedChecks: 0,
      judge: { mode: 'threshold', verdict: 'rollback' },
    });
    expect(lastSaid(failed)).toMatchObject({ reason: 'RolledBack' });
    // All replicas weigh the same counts: what one of them has written, the others go on from.
    expect(failed.status.judge.comparisons[0].canary.failures).toBeGreaterThanOrEqual(10);
    await shop.close('v2');
  });

  test.concurrent('slow: rolled back on its latency', async () => {
    const shop = await adoptedShop(stage(), 'slow', { analysis: { ...analysis, metrics: [duration] } });
    await shop.release('v2', { latencyMs: 1_000 });
    const failed = await shop.phase('Failed');
    expect(lastSaid(failed).message).toContain('request-duration');
    expect(failed.status.checks).toMatchObject([{ metric: 'request-duration', outcome: 'fail' }]);
    expect(stage().recorder.primaryImages('slow')).toEqual([imageOf('v1')]);
    await shop.close();
  });

  test.concurrent('reverted mid-run: aborted at once', async () => {
    // The next check is a minute away: what ends the run is the revert alone.
    const shop = await adoptedShop(stage(), 'reverted', { analysis: { ...analysis, interval: '60s' } });
    await shop.release('v2');
    await shop.atWeight(20);
    await shop.release('v1');
    const failed = await shop.phase('Failed', 10_000);
    expect(lastSaid(failed)).toMatchObject({ reason: 'Reverted' });
    expect(stage().recorder.splits('reverted').at(-1)).toMatchObject({ canaryWeight: 0, end: 'aborted' });
    await shop.targetAt(0);
    await shop.close();
  });

  test.concurrent('replaced mid-run: the newer revision starts at zero, and is judged on its own', async () => {
    const shop = await adoptedShop(stage(), 'replaced', { analysis: ownWindows });
    await shop.release('v2');
    await shop.atWeight(50);
    await shop.release('v3', { errorPercent: 100 });
    const restarted = await shop.until(
      'starts again',
      status => status.history?.[0]?.outcome === 'Superseded',
    );
    const first = restarted.status.history[0].revision;
    const failed = await shop.phase('Failed');
    expect(failed.status.run.revision).not.toBe(first);
    expect(failed.status.history.map((past: any) => past.outcome)).toEqual(['Failed', 'Superseded']);
    // The weight of the old run never came to the new one, and no user met the new one before it had a step of its own.
    expect(weightsOf(stage(), 'replaced', failed.status.run.revision)).toEqual([0, 20]);
    expect(stage().recorder.primaryImages('replaced')).toEqual([imageOf('v1')]);
    await shop.close('v3');
  });

  // A window longer than the interval, as many people set it.
  const wide = { ...analysis, metrics: [{ ...successRate, interval: '30s' }] };

  test.concurrent('bad, after a good one mid-run: not judged by the answers of the one before', async () => {
    const shop = await adoptedShop(stage(), 'widegood', { analysis: wide });
    await shop.release('v2');
    await shop.atWeight(50);
    await shop.release('v3', { errorPercent: 100 });
    await shop.until('starts again', status => status.history?.[0]?.outcome === 'Superseded');
    const failed = await shop.phase('Failed');
    expect(weightsOf(stage(), 'widegood', failed.status.run.revision)).toEqual([0, 20]);
    await shop.close('v3');
  });

  test.concurrent('good, right after a bad one: not rolled back for the answers of the one before', async () => {
    const shop = await adoptedShop(stage(), 'widebad', { analysis: wide });
    await shop.release('v2', { errorPercent: 100 });
    await shop.phase('Failed');
    await shop.release('v3');
    const ended = await shop.until(
      'has ended',
      status => status.history?.length === 2 && ['Succeeded', 'Failed'].includes(status.phase),
    );
    expect(ended.status.phase).toBe('Succeeded');
    await shop.close('v2');
  });

  test.concurrent('whose primary does not come up: the last good revision serves on', async () => {
    const shop = await adoptedShop(stage(), 'deadprimary', { analysis, progressDeadlineSeconds: 6 });
    stage().rig.kubelet.setBehaviour(
      { namespace: 'deadprimary', version: 'v2', labels: { app: 'web-primary' } },
      { neverReady: true },
    );
    await shop.release('v2');
    const { status } = await shop.phase('Failed');
    expect(status.lastPromotedSpec).not.toBe(status.lastAppliedSpec);
    expect(stage().recorder.primaryImages('deadprimary')).toEqual(['v1', 'v2'].map(imageOf));
    expect(primaryNow(stage(), 'deadprimary')).toBe(imageOf('v1'));
    await shop.targetAt(0);
    await shop.close();
  });

  test.concurrent('whose primary comes up and fails: back to the last good revision', async () => {
    // The same pods behave as long as they are the canary: it is only as primary that they fail.
    const shop = await adoptedShop(stage(), 'badprimary', { analysis: { ...analysis, bake: '10s' } });
    stage().rig.kubelet.setBehaviour(
      { namespace: 'badprimary', version: 'v2', labels: { app: 'web-primary' } },
      { errorPercent: 100 },
    );
    await shop.release('v2');
    const failed = await shop.phase('Failed');
    const reasons: string[] = failed.status.transitions.map((one: any) => one.reason);
    expect(reasons.slice(reasons.indexOf('Baking'))).toEqual([
      'Baking',
      'Returned',
      'GoingBack',
      'RolledBack',
    ]);
    expect(failed.status.lastPromotedSpec).not.toBe(failed.status.lastAppliedSpec);
    expect(primaryNow(stage(), 'badprimary')).toBe(imageOf('v1'));
    await shop.targetAt(0);
    await shop.close('v2');
  });

  test.concurrent('promoted by hand, by REST, with the token of a ServiceAccount', async () => {
    // By itself it would stay at 20 % for a minute.
    const shop = await adoptedShop(stage(), 'byhand', {
      analysis: { ...analysis, interval: '60s', bake: '2s' },
    });
    const token = await releaserToken(stage(), 'byhand');
    await shop.release('v2');
    await shop.atWeight(20);
    const url = `${stage().engines.at(-1)?.url}/api/v1/namespaces/byhand/canaries/web/promote`;
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ reason: 'tested by hand' }),
    });
    expect(answer.status).toBe(202);
    const promoting = await shop.until('is promoted', status =>
      status.transitions?.some((one: any) => one.reason === 'Promoting'),
    );
    const { message } = promoting.status.transitions.find((one: any) => one.reason === 'Promoting');
    expect(message).toContain('system:serviceaccount:byhand:releaser');
    expect(message).toContain('tested by hand');
    await shop.phase('Succeeded');
    expect(primaryNow(stage(), 'byhand')).toBe(imageOf('v2'));
    await shop.close();
  });
}

function primaryNow(stage: Stage, namespace: string): string {
  return stage.recorder.deployment(namespace, 'web-primary').spec.template.spec.containers[0].image;
}

/** Of a ServiceAccount that may promote and nothing else. */
async function releaserToken({ rig }: Stage, namespace: string): Promise<string> {
  const name = 'releaser';
  await rig.plane.applyYaml(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: ${name}, namespace: ${namespace}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: ${name}, namespace: ${namespace}}
rules: [{apiGroups: [serin.dev], resources: [canaries/promote], verbs: [update]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: ${name}, namespace: ${namespace}}
subjects: [{kind: ServiceAccount, name: ${name}, namespace: ${namespace}}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: ${name}}
`);
  return await rig.plane.serviceAccountToken(namespace, name);
}
