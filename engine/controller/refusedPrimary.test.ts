/** A primary that the API server would refuse: said on the Canary in the server's words, the target left alone, and tried again. */
import { expect, test } from 'vitest';
import { failure } from '../kubernetes/scriptedTransport.ts';
import type { HttpResponse } from '../kubernetes/types.ts';
import { startTelling } from './scriptedTelling.ts';

type World = Awaited<ReturnType<typeof startTelling>>;

const accepted = (world: World) => world.status().conditions?.find(one => one.type === 'Accepted');
const deployments = (world: World) => world.api.store.list({ apiVersion: 'apps/v1', kind: 'Deployment' });

/** Answers the dry run of the primary, for as long as there is something to answer. */
function refusing(world: World, answer: HttpResponse) {
  const script = { answer: answer as HttpResponse | undefined, asked: 0 };
  world.script.transport = inner => async request => {
    const isPrimary = request.method === 'PATCH' && request.path.includes('/deployments/web-primary?');
    if (isPrimary) script.asked++;
    return isPrimary && script.answer ? script.answer : await inner(request);
  };
  return script;
}

test.each([
  [
    'an admission policy',
    failure(403, 'Forbidden', 'deployments.apps "web-primary" is forbidden: team label is missing'),
    'PrimaryDryRunRefused',
  ],
  [
    'validation',
    failure(422, 'Invalid', 'Deployment.apps "web-primary" is invalid: spec.x: Required'),
    'PrimaryDryRunRefused',
  ],
  [
    'server-side apply',
    failure(
      500,
      '',
      'failed to create typed patch object (shop/web-primary; apps/v1, Kind=Deployment): .spec.template.spec.containers[name="app"].env: duplicate entries for key [name="A"]',
    ),
    'PrimaryDryRunRefused',
  ],
  [
    'a quota of Deployments',
    failure(403, 'Forbidden', 'deployments.apps "web-primary" is forbidden: exceeded quota: few'),
    'QuotaExceeded',
  ],
  [
    'RBAC',
    failure(403, 'Forbidden', 'deployments.apps is forbidden: User "x" cannot patch resource "deployments"'),
    'Forbidden',
  ],
])(
  '%s refuses it: the reason is its own, and adoption goes on when it is let in',
  async (_who, answer, reason) => {
    const world = await startTelling();
    const script = refusing(world, answer);
    await world.start('one');
    world.declare();
    await world.until(() => accepted(world)?.reason === reason, 10_000);
    const { message: sentence } = JSON.parse(answer.text);
    expect(accepted(world)).toMatchObject({
      status: 'False',
      message: `Deployment web-primary would be refused: ${sentence}.`,
    });
    expect(world.events('Canary').map(event => event['reason'])).toContain(reason);
    expect(deployments(world).map(one => [one.metadata.name, one.spec.replicas])).toEqual([['web', 1]]);
    // Told once, however often it is tried.
    const before = structuredClone(world.status());
    await world.advance(35_000);
    expect(script.asked).toBeGreaterThan(2);
    expect(script.asked).toBeLessThan(8);
    expect(world.status()).toEqual(before);
    script.answer = undefined;
    await world.until(() => world.status().phase === 'Initialized', 30_000);
    expect(accepted(world)).toMatchObject({ status: 'True' });
  },
);

test.each([
  failure(503, 'ServiceUnavailable', 'etcd is away'),
  failure(500, 'InternalError', 'Internal error occurred: etcdserver: request timed out'),
])('an API server that fails says nothing about the primary', async answer => {
  const world = await startTelling();
  const script = refusing(world, answer);
  await world.start('one');
  world.declare();
  await world.until(() => script.asked > 1);
  expect(accepted(world)?.status ?? 'True').toBe('True');
  script.answer = undefined;
  await world.until(() => world.status().phase === 'Initialized', 30_000);
});
