/** What people are told, by whom, and that nothing waits for it: the whole engine on an API in memory. */
import { describe, expect, test } from 'vitest';
import { alertProvider, secret, startTelling, webhookTo } from './scriptedTelling.ts';

type World = Awaited<ReturnType<typeof startTelling>>;

async function adopted(world: World): Promise<void> {
  await world.until(() => world.status().phase === 'Initialized');
  await world.advance(2_000);
}

async function rolledBack(world: World): Promise<void> {
  world.script.value = 80;
  world.release('v2');
  await world.until(() => world.status().phase === 'Failed');
  await world.advance(2_000);
}

const slack = { type: 'slack', address: 'https://flag.test/1' };
const alerts = [{ name: 'on-call', severity: 'warn', providerRef: { name: 'on-call' } }];

describe('who is told what', () => {
  test('a bad release: every step, and why it was rolled back: value, threshold and query', async () => {
    const world = await startTelling();
    await world.start('one', { eventWebhook: webhookTo('hook'), clusterName: 'west-1' });
    world.declare();
    await adopted(world);
    await rolledBack(world);
    const all = [
      'Adopting',
      'PrimaryNotReady',
      'Adopted',
      'Started',
      'WeightRaised',
      'CheckFailed',
      'RolledBack',
    ];
    expect(world.toldTo('hook')).toEqual(all);
    const query = 'rate(errors{namespace="shop"}[2s])';
    expect(world.posted.at(-1)?.body).toMatchObject({
      id: `${world.canary().metadata.uid}/7`,
      name: 'web',
      namespace: 'shop',
      phase: 'Failed',
      reason: 'RolledBack',
      severity: 'error',
      canaryWeight: 0,
      cluster: 'west-1',
      revision: world.status().run?.revision,
      message: expect.stringContaining('errors is 80, below 99 (failed check 2 of 2)'),
      checks: [{ metric: 'errors', outcome: 'fail', value: 80, min: 99, query }],
      fields: [
        { title: 'errors', value: '80, must be at least 99' },
        { title: 'Query of errors', value: query },
      ],
      time: world.status().transitions?.at(-1)?.at,
    });
    // What did not judge anything shows no check.
    expect(world.posted.find(one => one.body.reason === 'Started')?.body.checks).toEqual([]);
  });

  test('a good release: started, each step with what it passed with, promoting, succeeded; to people no more', async () => {
    const world = await startTelling();
    await world.start('one', { slack, eventWebhook: webhookTo('hook') });
    world.declare();
    await adopted(world);
    world.release('v2');
    await world.until(() => world.status().phase === 'Succeeded');
    await world.advance(2_000);
    expect(world.toldTo('flag.test')).toEqual([
      'Adopted',
      'Started',
      'WeightRaised',
      'WeightRaised',
      'Promoting',
      'Succeeded',
    ]);
    expect(world.toldTo('hook')).toEqual(expect.arrayContaining(['Shifting', 'Baking', 'Finalising']));
    const step = world.posted.filter(one => one.body.reason === 'WeightRaised').at(-1);
    expect(step?.body.checks).toEqual([{ metric: 'errors', outcome: 'pass', value: 100, min: 99 }]);
  });

  test('alerts of a canary replace the Slack of the flags, by their severity, with what the Secret holds', async () => {
    const world = await startTelling();
    world.create(
      alertProvider('on-call', { type: 'slack', channel: 'ops', username: 'bird', secretRef: { name: 's' } }),
    );
    world.create(secret('s', { address: 'https://bot.test/post\n', token: 'xoxb-1' }));
    await world.start('one', { slack });
    world.declare({ alerts });
    await adopted(world);
    await rolledBack(world);
    expect(world.toldTo('flag.test')).toEqual([]);
    expect(world.toldTo('bot.test')).toEqual(['CheckFailed', 'RolledBack']);
    expect(world.posted[0]).toMatchObject({
      url: 'https://bot.test/post',
      headers: { authorization: 'Bearer xoxb-1' },
      body: { channel: 'ops', username: 'bird' },
    });
  });

  test('an alert without a severity is told of everything, and two of one provider once', async () => {
    const world = await startTelling();
    world.create(alertProvider('on-call', { type: 'webhook', address: 'https://a.test/' }));
    await world.start('one');
    const again = { name: 'again', severity: 'error', providerRef: { name: 'on-call', namespace: 'shop' } };
    world.declare({ alerts: [again, { name: 'all', severity: '', providerRef: { name: 'on-call' } }] });
    await adopted(world);
    await rolledBack(world);
    expect(world.toldTo('a.test')).toEqual([
      'Adopted',
      'Started',
      'WeightRaised',
      'CheckFailed',
      'RolledBack',
    ]);
  });
});

describe('receivers', () => {
  test('a rotated Secret counts at once', async () => {
    const world = await startTelling();
    world.create(alertProvider('on-call', { type: 'webhook', secretRef: { name: 's' } }));
    world.create(secret('s', { address: 'https://old.test/' }));
    await world.start('one');
    world.declare({ alerts: [{ name: 'a', providerRef: { name: 'on-call' } }] });
    await adopted(world);
    const old = world.api.store.get({ apiVersion: 'v1', kind: 'Secret' }, 'shop', 's')!;
    world.api.store.update(
      { ...old, ...secret('s', { address: 'https://new.test/' }), metadata: old.metadata },
      'user',
    );
    await rolledBack(world);
    expect(world.toldTo('old.test')).toEqual(['Adopted']);
    expect(world.toldTo('new.test')).toEqual(['Started', 'WeightRaised', 'CheckFailed', 'RolledBack']);
  });

  test.each([
    ['does not exist', undefined],
    ['lacks its key', { other: 'x' }],
  ])(
    'a Secret that %s blocks nothing: an event says so, and the message comes when it is there',
    async (_what, data) => {
      const world = await startTelling();
      world.create(alertProvider('on-call', { type: 'webhook', secretRef: { name: 's' } }));
      if (data) world.create(secret('s', data));
      const { outcomes } = await world.start('one');
      world.declare({ alerts });
      await adopted(world);
      await rolledBack(world);
      expect(world.posted).toEqual([]);
      for (const kind of ['Canary', 'AlertProvider']) {
        const said = world.events(kind).filter(event => event['reason'] === 'SecretNotFound');
        expect(said[0]).toMatchObject({ type: 'Warning', message: expect.stringContaining('Secret shop/s') });
        expect(said[0]?.['message']).toContain('spec.secretRef.name');
        // Once for the message, which has been tried twice by now.
        expect(said.map(event => event['count'])).toEqual([1]);
      }
      if (data)
        world.api.store.delete(world.api.store.get({ apiVersion: 'v1', kind: 'Secret' }, 'shop', 's')!);
      world.create(secret('s', { address: 'https://a.test/' }));
      await world.until(() => world.toldTo('a.test').includes('RolledBack'));
      expect(world.toldTo('a.test')).toEqual(['CheckFailed', 'RolledBack']);
      expect(outcomes).toEqual([
        ['AlertProvider shop/on-call', 'delivered'],
        ['AlertProvider shop/on-call', 'delivered'],
      ]);
    },
  );

  test('nothing of a Secret is in logs, events or any object, whatever goes wrong', async () => {
    const world = await startTelling();
    world.create(alertProvider('on-call', { type: 'webhook', secretRef: { name: 's' } }));
    world.create(secret('s', { address: 'https://me:PLANTED-1@a.test/PLANTED-2', token: 'PLANTED-3' }));
    const failure = Object.assign(new Error('connect to https://a.test/PLANTED-2'), { code: 'ECONNREFUSED' });
    const answers = [
      failure,
      { status: 401, body: 'PLANTED-3 is wrong' },
      { status: 200, body: 'PLANTED-3' },
    ] as const;
    let asked = 0;
    world.script.answer = () => answers[asked++ % answers.length]!;
    await world.start('one', { slack: { type: 'slack', address: 'https://flag.test/PLANTED-4' } });
    world.declare({ alerts: [{ name: 'a', providerRef: { name: 'on-call' } }] });
    await adopted(world);
    await rolledBack(world);
    await world.advance(300_000);
    expect(asked).toBeGreaterThan(4);
    expect(world.logged.some(line => line.includes('a notification was not delivered'))).toBe(true);
    const kinds = world.api.store.kinds().filter(kind => kind.kind !== 'Secret');
    const objects = kinds.flatMap(kind => world.api.store.list(kind));
    expect(objects.some(object => object.kind === 'Event')).toBe(true);
    expect(JSON.stringify(objects)).not.toContain('PLANTED');
    expect(world.logged.join('\n')).not.toContain('PLANTED');
    expect(world.posted.map(one => JSON.stringify(one.body)).join('\n')).not.toContain('PLANTED');
  });
});

describe('nothing waits for it', () => {
  test('with receivers that hang the rollout happens at the very same times, with the same writes', async () => {
    const run = async (change: object, alertsOf: object) => {
      const world = await startTelling();
      world.create(alertProvider('on-call', { type: 'slack', secretRef: { name: 's' } }));
      world.create(secret('s', { address: 'https://hangs.test/' }));
      world.script.answer = () => 'hang';
      await world.start('one', change);
      world.declare(alertsOf);
      await adopted(world);
      await rolledBack(world);
      const writes = world.api.audit
        .filter(entry => entry.user === 'engine' && !['get', 'list', 'watch'].includes(entry.verb))
        .map(entry => `${entry.verb} ${entry.resource} ${entry.subresource} ${entry.code}`);
      return { world, times: world.status().transitions?.map(({ at, reason }) => `${at} ${reason}`), writes };
    };
    const quiet = await run({}, {});
    const hung = await run({ slack, eventWebhook: webhookTo('hangs.test') }, { alerts });
    expect(hung.times).toEqual(quiet.times);
    expect(hung.writes).toEqual(quiet.writes);
    expect(hung.world.posted.length).toBeGreaterThan(1);
    expect(hung.world.status().notified).toBeUndefined();
    expect(quiet.world.status().notified).toBe(7);
  });
});
