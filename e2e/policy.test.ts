/**
 * Commands by `kubectl annotate` and by REST under the admission policy of the chart: who has the right to a verb gives it
 * under their own name, nobody else does, and the engine's own ServiceAccount writes what REST has reviewed. Once for each
 * scheduler, with users who are counted.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { service } from '../simulator/world/manifests.ts';
import type { Traffic } from '../simulator/world/traffic.ts';
import * as chart from './harness/chart.ts';
import { type RealRedis, startRedis } from './harness/redis.ts';
import { type Rig, startRig } from './harness/rig.ts';

const SHOP = 'gated';
const RELEASER = 'kubectl-user';
const EDITOR = 'user';

let rig: Rig;
let engine: chart.PodEngine;
let redis: RealRedis | undefined;
let traffic: Traffic;

/** May edit Canaries, and give the commands that are named. */
function roleOf(name: string, subject: object, verbs: string[]): string {
  const canaries = {
    apiGroups: ['serin.dev'],
    resources: ['canaries'],
    verbs: ['get', 'create', 'patch', 'update'],
  };
  const commands = {
    apiGroups: ['serin.dev'],
    resources: verbs.map(verb => `canaries/${verb}`),
    verbs: ['update'],
  };
  const metadata = { name, namespace: SHOP };
  const role = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata,
    rules: verbs.length ? [canaries, commands] : [canaries],
  };
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name };
  const binding = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata,
    subjects: [subject],
    roleRef,
  };
  return `${JSON.stringify(role)}\n---\n${JSON.stringify(binding)}`;
}

const user = (name: string) => ({ kind: 'User', name, apiGroup: 'rbac.authorization.k8s.io' });

function annotateOf(canary: string, by: string, changes: string[], ...more: string[]): Promise<chart.Said> {
  const args = ['annotate', 'canary', canary, '-n', SHOP, '--overwrite', ...more];
  return chart.kubectl(rig.plane, by, [...args, ...changes.map(change => `serin.dev/${change}`)]);
}

function annotate(by: string, annotations: Record<string, string>, ...more: string[]): Promise<chart.Said> {
  const changes = Object.entries(annotations).map(([name, value]) => `${name}=${value}`);
  return annotateOf('web', by, changes, ...more);
}

const status = async () => (await rig.canary(SHOP)).status;
let revision: string | undefined;

/** Until its canary has traffic. */
async function release(version: string): Promise<void> {
  await rig.release(SHOP, version);
  await rig.until(`${version} has traffic`, async () => {
    const now = await status();
    const isNew = now.run !== undefined && now.run.revision !== revision && now.canaryWeight === 10;
    if (isNew) revision = now.run.revision;
    return isNew;
  });
}

describe.each(['in-process', 'BullMQ'])('with the scheduler %s', scheduler => {
  beforeAll(async () => {
    revision = undefined;
    rig = await startRig();
    await chart.install(rig.plane, { replicas: 1, extraArgs: ['--drain-seconds=1'] });
    redis = scheduler === 'BullMQ' ? await startRedis() : undefined;
    engine = await chart.startInPod(rig.plane, redis ? [`--redis-url=${redis.url}`] : []);
    await rig.shop(SHOP);
    const ofUser = service({ namespace: SHOP, name: 'web' });
    await rig.api.request('POST', `/api/v1/namespaces/${SHOP}/services`, ofUser);
    await rig.until('the Service serves', async () => {
      const slices = `/apis/discovery.k8s.io/v1/namespaces/${SHOP}/endpointslices`;
      const { body } = await rig.api.request('GET', slices);
      return body.items.some((slice: any) => slice.endpoints?.length === 2);
    });
    traffic = rig.traffic(SHOP, 20);
    await rig.plane.applyYaml(roleOf(RELEASER, user(RELEASER), ['promote', 'resume']));
    await rig.plane.applyYaml(roleOf(EDITOR, user(EDITOR), []));
    await rig.declare(SHOP, { analysis: { interval: '60s', bake: '2s', stepWeight: 10, threshold: 5 } });
    await rig.phase(SHOP, 'Initialized');
    await release('v2');
    const probe = { command: 'promote r id', 'command-by': EDITOR };
    await rig.until(
      'the policy is in force',
      async () => !(await annotate(EDITOR, probe, '--dry-run=server')).ok,
    );
  });
  afterAll(async () => {
    await engine?.stop('SIGTERM');
    await redis?.stop();
    await rig?.stop();
  });

  test.each<[string, string, () => Record<string, string>, string]>([
    [
      'without the right',
      EDITOR,
      () => ({ command: `promote ${revision} one`, 'command-by': EDITOR }),
      `user may not promote canaries in ${SHOP}`,
    ],
    [
      'with the right to another verb',
      RELEASER,
      () => ({ command: `abort ${revision} two`, 'command-by': RELEASER }),
      `kubectl-user may not abort canaries in ${SHOP}`,
    ],
    [
      'under another name',
      RELEASER,
      () => ({ command: `promote ${revision} three`, 'command-by': 'somebody' }),
      'serin.dev/command-by must be the user who writes it',
    ],
    [
      'under no name',
      RELEASER,
      () => ({ command: `promote ${revision} four` }),
      'serin.dev/command-by must be the user who writes it',
    ],
    [
      'without an id',
      RELEASER,
      () => ({ command: `promote ${revision}`, 'command-by': RELEASER }),
      'must read: <verb> <revision> <id> [reason]',
    ],
    [
      'behind a space, that may update canaries but not abort them',
      EDITOR,
      () => ({ command: ` abort ${revision} six`, 'command-by': EDITOR }),
      'must read: <verb> <revision> <id> [reason]',
    ],
  ])('a command %s is refused by the API server', async (_name, by, annotations, sentence) => {
    const said = await annotate(by, annotations());
    expect(said).toMatchObject({ ok: false, text: expect.stringContaining(sentence) });
    expect((await rig.canary(SHOP)).metadata.annotations?.['serin.dev/command']).toBeUndefined();
  });

  test('a Canary that is created with a command is judged as one that is annotated', async () => {
    const object = {
      apiVersion: 'serin.dev/v1beta1',
      kind: 'Canary',
      metadata: {
        name: 'born',
        namespace: SHOP,
        annotations: { 'serin.dev/command': 'skip r id', 'serin.dev/command-by': EDITOR },
      },
      spec: {
        targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'none' },
        service: { port: 80 },
        analysis: { stepWeight: 10 },
      },
    };
    const said = await chart.kubectl(
      rig.plane,
      EDITOR,
      ['create', '--dry-run=server', '-f', '-'],
      JSON.stringify(object),
    );
    expect(said).toMatchObject({ ok: false, text: expect.stringContaining('user may not skip canaries') });
  });

  test('other annotations are nobody’s business', async () => {
    expect(await annotate(EDITOR, { note: 'mine' })).toMatchObject({ ok: true });
  });

  test('with the right and under their own name it promotes, and tells who and why', async () => {
    const command = `promote ${revision} five looks good to me`;
    expect(await annotate(RELEASER, { command, 'command-by': RELEASER })).toMatchObject({ ok: true });
    const done = await rig.phase(SHOP, 'Succeeded');
    const promoting = done.status.transitions.find((one: any) => one.reason === 'Promoting');
    expect(promoting.message).toContain(RELEASER);
    expect(promoting.message).toContain('looks good to me');
    expect(done.status.handledCommand).toBe('five');
  });

  test('the name cannot be changed afterwards by somebody without the right', async () => {
    const said = await annotate(EDITOR, { 'command-by': EDITOR });
    expect(said).toMatchObject({ ok: false, text: expect.stringContaining('user may not promote') });
  });

  test('a command that was answered is a note, which anybody may remove who may edit', async () => {
    expect(await annotateOf('web', EDITOR, ['command-', 'command-by-'])).toMatchObject({ ok: true });
    expect((await rig.canary(SHOP)).metadata.annotations?.['serin.dev/command']).toBeUndefined();
  });

  describe('a command that nobody has looked at yet', () => {
    const PARKED = 'parked';
    const pending = ['command=promote r one', `command-by=${RELEASER}`];
    const kept = async () => {
      const path = `/apis/serin.dev/v1beta1/namespaces/${SHOP}/canaries/${PARKED}`;
      return (await rig.api.request('GET', path)).body.metadata.annotations?.['serin.dev/command'];
    };
    const refused = {
      ok: false,
      text: expect.stringContaining(
        `user may not promote canaries in ${SHOP}, and so may not take that command`,
      ),
    };
    const manifest = {
      apiVersion: 'serin.dev/v1beta1',
      kind: 'Canary',
      metadata: { name: PARKED, namespace: SHOP },
      // Refused, and so it is never looked at for commands.
      spec: {
        provider: 'istio',
        targetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'none' },
        service: { port: 80 },
        analysis: { stepWeight: 10 },
      },
    };
    const replace = (by: string) =>
      chart.kubectl(rig.plane, by, ['replace', '-f', '-'], JSON.stringify(manifest));

    beforeAll(async () => {
      await rig.api.request('POST', `/apis/serin.dev/v1beta1/namespaces/${SHOP}/canaries`, manifest);
      expect(await annotateOf(PARKED, RELEASER, pending)).toMatchObject({ ok: true });
    });

    test('is not removed by somebody who may edit but not give it', async () => {
      expect(await annotateOf(PARKED, EDITOR, ['command-'])).toMatchObject(refused);
      expect(await annotateOf(PARKED, EDITOR, ['command-', 'command-by-'])).toMatchObject(refused);
      expect(await annotateOf(PARKED, EDITOR, ['command='])).toMatchObject(refused);
      expect(await replace(EDITOR)).toMatchObject(refused);
      expect(await kept()).toBe('promote r one');
    });

    test('is not replaced by a command to which somebody else has the right', async () => {
      await rig.plane.applyYaml(roleOf(EDITOR, user(EDITOR), ['pause']));
      const pause = ['command=pause r two', `command-by=${EDITOR}`];
      await rig.until(
        'the right to pause counts',
        async () => (await annotateOf('web', EDITOR, pause, '--dry-run=server')).ok,
      );
      expect(await annotateOf(PARKED, EDITOR, pause)).toMatchObject(refused);
      expect(await kept()).toBe('promote r one');
      await rig.plane.applyYaml(roleOf(EDITOR, user(EDITOR), []));
    });

    test('hinders no other edit', async () => {
      expect(await annotateOf(PARKED, EDITOR, ['note=mine'])).toMatchObject({ ok: true });
    });

    test('is taken back by who may give it', async () => {
      expect(await annotateOf(PARKED, RELEASER, ['command-', 'command-by-'])).toMatchObject({ ok: true });
      expect(await kept()).toBeUndefined();
      expect(await replace(EDITOR)).toMatchObject({ ok: true });
    });
  });

  test('REST carries a reviewed command in under the name of its user, though the engine itself may not promote', async () => {
    await rig.plane.applyYaml(
      `{apiVersion: v1, kind: ServiceAccount, metadata: {name: pipeline, namespace: ${SHOP}}}`,
    );
    await rig.plane.applyYaml(
      roleOf('pipeline', { kind: 'ServiceAccount', name: 'pipeline', namespace: SHOP }, ['promote']),
    );
    const can = ['auth', 'can-i', 'update', 'canaries/promote', '-n', SHOP, '--as', chart.ENGINE_USER];
    expect((await chart.kubectl(rig.plane, 'admin', can)).text).toBe('no\n');
    await release('v3');
    const token = await rig.plane.serviceAccountToken(SHOP, 'pipeline');
    const promote = (bearer?: string) =>
      fetch(`${engine.url}/api/v1/namespaces/${SHOP}/canaries/web/promote`, {
        method: 'POST',
        headers: bearer === undefined ? {} : { authorization: `Bearer ${bearer}` },
      });
    expect((await promote()).status).toBe(401);
    expect((await promote('nonsense')).status).toBe(401);
    expect((await promote(rig.plane.tokens[EDITOR] ?? '')).status).toBe(403);
    expect((await promote(token)).status).toBe(202);
    const canary = await rig.canary(SHOP);
    expect(canary.metadata.annotations['serin.dev/command-by']).toBe(
      `system:serviceaccount:${SHOP}:pipeline`,
    );
    const done = await rig.until('it is promoted', async () => {
      const now = await status();
      return now.phase === 'Succeeded' && now.lastPromotedSpec === revision && now;
    });
    const promoting = done.transitions.findLast((one: any) => one.reason === 'Promoting');
    expect(promoting.message).toContain(`system:serviceaccount:${SHOP}:pipeline`);
  });

  test('no user has noticed anything of all that', async () => {
    const counts = await traffic.stop();
    expect(counts.byVersion['v3']?.total).toBeGreaterThan(0);
    expect({ failed: counts.failed, failures: traffic.failures.slice(0, 3) }).toEqual({
      failed: 0,
      failures: [],
    });
  });
});
