/** Contract: token and access reviews, and discovery as far as the engine reads it. */
import { describe, expect, test } from 'vitest';
import type { Used } from './contract.ts';
import { ok } from './contractCalls.ts';

export function describeAccessAndDiscovery(use: () => Used): void {
  describe('reviews', () => reviewTests(use));
  describe('discovery', () => discoveryTests(use));
}

function reviewTests(use: () => Used): void {
  test('TokenReview tells a good token from a bad one', async () => {
    const { calls, capabilities } = use();
    const path = '/apis/authentication.k8s.io/v1/tokenreviews';
    const body = (token: string) => ({
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token },
    });
    const good = ok(await calls.post(path, body(capabilities.token.value)), 201);
    expect(good.status.authenticated).toBe(true);
    expect(good.status.user.username).toBe(capabilities.token.user);
    expect(good.status.user.groups).toContain('system:authenticated');
    const bad = ok(await calls.post(path, body('nonsense')), 201);
    expect(bad.status.authenticated ?? false).toBe(false);
    expect(bad.status.error).toContain('invalid bearer token');
  });

  test('SubjectAccessReview answers for another user, SelfSubjectAccessReview for oneself', async () => {
    const { calls, capabilities } = use();
    const resourceAttributes = {
      verb: 'update',
      group: 'contract.serin.dev',
      resource: 'widgets',
      subresource: 'promote',
      namespace: calls.namespace,
    };
    const root = '/apis/authorization.k8s.io/v1';
    const other = ok(
      await calls.post(`${root}/subjectaccessreviews`, {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: { user: capabilities.stranger, resourceAttributes },
      }),
      201,
    );
    expect(other.status.allowed).toBe(false);
    const self = ok(
      await calls.post(`${root}/selfsubjectaccessreviews`, {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes },
      }),
      201,
    );
    expect(self.status.allowed).toBe(true);
  });
}

function discoveryTests(use: () => Used): void {
  test('names the version, the groups and the resources of a group', async () => {
    const { calls } = use();
    const version = ok(await calls.get('/version'));
    expect(version).toMatchObject({ major: '1', minor: '36' });
    expect(version.gitVersion).toMatch(/^v1\.36\./);
    expect(ok(await calls.get('/api')).versions).toEqual(['v1']);
    const groups = ok(await calls.get('/apis')).groups as { name: string }[];
    expect(groups.map(group => group.name)).toEqual(expect.arrayContaining(['apps', 'contract.serin.dev']));
    const group = ok(await calls.get('/apis/contract.serin.dev'));
    expect(group).toMatchObject({
      kind: 'APIGroup',
      preferredVersion: { groupVersion: 'contract.serin.dev/v1', version: 'v1' },
    });
    const resources = ok(await calls.get('/apis/contract.serin.dev/v1')).resources as { name: string }[];
    expect(resources.map(resource => resource.name)).toEqual(
      expect.arrayContaining(['widgets', 'widgets/status', 'gadgets']),
    );
    const widgets = resources.find(resource => resource.name === 'widgets');
    expect(widgets).toMatchObject({ kind: 'Widget', namespaced: true, singularName: 'widget' });
    const core = ok(await calls.get('/api/v1')).resources as { name: string }[];
    expect(core.map(resource => resource.name)).toEqual(expect.arrayContaining(['services', 'pods/status']));
  });

  test('a group or version that is not served is 404', async () => {
    const { calls } = use();
    for (const path of ['/apis/keda.sh', '/apis/keda.sh/v1alpha1', '/apis/contract.serin.dev/v9'])
      expect((await calls.get(path)).status, path).toBe(404);
  });
}
