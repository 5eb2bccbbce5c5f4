/** Whether a MetricTemplate or AlertProvider can be used is said on it: once for each generation, by one replica, unread. */
import { describe, expect, test } from 'vitest';
import { failure } from '../kubernetes/scriptedTransport.ts';
import type { HttpResponse, KubernetesObject } from '../kubernetes/types.ts';
import { alertProvider, GROUP, secret, startTelling } from './scriptedTelling.ts';

type World = Awaited<ReturnType<typeof startTelling>>;
type Kind = 'MetricTemplate' | 'AlertProvider';

const template = (name: string, provider: object, where = 'shop'): KubernetesObject => ({
  apiVersion: GROUP,
  kind: 'MetricTemplate',
  metadata: { name, namespace: where },
  spec: { provider, query: 'up' },
});
const prometheus = { type: 'prometheus', address: 'http://prometheus.test' };
const get = (world: World, kind: Kind, name: string, where = 'shop') =>
  world.api.store.get({ apiVersion: GROUP, kind }, where, name)!;
const accepted = (world: World, kind: Kind, name: string, where?: string) =>
  get(world, kind, name, where).status?.conditions?.find((one: any) => one.type === 'Accepted');

function edit(world: World, object: KubernetesObject): void {
  const { kind, metadata } = object;
  const { namespace = '', name } = metadata;
  const now = world.api.store.get({ apiVersion: GROUP, kind }, namespace, name)!;
  world.api.store.update({ ...now, spec: object.spec }, 'user');
}

/** What engines asked of these objects since then, but for watches. */
function asked(world: World, since = 0): string[] {
  return world.api.audit
    .slice(since)
    .filter(one => one.user === 'engine' && /metrictemplates|alertproviders|secrets/.test(one.resource))
    .filter(one => one.verb !== 'watch' && one.verb !== 'list')
    .map(one => `${one.verb} ${one.resource}/${one.subresource} ${one.code}`);
}

describe('whether it can be used', () => {
  test('is said on exactly that object, with the field and what was expected, and told by an event', async () => {
    const world = await startTelling();
    world.create(template('bad', { type: 'datadog' }));
    await world.start('one');
    world.create(template('good', prometheus));
    world.create(template('far', { type: 'prometheus' }, 'default'));
    world.create(alertProvider('bad', { type: 'discord', address: 'https://a.test/' }));
    world.create(alertProvider('good', { type: 'slack', address: 'https://a.test/' }));
    await world.advance(500);
    expect(accepted(world, 'MetricTemplate', 'bad')).toMatchObject({
      status: 'False',
      reason: 'NotSupportedYet',
      message: 'spec.provider.type is not supported yet; use prometheus',
      observedGeneration: 1,
    });
    expect(accepted(world, 'MetricTemplate', 'far', 'default')).toMatchObject({
      status: 'False',
      reason: 'InvalidSpec',
      message:
        'spec.provider must have an address that is an http or https URL, such as http://prometheus.monitoring:9090',
    });
    expect(accepted(world, 'AlertProvider', 'bad')).toMatchObject({
      status: 'False',
      reason: 'NotSupportedYet',
      message: 'spec.type is not supported yet; use slack or webhook',
    });
    for (const kind of ['MetricTemplate', 'AlertProvider'] as const)
      expect(accepted(world, kind, 'good')).toMatchObject({
        status: 'True',
        reason: 'Accepted',
        observedGeneration: 1,
      });
    const told = (kind: Kind) =>
      world.events(kind).map(event => `${event['involvedObject'].name} ${event['type']} ${event['reason']}`);
    expect(new Set(told('MetricTemplate'))).toEqual(
      new Set(['bad Warning NotSupportedYet', 'far Warning InvalidSpec']),
    );
    expect(told('AlertProvider')).toEqual(['bad Warning NotSupportedYet']);
  });

  test('is written once for each generation, from the caches', async () => {
    const world = await startTelling();
    world.create(template('errors', { type: 'datadog' }));
    await world.start('one', { resyncMs: 5_000 });
    const said = accepted(world, 'MetricTemplate', 'errors');
    await world.advance(60_000);
    expect(asked(world)).toEqual(['update metrictemplates/status 200']);
    edit(world, template('errors', { type: 'influxdb' }));
    await world.advance(500);
    const again = accepted(world, 'MetricTemplate', 'errors');
    expect(again).toMatchObject({ status: 'False', observedGeneration: 2 });
    // It was and is refused.
    expect(again.lastTransitionTime).toBe(said.lastTransitionTime);
    edit(world, template('errors', prometheus));
    await world.advance(60_000);
    expect(accepted(world, 'MetricTemplate', 'errors')).toMatchObject({
      status: 'True',
      observedGeneration: 3,
    });
    expect(asked(world)).toHaveLength(3);
  });

  test('is said by the replica that leads, and not again by the next', async () => {
    const world = await startTelling();
    let leader = 'none';
    const start = (name: string) =>
      world.start(name, { isActive: () => true, isLeader: () => leader === name, resyncMs: 5_000 });
    const engines = { one: await start('one'), two: await start('two') };
    world.create(template('errors', { type: 'datadog' }));
    await world.advance(20_000);
    expect(asked(world)).toEqual([]);
    for (const name of ['one', 'two'] as const) {
      leader = name;
      engines[name].engine.sayAcceptance();
      await world.advance(20_000);
      expect(accepted(world, 'MetricTemplate', 'errors').status).toBe('False');
      expect(asked(world)).toEqual(['update metrictemplates/status 200']);
    }
  });

  test('is not fought over by two that both think they lead', async () => {
    const world = await startTelling();
    await world.start('one', { resyncMs: 5_000 });
    await world.start('two', { resyncMs: 5_000 });
    world.create(template('errors', { type: 'datadog' }));
    world.create(alertProvider('on-call', { type: 'slack', address: 'https://a.test/' }));
    await world.advance(1_000);
    const settled = asked(world).length;
    expect(settled).toBeLessThanOrEqual(4);
    await world.advance(60_000);
    expect(asked(world)).toHaveLength(settled);
  });

  test.each([
    ['for want of the right: not tried again', failure(403, 'Forbidden', 'may not'), 1],
    ['for now: tried again at the next walk', failure(503, 'ServiceUnavailable', 'etcd is away'), 4],
  ])('cannot be written %s', async (_why, answer: HttpResponse, tries) => {
    const world = await startTelling();
    const script = { answer: answer as HttpResponse | undefined, asked: 0 };
    world.script.transport = inner => async request => {
      const isOurs = request.method === 'PUT' && request.path.includes('/metrictemplates/errors/status');
      if (isOurs) script.asked++;
      return isOurs && script.answer ? script.answer : await inner(request);
    };
    world.create(template('errors', { type: 'datadog' }));
    await world.start('one', { resyncMs: 5_000 });
    await world.advance(14_000);
    expect(script.asked).toBeLessThanOrEqual(tries);
    expect(script.asked).toBeGreaterThan(tries / 2);
    expect(world.logged.filter(line => line.includes('Accepted could not be written'))).toHaveLength(
      script.asked,
    );
    script.answer = undefined;
    edit(world, template('errors', { type: 'influxdb' }));
    await world.advance(6_000);
    expect(accepted(world, 'MetricTemplate', 'errors').observedGeneration).toBe(2);
  });
});

describe('an AlertProvider whose Secret is missing', () => {
  const alerts = [{ name: 'a', providerRef: { name: 'on-call' } }];

  test('says so once a message needed it, whatever is walked meanwhile, until a message got through', async () => {
    const world = await startTelling();
    world.create(alertProvider('on-call', { type: 'webhook', secretRef: { name: 's' } }));
    await world.start('one', { resyncMs: 5_000 });
    expect(accepted(world, 'AlertProvider', 'on-call')).toMatchObject({ status: 'True' });
    world.declare({ alerts });
    await world.until(() => world.status().phase === 'Initialized');
    await world.until(() => accepted(world, 'AlertProvider', 'on-call').status === 'False');
    const refused = {
      reason: 'SecretNotFound',
      message: 'spec.secretRef.name: Secret shop/s does not exist.',
      observedGeneration: 1,
    };
    expect(accepted(world, 'AlertProvider', 'on-call')).toMatchObject(refused);
    await world.advance(300_000);
    expect(accepted(world, 'AlertProvider', 'on-call')).toMatchObject(refused);
    // It blocks nobody.
    expect(world.status().conditions?.find(one => one.type === 'Accepted')).toMatchObject({ status: 'True' });
    const before = world.api.audit.length;
    world.create(secret('s', { address: 'https://a.test/' }));
    world.release('v2');
    await world.until(() => world.status().phase === 'Succeeded');
    expect(accepted(world, 'AlertProvider', 'on-call')).toMatchObject({ status: 'True', reason: 'Accepted' });
    expect(asked(world, before).filter(one => one.startsWith('update'))).toHaveLength(1);
    expect(world.events('AlertProvider').map(event => event['reason'])).toEqual(['SecretNotFound']);
  });

  test('is forgotten with the spec that named it', async () => {
    const world = await startTelling();
    world.create(alertProvider('on-call', { type: 'webhook', secretRef: { name: 's' } }));
    await world.start('one');
    world.declare({ alerts });
    await world.until(() => accepted(world, 'AlertProvider', 'on-call').status === 'False');
    edit(world, alertProvider('on-call', { type: 'webhook', address: 'https://a.test/' }));
    await world.until(() => accepted(world, 'AlertProvider', 'on-call').status === 'True');
    await world.until(() => world.toldTo('a.test').length > 0);
    expect(accepted(world, 'AlertProvider', 'on-call')).toMatchObject({ observedGeneration: 2 });
  });
});

test('a query that needs a missing Secret names it in the condition of the Canary', async () => {
  const world = await startTelling();
  world.create(template('errors', prometheus));
  await world.start('one');
  world.declare({
    metrics: [{ name: 'errors', templateRef: { name: 'errors' }, thresholdRange: { max: 1 } }],
  });
  await world.until(() => world.status().phase === 'Initialized');
  edit(world, template('errors', { ...prometheus, secretRef: { name: 'gone' } }));
  await world.advance(1_000);
  world.release('v2');
  await world.until(() =>
    (world.status().conditions ?? []).some(
      one => one.type === 'Progressing' && one.reason === 'ProviderError',
    ),
  );
  expect(world.status().conditions?.find(one => one.type === 'Progressing')?.message).toBe(
    'errors: Secret shop/gone does not exist',
  );
  expect(world.status().canaryWeight).toBe(20);
});
