/** Stored templates: what is needed again is out of reach of an engine that had decided to forget it. */
import { expect, test } from 'vitest';
import { ApiError, type KubernetesObject } from '../kubernetes/types.ts';
import { revisionName } from '../workloads/revisions.ts';
import { act } from './act.ts';
import type { Sighting } from './observe.ts';
import type { World } from './world.ts';

const name = revisionName('web', 'r2');

/** A server that keeps one ControllerRevision and its version. */
function setUp() {
  let kept: KubernetesObject | undefined;
  let version = 0;
  const conflict = () => new ApiError('conflict', 'the object has been modified');
  const client = {
    async create(_type: unknown, object: KubernetesObject) {
      if (kept) throw new ApiError('alreadyExists', 'it exists');
      kept = { ...object, metadata: { ...object.metadata, uid: 'u1', resourceVersion: String(++version) } };
      return kept;
    },
    async mergePatch(_type: unknown, _namespace: string, _name: string, patch: any) {
      if (!kept) throw new ApiError('notFound', 'it is gone');
      const annotations = { ...kept.metadata.annotations, ...patch.metadata.annotations };
      kept = { ...kept, metadata: { ...kept.metadata, annotations, resourceVersion: String(++version) } };
      return kept;
    },
    async delete(_type: unknown, _namespace: string, _name: string, given: Record<string, string>) {
      if (!kept) return false;
      if (given['uid'] !== kept.metadata.uid || given['resourceVersion'] !== kept.metadata.resourceVersion)
        throw conflict();
      kept = undefined;
      return true;
    },
  };
  const world = {
    client,
    stores: { controllerRevisions: { absorb: () => {}, forget: () => {} } },
  } as unknown as World;
  const look = (): Sighting =>
    ({
      canary: { namespace: 'shop', name: 'web', uid: 'c1' },
      names: { namespace: 'shop' },
      object: { apiVersion: 'serin.dev/v1beta1', kind: 'Canary', metadata: { name: 'web', uid: 'c1' } },
      target: { metadata: { name: 'web' }, spec: { replicas: 2, template: { metadata: {}, spec: {} } } },
      observation: { now: 1_000, target: { revision: 'r2' } },
      revisions: kept ? [kept] : [],
    }) as unknown as Sighting;
  return { world, look, kept: () => kept };
}

test('a forgetting that was decided before the template was stored again does not land', async () => {
  const { world, look, kept } = setUp();
  expect(await act(world, look(), [{ kind: 'storeRevision', revision: 'r2' }])).toEqual({ kind: 'done' });
  expect(kept()?.metadata.name).toBe(name);
  const frozen = look();
  expect(await act(world, look(), [{ kind: 'storeRevision', revision: 'r2' }])).toEqual({ kind: 'done' });
  const late = await act(world, frozen, [{ kind: 'forgetRevision', revision: 'r2' }]);
  expect(late).toMatchObject({ kind: 'conflict' });
  expect(kept()).toBeDefined();
  expect(await act(world, look(), [{ kind: 'forgetRevision', revision: 'r2' }])).toEqual({ kind: 'done' });
  expect(kept()).toBeUndefined();
});
