/** Services that follow the spec and the apex: what is written and how often, on the API in memory, and what a refusal leaves alone. */
import { describe, expect, test } from 'vitest';
import { draft } from '../../simulator/api/inprocess.ts';
import { failure } from '../kubernetes/scriptedTransport.ts';
import type { HttpRequest, HttpResponse, KubernetesObject } from '../kubernetes/types.ts';
import { SETTINGS_ANNOTATION } from '../workloads/servicePlan.ts';
import { GROUP, startTelling } from './scriptedTelling.ts';

type World = Awaited<ReturnType<typeof startTelling>>;
type Answer = (request: HttpRequest) => HttpResponse | undefined;

const SERVICE = { apiVersion: 'v1', kind: 'Service' };
const serviceOf = (world: World, name: string) => world.api.store.get(SERVICE, 'shop', name)!;
const portsOf = (world: World, name: string) => serviceOf(world, name)['spec'].ports;
const accepted = (world: World) => world.status().conditions?.find(one => one.type === 'Accepted');

function edit(
  world: World,
  kind: { apiVersion: string; kind: string },
  name: string,
  change: (next: any) => void,
) {
  const next = draft(world.api.store.get(kind, 'shop', name)!);
  change(next);
  world.api.store.update(next as KubernetesObject, 'user');
}
const editService = (world: World, name: string, change: (next: any) => void) =>
  edit(world, SERVICE, name, change);
const editSpec = (world: World, change: (service: any) => void) =>
  edit(world, { apiVersion: GROUP, kind: 'Canary' }, 'web', next => change(next.spec.service));

/** Adopted and at rest. `answer` may stand in for the API server on writes of Services. */
async function adopted(apex: 'own' | 'users' = 'users') {
  const world = await startTelling();
  if (apex === 'own') world.api.store.delete(serviceOf(world, 'web'));
  const script: { writes: string[]; all: number; answer: Answer } = {
    writes: [],
    all: 0,
    answer: () => undefined,
  };
  world.script.transport = inner => async request => {
    const name = /\/services\/([^?]+)/.exec(request.path)?.[1];
    if (request.method !== 'GET' && !request.path.includes('/events')) script.all++;
    if (name === undefined || request.method === 'GET') return await inner(request);
    script.writes.push(name);
    return script.answer(request) ?? (await inner(request));
  };
  await world.start('one');
  world.declare();
  await world.until(() => world.status().phase === 'Initialized', 30_000);
  await world.advance(15_000);
  script.writes = [];
  return { world, script };
}

/** Nothing is written of a canary that is at rest and whose Services are as asked. */
async function expectRest(world: World, script: { all: number; writes: string[] }): Promise<void> {
  await world.advance(15_000);
  script.all = 0;
  await world.advance(120_000);
  expect(script.all).toBe(0);
}

const edits: [string, (service: any) => void, (service: any) => unknown, unknown][] = [
  ['portName', service => (service.portName = 'grpc'), one => one.spec.ports[0].name, 'grpc'],
  ['targetPort', service => (service.targetPort = 8080), one => one.spec.ports[0].targetPort, 8080],
  ['appProtocol', service => (service.appProtocol = 'http'), one => one.spec.ports[0].appProtocol, 'http'],
  [
    'trafficDistribution',
    service => (service.trafficDistribution = 'PreferClose'),
    one => one.spec.trafficDistribution,
    'PreferClose',
  ],
];

describe('an apex that the engine made', () => {
  test.each(edits)(
    '%s: one write for each Service, and no difference at the next look',
    async (field, change, seen, value) => {
      const { world, script } = await adopted('own');
      const before = seen(serviceOf(world, 'web'));
      editSpec(world, change);
      await world.until(() => seen(serviceOf(world, 'web')) === value, 20_000);
      await world.advance(5_000);
      expect(script.writes).toEqual(['web-primary', 'web-canary', 'web']);
      for (const name of script.writes) expect(seen(serviceOf(world, name))).toBe(value);
      await expectRest(world, script);
      expect(accepted(world)).toMatchObject({ status: 'True' });
      expect(world.status().observedGeneration).toBe(world.canary().metadata.generation);
      // Taken back, it goes again.
      editSpec(world, service => {
        delete service[field];
        if (field === 'targetPort') service.targetPort = 'http';
      });
      await world.until(() => seen(serviceOf(world, 'web')) === before, 20_000);
      expect(seen(serviceOf(world, 'web-primary'))).toBe(before);
    },
  );

  test('another port: the arms have both while the apex changes, and then the new one alone', async () => {
    const { world, script } = await adopted('own');
    editSpec(world, service => (service.port = 9090));
    await world.until(() => portsOf(world, 'web-primary').length === 2, 5_000);
    expect(portsOf(world, 'web').map((one: any) => one.port)).toEqual([80]);
    await world.until(
      () => portsOf(world, 'web-canary').length === 1 && portsOf(world, 'web')[0].port === 9090,
      20_000,
    );
    await world.advance(2_000);
    for (const name of ['web', 'web-primary', 'web-canary'])
      expect(portsOf(world, name)).toMatchObject([{ name: 'http', port: 9090, targetPort: 'http' }]);
    expect(script.writes).toEqual(['web-primary', 'web-canary', 'web', 'web-primary', 'web-canary']);
    await expectRest(world, script);
  });

  test('labels and annotations reach the Service that they are for, and leave it again', async () => {
    const { world, script } = await adopted('own');
    editSpec(world, service => {
      service.canary = { labels: { team: 'blue' }, annotations: { scrape: 'yes' } };
    });
    await world.advance(5_000);
    expect(script.writes).toEqual(['web-canary']);
    expect(serviceOf(world, 'web-canary').metadata).toMatchObject({
      labels: { team: 'blue' },
      annotations: { scrape: 'yes' },
    });
    editSpec(world, service => delete service.canary);
    await world.advance(5_000);
    expect(serviceOf(world, 'web-canary').metadata.labels).not.toHaveProperty('team');
    expect(serviceOf(world, 'web-canary').metadata.annotations).not.toHaveProperty('scrape');
    await expectRest(world, script);
  });

  test('what others added stays, and so does what the spec calls theirs', async () => {
    const { world } = await adopted('own');
    editSpec(world, service => {
      service.primary = { labels: { team: 'blue' } };
      service.unmanagedMetadata = { labels: ['team'] };
    });
    await world.advance(5_000);
    editService(world, 'web-primary', next => {
      next.metadata.labels.team = 'red';
      next.metadata.labels.seen = 'yes';
    });
    editSpec(world, service => (service.portName = 'grpc'));
    await world.advance(5_000);
    expect(portsOf(world, 'web-primary')).toMatchObject([{ name: 'grpc' }]);
    expect(serviceOf(world, 'web-primary').metadata.labels).toMatchObject({ team: 'red', seen: 'yes' });
  });

  test('ports of a new revision are found', async () => {
    const { world, script } = await adopted('own');
    editSpec(world, service => (service.portDiscovery = true));
    await world.advance(5_000);
    edit(world, { apiVersion: 'apps/v1', kind: 'Deployment' }, 'web', next => {
      const { containers } = next.spec.template.spec;
      containers[0].ports.push(
        { name: 'dns', containerPort: 53, protocol: 'UDP' },
        { name: 'dns-tcp', containerPort: 53 },
      );
      containers.push({ name: 'helper', image: 'helper:1', ports: [{ containerPort: 53 }] });
    });
    await world.until(() => world.status().phase === 'Succeeded');
    // The apex does not wait for ever for what no pod of the primary has.
    expect(portsOf(world, 'web')).toHaveLength(4);
    for (const name of ['web', 'web-primary', 'web-canary'])
      expect(portsOf(world, name)).toMatchObject([
        { name: 'http' },
        { name: 'linkerd-admin' },
        { name: 'dns', port: 53, protocol: 'UDP' },
        { name: 'dns-tcp', port: 53, protocol: 'TCP' },
      ]);
    await expectRest(world, script);
  });
});

describe('an apex of a user', () => {
  test('gives its ports to both arms, and takes them away, while its own are left alone', async () => {
    const { world, script } = await adopted();
    editService(world, 'web', next => {
      next.spec.type = 'NodePort';
      next.spec.ports.push({ name: 'admin', port: 81, targetPort: 8081, nodePort: 30_080 });
    });
    await world.advance(3_000);
    for (const name of ['web-primary', 'web-canary'])
      expect(portsOf(world, name)).toEqual([
        { name: 'http', port: 80, targetPort: 'http', protocol: 'TCP' },
        { name: 'admin', port: 81, targetPort: 8081, protocol: 'TCP' },
      ]);
    expect(script.writes).toEqual(['web-primary', 'web-canary']);
    await expectRest(world, script);
    editService(world, 'web', next => next.spec.ports.shift());
    await world.advance(3_000);
    expect(portsOf(world, 'web-canary')).toMatchObject([{ name: 'admin' }]);
    expect(script.writes).toEqual(['web-primary', 'web-canary', 'web-primary', 'web-canary']);
    await expectRest(world, script);
  });

  test('is not written when the spec has other ports than it', async () => {
    const { world, script } = await adopted();
    editSpec(world, service =>
      Object.assign(service, { port: 90, portName: 'grpc', apex: { labels: { a: 'b' } } }),
    );
    await world.advance(5_000);
    expect(script.writes).toEqual([]);
    await expectRest(world, script);
  });

  test('an engine that knows an older spec undoes nothing', async () => {
    const { world, script } = await adopted();
    for (const name of ['web-primary', 'web-canary'])
      editService(world, name, next => {
        next.metadata.annotations[SETTINGS_ANNOTATION] = '99/0123456789abcdef';
        next.metadata.labels.team = 'blue';
      });
    await expectRest(world, script);
    expect(script.writes).toEqual([]);
  });
});

describe('a Service that somebody else changes', () => {
  test('is put right, and not fought over', async () => {
    const { world, script } = await adopted();
    for (let times = 0; times < 6; times++) {
      editService(world, 'web-canary', next => (next.spec.ports[0].targetPort = 1));
      await world.advance(3_000);
    }
    expect(script.writes).toEqual(['web-canary', 'web-canary', 'web-canary']);
    const contested = world.status().conditions?.find(one => one.type === 'Contested');
    expect(contested).toMatchObject({
      status: 'True',
      message: expect.stringContaining('Service spec.ports'),
    });
  });
});

describe('H35 a Service that the API server does not take', () => {
  const sentence = 'Service "web-primary" is invalid: metadata.labels: Invalid value';
  const refusals: [string, HttpResponse, string][] = [
    ['validation', failure(422, 'Invalid', sentence), 'ServiceRefused'],
    ['a policy', failure(403, 'Forbidden', 'services "web-primary" is forbidden: no'), 'ServiceRefused'],
    ['RBAC', failure(403, 'Forbidden', 'User "x" cannot patch resource "services"'), 'Forbidden'],
    ['a webhook that is down', failure(500, 'InternalError', 'failed calling webhook "w"'), 'ServiceRefused'],
  ];
  test.each(refusals)(
    'by %s says why, is tried now and then, and lets bad and good revisions end',
    async (_who, answer, reason) => {
      const { world, script } = await adopted();
      script.answer = request => (request.path.includes('/web-primary') ? answer : undefined);
      editSpec(world, service => (service.primary = { labels: { team: 'blue' } }));
      await world.until(() => accepted(world)?.status === 'False', 20_000);
      const { message } = JSON.parse(answer.text);
      expect(accepted(world)).toMatchObject({ reason, message: `A Service is left as it is: ${message}.` });
      expect(world.events('Canary').map(event => event['reason'])).toContain(reason);
      world.script.value = 0;
      world.release('v2');
      await world.until(() => world.status().phase === 'Failed');
      expect(world.status().canaryWeight).toBe(0);
      world.script.value = 100;
      world.release('v3');
      await world.until(() => world.status().phase === 'Succeeded');
      expect(accepted(world)).toMatchObject({ status: 'False', reason });
      const before = script.writes.length;
      const told = structuredClone(world.status());
      await world.advance(300_000);
      expect(script.writes.length - before).toBeGreaterThanOrEqual(4);
      expect(script.writes.length - before).toBeLessThanOrEqual(6);
      expect(world.status().transitions).toEqual(told.transitions);
      // Mended by whoever refused it.
      script.answer = () => undefined;
      await world.until(() => accepted(world)?.status === 'True', 90_000);
      expect(serviceOf(world, 'web-primary').metadata.labels).toMatchObject({ team: 'blue' });
    },
  );

  test('another wish is tried at once, and a wish that is given up is forgotten', async () => {
    const { world, script } = await adopted();
    const answer = failure(422, 'Invalid', sentence);
    script.answer = request => (request.body?.includes('"bad"') ? answer : undefined);
    editSpec(world, service => (service.primary = { labels: { team: 'bad' } }));
    await world.until(() => accepted(world)?.status === 'False', 20_000);
    editSpec(world, service => (service.primary = { labels: { team: 'good' } }));
    await world.advance(3_000);
    expect(serviceOf(world, 'web-primary').metadata.labels).toMatchObject({ team: 'good' });
    editSpec(world, service => (service.primary = { labels: { team: 'bad' } }));
    await world.until(() => accepted(world)?.status === 'False', 30_000);
    editSpec(world, service => (service.primary = { labels: { team: 'good' } }));
    await world.until(() => accepted(world)?.status === 'True', 30_000);
    await expectRest(world, script);
  });

  test('a server that changes what is written is not written to again and again', async () => {
    const { world, script } = await adopted();
    world.script.value = 100;
    script.answer = request => {
      if (!request.path.includes('/web-primary')) return undefined;
      const stored = structuredClone(serviceOf(world, 'web-primary')) as any;
      stored.spec.ports[0].name = 'changed';
      return { status: 200, headers: {}, text: JSON.stringify(stored) };
    };
    editSpec(world, service => (service.primary = { labels: { team: 'blue' } }));
    await world.until(() => accepted(world)?.reason === 'ServiceRefused', 20_000);
    expect(accepted(world)?.message).toContain('stored otherwise than it was applied');
    const before = script.writes.length;
    await world.advance(180_000);
    expect(script.writes.length - before).toBeLessThanOrEqual(4);
  });

  test('an apex that may not be pointed at the primary stands before no verdict', async () => {
    const { world, script } = await adopted();
    const answer = failure(403, 'Forbidden', 'services "web" is forbidden: frozen');
    world.release('v2');
    await world.until(() => world.status().canaryWeight === 20);
    script.answer = request =>
      request.path.endsWith('/web') || request.path.includes('/web?') ? answer : undefined;
    world.script.value = 0;
    editService(world, 'web', next => (next.spec.selector = { app: 'elsewhere' }));
    await world.until(() => world.status().phase === 'Failed', 60_000);
    await world.until(() => accepted(world)?.reason === 'ServiceRefused', 60_000);
    script.answer = () => undefined;
    await world.until(() => serviceOf(world, 'web')['spec'].selector.app === 'web-primary', 90_000);
    await world.until(() => accepted(world)?.status === 'True', 60_000);
  });

  test('a Service of the canary that is gone and may not come back ends the run', async () => {
    const { world, script } = await adopted();
    world.release('v2');
    await world.until(() => world.status().canaryWeight === 20);
    const answer = failure(403, 'Forbidden', 'services "web-canary" is forbidden: quota');
    script.answer = request => (request.path.includes('/web-canary') ? answer : undefined);
    world.api.store.delete(serviceOf(world, 'web-canary'));
    await world.until(() => world.status().phase === 'Failed', 20_000);
    expect(world.status().canaryWeight).toBe(0);
    script.answer = () => undefined;
    await world.until(() => accepted(world)?.status === 'True', 90_000);
    expect(serviceOf(world, 'web-canary')['spec'].selector).toEqual({ app: 'web' });
  });

  test('Services that cannot be made keep adoption waiting, and say why', async () => {
    const world = await startTelling();
    let isRefused = true;
    world.script.transport = inner => async request =>
      isRefused && request.method === 'PATCH' && request.path.includes('/services/web-primary')
        ? failure(422, 'Invalid', sentence)
        : await inner(request);
    await world.start('one');
    world.declare();
    await world.until(() => accepted(world)?.reason === 'ServiceRefused', 20_000);
    expect(world.status().phase).toBe('Initializing');
    isRefused = false;
    await world.until(() => world.status().phase === 'Initialized', 90_000);
    expect(accepted(world)).toMatchObject({ status: 'True' });
  });
});
