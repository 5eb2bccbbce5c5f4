/** What an API server may lack, one thing at a time: said once, on the objects too, and waited for. */
import { expect, test } from 'vitest';
import { createVirtualClock } from '../simulator/clock.ts';
import { schemaOf } from './api/schemaOf.ts';
import { accessTable } from './kubernetes/access.ts';
import { createApiClient } from './kubernetes/client.ts';
import { canaryTypes } from './kubernetes/resources.ts';
import { connectionReset, createScriptedTransport, failure, json } from './kubernetes/scriptedTransport.ts';
import type { HttpRequest } from './kubernetes/types.ts';
import { createPrerequisites } from './prerequisites.ts';
import type { Lack, Wanted } from './survey.ts';
import { createSmiStepper } from '../steppers/smi.ts';

interface Attributes {
  group: string;
  resource: string;
  subresource?: string;
  verb: string;
  namespace?: string;
}

const canary = () => ({
  apiVersion: 'serin.dev/v1beta1',
  kind: 'Canary',
  metadata: { name: 'web', namespace: 'shop', generation: 3, resourceVersion: '7' },
  spec: {},
  status: { phase: 'Initialized', conditions: [{ type: 'Promoted', status: 'True' }] } as any,
});

function outdatedSchema(): object {
  const schema = schemaOf('Canary');
  delete schema.properties!['status']!.properties!['epoch'];
  return schema;
}

/** An API server that has everything, until a test takes something away. */
function createServer(group = 'serin.dev') {
  const state = {
    isDown: false,
    splits: ['v1alpha1', 'v1alpha2'],
    canaryVersions: ['v1beta1'],
    canarySchema: schemaOf('Canary') as object | undefined,
    sliceVersion: 'v1',
    isDenied: (_wanted: Attributes) => false,
    canReview: true,
    lease: json(201, { kind: 'Lease', metadata: { name: 'serin' } }),
    canaries: [canary()],
  };
  const { routeType } = createSmiStepper('v1alpha2');
  const types = accessTable(group, routeType).map(({ type }) => type);
  const own = canaryTypes(group);

  function discovery(path: string) {
    const [, root, name, version] = path.split('/');
    const asked = root === 'api' ? '' : (name ?? '');
    const wanted = root === 'api' ? name : version;
    const versions =
      asked === routeType.group ? state.splits : asked === group ? state.canaryVersions : ['v1', 'v2'];
    if (wanted === undefined)
      return versions.length === 0
        ? failure(404, 'NotFound')
        : json(200, { versions: versions.map(one => ({ version: one })) });
    const isServed =
      versions.includes(wanted) && !(asked === 'discovery.k8s.io' && wanted !== state.sliceVersion);
    const resources = types
      .filter(type => type.group === asked)
      .map(type => ({ name: type.plural, kind: type.kind }));
    return isServed ? json(200, { resources }) : failure(404, 'NotFound');
  }

  function schemas() {
    const published = Object.values(own).filter(type => state.canarySchema || type.kind !== 'Canary');
    const entries = published.map(type => [
      type.kind,
      {
        ...(type.kind === 'Canary' ? state.canarySchema : schemaOf(type.kind as 'MetricTemplate')),
        'x-kubernetes-group-version-kind': [{ group, version: 'v1beta1', kind: type.kind }],
      },
    ]);
    return json(200, { components: { schemas: Object.fromEntries(entries) } });
  }

  function answer(request: HttpRequest) {
    const [path = ''] = request.path.split('?');
    if (state.isDown) return connectionReset();
    if (path === '/version') return json(200, { gitVersion: 'v1.20.1' });
    if (path.startsWith('/openapi')) return schemas();
    if (path.endsWith('/selfsubjectaccessreviews')) {
      if (!state.canReview) return failure(403, 'Forbidden');
      const { resourceAttributes } = JSON.parse(request.body ?? '').spec;
      return json(201, { status: { allowed: !state.isDenied(resourceAttributes) } });
    }
    if (path.endsWith('/leases')) return state.lease;
    if (path.endsWith('/status')) {
      const written = JSON.parse(request.body ?? '');
      state.canaries = [written];
      return json(200, written);
    }
    if (path.endsWith('/canaries'))
      return json(200, { metadata: { resourceVersion: '9' }, items: state.canaries });
    return discovery(path);
  }
  return { state, answer };
}

function setUp(change: Partial<ReturnType<typeof createServer>['state']> = {}, more: Partial<Wanted> = {}) {
  const clock = createVirtualClock(Date.parse('2026-01-01T00:00:00Z'));
  const server = createServer(more.apiGroup);
  Object.assign(server.state, change);
  const { transport, requests } = createScriptedTransport(server.answer);
  const client = createApiClient(transport, { clock });
  const lines: string[] = [];
  const line = (level: string) => (fields: object, message: string) => {
    const { reason, detail } = fields as { reason: string; detail: string };
    lines.push(`${level} ${message}: ${reason}: ${detail}`);
  };
  const log = { info: line('info'), warn: line('warn'), error: line('error') };
  const wanted: Wanted = {
    apiGroup: 'serin.dev',
    namespaces: [],
    provider: 'linkerd',
    lease: { namespace: 'serin', name: 'serin' },
    ...more,
  };
  const prerequisites = createPrerequisites({ client, clock, log, wanted });
  const stopping = new AbortController();
  let met: Awaited<ReturnType<typeof prerequisites.met>> | 'waits' = 'waits';
  const start = async () => {
    void prerequisites.met(stopping.signal).then(answer => (met = answer));
    await clock.advance(0);
  };
  return { ...server, clock, requests, lines, prerequisites, stopping, start, met: () => met };
}

test('with everything there it goes on at once and says nothing', async () => {
  const { start, met, lines, requests } = setUp();
  await start();
  expect(met()).toMatchObject({ namespaces: [], stepper: { provider: 'linkerd' } });
  expect(lines).toEqual([]);
  expect(
    requests.filter(request => request.method !== 'GET' && !request.path.includes('reviews')),
  ).toHaveLength(1);
});

test.each<[string, Parameters<typeof setUp>, RegExp]>([
  [
    'no CRD',
    [{ canaryVersions: [] }],
    /CrdsMissing: .*canaries, metrictemplates, alertproviders in serin\.dev\/v1beta1: kubectl apply/,
  ],
  ['an unknown version', [{ canaryVersions: ['v1'] }], /CrdsMissing: .*\(it serves that group in v1\)/],
  [
    'an outdated CRD',
    [{ canarySchema: outdatedSchema() }],
    /CrdsOutdated: The CRD canaries\.serin\.dev lacks status\.epoch: kubectl apply/,
  ],
  [
    "an outdated CRD of Flagger's group",
    [{ canarySchema: outdatedSchema() }, { apiGroup: 'flagger.app' }],
    /CrdsOutdated: .*canaries\.flagger\.app lacks status\.epoch: npm run -s crds -- --api-group flagger\.app \| kubectl/,
  ],
  [
    'no TrafficSplits',
    [{ splits: [] }],
    /ProviderNotServed: Provider linkerd needs TrafficSplits in v1alpha2 or v1alpha1/,
  ],
  [
    'an old API server',
    [{ sliceVersion: 'v1beta1' }],
    /ApiVersionNotServed: The API server, v1\.20\.1, does not serve endpointslices in discovery\.k8s\.io\/v1/,
  ],
  [
    'no namespace for the Lease',
    [{ lease: failure(404, 'NotFound', 'namespaces "serin" not found') }],
    /LeaseUnavailable: .*namespaces "serin" not found; create the namespace, or name another/,
  ],
  [
    'no right to write routes',
    [{ isDenied: wanted => wanted.resource === 'trafficsplits' && wanted.verb === 'patch' }],
    /Forbidden: .*in the whole cluster; it may not: patch trafficsplits\.split\.smi-spec\.io\./,
  ],
  [
    'no API server',
    [{ isDown: true }],
    /ApiServerUnreachable: The API server does not answer as it should: ECONNRESET/,
  ],
])('%s: one line, and it waits until that has changed', async (_name, given, sentence) => {
  const setting = setUp(...given);
  const { start, met, lines, clock, state, prerequisites } = setting;
  await start();
  await clock.advance(60_000);
  expect(met()).toBe('waits');
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^error something that the engine needs is missing/);
  expect(lines[0]).toMatch(sentence);
  expect(prerequisites.lacks()).toHaveLength(1);
  Object.assign(state, createServer(given[1]?.apiGroup).state, { canaries: state.canaries });
  await clock.advance(10_000);
  expect(met()).toMatchObject({ stepper: { provider: 'linkerd' } });
  expect(lines.slice(1)).toEqual([expect.stringMatching(/^info no longer missing/)]);
});

test('the Canaries say it too, once, and keep the rest of their status', async () => {
  const { start, clock, state, requests } = setUp({ splits: [] });
  await start();
  await clock.advance(60_000);
  expect(state.canaries[0]?.status).toMatchObject({
    phase: 'Initialized',
    conditions: [
      { type: 'Promoted', status: 'True' },
      {
        type: 'Accepted',
        status: 'False',
        reason: 'ProviderNotServed',
        message: expect.stringContaining('linkerd'),
      },
    ],
  });
  expect(requests.filter(request => request.method === 'PUT')).toHaveLength(1);
});

test('under an outdated CRD nothing is written to a Canary that may remember something', async () => {
  const { start, clock, state, requests } = setUp({ canarySchema: outdatedSchema() });
  const writtenByUs = (fields: object) => [{ manager: 'serin', fieldsV1: { 'f:status': fields } }];
  const [old] = state.canaries;
  Object.assign(old!.metadata, { managedFields: writtenByUs({ 'f:epoch': {}, 'f:phase': {} }) });
  await start();
  await clock.advance(60_000);
  expect(requests.filter(request => request.method === 'PUT')).toEqual([]);
  Object.assign(old!.metadata, { managedFields: writtenByUs({ 'f:conditions': {} }) });
  await clock.advance(10_000);
  expect(state.canaries[0]?.status.conditions).toContainEqual(
    expect.objectContaining({ type: 'Accepted', reason: 'CrdsOutdated' }),
  );
});

test('it ends when it is told to', async () => {
  const { start, met, stopping, clock } = setUp({ isDown: true });
  await start();
  stopping.abort();
  await clock.advance(0);
  expect(met()).toBeUndefined();
  expect(clock.pending()).toBe(0);
});

test('what is optional is said and not waited for', async () => {
  const { start, met, lines, prerequisites } = setUp({
    isDenied: ({ resource }) => resource === 'tokenreviews' || resource === 'secrets',
  });
  await start();
  expect(met()).not.toBe('waits');
  expect(lines).toEqual([
    expect.stringMatching(/^warn something optional is missing: Forbidden: The engine may not get secrets: /),
    expect.stringMatching(
      /may not create tokenreviews\.authentication\.k8s\.io: the REST API accepts nobody\.$/,
    ),
  ]);
  expect(prerequisites.lacks()).toEqual([]);
});

test('where nobody may ask for their rights it says so and goes on', async () => {
  const { start, met, lines } = setUp({ canReview: false });
  await start();
  expect(met()).not.toBe('waits');
  expect(lines).toEqual([expect.stringContaining('may not ask for its own rights')]);
});

test('one namespace without rights holds no other, and is served when it has them', async () => {
  const setting = setUp(
    { isDenied: ({ namespace, resource }) => namespace === 'two' && resource === 'pods' },
    { namespaces: ['one', 'two'] },
  );
  const { start, met, prerequisites, state, clock, lines } = setting;
  await start();
  expect(met()).toMatchObject({ namespaces: ['one'] });
  expect(prerequisites.problemsIn('one')).toEqual([]);
  expect(prerequisites.problemsIn('two')).toEqual([
    { reason: 'Forbidden', message: expect.stringContaining('in namespace two; it may not: list pods.') },
  ]);
  const told: string[] = [];
  prerequisites.follow({
    onNamespace: namespace => void told.push(namespace),
    onChange: () => void told.push('change'),
    onOutdated: () => {},
    onWhole: () => {},
  });
  state.isDenied = () => false;
  await clock.advance(30_000);
  expect(told).toEqual(['two', 'change']);
  expect(lines.at(-1)).toMatch(/^info no longer missing/);
});

/** Started, and followed. */
async function followed() {
  const setting = setUp();
  await setting.start();
  const outdated: Lack[] = [];
  let changes = 0;
  let wholes = 0;
  setting.prerequisites.follow({
    onNamespace: () => {},
    onChange: () => void changes++,
    onOutdated: lack => void outdated.push(lack),
    onWhole: () => void wholes++,
  });
  return { ...setting, outdated, changes: () => changes, wholes: () => wholes };
}

const answered = { durationMs: 1, verb: 'create', resource: 'trafficsplits' };

test('a right that is withdrawn while the engine runs is noticed by the first request that needs it', async () => {
  const { prerequisites, state, clock, changes, lines, requests } = await followed();
  const asked = requests.length;
  await clock.advance(600_000);
  expect(requests).toHaveLength(asked);
  state.isDenied = ({ resource }) => resource === 'trafficsplits';
  prerequisites.noticed({ ...answered, code: 403 });
  await clock.advance(1_000);
  expect(changes()).toBe(1);
  expect(prerequisites.problemsIn('shop')).toMatchObject([{ reason: 'Forbidden' }]);
  state.isDenied = () => false;
  await clock.advance(30_000);
  expect(changes()).toBe(2);
  expect(prerequisites.problemsIn('shop')).toEqual([]);
  expect(lines).toHaveLength(2);
});

test('403 for another cause, again and again, is looked into once a minute', async () => {
  const { prerequisites, clock, changes, requests } = await followed();
  const looks = () => requests.filter(request => request.path === '/apis/split.smi-spec.io').length;
  const before = looks();
  for (let second = 0; second < 300; second++) {
    prerequisites.noticed({ ...answered, code: 403 });
    await clock.advance(1_000);
  }
  expect(looks() - before).toBeLessThanOrEqual(5);
  expect(changes()).toBe(0);
});

test('CRDs that are replaced by others while the engine runs are noticed when the watch is opened again', async () => {
  const { prerequisites, state, clock, outdated, wholes } = await followed();
  const opened = { durationMs: 1, verb: 'watch', resource: 'canaries', code: 200 };
  prerequisites.noticed(opened);
  await clock.advance(40_000);
  expect([outdated.length, wholes()]).toEqual([0, 1]);
  state.canarySchema = outdatedSchema();
  prerequisites.noticed(opened);
  await clock.advance(3_000);
  expect(outdated).toMatchObject([{ reason: 'CrdsOutdated' }]);
  prerequisites.stop();
  expect(clock.pending()).toBe(0);
});

test('a suspicion is looked into at once, and stays for as long as the server does not answer', async () => {
  const { prerequisites, state, clock, outdated, wholes } = await followed();
  state.isDown = true;
  prerequisites.suspect();
  await clock.advance(120_000);
  expect([outdated.length, wholes()]).toEqual([0, 0]);
  state.isDown = false;
  await clock.advance(60_000);
  expect(wholes()).toBe(1);
  state.canarySchema = outdatedSchema();
  prerequisites.suspect();
  await clock.advance(0);
  expect(outdated).toHaveLength(1);
});

test('a schema that is not published yet is waited for in silence; one that stays away is said', async () => {
  const { start, met, lines, clock, state, prerequisites, requests } = setUp({ canarySchema: undefined });
  await start();
  await clock.advance(2_000);
  expect(met()).toBe('waits');
  expect(prerequisites.lacks()).toHaveLength(1);
  expect(lines).toEqual([]);
  expect(requests.filter(request => request.path.includes('/status'))).toEqual([]);
  await clock.advance(10_000);
  expect(lines).toEqual([
    expect.stringMatching(/CrdsOutdated: .*canaries\.serin\.dev has no schema that the API server publishes/),
  ]);
  expect(requests.filter(request => request.path.includes('/status'))).toHaveLength(1);
  state.canarySchema = schemaOf('Canary');
  await clock.advance(10_000);
  expect(met()).toMatchObject({ namespaces: [] });
  expect(lines).toHaveLength(2);
});
