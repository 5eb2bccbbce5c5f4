/** What a Canary refers to and is not there, not valid, or elsewhere: refused with the field, and accepted when mended. */
import { describe, expect, test } from 'vitest';
import type { CanaryStatus } from '../api/status.ts';
import { alertProvider, GROUP, startTelling } from './scriptedTelling.ts';

type World = Awaited<ReturnType<typeof startTelling>>;

const field = 'spec.analysis.alerts[0].providerRef';
const alertTo = (name: string, namespace?: string) => ({
  alerts: [{ name: 'a', providerRef: { name, ...(namespace ? { namespace } : {}) } }],
});
const accepted = (world: World) => world.status().conditions?.find(one => one.type === 'Accepted');
const provider = (world: World, name: string) =>
  world.api.store.get({ apiVersion: GROUP, kind: 'AlertProvider' }, 'shop', name)!;

async function refused(world: World): Promise<void> {
  await world.until(() => accepted(world)?.status === 'False');
  // An event on exactly that object, and nothing is begun.
  const { reason } = accepted(world)!;
  expect(world.events('Canary').map(event => event['reason'])).toContain(reason);
  expect(world.api.store.list({ apiVersion: 'apps/v1', kind: 'Deployment' })).toHaveLength(1);
}

describe('an AlertProvider', () => {
  test('that does not exist: refused by its own reason; created, the canary is adopted without being touched', async () => {
    const world = await startTelling();
    await world.start('one', { resyncMs: 3_600_000 });
    world.declare(alertTo('on-call'));
    await refused(world);
    expect(accepted(world)).toMatchObject({
      reason: 'AlertProviderNotFound',
      message: `${field}: AlertProvider shop/on-call does not exist`,
    });
    world.create(alertProvider('on-call', { type: 'webhook', address: 'https://a.test/' }));
    await world.until(() => world.status().phase === 'Initialized');
    expect(accepted(world)).toMatchObject({ status: 'True', reason: 'Accepted' });
  });

  test('that is not supported: refused by its own reason with the problem, until it is mended', async () => {
    const world = await startTelling();
    world.create(alertProvider('on-call', { type: 'discord', address: 'https://a.test/' }));
    await world.start('one', { resyncMs: 3_600_000 });
    world.declare(alertTo('on-call', 'shop'));
    await refused(world);
    expect(accepted(world)).toMatchObject({
      reason: 'AlertProviderRefused',
      message: `${field}: AlertProvider shop/on-call is refused: spec.type is not supported yet; use slack or webhook`,
    });
    const mended = { ...provider(world, 'on-call'), spec: { type: 'webhook', address: 'https://a.test/' } };
    world.api.store.update(mended, 'user');
    await world.until(() => world.status().phase === 'Initialized');
  });

  test('that is deleted while a rollout runs: the run goes on and is judged, and the condition says so', async () => {
    const world = await startTelling();
    world.create(alertProvider('on-call', { type: 'webhook', address: 'https://a.test/' }));
    await world.start('one');
    world.declare(alertTo('on-call'));
    await world.until(() => world.status().phase === 'Initialized');
    await world.advance(2_000);
    world.release('v2');
    await world.until(() => world.status().canaryWeight === 20);
    world.api.store.delete(provider(world, 'on-call'));
    world.script.value = 80;
    await world.until(() => world.status().phase === 'Failed');
    expect(world.status().canaryWeight).toBe(0);
    await world.until(() => accepted(world)?.reason === 'AlertProviderNotFound');
    expect(world.events('Canary').map(event => event['reason'])).toContain('AlertProviderNotFound');
  });

  test('of another canary hinders nobody', async () => {
    const world = await startTelling();
    await world.start('one');
    world.declare();
    const { apiVersion, kind, spec } = world.canary();
    world.create({
      apiVersion,
      kind,
      metadata: { name: 'other', namespace: 'shop' },
      spec: {
        ...spec,
        targetRef: { ...spec.targetRef, name: 'other' },
        analysis: { stepWeight: 10, ...alertTo('nobody') },
      },
    });
    await world.until(
      () => world.canary('other').status?.conditions?.[2]?.reason === 'AlertProviderNotFound',
    );
    await world.until(() => world.status().phase === 'Initialized');
  });
});

describe('a MetricTemplate', () => {
  const path = 'spec.analysis.metrics[0].templateRef';
  const metrics = [{ name: 'm', templateRef: { name: 'errors' }, thresholdRange: { min: 99 } }];
  const template = (spec: object) => ({
    apiVersion: GROUP,
    kind: 'MetricTemplate',
    metadata: { name: 'errors', namespace: 'shop' },
    spec: { provider: { type: 'prometheus', address: 'http://prometheus.test' }, query: 'up', ...spec },
  });

  test('that does not exist: refused by its own reason; created, the canary is adopted without being touched', async () => {
    const world = await startTelling();
    await world.start('one', { resyncMs: 3_600_000 });
    world.declare({ metrics });
    await refused(world);
    expect(accepted(world)).toMatchObject({
      reason: 'MetricTemplateNotFound',
      message: `${path}: MetricTemplate shop/errors does not exist`,
    });
    world.create(template({}));
    await world.until(() => world.status().phase === 'Initialized');
    expect(accepted(world)).toMatchObject({ status: 'True', reason: 'Accepted' });
  });

  test('that is not supported: refused by its own reason with the problem, until it is mended', async () => {
    const world = await startTelling();
    world.create(template({ provider: { type: 'datadog' } }));
    await world.start('one', { resyncMs: 3_600_000 });
    world.declare({ metrics });
    await refused(world);
    expect(accepted(world)).toMatchObject({
      reason: 'MetricTemplateRefused',
      message: `${path}: MetricTemplate shop/errors: spec.provider.type is not supported yet; use prometheus`,
    });
    const { metadata } = world.api.store.get(
      { apiVersion: GROUP, kind: 'MetricTemplate' },
      'shop',
      'errors',
    )!;
    world.api.store.update({ ...template({}), metadata }, 'user');
    await world.until(() => world.status().phase === 'Initialized');
  });
});

test('H29 of two canaries on one target the younger is refused, and takes over when the older is gone', async () => {
  const world = await startTelling();
  await world.start('one');
  world.declare();
  await world.until(() => world.status().phase === 'Initialized');
  await world.advance(2_000);
  const { apiVersion, kind, spec } = world.canary();
  world.create({ apiVersion, kind, metadata: { name: 'younger', namespace: 'shop' }, spec });
  const ofYounger = (): CanaryStatus => world.canary('younger').status;
  const acceptedOfYounger = () => ofYounger()?.conditions?.find(one => one.type === 'Accepted');
  await world.until(() => acceptedOfYounger()?.status === 'False');
  expect(acceptedOfYounger()).toMatchObject({
    reason: 'TargetTaken',
    message: 'spec.targetRef: Canary web is older and has the same target web',
  });
  // A release is one rollout, of the older one.
  world.release('v2');
  await world.until(() => world.status().phase === 'Succeeded');
  expect(accepted(world)).toMatchObject({ status: 'True' });
  expect(ofYounger()).toMatchObject({ conditions: expect.anything() });
  expect(ofYounger().run).toBeUndefined();
  expect(ofYounger().phase).toBeUndefined();
  world.api.store.delete(world.canary());
  await world.until(() => ofYounger().phase === 'Initialized');
  expect(acceptedOfYounger()).toMatchObject({ status: 'True' });
});

describe('H25 references into other namespaces', () => {
  test('are followed, as Flagger follows them', async () => {
    const world = await startTelling();
    world.create(alertProvider('on-call', { type: 'webhook', address: 'https://a.test/' }, 'default'));
    await world.start('one');
    world.declare(alertTo('on-call', 'default'));
    await world.until(() => world.toldTo('a.test').includes('Adopted'));
  });

  test('are refused by name under --no-cross-namespace-refs, say nothing of what is there, and are told nothing', async () => {
    const world = await startTelling();
    world.create(alertProvider('on-call', { type: 'webhook', address: 'https://a.test/' }, 'default'));
    await world.start('one', { allowsCrossNamespaceRefs: false });
    const metrics = [
      { name: 'm', templateRef: { name: 't', namespace: 'default' }, thresholdRange: { max: 1 } },
      { name: 'n', templateRef: { name: 't', namespace: 'shop' }, thresholdRange: { max: 1 } },
    ];
    world.declare({ metrics, ...alertTo('on-call', 'default') });
    await refused(world);
    const message = 'must be shop or absent: this engine follows no reference into another namespace';
    expect(accepted(world)).toMatchObject({
      reason: 'CrossNamespaceRef',
      message: `spec.analysis.metrics[0].templateRef.namespace: ${message}`,
    });
    const changed = {
      ...world.canary(),
      spec: { ...world.canary()['spec'], analysis: { stepWeight: 10, ...alertTo('on-call', 'default') } },
    };
    world.api.store.update(changed, 'user');
    await world.until(() => accepted(world)?.message === `${field}.namespace: ${message}`);
    await world.advance(10_000);
    expect(world.posted).toEqual([]);
  });
});
